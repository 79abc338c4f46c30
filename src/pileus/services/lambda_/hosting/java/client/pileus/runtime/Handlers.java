package pileus.runtime;

import com.amazonaws.services.lambda.runtime.Context;
import com.amazonaws.services.lambda.runtime.CustomPojoSerializer;
import com.amazonaws.services.lambda.runtime.RequestHandler;
import com.amazonaws.services.lambda.runtime.RequestStreamHandler;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.InputStream;
import java.io.OutputStream;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.lang.reflect.Modifier;
import java.lang.reflect.ParameterizedType;
import java.lang.reflect.Type;
import java.lang.reflect.TypeVariable;
import java.util.HashMap;
import java.util.Iterator;
import java.util.Map;
import java.util.ServiceLoader;

/** From the name of a handler to what answers an event. */
final class Handlers {
    /** Event in, answer out, both as bytes. */
    interface Handler {
        byte[] handle(byte[] event, Context context) throws Throwable;
    }

    /** Why there is no handler: AWS's type and text. */
    static final class Missing extends Exception {
        final String type;

        Missing(String message, String type, Throwable cause) {
            super(message, cause);
            this.type = type;
        }
    }

    private Handlers() {}

    /** "package.Class", which implements one of the interfaces, or "package.Class::method". */
    static Handler load(String name, ClassLoader loader) throws Throwable {
        int colons = name.indexOf("::");
        String className = colons < 0 ? name : name.substring(0, colons);
        String methodName = colons < 0 ? "handleRequest" : name.substring(colons + 2);
        Class<?> kind;
        try {
            kind = Class.forName(className, true, loader);
        } catch (ClassNotFoundException error) {
            throw new Missing("Class not found: " + className, "java.lang.ClassNotFoundException", error);
        }
        CustomPojoSerializer serializer = serializer(loader);
        if (colons < 0 && RequestStreamHandler.class.isAssignableFrom(kind)) {
            RequestStreamHandler handler = (RequestStreamHandler) instance(kind);
            return (event, context) -> {
                ByteArrayOutputStream out = new ByteArrayOutputStream();
                handler.handleRequest(new ByteArrayInputStream(event), out, context);
                return out.toByteArray();
            };
        }
        if (colons < 0 && RequestHandler.class.isAssignableFrom(kind)) {
            @SuppressWarnings("unchecked")
            RequestHandler<Object, Object> handler = (RequestHandler<Object, Object>) instance(kind);
            Type[] types = argumentsOf(kind);
            return (event, context) -> written(handler.handleRequest(read(event, types[0], serializer), context), types[1], serializer);
        }
        Method method = find(kind, methodName);
        if (method == null) {
            throw new Missing(
                    "No public method named " + methodName + " with appropriate method signature found on class " + kind.getName(),
                    "java.lang.NoSuchMethodException", null);
        }
        method.setAccessible(true);
        Object on = Modifier.isStatic(method.getModifiers()) ? null : instance(kind);
        return (event, context) -> {
            Class<?>[] parameters = method.getParameterTypes();
            ByteArrayOutputStream out = new ByteArrayOutputStream();
            Object[] given = new Object[parameters.length];
            boolean streams = false;
            for (int i = 0; i < parameters.length; i++) {
                if (parameters[i] == Context.class && i == parameters.length - 1) {
                    given[i] = context;
                } else if (parameters[i] == InputStream.class) {
                    given[i] = new ByteArrayInputStream(event);
                } else if (parameters[i] == OutputStream.class) {
                    given[i] = out;
                    streams = true;
                } else {
                    given[i] = read(event, method.getGenericParameterTypes()[i], serializer);
                }
            }
            Object answer;
            try {
                answer = method.invoke(on, given);
            } catch (InvocationTargetException error) {
                throw error.getCause();
            }
            return streams ? out.toByteArray() : written(answer, method.getGenericReturnType(), serializer);
        };
    }

    private static Object instance(Class<?> kind) throws Throwable {
        try {
            return kind.getConstructor().newInstance();
        } catch (NoSuchMethodException error) {
            throw new Missing("Class " + kind.getName() + " has no public zero-argument constructor", "java.lang.NoSuchMethodException", error);
        } catch (InstantiationException error) {
            throw new Missing("Unable to instantiate class " + kind.getName(), "java.lang.InstantiationException", error);
        } catch (InvocationTargetException error) {
            throw error.getCause();
        }
    }

    /** Of several methods of a name, the one with most parameters that takes the context, as AWS chooses. */
    private static Method find(Class<?> kind, String name) {
        Method best = null;
        for (Method method : kind.getMethods()) {
            Class<?>[] types = method.getParameterTypes();
            boolean takesContext = types.length > 0 && types[types.length - 1] == Context.class;
            int others = types.length - (takesContext ? 1 : 0);
            boolean streams = others == 2 && types[0] == InputStream.class && types[1] == OutputStream.class;
            if (!method.getName().equals(name) || method.isBridge() || others > 1 && !streams) {
                continue;
            }
            if (best == null || types.length > best.getParameterCount()
                    || types.length == best.getParameterCount() && takesContext) {
                best = method;
            }
        }
        return best;
    }

    /** What a class makes of RequestHandler's input and output. */
    private static Type[] argumentsOf(Class<?> kind) {
        Map<TypeVariable<?>, Type> known = new HashMap<>();
        collect(kind, known);
        TypeVariable<?>[] variables = RequestHandler.class.getTypeParameters();
        return new Type[] {resolved(variables[0], known), resolved(variables[1], known)};
    }

    private static Type resolved(Type type, Map<TypeVariable<?>, Type> known) {
        while (type instanceof TypeVariable) {
            Type next = known.get(type);
            type = next != null ? next : ((TypeVariable<?>) type).getBounds()[0];
        }
        return type;
    }

    private static void collect(Type type, Map<TypeVariable<?>, Type> known) {
        Class<?> raw = Binder.raw(type, known);
        if (type instanceof ParameterizedType) {
            TypeVariable<?>[] variables = raw.getTypeParameters();
            for (int i = 0; i < variables.length; i++) {
                known.put(variables[i], ((ParameterizedType) type).getActualTypeArguments()[i]);
            }
        }
        if (raw.getGenericSuperclass() != null) {
            collect(raw.getGenericSuperclass(), known);
        }
        for (Type each : raw.getGenericInterfaces()) {
            collect(each, known);
        }
    }

    private static CustomPojoSerializer serializer(ClassLoader loader) {
        Iterator<CustomPojoSerializer> found = ServiceLoader.load(CustomPojoSerializer.class, loader).iterator();
        return found.hasNext() ? found.next() : null;
    }

    private static Object read(byte[] event, Type type, CustomPojoSerializer serializer) {
        try {
            if (serializer != null && type != String.class && type != Object.class) {
                return serializer.fromJson(new ByteArrayInputStream(event), type);
            }
            return event.length == 0 ? null : Binder.bind(Json.parse(event), type);
        } catch (Json.Malformed | Binder.Mismatch error) {
            throw new RuntimeException("An error occurred during JSON parsing", error);
        }
    }

    private static byte[] written(Object answer, Type type, CustomPojoSerializer serializer) {
        if (type == void.class || type == Void.class) {
            return "null".getBytes();
        }
        try {
            if (serializer != null && answer != null && !(answer instanceof CharSequence)) {
                ByteArrayOutputStream out = new ByteArrayOutputStream();
                serializer.toJson(answer, out, answer.getClass());
                return out.toByteArray();
            }
            return Json.write(answer);
        } catch (Json.Malformed error) {
            throw new RuntimeException("An error occurred during JSON serialization of response", error);
        }
    }
}
