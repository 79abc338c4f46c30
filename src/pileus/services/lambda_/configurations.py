"""A function's configuration: from a request, checked, and as AWS shows it."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

import msgspec

from pileus.cloud.manifest import Answer, Request
from pileus.kernel.arn import parse_arn
from pileus.kernel.errors import NotBuilt
from pileus.services.lambda_ import errors, runtimes
from pileus.services.lambda_.names import LATEST, Target
from pileus.services.lambda_.records import Configuration, Version, Vpc

ENVIRONMENT_BYTES_MAX = 4096
# The model's 32,768 MB are for functions on managed instances.
MEMORY_MB_MAX = 10_240
SNAPSHOT_TMP_MB_MAX = 512
TAGS_MAX = 50
# "Defined runtime environment variables" of the developer guide: those that cannot be set.
RESERVED_VARIABLES = frozenset(
    {
        "_HANDLER",
        "_X_AMZN_TRACE_ID",
        "AWS_DEFAULT_REGION",
        "AWS_REGION",
        "AWS_EXECUTION_ENV",
        "AWS_LAMBDA_FUNCTION_NAME",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
        "AWS_LAMBDA_FUNCTION_VERSION",
        "AWS_LAMBDA_INITIALIZATION_TYPE",
        "AWS_LAMBDA_LOG_GROUP_NAME",
        "AWS_LAMBDA_LOG_STREAM_NAME",
        "AWS_ACCESS_KEY",
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
        "AWS_LAMBDA_RUNTIME_API",
        "LAMBDA_TASK_ROOT",
        "LAMBDA_RUNTIME_DIR",
    }
)
# Members of CreateFunction and UpdateFunctionConfiguration behind which there is nothing yet.
_NOT_BUILT = (
    "ImageConfig",
    "PublishTo",
    "TenancyConfig",
    "CapacityProviderConfig",
    "DurableConfig",
    "RuntimeConfig",
    "AcceleratorConfig",
)


def timestamp(seconds: float) -> str:
    """Lambda's own form: `2024-01-31T12:00:00.000+0000`."""
    moment = datetime.fromtimestamp(seconds, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}+0000"


def shown_sha256(hexadecimal: str) -> str:
    return base64.b64encode(bytes.fromhex(hexadecimal)).decode()


def check_tags(tags: dict[str, str]) -> None:
    if len(tags) > TAGS_MAX:
        raise errors.invalid_parameter("Number of tags exceeds resource tag limit.")


def check_settings(request: Request) -> None:
    """What needs nothing but the request: runtime, environment, parts that are not built."""
    for member in _NOT_BUILT:
        if request.get(member):
            raise NotBuilt(f"{member} of a Lambda function")
    if request.get("PackageType") == "Image":
        raise NotBuilt("PackageType Image of a Lambda function")
    if any(each.get("S3FilesConfig") for each in request.get("FileSystemConfigs") or ()):
        raise NotBuilt("S3FilesConfig of a Lambda function")
    _check_dead_letter((request.get("DeadLetterConfig") or {}).get("TargetArn") or "")
    if (runtime := request.get("Runtime")) is not None:
        runtimes.check(runtime)
    if (request.get("MemorySize") or 0) > MEMORY_MB_MAX:
        raise errors.invalid_parameter(
            "'MemorySize' value failed to satisfy constraint: Member must have value less than or equal to "
            f"{MEMORY_MB_MAX}"
        )
    if (environment := request.get("Environment")) is not None:
        _check_environment(environment.get("Variables") or {})


def _check_dead_letter(target: str) -> None:
    arn = parse_arn(target)
    if target and (arn is None or arn.service not in ("sqs", "sns") or target.endswith(".fifo")):
        raise errors.invalid_parameter(
            f"The provided DLQ ARN {target} is invalid. It must be the ARN of a standard Amazon SQS queue or of an "
            "Amazon SNS topic."
        )


