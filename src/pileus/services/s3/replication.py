"""Replication rules: what a configuration may say.

Sources: "Replicating objects within and across Regions", "Replication configuration file elements", "Getting
replication status information" in the Amazon S3 User Guide; recorded answers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pileus.kernel.ids import Ids
from pileus.services.s3 import errors

RULES_MAX = 1000
_SCHEMA = (
    "{} must be specified for this version of Cross Region Replication configuration schema. Please refer to S3 "
    "Developer Guide for more information."
)


def check(configuration: Mapping[str, Any], ids: Ids) -> dict[str, Any]:
    """The configuration as it is kept: each rule has an id."""
    given = configuration["Rules"]
    if not given or len(given) > RULES_MAX:
        raise errors.malformed_xml()
    rules = [_check_rule(dict(rule), ids) for rule in given]
    if len({rule["ID"] for rule in rules}) != len(rules):
        raise errors.invalid_argument("Rule Id must be unique")
    latest = ["Filter" in rule for rule in rules]
    if any(latest) and not all(latest):
        raise errors.invalid_request("Filter must be specified in all rules, or in none of them.")
    if all(latest) and len({rule["Priority"] for rule in rules}) != len(rules):
        raise errors.invalid_request("Found duplicate priority. The priority of rules must be unique.")
    if not any(latest) and len({rule["Destination"]["Bucket"] for rule in rules}) > 1:
        raise errors.invalid_request("Number of distinct destination bucket ARNs cannot exceed 1")
    return {"Role": configuration["Role"], "Rules": rules}


def _check_rule(rule: dict[str, Any], ids: Ids) -> dict[str, Any]:
    rule["ID"] = rule.get("ID") or ids.uuid()
    if len(rule["ID"]) > 255:
        raise errors.invalid_argument("ID length should not exceed allowed limit of 255")
    filter_ = rule.get("Filter")
    if filter_ is None:
        return rule
    if "Prefix" in rule or len(filter_) > 1:
        raise errors.malformed_xml()
    if rule.get("Priority") is None:
        raise errors.invalid_request(_SCHEMA.format("Priority"))
    markers = rule.get("DeleteMarkerReplication")
    if markers is None:
        raise errors.invalid_request(_SCHEMA.format("DeleteMarkerReplication"))
    if _tags(rule) and markers.get("Status") == "Enabled":
        raise errors.invalid_request("Delete marker replication is not supported if any Tag filter is specified.")
    return rule


def destination_name(rule: Mapping[str, Any]) -> str:
    """The destination bucket's name, from its ARN."""
    name: str = rule["Destination"]["Bucket"]
    return name.rpartition(":")[2]


def _tags(rule: Mapping[str, Any]) -> dict[str, str]:
    filter_ = rule.get("Filter") or {}
    tags = [*([filter_["Tag"]] if "Tag" in filter_ else ()), *((filter_.get("And") or {}).get("Tags") or ())]
    return {tag["Key"]: tag["Value"] for tag in tags}
