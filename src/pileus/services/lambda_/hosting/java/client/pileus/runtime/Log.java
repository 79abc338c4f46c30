package pileus.runtime;

import com.amazonaws.services.lambda.runtime.LambdaLogger;
import com.amazonaws.services.lambda.runtime.logging.LogLevel;
import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.time.Instant;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.Map;

/** The function's log. Each message is a frame, so that one of several lines stays one event. */
final class Log implements LambdaLogger {
    private static final int TEXT_FRAME = 0xa55a0003;
    private static final int JSON_FRAME = 0xa55a0002;

    private final FileOutputStream out = new FileOutputStream(FileDescriptor.out);
    private final boolean json;
    private final LogLevel lowest;
    volatile String requestId;

    Log(String format, String level) {
        json = "JSON".equalsIgnoreCase(format);
        LogLevel found = LogLevel.UNDEFINED;
        try {
            found = level == null ? LogLevel.UNDEFINED : LogLevel.fromString(level);
        } catch (IllegalArgumentException error) {
            // As if none were named.
        }
        lowest = found;
    }

    @Override
    public void log(String message) {
        log(message, LogLevel.UNDEFINED);
    }

    @Override
    public void log(byte[] message) {
        log(message, LogLevel.UNDEFINED);
    }

    @Override
    public void log(byte[] message, LogLevel level) {
        log(message == null ? null : new String(message, StandardCharsets.UTF_8), level);
    }

    @Override
    public void log(String message, LogLevel level) {
        if (level != LogLevel.UNDEFINED && level.ordinal() < lowest.ordinal()) {
            return;
        }
        String text = message == null ? "null" : message;
        if (json) {
            Map<String, Object> record = new LinkedHashMap<>();
            record.put("timestamp", Instant.now().toString());
            record.put("message", text);
            record.put("level", level.name());
            record.put("AWSRequestId", requestId);
            text = new String(Json.write(record), StandardCharsets.UTF_8) + "\n";
        } else if (!text.endsWith("\n")) {
            text += "\n";
        }
        frame(json ? JSON_FRAME : TEXT_FRAME, level, text.getBytes(StandardCharsets.UTF_8));
    }

    private synchronized void frame(int kind, LogLevel level, byte[] message) {
        // What was printed before comes before.
        System.out.flush();
        ByteBuffer frame = ByteBuffer.allocate(16 + message.length);
        frame.putInt(kind | level.ordinal() << 2).putInt(message.length).putLong(System.currentTimeMillis() * 1000);
        frame.put(message);
        try {
            out.write(frame.array());
        } catch (IOException error) {
            // Nobody reads it any longer.
        }
    }

    /** Where it came from, without the runtime that called it. */
    static StackTraceElement[] own(Throwable error) {
        StackTraceElement[] trace = error.getStackTrace();
        int end = 0;
        while (end < trace.length && !trace[end].getClassName().startsWith("pileus.runtime.")) {
            end++;
        }
        return Arrays.copyOf(trace, end);
    }

    /** As AWS's client logs what a function threw. */
    void failed(String message, Throwable error) {
        int depth = 0;
        for (Throwable each = error; each != null && depth < 20; each = each.getCause(), depth++) {
            each.setStackTrace(own(each));
        }
        StringWriter trace = new StringWriter();
        error.printStackTrace(new PrintWriter(trace, true));
        log(message + ": " + error.getClass().getName() + "\n" + trace + "\n", LogLevel.ERROR);
    }
}
