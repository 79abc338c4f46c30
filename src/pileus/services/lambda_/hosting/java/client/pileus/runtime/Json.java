package pileus.runtime;

import java.lang.reflect.Array;
import java.lang.reflect.Field;
import java.lang.reflect.Method;
import java.lang.reflect.Modifier;
import java.math.BigDecimal;
import java.math.BigInteger;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Base64;
import java.util.Date;
import java.util.IdentityHashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;

/** JSON to plain Java values (maps, lists, strings, numbers) and any value to JSON. */
final class Json {
    /** Text that is no JSON, or a value that cannot be written. */
    static final class Malformed extends RuntimeException {
        Malformed(String message) {
            super(message);
        }
    }

    private static final int DEPTH_MAX = 512;

    private final String text;
    private int at;
    private int depth;

    private Json(String text) {
        this.text = text;
    }

    static Object parse(byte[] text) {
        return parse(new String(text, StandardCharsets.UTF_8));
    }

    static Object parse(String text) {
        Json json = new Json(text);
        json.space();
        Object found = json.value();
        json.space();
        if (json.at < text.length()) {
            throw json.wrong();
        }
        return found;
    }

    private Malformed wrong() {
        return new Malformed(at < text.length() ? "Unexpected character at position " + at : "Unexpected end of input");
    }

    private void space() {
        while (at < text.length() && " \t\r\n".indexOf(text.charAt(at)) >= 0) {
            at++;
        }
    }

    private char peek() {
        if (at >= text.length()) {
            throw wrong();
        }
        return text.charAt(at);
    }

    private void expect(String what) {
        if (!text.startsWith(what, at)) {
            throw wrong();
        }
        at += what.length();
    }

    private Object value() {
        switch (peek()) {
            case '{':
                return object();
            case '[':
                return array();
            case '"':
                return string();
            case 't':
                expect("true");
                return Boolean.TRUE;
            case 'f':
                expect("false");
                return Boolean.FALSE;
            case 'n':
                expect("null");
                return null;
            default:
                return number();
        }
    }

    private void enter() {
        at++;
        if (++depth > DEPTH_MAX) {
            throw new Malformed("Nested too deeply");
        }
        space();
    }

    private Map<String, Object> object() {
        Map<String, Object> found = new LinkedHashMap<>();
        enter();
        while (peek() != '}') {
            if (!found.isEmpty()) {
                expect(",");
                space();
            }
            if (peek() != '"') {
                throw wrong();
            }
            String name = string();
            space();
            expect(":");
            space();
            found.put(name, value());
            space();
        }
        at++;
        depth--;
        return found;
    }

    private List<Object> array() {
        List<Object> found = new ArrayList<>();
        enter();
        while (peek() != ']') {
            if (!found.isEmpty()) {
                expect(",");
                space();
            }
            found.add(value());
            space();
        }
        at++;
        depth--;
        return found;
    }

    private String string() {
        int begin = ++at;
        int end = begin;
        while (end < text.length() && text.charAt(end) != '"' && text.charAt(end) != '\\') {
            end++;
        }
        if (end < text.length() && text.charAt(end) == '"') {
            at = end + 1;
            return text.substring(begin, end);
        }
        StringBuilder out = new StringBuilder();
        while (true) {
            char c = peek();
            at++;
            if (c == '"') {
                return out.toString();
            }
            if (c != '\\') {
                out.append(c);
                continue;
            }
            char escaped = peek();
            at++;
            int plain = "\"\\/".indexOf(escaped);
            int control = "bfnrt".indexOf(escaped);
            if (plain >= 0) {
                out.append(escaped);
            } else if (control >= 0) {
                out.append("\b\f\n\r\t".charAt(control));
            } else if (escaped == 'u' && at + 4 <= text.length()) {
                try {
                    out.append((char) Integer.parseInt(text.substring(at, at + 4), 16));
                } catch (NumberFormatException error) {
                    throw wrong();
                }
                at += 4;
            } else {
                throw wrong();
            }
        }
    }

    private Number number() {
        int begin = at;
        boolean whole = true;
        while (at < text.length() && "+-0123456789.eE".indexOf(text.charAt(at)) >= 0) {
            whole &= ".eE".indexOf(text.charAt(at)) < 0;
            at++;
        }
        String said = text.substring(begin, at);
        try {
            if (!whole) {
                return Double.valueOf(said);
            }
            BigInteger found = new BigInteger(said);
            if (found.bitLength() < 32) {
                return found.intValue();
            }
            return found.bitLength() < 64 ? (Number) found.longValue() : found;
        } catch (NumberFormatException error) {
            at = begin;
            throw wrong();
        }
    }

    // Writing

    static byte[] write(Object value) {
        StringBuilder out = new StringBuilder();
        write(value, out, new IdentityHashMap<>());
        return out.toString().getBytes(StandardCharsets.UTF_8);
    }

