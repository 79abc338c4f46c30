package pileus.runtime;

import java.lang.reflect.Array;
import java.lang.reflect.Constructor;
import java.lang.reflect.Executable;
import java.lang.reflect.Field;
import java.lang.reflect.GenericArrayType;
import java.lang.reflect.Method;
import java.lang.reflect.Modifier;
import java.lang.reflect.ParameterizedType;
import java.lang.reflect.Type;
import java.lang.reflect.TypeVariable;
import java.lang.reflect.WildcardType;
import java.math.BigDecimal;
import java.math.BigInteger;
import java.nio.ByteBuffer;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Base64;
import java.util.Collection;
import java.util.Collections;
import java.util.Date;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Queue;
import java.util.Set;
import java.util.SortedMap;
import java.util.SortedSet;
import java.util.TreeMap;
import java.util.TreeSet;

/** Plain values, as Json reads them, to what a handler takes: beans, records, collections, times. */
final class Binder {
    /** One component of a record. */
    static final class Part {
        final String name;
        final Type type;
        final Class<?> raw;
        final Method accessor;

        Part(String name, Type type, Class<?> raw, Method accessor) {
            this.name = name;
            this.type = type;
            this.raw = raw;
            this.accessor = accessor;
        }
    }

    static final class Mismatch extends RuntimeException {
        Mismatch(String message) {
            super(message);
        }

        Mismatch(String message, Throwable cause) {
            super(message, cause);
        }
    }

    private Binder() {}

    static Object bind(Object value, Type type) {
        return bind(value, type, Collections.emptyMap());
    }

    private static Object bind(Object value, Type type, Map<TypeVariable<?>, Type> known) {
        if (type instanceof TypeVariable) {
            Type found = known.get(type);
            return bind(value, found != null ? found : ((TypeVariable<?>) type).getBounds()[0], known);
        }
        if (type instanceof WildcardType) {
            return bind(value, ((WildcardType) type).getUpperBounds()[0], known);
        }
        if (type instanceof GenericArrayType) {
            Type each = ((GenericArrayType) type).getGenericComponentType();
            return array(value, raw(each, known), each, known);
        }
        if (type instanceof ParameterizedType) {
            ParameterizedType generic = (ParameterizedType) type;
            Class<?> kind = (Class<?>) generic.getRawType();
            Map<TypeVariable<?>, Type> inside = new HashMap<>(known);
            TypeVariable<?>[] variables = kind.getTypeParameters();
            for (int i = 0; i < variables.length; i++) {
                Type given = generic.getActualTypeArguments()[i];
                inside.put(variables[i], given instanceof TypeVariable && known.containsKey(given) ? known.get(given) : given);
            }
            return bindClass(value, kind, generic.getActualTypeArguments(), inside);
        }
        return bindClass(value, (Class<?>) type, new Type[0], known);
    }

    static Class<?> raw(Type type, Map<TypeVariable<?>, Type> known) {
        if (type instanceof Class) {
            return (Class<?>) type;
        }
        if (type instanceof ParameterizedType) {
            return (Class<?>) ((ParameterizedType) type).getRawType();
        }
        return type instanceof TypeVariable && known.containsKey(type) ? raw(known.get(type), known) : Object.class;
    }

    private static Object bindClass(Object value, Class<?> kind, Type[] arguments, Map<TypeVariable<?>, Type> known) {
        if (kind == Optional.class) {
            return Optional.ofNullable(value == null ? null : bind(value, argument(arguments, 0), known));
        }
        if (value == null) {
            if (!kind.isPrimitive()) {
                return null;
            }
            return Array.get(Array.newInstance(kind, 1), 0);
        }
        if (kind == Object.class) {
            return value;
        }
        if (kind == String.class || kind == CharSequence.class) {
            if (value instanceof Map || value instanceof List) {
                throw mismatch(value, kind);
            }
            return value.toString();
        }
        if (kind.isPrimitive() || Number.class.isAssignableFrom(kind) || kind == Boolean.class || kind == Character.class) {
            return scalar(value, kind);
        }
        if (kind.isArray()) {
            return array(value, kind.getComponentType(), kind.getComponentType(), known);
        }
        if (Map.class.isAssignableFrom(kind)) {
            return map(value, kind, arguments, known);
        }
        if (Collection.class.isAssignableFrom(kind) || kind == Iterable.class) {
            return collection(value, kind, arguments, known);
        }
        if (kind.isEnum()) {
            for (Object each : kind.getEnumConstants()) {
                if (((Enum<?>) each).name().equals(value)) {
                    return each;
                }
            }
            throw mismatch(value, kind);
        }
        if (kind == Date.class && value instanceof Number) {
            double number = ((Number) value).doubleValue();
            // DynamoDB and Kinesis count seconds, with a fraction; whatever else is a date counts milliseconds.
            return new Date(value instanceof Double || Math.abs(number) < 1e11 ? Math.round(number * 1000) : (long) number);
        }
        if (kind == ByteBuffer.class && value instanceof String) {
            return ByteBuffer.wrap(Base64.getDecoder().decode((String) value));
        }
        if (value instanceof Map) {
            return isRecord(kind) ? record((Map<?, ?>) value, kind, known) : bean((Map<?, ?>) value, kind, known);
        }
        return fromScalar(value, kind);
    }

