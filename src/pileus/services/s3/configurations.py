"""Configurations of which a bucket may have many, each under an id: inventory, analytics, metrics, tiering.

Sources: the pages of PutBucketInventoryConfiguration, PutBucketAnalyticsConfiguration, PutBucketMetricsConfiguration
and PutBucketIntelligentTieringConfiguration in the Amazon S3 API Reference; recorded answers.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from pileus.kernel.errors import AWSError, NotBuilt
from pileus.services.s3 import errors, inventories

CONFIGURATIONS_MAX = 1000
PAGE_MAX = 100
_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_BUCKET_ARN = re.compile(r"arn:aws[a-z-]*:s3:::[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
# Days of each access tier: the least, the most.
_TIER_DAYS = {"ARCHIVE_ACCESS": (90, 730), "DEEP_ARCHIVE_ACCESS": (180, 730)}


class Kind(NamedTuple):
    name: str
    # The member of requests and answers that holds one of them, and all of them.
    member: str
    list_member: str
    # Refuses what cannot be put; (id of the address, the configuration).
    check: Callable[[str, Mapping[str, Any]], None]


def missing() -> AWSError:
    return AWSError("NoSuchConfiguration", "The specified configuration does not exist.", status=404)


def id_of(request: Mapping[str, Any]) -> str:
    """The id in the address."""
    given: str | None = request.get("Id")
    if not given:
        raise invalid_id()
    return given


def invalid_id() -> AWSError:
    return AWSError("InvalidConfigurationId", "The specified configuration id is invalid.", status=400)


def too_many() -> AWSError:
    return AWSError(
        "TooManyConfigurations",
        "You are attempting to create a new configuration but have already reached the 1,000-configuration limit.",
        status=400,
    )


def _check_id(given: str, configuration: Mapping[str, Any]) -> None:
    if configuration.get("Id") != given:
        raise AWSError("IdMismatch", "Document ID does not match the specified configuration ID.", status=400)
    if not _ID.fullmatch(given):
        raise invalid_id()


def _check_filter(configuration: Mapping[str, Any], *, empty: bool = True) -> None:
    """A filter names one thing, or several in `And`."""
    found = configuration.get("Filter")
    if found is None:
        return
    if len(found) > 1 or (not empty and not found):
        raise errors.malformed_xml()
    both = found.get("And")
    if both is not None and len(both) + len(both.get("Tags") or ()) < 3 and len(both.get("Tags") or ()) < 2:
        # One condition is none to be joined with others.
        raise errors.malformed_xml()


def _check_inventory(given: str, configuration: Mapping[str, Any]) -> None:
    _check_id(given, configuration)
    if not _BUCKET_ARN.fullmatch(configuration["Destination"]["S3BucketDestination"]["Bucket"]):
        raise AWSError("InvalidS3DestinationBucket", "Invalid bucket ARN.", status=400)
    destination = configuration["Destination"]["S3BucketDestination"]
    if configuration["IsEnabled"] and destination["Format"] != "CSV":
        raise NotBuilt(f"PutBucketInventoryConfiguration with reports in {destination['Format']}")
    unknown = inventories.unknown_field(configuration.get("OptionalFields") or ())
    if configuration["IsEnabled"] and unknown is not None:
        raise NotBuilt(f"PutBucketInventoryConfiguration with the field {unknown}")
    if "SSEKMS" in (destination.get("Encryption") or {}):
        raise NotBuilt("PutBucketInventoryConfiguration with reports encrypted with KMS")


def _check_analytics(given: str, configuration: Mapping[str, Any]) -> None:
    if configuration.get("Id") != given:
        raise errors.malformed_xml()
    _check_filter(configuration, empty=False)


def _check_metrics(given: str, configuration: Mapping[str, Any]) -> None:
    _check_id(given, configuration)
    _check_filter(configuration, empty=False)


def _check_tiering(given: str, configuration: Mapping[str, Any]) -> None:
    if configuration.get("Id") != given:
        raise errors.malformed_xml()
    _check_filter(configuration)
    tierings = configuration["Tierings"]
    tiers = [one["AccessTier"] for one in tierings]
    if not tierings or len(set(tiers)) != len(tiers):
        raise errors.malformed_xml()
    for one in tierings:
        least, most = _TIER_DAYS[one["AccessTier"]]
        if not least <= one["Days"] <= most:
            raise errors.invalid_request(
                f"'Days' for {one['AccessTier']} must be an integer between {least} and {most}"
            )
    days = {one["AccessTier"]: one["Days"] for one in tierings}
    if len(days) == 2 and days["DEEP_ARCHIVE_ACCESS"] <= days["ARCHIVE_ACCESS"]:
        raise errors.invalid_request("'Days' for DEEP_ARCHIVE_ACCESS must be greater than that for ARCHIVE_ACCESS")


INVENTORY = Kind("inventory", "InventoryConfiguration", "InventoryConfigurationList", _check_inventory)
ANALYTICS = Kind("analytics", "AnalyticsConfiguration", "AnalyticsConfigurationList", _check_analytics)
METRICS = Kind("metrics", "MetricsConfiguration", "MetricsConfigurationList", _check_metrics)
TIERING = Kind("tiering", "IntelligentTieringConfiguration", "IntelligentTieringConfigurationList", _check_tiering)