    private static void write(Object value, StringBuilder out, Map<Object, Boolean> above) {
        if (value instanceof Optional) {
            value = ((Optional<?>) value).orElse(null);
        }
        if (value == null) {
            out.append("null");
        } else if (value instanceof CharSequence || value instanceof Character || value instanceof Enum) {
            String text = value instanceof Enum ? ((Enum<?>) value).name() : value.toString();
            quote(text, out);
        } else if (value instanceof Double && !Double.isFinite((Double) value)
                || value instanceof Float && !Float.isFinite((Float) value)) {
            quote(value.toString(), out);
        } else if (value instanceof Number || value instanceof Boolean) {
            out.append(value instanceof BigDecimal ? ((BigDecimal) value).toString() : value.toString());
        } else if (value instanceof Date) {
            out.append(((Date) value).getTime());
        } else if (value instanceof byte[]) {
            quote(Base64.getEncoder().encodeToString((byte[]) value), out);
        } else if (value instanceof ByteBuffer) {
            ByteBuffer copy = ((ByteBuffer) value).duplicate();
            byte[] bytes = new byte[copy.remaining()];
            copy.get(bytes);
            quote(Base64.getEncoder().encodeToString(bytes), out);
        } else if (value.getClass().getName().startsWith("java.") && !(value instanceof Map) && !(value instanceof Iterable)
                && !value.getClass().isArray()) {
            // Times, URLs, UUIDs, atomics: as they write themselves.
            quote(value.toString(), out);
        } else {
            if (above.put(value, true) != null) {
                throw new Malformed("Infinite recursion in " + value.getClass().getName());
            }
            if (value instanceof Map) {
                Map<String, Object> named = new LinkedHashMap<>();
                ((Map<?, ?>) value).forEach((key, each) -> named.put(key instanceof Enum ? ((Enum<?>) key).name() : "" + key, each));
                object(named, out, above);
            } else if (value instanceof Iterable) {
                array((Iterable<?>) value, out, above);
            } else if (value.getClass().isArray()) {
                List<Object> each = new ArrayList<>();
                for (int i = 0; i < Array.getLength(value); i++) {
                    each.add(Array.get(value, i));
                }
                array(each, out, above);
            } else {
                object(properties(value), out, above);
            }
            above.remove(value);
        }
    }

    private static void object(Map<String, Object> members, StringBuilder out, Map<Object, Boolean> above) {
        out.append('{');
        boolean first = true;
        for (Map.Entry<String, Object> each : members.entrySet()) {
            if (!first) {
                out.append(',');
            }
            first = false;
            quote(each.getKey(), out);
            out.append(':');
            write(each.getValue(), out, above);
        }
        out.append('}');
    }

    private static void array(Iterable<?> values, StringBuilder out, Map<Object, Boolean> above) {
        out.append('[');
        boolean first = true;
        for (Object each : values) {
            if (!first) {
                out.append(',');
            }
            first = false;
            write(each, out, above);
        }
        out.append(']');
    }

    /** What getters, record accessors and public fields say, by name. */
    private static Map<String, Object> properties(Object value) {
        Class<?> kind = value.getClass();
        Map<String, Object> found = new LinkedHashMap<>();
        try {
            if (Binder.isRecord(kind)) {
                for (Binder.Part part : Binder.parts(kind)) {
                    found.put(part.name, part.accessor.invoke(value));
                }
                return found;
            }
            Map<String, Method> getters = new TreeMap<>();
            for (Method method : kind.getMethods()) {
                String name = property(method);
                if (name != null && (!getters.containsKey(name) || !method.isBridge())) {
                    getters.put(name, method);
                }
            }
            // In the order in which they were declared, as far as there is one.
            for (Class<?> each = kind; each != null && each != Object.class; each = each.getSuperclass()) {
                for (Field field : each.getDeclaredFields()) {
                    Method getter = getters.remove(field.getName());
                    if (getter != null) {
                        getter.setAccessible(true);
                        found.put(field.getName(), getter.invoke(value));
                    } else if (Modifier.isPublic(field.getModifiers()) && !Modifier.isStatic(field.getModifiers())) {
                        field.setAccessible(true);
                        found.putIfAbsent(field.getName(), field.get(value));
                    }
                }
            }
            for (Map.Entry<String, Method> each : getters.entrySet()) {
                each.getValue().setAccessible(true);
                found.putIfAbsent(each.getKey(), each.getValue().invoke(value));
            }
        } catch (ReflectiveOperationException error) {
            Throwable cause = error.getCause() != null ? error.getCause() : error;
            throw new Malformed("Cannot write " + kind.getName() + ": " + cause);
        }
        return found;
    }

    private static String property(Method method) {
        if (method.getParameterCount() > 0 || Modifier.isStatic(method.getModifiers())
                || method.getReturnType() == void.class || method.getDeclaringClass() == Object.class) {
            return null;
        }
        String name = method.getName();
        Class<?> type = method.getReturnType();
        int prefix = name.startsWith("get") ? 3 : name.startsWith("is") && (type == boolean.class || type == Boolean.class) ? 2 : 0;
        return prefix == 0 || name.length() == prefix ? null : decapitalized(name.substring(prefix));
    }

    /** As Jackson names properties: leading capitals all become small ("getURL" is "url"). */
    static String decapitalized(String name) {
        StringBuilder out = new StringBuilder(name);
        for (int i = 0; i < out.length() && Character.isUpperCase(out.charAt(i)); i++) {
            out.setCharAt(i, Character.toLowerCase(out.charAt(i)));
        }
        return out.toString();
    }

    private static void quote(String text, StringBuilder out) {
        out.append('"');
        for (int i = 0; i < text.length(); i++) {
            char c = text.charAt(i);
            int named = "\"\\\b\f\n\r\t".indexOf(c);
            if (named >= 0) {
                out.append('\\').append("\"\\bfnrt".charAt(named));
            } else if (c < ' ' || Character.isSurrogate(c) && !isPaired(text, i)) {
                out.append(String.format("\\u%04x", (int) c));
            } else {
                out.append(c);
            }
        }
        out.append('"');
    }

    private static boolean isPaired(String text, int at) {
        char c = text.charAt(at);
        return Character.isHighSurrogate(c)
                ? at + 1 < text.length() && Character.isLowSurrogate(text.charAt(at + 1))
                : at > 0 && Character.isHighSurrogate(text.charAt(at - 1));
    }
}