def _check_environment(variables: dict[str, str]) -> None:
    reserved = sorted(RESERVED_VARIABLES & variables.keys())
    if reserved:
        raise errors.invalid_parameter(
            "Lambda was unable to configure your environment variables because the environment variables you have "
            "provided contains reserved keys that are currently not supported for modification. Reserved keys used in "
            f"this request: {', '.join(reserved)}"
        )
    measured = json.dumps(variables, separators=(",", ":"), ensure_ascii=False)
    if len(measured.encode()) > ENVIRONMENT_BYTES_MAX:
        raise errors.invalid_parameter(
            "Lambda was unable to configure your environment variables because the environment variables you have "
            f"provided exceeded the 4KB limit. String measured: {measured}"
        )


def settings(request: Request) -> dict[str, Any]:
    """The fields of `Configuration` that the request sets; layers and code are looked up elsewhere."""
    fields: dict[str, Any] = {}
    for member, field in (
        ("Role", "role"),
        ("Runtime", "runtime"),
        ("Handler", "handler"),
        ("Description", "description"),
        ("Timeout", "timeout_s"),
        ("MemorySize", "memory_mb"),
        ("KMSKeyArn", "kms_key"),
    ):
        if request.get(member) is not None:
            fields[field] = request[member]
    if request.get("Environment") is not None:
        fields["environment"] = request["Environment"].get("Variables") or {}
    if request.get("EphemeralStorage"):
        fields["tmp_mb"] = request["EphemeralStorage"]["Size"]
    if request.get("Architectures"):
        fields["architecture"] = request["Architectures"][0]
    if (request.get("TracingConfig") or {}).get("Mode"):
        fields["tracing"] = request["TracingConfig"]["Mode"]
    if request.get("VpcConfig") is not None:
        given = request["VpcConfig"]
        fields["vpc"] = Vpc(
            subnets=tuple(given.get("SubnetIds") or ()),
            groups=tuple(given.get("SecurityGroupIds") or ()),
            dual_stack=bool(given.get("Ipv6AllowedForDualStack")),
        )
    if request.get("FileSystemConfigs") is not None:
        fields["file_systems"] = tuple((each["Arn"], each["LocalMountPath"]) for each in request["FileSystemConfigs"])
    if request.get("DeadLetterConfig") is not None:
        fields["dead_letter"] = request["DeadLetterConfig"].get("TargetArn") or ""
    if (request.get("SnapStart") or {}).get("ApplyOn"):
        fields["snap_start"] = request["SnapStart"]["ApplyOn"]
    return fields


def logging_settings(request: Request, current: Configuration | None, name: str) -> dict[str, Any]:
    """The fields that `LoggingConfig` sets; what it leaves out keeps its value, levels exist with JSON only."""
    given = request.get("LoggingConfig") or {}
    log_format = given.get("LogFormat") or (current.log_format if current else "Text")
    group = given.get("LogGroup") or (current.log_group if current else f"/aws/lambda/{name}")
    fields: dict[str, Any] = {"log_format": log_format, "log_group": group}
    for member, field in (("ApplicationLogLevel", "application_log_level"), ("SystemLogLevel", "system_log_level")):
        if log_format != "JSON":
            if given.get(member):
                raise errors.invalid_parameter(
                    f"{member} cannot be used with LogFormat Text. To use {member}, set LogFormat to JSON."
                )
            fields[field] = ""
        else:
            fields[field] = given.get(member) or (getattr(current, field) if current else "") or "INFO"
    return fields


def is_snapshotted(version: Version) -> bool:
    """Whether it is one of the published versions that are to be restored from a snapshot."""
    return version.version != LATEST and version.configuration.snap_start == "PublishedVersions"


def check_snap_start(config: Configuration) -> None:
    """What may be snapshotted ("Improving startup performance with Lambda SnapStart")."""
    if config.snap_start != "PublishedVersions":
        return
    if not runtimes.may_be_snapshotted(config.runtime):
        raise errors.not_for_snap_start(config.runtime)
    if config.file_systems:
        raise errors.not_for_snap_start("FileSystemConfig")
    if config.tmp_mb > SNAPSHOT_TMP_MB_MAX:
        raise errors.not_for_snap_start(f"Ephemeral storage greater than {SNAPSHOT_TMP_MB_MAX} MB")