    private static Type argument(Type[] arguments, int at) {
        return at < arguments.length ? arguments[at] : Object.class;
    }

    private static Mismatch mismatch(Object value, Class<?> kind) {
        String shape = value instanceof Map ? "an object" : value instanceof List ? "an array" : value.getClass().getSimpleName();
        return new Mismatch("Cannot deserialize value of type `" + kind.getName() + "` from " + shape);
    }

    private static Object scalar(Object value, Class<?> kind) {
        try {
            if (kind == boolean.class || kind == Boolean.class) {
                return value instanceof Boolean ? value : Boolean.valueOf((String) value);
            }
            if (kind == char.class || kind == Character.class) {
                return ((String) value).charAt(0);
            }
            BigDecimal number = new BigDecimal(value.toString());
            if (kind == int.class || kind == Integer.class) {
                return number.toBigInteger().intValueExact();
            }
            if (kind == long.class || kind == Long.class) {
                return number.toBigInteger().longValueExact();
            }
            if (kind == double.class || kind == Double.class) {
                return number.doubleValue();
            }
            if (kind == float.class || kind == Float.class) {
                return number.floatValue();
            }
            if (kind == short.class || kind == Short.class) {
                return number.toBigInteger().shortValueExact();
            }
            if (kind == byte.class || kind == Byte.class) {
                return number.toBigInteger().byteValueExact();
            }
            if (kind == BigInteger.class) {
                return number.toBigInteger();
            }
            if (kind == BigDecimal.class) {
                return number;
            }
            if (kind == Number.class && value instanceof Number) {
                return value;
            }
        } catch (ClassCastException | ArithmeticException | NumberFormatException | StringIndexOutOfBoundsException error) {
            throw new Mismatch(mismatch(value, kind).getMessage(), error);
        }
        return fromScalar(value, kind);
    }

    private static Object array(Object value, Class<?> kind, Type each, Map<TypeVariable<?>, Type> known) {
        if (kind == byte.class && value instanceof String) {
            return Base64.getDecoder().decode((String) value);
        }
        if (!(value instanceof List)) {
            throw mismatch(value, Array.newInstance(kind, 0).getClass());
        }
        List<?> values = (List<?>) value;
        Object found = Array.newInstance(kind, values.size());
        for (int i = 0; i < values.size(); i++) {
            Array.set(found, i, bind(values.get(i), each, known));
        }
        return found;
    }

    private static Object collection(Object value, Class<?> kind, Type[] arguments, Map<TypeVariable<?>, Type> known) {
        if (!(value instanceof List)) {
            throw mismatch(value, kind);
        }
        Collection<Object> found;
        if (kind == Collection.class || kind == List.class || kind == Iterable.class) {
            found = new ArrayList<>();
        } else if (kind == SortedSet.class) {
            found = new TreeSet<>();
        } else if (kind == Set.class) {
            found = new LinkedHashSet<>();
        } else if (kind == Queue.class) {
            found = new ArrayDeque<>();
        } else {
            found = made(kind);
        }
        for (Object each : (List<?>) value) {
            found.add(bind(each, argument(arguments, 0), known));
        }
        return found;
    }

    private static Object map(Object value, Class<?> kind, Type[] arguments, Map<TypeVariable<?>, Type> known) {
        if (!(value instanceof Map)) {
            throw mismatch(value, kind);
        }
        Map<Object, Object> found;
        if (kind == Map.class || kind.isAssignableFrom(LinkedHashMap.class)) {
            found = new LinkedHashMap<>();
        } else {
            found = kind == SortedMap.class ? new TreeMap<>() : made(kind);
        }
        ((Map<?, ?>) value).forEach((key, each) ->
                found.put(bind(key, argument(arguments, 0), known), bind(each, argument(arguments, 1), known)));
        return found;
    }

