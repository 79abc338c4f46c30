// The interface that functions are written against, by the names that AWS gives it (aws-lambda-java-core).

package com.amazonaws.services.lambda.runtime;

import java.util.Map;

public interface ClientContext {
    Client getClient();

    Map<String, String> getCustom();

    Map<String, String> getEnvironment();
}
