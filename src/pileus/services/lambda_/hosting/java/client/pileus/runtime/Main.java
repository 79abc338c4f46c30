package pileus.runtime;

import com.amazonaws.services.lambda.runtime.Context;
import com.amazonaws.services.lambda.runtime.LambdaRuntimeInternal;
import com.amazonaws.services.lambda.runtime.RequestHandler;
import java.io.ByteArrayOutputStream;
import java.io.File;
import java.io.InputStream;
import java.lang.reflect.Field;
import java.net.URL;
import java.net.URLClassLoader;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/**
 * The life of a Java function: load the handler, then event after event.
 *
 * <p>Started with "ahead", it is there before its function is known: it waits on standard input for {"environment", ...}.
 */
public final class Main {
    // Of these, AWS's client writes to the environment what the SDKs of their time look for.
    private static final List<String> WRITES_ENVIRONMENT = Arrays.asList("AWS_Lambda_java8.al2", "AWS_Lambda_java11");

    private static Log log;
    private static boolean writesEnvironment;

    private Main() {}

    public static void main(String[] arguments) throws Throwable {
        if (arguments.length > 0 && arguments[0].equals("ahead")) {
            warmUp();
            waitForFunction();
        }
        Map<String, String> environment = System.getenv();
        writesEnvironment = WRITES_ENVIRONMENT.contains(String.valueOf(environment.get("AWS_EXECUTION_ENV")));
        if (writesEnvironment) {
            Map<String, String> variables = environment();
            variables.put("AWS_ACCESS_KEY", environment.get("AWS_ACCESS_KEY_ID"));
            variables.put("AWS_SECRET_KEY", environment.get("AWS_SECRET_ACCESS_KEY"));
        }
        log = new Log(environment.get("AWS_LAMBDA_LOG_FORMAT"), environment.get("AWS_LAMBDA_LOG_LEVEL"));
        LambdaRuntimeInternal.setLogger(log);
        Api api = new Api(environment.get("AWS_LAMBDA_RUNTIME_API"));
        Handlers.Handler handler;
        try {
            ClassLoader loader = classes(environment.get("LAMBDA_TASK_ROOT"), System.getProperty("pileus.layers", "/opt"));
            Thread.currentThread().setContextClassLoader(loader);
            handler = Handlers.load(environment.get("_HANDLER"), loader);
        } catch (Handlers.Missing error) {
            log.failed(error.getMessage(), error.getCause() != null ? error.getCause() : error);
            api.failInit(Json.write(members(error.getMessage(), error.type)), error.type);
            System.exit(1);
            return;
        } catch (Throwable error) {
            Throwable cause = error instanceof ExceptionInInitializerError && error.getCause() != null ? error.getCause() : error;
            log.failed("Error loading class " + environment.get("_HANDLER"), cause);
            api.failInit(Json.write(failure(cause)), cause.getClass().getName());
            System.exit(1);
            return;
        }
        while (true) {
            Api.Answer event = api.next();
            String id = event.headers.get("lambda-runtime-aws-request-id");
            log.requestId = id;
            trace(event.headers.get("lambda-runtime-trace-id"));
            byte[] answer = null;
            Throwable failed = null;
            try {
                answer = handler.handle(event.body, new RuntimeContext(event.headers, log));
            } catch (Throwable error) {
                failed = error;
            }
            System.out.flush();
            if (failed == null) {
                api.answer(id, answer);
                continue;
            }
            log.failed(String.valueOf(failed.getMessage()), failed);
            api.fail(id, Json.write(failure(failed)), failed.getClass().getName());
            if (failed instanceof VirtualMachineError) {
                // AWS ends it, too: what is left of it cannot be trusted.
                System.exit(1);
            }
        }
    }

    private static void trace(String header) throws Exception {
        if (header == null) {
            System.clearProperty("com.amazonaws.xray.traceHeader");
        } else {
            System.setProperty("com.amazonaws.xray.traceHeader", header);
        }
        if (writesEnvironment && header != null) {
            environment().put("_X_AMZN_TRACE_ID", header);
        }
    }