    @SuppressWarnings("unchecked")
    private static <T> T made(Class<?> kind) {
        try {
            Constructor<?> constructor = kind.getDeclaredConstructor();
            constructor.setAccessible(true);
            return (T) constructor.newInstance();
        } catch (NoSuchMethodException | InstantiationException error) {
            throw new Mismatch("Cannot construct instance of `" + kind.getName() + "`: it has no constructor without parameters", error);
        } catch (ReflectiveOperationException error) {
            throw new Mismatch("Cannot construct instance of `" + kind.getName() + "`", error.getCause() != null ? error.getCause() : error);
        }
    }

    /** Setters and public fields; names are compared without regard to case, unknown ones are passed over. */
    private static Object bean(Map<?, ?> members, Class<?> kind, Map<TypeVariable<?>, Type> known) {
        Constructor<?> whole = wholeConstructor(kind);
        if (whole != null) {
            return constructed(members, whole, known);
        }
        Object found = made(kind);
        Map<String, Method> setters = new TreeMap<>(String.CASE_INSENSITIVE_ORDER);
        for (Method method : kind.getMethods()) {
            String name = method.getName();
            if (name.startsWith("set") && name.length() > 3 && method.getParameterCount() == 1) {
                Method other = setters.get(name.substring(3));
                // Of several, the one whose parameter says most.
                if (other == null || other.isBridge() || other.getParameterTypes()[0].isAssignableFrom(method.getParameterTypes()[0])) {
                    setters.put(name.substring(3), method);
                }
            }
        }
        Map<TypeVariable<?>, Type> inside = new HashMap<>(known);
        for (Class<?> each = kind; each != null; each = each.getSuperclass()) {
            remember(each.getGenericSuperclass(), inside);
        }
        for (Map.Entry<?, ?> each : members.entrySet()) {
            String name = (String) each.getKey();
            Method setter = setters.get(name);
            if (setter == null) {
                // "detail-type" of EventBridge's events is detailType.
                setter = setters.get(name.replace("-", ""));
            }
            try {
                if (setter != null) {
                    setter.setAccessible(true);
                    setter.invoke(found, bind(each.getValue(), setter.getGenericParameterTypes()[0], inside));
                } else {
                    Field field = publicField(kind, name);
                    if (field != null) {
                        field.setAccessible(true);
                        field.set(found, bind(each.getValue(), field.getGenericType(), inside));
                    }
                }
            } catch (ReflectiveOperationException error) {
                throw new Mismatch("Cannot set " + name + " of `" + kind.getName() + "`", error.getCause() != null ? error.getCause() : error);
            }
        }
        return found;
    }

    /** Of a class that nobody can make without its values: the constructor that takes one for each field, in order. */
    private static Constructor<?> wholeConstructor(Class<?> kind) {
        try {
            kind.getDeclaredConstructor();
            return null;
        } catch (NoSuchMethodException error) {
            int wanted = fields(kind).size();
            Constructor<?> best = null;
            for (Constructor<?> each : kind.getConstructors()) {
                // Of several, the one that does not narrow numbers.
                if (each.getParameterCount() == wanted && (best == null || Arrays.asList(each.getParameterTypes()).contains(Long.class))) {
                    best = each;
                }
            }
            return best;
        }
    }

    private static List<Field> fields(Class<?> kind) {
        List<Field> found = new ArrayList<>();
        if (kind.getSuperclass() != null && kind.getSuperclass() != Object.class) {
            found.addAll(fields(kind.getSuperclass()));
        }
        for (Field each : kind.getDeclaredFields()) {
            if (!Modifier.isStatic(each.getModifiers()) && !each.isSynthetic()) {
                found.add(each);
            }
        }
        return found;
    }

    private static Object constructed(Map<?, ?> members, Constructor<?> constructor, Map<TypeVariable<?>, Type> known) {
        Map<String, Object> named = new TreeMap<>(String.CASE_INSENSITIVE_ORDER);
        members.forEach((name, each) -> named.put((String) name, each));
        List<Field> fields = fields(constructor.getDeclaringClass());
        Type[] types = constructor.getGenericParameterTypes();
        Object[] values = new Object[types.length];
        for (int i = 0; i < types.length; i++) {
            values[i] = bind(named.get(fields.get(i).getName()), types[i], known);
        }
        try {
            return constructor.newInstance(values);
        } catch (ReflectiveOperationException error) {
            throw new Mismatch("Cannot construct instance of `" + constructor.getDeclaringClass().getName() + "`",
                    error.getCause() != null ? error.getCause() : error);
        }
    }

