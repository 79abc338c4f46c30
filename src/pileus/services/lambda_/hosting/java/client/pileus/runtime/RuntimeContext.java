package pileus.runtime;

import com.amazonaws.services.lambda.runtime.Client;
import com.amazonaws.services.lambda.runtime.ClientContext;
import com.amazonaws.services.lambda.runtime.CognitoIdentity;
import com.amazonaws.services.lambda.runtime.Context;
import com.amazonaws.services.lambda.runtime.LambdaLogger;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.Map;

/** What a handler is told of its invocation. */
final class RuntimeContext implements Context {
    private final Map<String, String> headers;
    private final LambdaLogger logger;
    private final long deadline;

    RuntimeContext(Map<String, String> headers, LambdaLogger logger) {
        this.headers = headers;
        this.logger = logger;
        deadline = Long.parseLong(headers.getOrDefault("lambda-runtime-deadline-ms", "0"));
    }

    @Override
    public String getAwsRequestId() {
        return headers.get("lambda-runtime-aws-request-id");
    }

    @Override
    public String getLogGroupName() {
        return System.getenv("AWS_LAMBDA_LOG_GROUP_NAME");
    }

    @Override
    public String getLogStreamName() {
        return System.getenv("AWS_LAMBDA_LOG_STREAM_NAME");
    }

    @Override
    public String getFunctionName() {
        return System.getenv("AWS_LAMBDA_FUNCTION_NAME");
    }

    @Override
    public String getFunctionVersion() {
        return System.getenv("AWS_LAMBDA_FUNCTION_VERSION");
    }

    @Override
    public String getInvokedFunctionArn() {
        return headers.get("lambda-runtime-invoked-function-arn");
    }

    @Override
    public int getRemainingTimeInMillis() {
        return (int) Math.max(0, deadline - System.currentTimeMillis());
    }

    @Override
    public int getMemoryLimitInMB() {
        return Integer.parseInt(System.getenv("AWS_LAMBDA_FUNCTION_MEMORY_SIZE"));
    }

    @Override
    public LambdaLogger getLogger() {
        return logger;
    }

    @Override
    public CognitoIdentity getIdentity() {
        Map<?, ?> found = parsed("lambda-runtime-cognito-identity");
        return new CognitoIdentity() {
            @Override
            public String getIdentityId() {
                return text(found, "cognitoIdentityId");
            }

            @Override
            public String getIdentityPoolId() {
                return text(found, "cognitoIdentityPoolId");
            }
        };
    }

    @Override
    public ClientContext getClientContext() {
        if (!headers.containsKey("lambda-runtime-client-context")) {
            return null;
        }
        Map<?, ?> found = parsed("lambda-runtime-client-context");
        Map<?, ?> client = member(found, "client");
        return new ClientContext() {
            @Override
            public Client getClient() {
                return client.isEmpty() ? null : new Client() {
                    @Override
                    public String getInstallationId() {
                        return text(client, "installation_id");
                    }

                    @Override
                    public String getAppTitle() {
                        return text(client, "app_title");
                    }

                    @Override
                    public String getAppVersionName() {
                        return text(client, "app_version_name");
                    }

                    @Override
                    public String getAppVersionCode() {
                        return text(client, "app_version_code");
                    }

                    @Override
                    public String getAppPackageName() {
                        return text(client, "app_package_name");
                    }
                };
            }

            @Override
            public Map<String, String> getCustom() {
                return texts(member(found, "custom"));
            }

            @Override
            public Map<String, String> getEnvironment() {
                return texts(member(found, "env"));
            }
        };
    }

    private Map<?, ?> parsed(String header) {
        Object found = headers.containsKey(header) ? Json.parse(headers.get(header)) : null;
        return found instanceof Map ? (Map<?, ?>) found : Collections.emptyMap();
    }

    private static Map<?, ?> member(Map<?, ?> of, String name) {
        return of.get(name) instanceof Map ? (Map<?, ?>) of.get(name) : Collections.emptyMap();
    }

    private static String text(Map<?, ?> of, String name) {
        return of.get(name) == null ? null : of.get(name).toString();
    }

    private static Map<String, String> texts(Map<?, ?> of) {
        Map<String, String> found = new LinkedHashMap<>();
        of.forEach((name, value) -> found.put((String) name, value == null ? null : value.toString()));
        return found;
    }
}