    /** The function's classes and libraries, then those of its layers. The runtime's own come first. */
    private static ClassLoader classes(String root, String layers) throws Exception {
        List<URL> found = new ArrayList<>();
        found.add(new File(root + "/").toURI().toURL());
        libraries(new File(root, "lib"), found);
        for (String layer : layers.split(":")) {
            libraries(new File(layer, "java/lib"), found);
        }
        return new URLClassLoader(found.toArray(new URL[0]), Main.class.getClassLoader());
    }

    private static void libraries(File folder, List<URL> found) throws Exception {
        File[] files = folder.listFiles((where, name) -> name.endsWith(".jar"));
        if (files != null) {
            Arrays.sort(files);
            for (File each : files) {
                found.add(each.toURI().toURL());
            }
        }
    }

    // What the caller of a function gets of an error.

    private static Map<String, Object> members(String message, String type) {
        Map<String, Object> found = new LinkedHashMap<>();
        found.put("errorMessage", message);
        found.put("errorType", type);
        return found;
    }

    private static Map<String, Object> failure(Throwable error) {
        return failure(error, 0);
    }

    private static Map<String, Object> failure(Throwable error, int depth) {
        Map<String, Object> found = members(error.getMessage(), error.getClass().getName());
        List<String> trace = new ArrayList<>();
        for (StackTraceElement each : Log.own(error)) {
            trace.add(each.toString());
        }
        found.put("stackTrace", trace);
        if (error.getCause() != null && error.getCause() != error && depth < 20) {
            found.put("cause", failure(error.getCause(), depth + 1));
        }
        return found;
    }

    // Ahead of the function

    /** What every function needs, loaded and run once. */
    private static void warmUp() throws Exception {
        Object sample = Json.parse("{\"a\": [1, 2.5, true, null, \"\\u00e9\\n\"], \"b\": {\"c\": \"d\"}}");
        Json.write(sample);
        Binder.bind(sample, Map.class);
        new Log("JSON", "INFO");
        new URLClassLoader(new URL[] {new File("/var/task/").toURI().toURL()}).close();
        // The client's own library stands for the function's: what loads classes is loaded itself.
        URL own = Main.class.getProtectionDomain().getCodeSource().getLocation();
        ClassLoader loader = new URLClassLoader(new URL[] {new File("/var/task/").toURI().toURL(), own}, null);
        loader.loadClass("com.amazonaws.services.lambda.runtime.logging.LogFormat");
        Map<String, String> headers = new TreeMap<>();
        headers.put("lambda-runtime-deadline-ms", "0");
        try {
            Handlers.load(Sample.class.getName(), Main.class.getClassLoader())
                    .handle("{\"text\": \"a\", \"number\": 1}".getBytes(), new RuntimeContext(headers, null));
            // Nobody listens there.
            new Api("127.0.0.1:1").next();
        } catch (Throwable error) {
            Json.write(failure(error));
        }
        java.time.Instant.now().toString();
        environment();
    }

    /** Stands for a function before there is one. */
    public static final class Sample implements RequestHandler<Sample, Sample> {
        private String text;
        private int number;

        public String getText() {
            return text;
        }

        public void setText(String given) {
            text = given;
        }

        public int getNumber() {
            return number;
        }

        public void setNumber(int given) {
            number = given;
        }

        @Override
        public Sample handleRequest(Sample given, Context context) {
            return given;
        }
    }

    @SuppressWarnings("unchecked")
    private static void waitForFunction() throws Exception {
        ByteArrayOutputStream said = new ByteArrayOutputStream();
        byte[] buffer = new byte[8192];
        InputStream input = System.in;
        for (int got; (got = input.read(buffer)) >= 0; ) {
            said.write(buffer, 0, got);
        }
        if (said.size() == 0) {
            System.exit(70);
        }
        Map<String, Object> told = (Map<String, Object>) Json.parse(said.toByteArray());
        Map<String, String> variables = environment();
        variables.clear();
        ((Map<String, Object>) told.get("environment")).forEach((name, value) -> variables.put(name, (String) value));
    }

    /** The map behind System.getenv(), which programs that this one starts get, too. */
    @SuppressWarnings("unchecked")
    private static Map<String, String> environment() throws Exception {
        Map<String, String> shown = System.getenv();
        Field inner = shown.getClass().getDeclaredField("m");
        inner.setAccessible(true);
        return (Map<String, String>) inner.get(shown);
    }
}