    private static void remember(Type type, Map<TypeVariable<?>, Type> known) {
        if (type instanceof ParameterizedType) {
            ParameterizedType generic = (ParameterizedType) type;
            TypeVariable<?>[] variables = ((Class<?>) generic.getRawType()).getTypeParameters();
            for (int i = 0; i < variables.length; i++) {
                Type given = generic.getActualTypeArguments()[i];
                known.put(variables[i], given instanceof TypeVariable && known.containsKey(given) ? known.get(given) : given);
            }
        }
    }

    private static Field publicField(Class<?> kind, String name) {
        for (Field field : kind.getFields()) {
            int modifiers = field.getModifiers();
            if (field.getName().equalsIgnoreCase(name) && !Modifier.isStatic(modifiers) && !Modifier.isFinal(modifiers)) {
                return field;
            }
        }
        return null;
    }

    /** Strings and numbers for classes that can be made of them: times, UUIDs, Joda's DateTime. */
    private static Object fromScalar(Object value, Class<?> kind) {
        if (kind.isInstance(value)) {
            return value;
        }
        String text = value.toString();
        for (String name : Arrays.asList("parse", "fromString", "valueOf", "of", "create")) {
            for (Class<?> parameter : Arrays.asList(CharSequence.class, String.class)) {
                try {
                    Method method = kind.getMethod(name, parameter);
                    if (Modifier.isStatic(method.getModifiers()) && kind.isAssignableFrom(method.getReturnType())) {
                        return called(method, null, text);
                    }
                } catch (NoSuchMethodException error) {
                    // Perhaps by another name.
                }
            }
        }
        for (Class<?> parameter : Arrays.asList(String.class, Object.class)) {
            try {
                return called(kind.getConstructor(parameter), null, text);
            } catch (NoSuchMethodException error) {
                // Perhaps of another type.
            }
        }
        throw mismatch(value, kind);
    }

    private static Object called(Executable what, Object on, Object argument) {
        try {
            return what instanceof Method ? ((Method) what).invoke(on, argument) : ((Constructor<?>) what).newInstance(argument);
        } catch (ReflectiveOperationException error) {
            throw new Mismatch("Cannot deserialize value of type `" + what.getDeclaringClass().getName() + "`", error.getCause());
        }
    }

    // Records, known to Java from version 16 on.

    static boolean isRecord(Class<?> kind) {
        return kind.getSuperclass() != null && kind.getSuperclass().getName().equals("java.lang.Record");
    }

    static List<Part> parts(Class<?> kind) {
        try {
            List<Part> found = new ArrayList<>();
            for (Object each : (Object[]) Class.class.getMethod("getRecordComponents").invoke(kind)) {
                Class<?> component = each.getClass();
                Method accessor = (Method) component.getMethod("getAccessor").invoke(each);
                accessor.setAccessible(true);
                found.add(new Part(
                        (String) component.getMethod("getName").invoke(each),
                        (Type) component.getMethod("getGenericType").invoke(each),
                        (Class<?>) component.getMethod("getType").invoke(each),
                        accessor));
            }
            return found;
        } catch (ReflectiveOperationException error) {
            throw new Mismatch("Cannot read the record `" + kind.getName() + "`", error);
        }
    }

    private static Object record(Map<?, ?> members, Class<?> kind, Map<TypeVariable<?>, Type> known) {
        Map<String, Object> named = new TreeMap<>(String.CASE_INSENSITIVE_ORDER);
        members.forEach((name, each) -> named.put((String) name, each));
        List<Part> parts = parts(kind);
        Class<?>[] types = new Class<?>[parts.size()];
        Object[] values = new Object[parts.size()];
        for (int i = 0; i < types.length; i++) {
            types[i] = parts.get(i).raw;
            values[i] = bind(named.get(parts.get(i).name), parts.get(i).type, known);
        }
        try {
            Constructor<?> constructor = kind.getDeclaredConstructor(types);
            constructor.setAccessible(true);
            return constructor.newInstance(values);
        } catch (ReflectiveOperationException error) {
            throw new Mismatch("Cannot construct instance of `" + kind.getName() + "`", error.getCause() != null ? error.getCause() : error);
        }
    }
}
