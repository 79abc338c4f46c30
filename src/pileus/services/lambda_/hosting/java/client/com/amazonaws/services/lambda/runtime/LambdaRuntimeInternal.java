// The interface that functions are written against, by the names that AWS gives it (aws-lambda-java-core).

package com.amazonaws.services.lambda.runtime;

public final class LambdaRuntimeInternal {
    private static boolean useLog4jAppender;

    private LambdaRuntimeInternal() {}

    public static void setUseLog4jAppender(boolean use) {
        useLog4jAppender = use;
    }

    public static boolean getUseLog4jAppender() {
        return useLog4jAppender;
    }

    public static void setLogger(LambdaLogger logger) {
        LambdaRuntime.setLogger(logger);
    }
}