def check_network(config: Configuration) -> None:
    """What a VPC and file systems must be together."""
    if config.vpc is not None and bool(config.vpc.subnets) != bool(config.vpc.groups):
        raise errors.invalid_parameter("SecurityGroupIds and SubnetIds must be provided together.")
    if config.file_systems and not (config.vpc and config.vpc.subnets):
        raise errors.invalid_parameter(
            f"Function must be configured to execute in a VPC to reference access point {config.file_systems[0][0]}."
        )


def _shown_vpc(at: Target, vpc: Vpc) -> Answer:
    # There is one VPC per account and region, as far as anybody can see.
    vpc_id = f"vpc-{sha256(f'{at.account}/{at.region}'.encode()).hexdigest()[:17]}" if vpc.subnets else ""
    return {
        "SubnetIds": list(vpc.subnets),
        "SecurityGroupIds": list(vpc.groups),
        "VpcId": vpc_id,
        "Ipv6AllowedForDualStack": vpc.dual_stack,
    }


def replaced(configuration: Configuration, **fields: Any) -> Configuration:
    """A copy with these fields changed."""
    return msgspec.structs.replace(configuration, **fields)


def digest(configuration: Configuration, *extra: str) -> str:
    """Changes when anything of the configuration does."""
    return sha256(msgspec.msgpack.encode((configuration, extra))).hexdigest()


def describe(at: Target, version: Version, *, function_arn: str = "", listed: bool = False) -> Answer:
    """A FunctionConfiguration. In lists AWS leaves out states and the runtime's version."""
    config = version.configuration
    answer: Answer = {
        "FunctionName": at.name,
        "FunctionArn": function_arn or (at.arn if version.version == LATEST else f"{at.arn}:{version.version}"),
        "Runtime": config.runtime,
        "Role": config.role,
        "Handler": config.handler,
        "CodeSize": config.code_size_bytes,
        "Description": config.description,
        "Timeout": config.timeout_s,
        "MemorySize": config.memory_mb,
        "LastModified": timestamp(version.modified),
        "CodeSha256": shown_sha256(config.code_sha256),
        "Version": version.version,
        "TracingConfig": {"Mode": config.tracing},
        "RevisionId": version.revision,
        "PackageType": "Zip",
        "Architectures": [config.architecture],
        "EphemeralStorage": {"Size": config.tmp_mb},
        "SnapStart": {"ApplyOn": config.snap_start, "OptimizationStatus": "On" if version.optimized else "Off"},
        "LoggingConfig": {"LogFormat": config.log_format, "LogGroup": config.log_group},
    }
    if config.log_format == "JSON":
        answer["LoggingConfig"]["ApplicationLogLevel"] = config.application_log_level
        answer["LoggingConfig"]["SystemLogLevel"] = config.system_log_level
    if config.environment is not None:
        answer["Environment"] = {"Variables": config.environment}
    if config.kms_key:
        answer["KMSKeyArn"] = config.kms_key
    if config.vpc is not None:
        answer["VpcConfig"] = _shown_vpc(at, config.vpc)
    if config.file_systems:
        answer["FileSystemConfigs"] = [{"Arn": arn, "LocalMountPath": path} for arn, path in config.file_systems]
    if config.dead_letter:
        answer["DeadLetterConfig"] = {"TargetArn": config.dead_letter}
    if config.layers:
        answer["Layers"] = [{"Arn": layer.arn, "CodeSize": layer.size_bytes} for layer in config.layers]
    if listed:
        return answer
    answer["RuntimeVersionConfig"] = {"RuntimeVersionArn": runtimes.version_arn(config.runtime, at.region)}
    answer["State"] = version.state
    if version.state == "Pending" or version.reason:
        answer["StateReason"] = version.reason or "The function is being created."
        answer["StateReasonCode"] = version.reason_code or "Creating"
    if version.update_status:
        answer["LastUpdateStatus"] = version.update_status
        if version.update_status == "Failed":
            answer["LastUpdateStatusReason"] = version.reason
            answer["LastUpdateStatusReasonCode"] = version.reason_code
        if version.update_status == "InProgress":
            answer["LastUpdateStatusReason"] = "The function is being created."
            answer["LastUpdateStatusReasonCode"] = "Creating"
    return answer
