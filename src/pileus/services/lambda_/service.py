"""AWS Lambda: its manifest."""

from __future__ import annotations

from pileus.cloud.manifest import Loop, Service, free, reading, writing
from pileus.services.lambda_ import (
    asynchronous,
    billing,
    deployments,
    idle,
    locations,
    loops,
    snapshot_charges,
    start,
    urls,
)
from pileus.services.lambda_.concurrency import ACCOUNT_MAX
from pileus.services.lambda_.feeding import failures
from pileus.services.lambda_.operations import (
    aliases,
    async_configs,
    code_signing,
    concurrency,
    event_sources,
    functions,
    invocations,
    layers,
    permissions,
    provisioned,
    recursion,
    runtime_management,
    tags,
    versions,
)
from pileus.services.lambda_.operations import urls as url_configs
from pileus.services.lambda_.permissions import (
    function_policy,
    layer_policy,
    on_all,
    on_code_signing,
    on_function,
    on_layer,
    on_new_function,
    on_resource,
    on_tagged,
    on_url,
    tagged_policy,
)

SERVICE = Service(
    name="lambda",
    operations={
        "CreateFunction": free(functions.create_function, on_new_function("CreateFunction")),
        "GetFunction": reading(functions.get_function_, on_function("GetFunction"), function_policy),
        "GetFunctionConfiguration": reading(
            functions.get_function_configuration, on_function("GetFunctionConfiguration"), function_policy
        ),
        "UpdateFunctionCode": free(functions.update_function_code, on_function("UpdateFunctionCode"), function_policy),
        "UpdateFunctionConfiguration": free(
            functions.update_function_configuration, on_function("UpdateFunctionConfiguration")
        ),
        "DeleteFunction": writing(functions.delete_function, on_function("DeleteFunction"), function_policy),
        "ListFunctions": reading(functions.list_functions, on_all("ListFunctions")),
        "GetAccountSettings": reading(functions.get_account_settings, on_all("GetAccountSettings")),
        "PublishVersion": writing(versions.publish_version, on_function("PublishVersion"), function_policy),
        "ListVersionsByFunction": reading(
            versions.list_versions_by_function, on_function("ListVersionsByFunction"), function_policy
        ),
        "CreateAlias": writing(aliases.create_alias, on_function("CreateAlias"), function_policy),
        "GetAlias": reading(aliases.get_alias, on_function("GetAlias"), function_policy),
        "UpdateAlias": writing(aliases.update_alias, on_function("UpdateAlias"), function_policy),
        "DeleteAlias": writing(aliases.delete_alias, on_function("DeleteAlias"), function_policy),
        "ListAliases": reading(aliases.list_aliases, on_function("ListAliases"), function_policy),
        "TagResource": writing(tags.tag_resource, on_tagged("TagResource"), tagged_policy),
        "UntagResource": writing(tags.untag_resource, on_tagged("UntagResource"), tagged_policy),
        "ListTags": reading(tags.list_tags, on_tagged("ListTags"), tagged_policy),
        "PutFunctionConcurrency": writing(
            concurrency.put_function_concurrency, on_function("PutFunctionConcurrency"), function_policy
        ),
        "GetFunctionConcurrency": reading(
            concurrency.get_function_concurrency, on_function("GetFunctionConcurrency"), function_policy
        ),
        "DeleteFunctionConcurrency": writing(
            concurrency.delete_function_concurrency, on_function("DeleteFunctionConcurrency"), function_policy
        ),
        "PutProvisionedConcurrencyConfig": writing(
            provisioned.put_provisioned_concurrency_config,
            on_function("PutProvisionedConcurrencyConfig"),
            function_policy,
        ),
        "GetProvisionedConcurrencyConfig": reading(
            provisioned.get_provisioned_concurrency_config,
            on_function("GetProvisionedConcurrencyConfig"),
            function_policy,
        ),
        "DeleteProvisionedConcurrencyConfig": writing(
            provisioned.delete_provisioned_concurrency_config,
            on_function("DeleteProvisionedConcurrencyConfig"),
            function_policy,
        ),
        "ListProvisionedConcurrencyConfigs": reading(
            provisioned.list_provisioned_concurrency_configs,
            on_function("ListProvisionedConcurrencyConfigs"),
            function_policy,
        ),
        "AddPermission": writing(permissions.add_permission, on_function("AddPermission")),
        "GetPolicy": reading(permissions.get_policy, on_function("GetPolicy"), function_policy),
        "RemovePermission": writing(permissions.remove_permission, on_function("RemovePermission")),
        "PutResourcePolicy": writing(permissions.put_resource_policy, on_resource("PutResourcePolicy")),
        "GetResourcePolicy": reading(permissions.get_resource_policy, on_resource("GetResourcePolicy")),
        "DeleteResourcePolicy": writing(permissions.delete_resource_policy, on_resource("DeleteResourcePolicy")),
        "PutFunctionEventInvokeConfig": free(
            async_configs.put_function_event_invoke_config, on_function("PutFunctionEventInvokeConfig"), function_policy
        ),
        "UpdateFunctionEventInvokeConfig": free(
            async_configs.update_function_event_invoke_config,
            on_function("UpdateFunctionEventInvokeConfig"),
            function_policy,
        ),
        "GetFunctionEventInvokeConfig": reading(
            async_configs.get_function_event_invoke_config, on_function("GetFunctionEventInvokeConfig"), function_policy
        ),
        "DeleteFunctionEventInvokeConfig": writing(
            async_configs.delete_function_event_invoke_config,
            on_function("DeleteFunctionEventInvokeConfig"),
            function_policy,
        ),
        "ListFunctionEventInvokeConfigs": reading(
            async_configs.list_function_event_invoke_configs,
            on_function("ListFunctionEventInvokeConfigs"),
            function_policy,
        ),
        "CreateFunctionUrlConfig": writing(url_configs.create_function_url_config, on_url("CreateFunctionUrlConfig")),
        "GetFunctionUrlConfig": reading(url_configs.get_function_url_config, on_url("GetFunctionUrlConfig")),
        "UpdateFunctionUrlConfig": writing(url_configs.update_function_url_config, on_url("UpdateFunctionUrlConfig")),
        "DeleteFunctionUrlConfig": writing(url_configs.delete_function_url_config, on_url("DeleteFunctionUrlConfig")),
        "ListFunctionUrlConfigs": reading(url_configs.list_function_url_configs, on_function("ListFunctionUrlConfigs")),
        "PutFunctionRecursionConfig": writing(
            recursion.put_function_recursion_config, on_function("PutFunctionRecursionConfig")
        ),
        "GetFunctionRecursionConfig": reading(
            recursion.get_function_recursion_config, on_function("GetFunctionRecursionConfig")
        ),
        "PutRuntimeManagementConfig": writing(
            runtime_management.put_runtime_management_config, on_function("PutRuntimeManagementConfig")
        ),
        "GetRuntimeManagementConfig": reading(
            runtime_management.get_runtime_management_config, on_function("GetRuntimeManagementConfig")
        ),
        "CreateCodeSigningConfig": writing(code_signing.create_code_signing_config, on_all("CreateCodeSigningConfig")),
        "GetCodeSigningConfig": reading(code_signing.get_code_signing_config, on_code_signing("GetCodeSigningConfig")),
        "UpdateCodeSigningConfig": writing(
            code_signing.update_code_signing_config, on_code_signing("UpdateCodeSigningConfig")
        ),
        "DeleteCodeSigningConfig": writing(
            code_signing.delete_code_signing_config, on_code_signing("DeleteCodeSigningConfig")
        ),
        "ListCodeSigningConfigs": reading(code_signing.list_code_signing_configs, on_all("ListCodeSigningConfigs")),
        "ListFunctionsByCodeSigningConfig": reading(
            code_signing.list_functions_by_code_signing_config, on_code_signing("ListFunctionsByCodeSigningConfig")
        ),
        "PutFunctionCodeSigningConfig": writing(
            code_signing.put_function_code_signing_config, on_function("PutFunctionCodeSigningConfig")
        ),
        "GetFunctionCodeSigningConfig": reading(
            code_signing.get_function_code_signing_config, on_function("GetFunctionCodeSigningConfig")
        ),
        "DeleteFunctionCodeSigningConfig": writing(
            code_signing.delete_function_code_signing_config, on_function("DeleteFunctionCodeSigningConfig")
        ),
        "CreateEventSourceMapping": free(event_sources.create_event_source_mapping, event_sources.creating),
        "GetEventSourceMapping": reading(
            event_sources.get_event_source_mapping,
            event_sources.on_mapping("GetEventSourceMapping"),
            refine=event_sources.with_function,
        ),
        "UpdateEventSourceMapping": writing(
            event_sources.update_event_source_mapping,
            event_sources.on_mapping("UpdateEventSourceMapping"),
            refine=event_sources.with_function,
        ),
        "DeleteEventSourceMapping": writing(
            event_sources.delete_event_source_mapping,
            event_sources.on_mapping("DeleteEventSourceMapping"),
            refine=event_sources.with_function,
        ),
        "ListEventSourceMappings": reading(event_sources.list_event_source_mappings, on_all("ListEventSourceMappings")),
        "PublishLayerVersion": free(layers.publish_layer_version, on_layer("PublishLayerVersion")),
        "GetLayerVersion": reading(layers.get_layer_version, on_layer("GetLayerVersion"), layer_policy),
        "GetLayerVersionByArn": reading(layers.get_layer_version, on_layer("GetLayerVersion"), layer_policy),
        "DeleteLayerVersion": writing(layers.delete_layer_version, on_layer("DeleteLayerVersion")),
        "ListLayers": reading(layers.list_layers, on_all("ListLayers")),
        "ListLayerVersions": reading(layers.list_layer_versions, on_all("ListLayerVersions")),
        "AddLayerVersionPermission": writing(
            layers.add_layer_version_permission, on_layer("AddLayerVersionPermission")
        ),
        "GetLayerVersionPolicy": reading(layers.get_layer_version_policy, on_layer("GetLayerVersionPolicy")),
        "RemoveLayerVersionPermission": writing(
            layers.remove_layer_version_permission, on_layer("RemoveLayerVersionPermission")
        ),
        "Invoke": free(invocations.invoke, on_function("InvokeFunction"), function_policy),
        "InvokeWithResponseStream": free(
            invocations.invoke_with_response_stream, on_function("InvokeFunction"), function_policy
        ),
        "InvokeAsync": free(invocations.invoke_async, on_function("InvokeFunction"), function_policy),
    },
    loops=(
        Loop(billing.LOOP, billing.keep, period_s=billing.PERIOD_S),
        Loop("lambda.sweep-code", loops.sweep_code, period_s=900),
        Loop("lambda.feeds", loops.look_at_feeds, period_s=60),
        Loop("lambda.provision", loops.provision, period_s=60),
        Loop("lambda.idle-snapshots", idle.look, period_s=3600),
        Loop("lambda.count-snapshots", snapshot_charges.count, period_s=3600),
    ),
    targets={
        deployments.TARGET: deployments.deploy,
        deployments.SNAPSHOT_TARGET: deployments.deploy,
        asynchronous.TARGET: asynchronous.deliver,
        asynchronous.DEAD_TARGET: asynchronous.give_up,
        asynchronous.DESTINATION_TARGET: asynchronous.tell_destination,
        asynchronous.DEAD_LETTER_TARGET: asynchronous.tell_dead_letter_queue,
        failures.TARGET: failures.deliver,
    },
    # As many as an account may run at once.
    target_limits={
        asynchronous.TARGET: ACCOUNT_MAX,
        deployments.SNAPSHOT_TARGET: deployments.SNAPSHOTS_AT_A_TIME,
    },
    start=start.start,
    stop=start.stop,
    pages={"/_pileus/lambda/bill": billing.page},
    downloads={locations.PATH: locations.download},
    hosts={urls.LABEL: urls.serve},
    # What AWS takes for CreateFunction: a package of 50 MB in base64, and 256 KB of other members.
    body_bytes_max=70_167_211,
)
