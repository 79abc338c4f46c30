"""S3 Storage Lens: what its configurations and groups may say.

Sources: PutStorageLensConfiguration and CreateStorageLensGroup in the Amazon S3 API Reference, "List of Amazon S3
Storage Lens error codes" there.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from pileus.kernel.errors import AWSError
from pileus.services.s3.buckets import REGIONS

# The one that every account has on AWS; it cannot be deleted.
DEFAULT_ID = "default-account-dashboard"
DEFAULT_REGION = "us-east-1"
CONFIGURATIONS_MAX = 20
GROUPS_MAX = 50
_FILTER_MAX = 50
_ELEMENTS_MAX = 10
_AFFIX_MAX = 1024
_SIZE_MAX = 50 * 1024**4

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)
_BUCKET_ARN = re.compile(r"arn:aws[a-z-]*:s3:::[A-Za-z0-9._-]{3,63}", re.ASCII)
_ORGANIZATION_ARN = re.compile(r"arn:[a-z-]+:organizations::\d{12}:organization/o-[a-z0-9]{10,32}", re.ASCII)
_KEY_ARN = re.compile(r"arn:aws[a-z-]*:kms:[a-z0-9-]+:\d{12}:key/.+", re.ASCII)
_TAG = re.compile(r"[\w +\-=.:/@]*")


class LensConfiguration(msgspec.Struct, kw_only=True, tag=1):
    """A dashboard's settings; members in the names of the API's shapes."""

    id: str
    account: str
    region: str
    configuration: dict[str, Any]
    tags: tuple[tuple[str, str], ...] = ()

    @property
    def arn(self) -> str:
        return configuration_arn(self.region, self.account, self.id)


class LensGroup(msgspec.Struct, kw_only=True, tag=1):
    """A named filter of objects."""

    name: str
    account: str
    region: str
    filter: dict[str, Any]
    tags: tuple[tuple[str, str], ...] = ()

    @property
    def arn(self) -> str:
        return group_arn(self.region, self.account, self.name)


decode_configuration = msgspec.msgpack.Decoder(LensConfiguration).decode
decode_group = msgspec.msgpack.Decoder(LensGroup).decode


def configuration_arn(region: str, account: str, id: str) -> str:
    return f"arn:aws:s3:{region}:{account}:storage-lens/{id}"


def group_arn(region: str, account: str, name: str) -> str:
    return f"arn:aws:s3:{region}:{account}:storage-lens-group/{name}"


def _refusal(code: str, message: str, status: int = 400) -> AWSError:
    return AWSError(code, message, status=status)


# -------------------------------------------------------------------------------------------------- configurations


def check_configuration(given: str, configuration: Mapping[str, Any], *, account: str, region: str) -> None:
    """Raise what is wrong with a configuration that is put under an id."""
    if configuration["Id"] != given or not _NAME.fullmatch(given):
        raise _refusal("InvalidConfigId", "The configuration ID is not valid.")
    if configuration.get("StorageLensArn"):
        raise _refusal("InvalidStorageLensArn", "The S3 Storage Lens ARN is not required in input.")
    _check_organization(given, configuration)
    if given == DEFAULT_ID:
        if region != DEFAULT_REGION:
            raise _refusal(
                "InvalidRegionForDefaultConfiguration",
                "The specified Region is not supported for default configuration.",
            )
        if "Include" in configuration or "Exclude" in configuration:
            raise _refusal(
                "InvalidFilterForDefaultConfiguration", "The default configuration must not include any filters."
            )
    _check_filters(configuration)
    _check_levels(configuration["AccountLevel"], account)
    for export in ("DataExport", "ExpandedPrefixesDataExport"):
        exported = configuration.get(export) or {}
        if (destination := exported.get("S3BucketDestination")) is not None:
            if not _BUCKET_ARN.fullmatch(destination["Arn"]):
                raise _refusal("InvalidDestination", "The S3 bucket ARN is malformed.")
            _check_encryption(destination.get("Encryption"))
        _check_encryption((exported.get("StorageLensTableDestination") or {}).get("Encryption"))


def _check_organization(given: str, configuration: Mapping[str, Any]) -> None:
    organization = configuration.get("AwsOrg")
    if organization is None:
        return
    if given == DEFAULT_ID:
        raise _refusal(
            "InvalidOrganizationForDefaultConfiguration",
            "The default configuration does not support organization-level metrics.",
        )
    if not _ORGANIZATION_ARN.fullmatch(organization["Arn"]):
        raise _refusal("InvalidAWSOrgArn", "There is a malformed AWS Organizations ARN in the configuration.")
    # No account is in one here.
    raise _refusal("AWSOrganizationsNotInUseException", "This account is not part of your organization.", 403)


def _check_filters(configuration: Mapping[str, Any]) -> None:
    if "Include" in configuration and "Exclude" in configuration:
        raise _refusal(
            "InvalidIncludeExcludeContainers",
            "You can specify either an Include container or an Exclude container in a configuration. "
            "You cannot specify both in a configuration.",
        )
    for name in ("Include", "Exclude"):
        container = configuration.get(name)
        if container is None:
            continue
        code, what = f"Empty{name}Container", name.lower()
        if not container:
            raise _refusal(code, f"The {what} container cannot be empty.")
        if container.get("Buckets") == []:
            raise _refusal(code, f"The {what} container cannot have zero buckets.")
        if container.get("Regions") == []:
            raise _refusal(code, f"The {what} container cannot have zero Regions.")
        buckets, regions = container.get("Buckets") or (), container.get("Regions") or ()
        if len(buckets) > _FILTER_MAX:
            raise _refusal("TooManyBuckets", f"The buckets container cannot have more than {_FILTER_MAX} buckets.")
        if len(regions) > _FILTER_MAX:
            raise _refusal("TooManyRegions", f"The Regions container cannot have more than {_FILTER_MAX} Regions.")
        if not all(_BUCKET_ARN.fullmatch(bucket) for bucket in buckets):
            raise _refusal("InvalidRequest", "The S3 bucket ARN is malformed.")
        if not all(region in REGIONS for region in regions):
            raise _refusal("InvalidRegionName", "The Region name is not valid.")


def _check_levels(level: Mapping[str, Any], account: str) -> None:
    buckets = level["BucketLevel"]
    of_account, of_buckets = _is_enabled(level, "ActivityMetrics"), _is_enabled(buckets, "ActivityMetrics")
    if of_account != of_buckets:
        missing, given = ("Account", "bucket") if of_buckets else ("Bucket", "account")
        raise _refusal(
            f"Missing{missing}LevelActivityMetrics",
            f"Activity metrics must be enabled at the {missing.lower()} level when activity metrics are enabled at the "
            f"{given} level.",
        )
    if (prefixes := buckets.get("PrefixLevel")) is not None:
        metrics = prefixes["StorageMetrics"]
        if not metrics.get("IsEnabled"):
            raise _refusal("StorageMetricsMustEnabled", "Prefix-level storage metrics must be enabled.")
        criteria = metrics.get("SelectionCriteria") or {}
        if not 1 <= criteria.get("MaxDepth", 1) <= 10:
            raise _refusal("InvalidMaximumPrefixDepth", "MaxDepth must be within the range [1,10].")
        if not 1 <= criteria.get("MinStorageBytesPercentage", 1) <= 100:
            raise _refusal(
                "InvalidMinimumStorageBytesPercentage",
                "MinStorageBytesPercentage must be within the range [1.00,100.00].",
            )
    groups = level.get("StorageLensGroupLevel") or {}
    if (chosen := groups.get("SelectionCriteria")) is not None:
        _check_groups(chosen, account)


def _is_enabled(level: Mapping[str, Any], metrics: str) -> bool:
    return bool((level.get(metrics) or {}).get("IsEnabled"))


def _check_groups(chosen: Mapping[str, Any], account: str) -> None:
    if len(chosen) != 1:
        raise _refusal(
            "InvalidIncludeExcludeElements",
            "Only one Include or Exclude element is allowed. At least one Include or Exclude element must be present.",
        )
    name, arns = next(iter(chosen.items()))
    if not arns:
        raise _refusal(f"Empty{name}Element", f"You must specify a Storage Lens group with your {name} element.")
    if len(arns) > GROUPS_MAX:
        raise _refusal(
            "TooManyStorageLensGroups",
            f"You can't attach more than {GROUPS_MAX} Storage Lens groups to your Storage Lens dashboard.",
        )
    if len(set(arns)) != len(arns):
        raise _refusal(
            "DuplicateStorageLensGroupARN",
            "There are two or more entries of the same Storage Lens group ARN in this configuration.",
        )
    form = re.compile(rf"arn:aws[a-z-]*:s3:[a-z0-9-]+:{account}:storage-lens-group/[A-Za-z0-9_-]{{1,64}}", re.ASCII)
    if not all(form.fullmatch(arn) for arn in arns):
        raise _refusal(
            "InvalidStorageLensGroupARN",
            "This Storage Lens group ARN isn't valid or only Storage Lens groups in your account are allowed.",
        )


def _check_encryption(encryption: Mapping[str, Any] | None) -> None:
    if encryption is None:
        return
    if not encryption:
        raise _refusal(
            "MissingEncryptionMethod", "The encryption method cannot be blank. Specify either SSE-KMS or SSE-S3."
        )
    if len(encryption) > 1:
        raise _refusal("InvalidEncryptionMethod", "Only one encryption method can be specified.")
    if "SSEKMS" in encryption and not _KEY_ARN.fullmatch(encryption["SSEKMS"]["KeyId"]):
        raise _refusal("InvalidKMSEncryptionKeyId", "The KMS key ID ARN is not valid.")


# ---------------------------------------------------------------------------------------------------------- groups


def check_group(group: Mapping[str, Any]) -> None:
    """Raise what is wrong with a group."""
    if not _NAME.fullmatch(group["Name"]):
        raise _refusal("InvalidName", "Storage Lens group Name parameter must be between 1 and 64 characters.")
    filter_ = group["Filter"]
    if len(filter_) != 1:
        raise _refusal(
            "InvalidFilter",
            "A filter must include one of the following elements: And, Or, MatchAnyTag, MatchAnyPrefix, "
            "MatchAnySuffix, MatchObjectAge, MatchObjectSize.",
        )
    name, value = next(iter(filter_.items()))
    if name in ("And", "Or"):
        if len(value) < 2:
            raise _refusal(
                "InvalidLogicalOperator",
                "At least two sub elements must be present in the logical operators And or Or.",
            )
        for one, inner in value.items():
            _MATCHES[one](inner)
    else:
        _MATCHES[name](value)


def _check_list(name: str, given: Sequence[Any]) -> None:
    if not given:
        raise _refusal(f"Invalid{name}", f"The {name} parameter can't be empty.")
    if len(given) > _ELEMENTS_MAX:
        raise _refusal(
            "TooManyElements",
            "The Element exceeds the maximum number of elements allowed within a logical operator. "
            f"Only {_ELEMENTS_MAX} prefixes, suffixes, or tags are allowed.",
        )
    if any(one in given[:at] for at, one in enumerate(given)):
        raise _refusal("DuplicateElement", "Logical operator includes duplicate elements.")


def _affixes(what: str) -> Callable[[Sequence[str]], None]:
    def check(given: Sequence[str]) -> None:
        _check_list(f"MatchAny{what}", given)
        for one in given:
            if not one:
                raise _refusal(f"Invalid{what}", f"The {what.lower()} string can't be empty.")
            if len(one) > _AFFIX_MAX:
                raise _refusal(
                    f"Invalid{what}", f"The maximum length of a {what.lower()} is {_AFFIX_MAX:,} characters."
                )

    return check


def _check_tags(given: Sequence[Mapping[str, str]]) -> None:
    _check_list("MatchAnyTag", given)
    for tag in given:
        if not tag["Key"]:
            raise _refusal("InvalidTag", "The object tag key string can't be null or empty.")
        if len(tag["Key"]) > 128:
            raise _refusal("InvalidTag", "The object tag key can't exceed 128 characters.")
        if len(tag["Value"]) > 256:
            raise _refusal("InvalidTag", "The maximum length of a tag value is 256 characters.")
        if not _TAG.fullmatch(tag["Key"]) or not _TAG.fullmatch(tag["Value"]):
            raise _refusal("InvalidTag", "The object tag key contains characters that aren't valid.")


def _check_age(given: Mapping[str, int]) -> None:
    if not given:
        raise _refusal("InvalidMatchObjectAge", "The MatchObjectAge parameter can't be empty.")
    if any(days <= 0 for days in given.values()):
        raise _refusal("InvalidAge", "DaysLessThan and DaysGreaterThan must be positive numbers.")
    _check_between(given.get("DaysGreaterThan"), given.get("DaysLessThan"))


def _check_size(given: Mapping[str, int]) -> None:
    if not given:
        raise _refusal("InvalidMatchObjectSize", "The MatchObjectSize parameter can't be empty.")
    if any(size <= 0 for size in given.values()):
        raise _refusal("InvalidSize", "BytesLessThan and BytesGreaterThan must be positive numbers.")
    if given.get("BytesGreaterThan", 0) >= _SIZE_MAX:
        raise _refusal("InvalidSize", "The minimum object size can't be greater than or equal to 50 TB.")
    if given.get("BytesLessThan", 0) > _SIZE_MAX:
        raise _refusal("InvalidSize", "The maximum object size can't exceed 50 TB.")
    _check_between(given.get("BytesGreaterThan"), given.get("BytesLessThan"))


def _check_between(above: int | None, below: int | None) -> None:
    if above is not None and below is not None and above >= below:
        raise _refusal("InvalidNumericCombination", "This object age or object size combination isn't valid.")


_MATCHES: Mapping[str, Callable[[Any], None]] = {
    "MatchAnyPrefix": _affixes("Prefix"),
    "MatchAnySuffix": _affixes("Suffix"),
    "MatchAnyTag": _check_tags,
    "MatchObjectAge": _check_age,
    "MatchObjectSize": _check_size,
}


# ---------------------------------------------------------------------------------------------------------- errors


def no_configuration() -> AWSError:
    return AWSError("NoSuchConfiguration", "The specified configuration does not exist.", status=404)


def too_many(most: int) -> AWSError:
    return AWSError(
        "TooManyConfigurations",
        f"You are attempting to create a new configuration but have already reached the {most}-configuration limit.",
        status=400,
    )
