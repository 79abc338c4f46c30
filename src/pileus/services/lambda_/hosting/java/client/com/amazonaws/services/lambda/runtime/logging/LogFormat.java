// The interface that functions are written against, by the names that AWS gives it (aws-lambda-java-core).

package com.amazonaws.services.lambda.runtime.logging;

public enum LogFormat {
    JSON,
    TEXT;

    public static LogFormat fromString(String name) {
        try {
            return LogFormat.valueOf(name.toUpperCase());
        } catch (RuntimeException error) {
            throw new IllegalArgumentException("Invalid log format: '" + name + "'");
        }
    }
}
