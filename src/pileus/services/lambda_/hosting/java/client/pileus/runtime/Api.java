package pileus.runtime;

import java.io.BufferedInputStream;
import java.io.EOFException;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.InetAddress;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import java.util.Locale;
import java.util.Map;
import java.util.TreeMap;

/** The Runtime API, over one connection: JDK's own clients load hundreds of classes for what this does. */
final class Api {
    static final class Answer {
        final Map<String, String> headers;
        final byte[] body;

        Answer(Map<String, String> headers, byte[] body) {
            this.headers = headers;
            this.body = body;
        }
    }

    private static final String PREFIX = "/2018-06-01/runtime/";
    private final String address;
    private Socket socket;
    private InputStream input;
    private OutputStream output;

    Api(String address) {
        this.address = address;
    }

    Answer next() throws IOException {
        return call("GET", "invocation/next", new byte[0], "");
    }

    void answer(String id, byte[] body) throws IOException {
        call("POST", "invocation/" + id + "/response", body, "");
    }

    void fail(String id, byte[] body, String type) throws IOException {
        call("POST", "invocation/" + id + "/error", body, type);
    }

    void failInit(byte[] body, String type) throws IOException {
        call("POST", "init/error", body, type);
    }

    private Answer call(String method, String path, byte[] body, String type) throws IOException {
        if (socket == null) {
            int colon = address.lastIndexOf(':');
            // An address of numbers: no name is looked up.
            socket = new Socket(InetAddress.getByName(address.substring(0, colon)), Integer.parseInt(address.substring(colon + 1)));
            socket.setTcpNoDelay(true);
            input = new BufferedInputStream(socket.getInputStream(), 1 << 16);
            output = socket.getOutputStream();
        }
        StringBuilder head = new StringBuilder(method).append(' ').append(PREFIX).append(path).append(" HTTP/1.1\r\nHost: ");
        head.append(address).append("\r\n");
        if (!type.isEmpty()) {
            head.append("Lambda-Runtime-Function-Error-Type: ").append(type).append("\r\n");
        }
        if (method.equals("POST")) {
            head.append("Content-Type: application/json\r\nContent-Length: ").append(body.length).append("\r\n");
        }
        byte[] first = head.append("\r\n").toString().getBytes(StandardCharsets.ISO_8859_1);
        byte[] whole = new byte[first.length + body.length];
        System.arraycopy(first, 0, whole, 0, first.length);
        System.arraycopy(body, 0, whole, first.length, body.length);
        output.write(whole);
        return read();
    }

    private Answer read() throws IOException {
        line();
        Map<String, String> headers = new TreeMap<>();
        String line;
        while (!(line = line()).isEmpty()) {
            int colon = line.indexOf(':');
            headers.put(line.substring(0, colon).toLowerCase(Locale.ROOT), line.substring(colon + 1).trim());
        }
        byte[] body = new byte[Integer.parseInt(headers.getOrDefault("content-length", "0"))];
        for (int at = 0; at < body.length; ) {
            int got = input.read(body, at, body.length - at);
            if (got < 0) {
                throw new EOFException("the Runtime API has hung up");
            }
            at += got;
        }
        return new Answer(headers, body);
    }

    private byte[] buffer = new byte[1024];

    private String line() throws IOException {
        int length = 0;
        for (int c; (c = input.read()) != '\n'; ) {
            if (c < 0) {
                throw new EOFException("the Runtime API has hung up");
            }
            if (length == buffer.length) {
                buffer = java.util.Arrays.copyOf(buffer, 2 * length);
            }
            buffer[length++] = (byte) c;
        }
        return new String(buffer, 0, length > 0 && buffer[length - 1] == '\r' ? length - 1 : length, StandardCharsets.UTF_8);
    }
}
