"""Tags of users, roles, policies and instance profiles.

Source: "Tags for AWS Identity and Access Management resources" (IAM User Guide).
"""

from __future__ import annotations

from collections.abc import Iterable

from pileus.services.iam.errors import invalid_input, quota_exceeded

TAGS_MAX = 50

Tags = dict[str, str]


def merged(tags: Tags, added: Iterable[dict[str, str]]) -> Tags:
    """`tags` with `added`; keys differ in case only at their peril: the later spelling replaces the earlier."""
    result = dict(tags)
    seen: set[str] = set()
    for tag in added:
        key, lower = tag["Key"], tag["Key"].lower()
        if lower in seen:
            raise invalid_input("Duplicate tag keys found. Please note that Tag keys are case insensitive.")
        if lower.startswith("aws:"):
            raise invalid_input("Tag keys cannot start with aws:")
        seen.add(lower)
        result = {name: value for name, value in result.items() if name.lower() != lower}
        result[key] = tag["Value"]
    if len(result) > TAGS_MAX:
        raise quota_exceeded("TagsPerResource", TAGS_MAX)
    return result


def without(tags: Tags, removed: Iterable[str]) -> Tags:
    lower = {key.lower() for key in removed}
    return {key: value for key, value in tags.items() if key.lower() not in lower}
