"""Tags as S3's control plane checks them, in its own words; from recorded answers."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from pileus.services.s3 import errors
from pileus.services.s3.metadata import BUCKET_TAGS_MAX, Tags

_KEY = re.compile(r"[\w+\-=.:/@ ]{1,128}")
_VALUE = re.compile(r"[\w+\-=.:/@ ]{0,256}")


def check(given: Sequence[Mapping[str, str]]) -> Tags:
    tags = tuple((tag["Key"], tag["Value"]) for tag in given)
    if len({key for key, _ in tags}) != len(tags):
        raise errors.invalid_tag(
            "There are duplicate tag keys in your request. Remove the duplicate tag keys and try again."
        )
    for key, value in tags:
        if key.startswith("aws:"):
            raise errors.invalid_tag(
                'User-defined tag keys can\'t start with "aws:". This prefix is reserved for system tags. Remove '
                '"aws:" from your tag keys and try again.'
            )
        if not _KEY.fullmatch(key) or not _VALUE.fullmatch(value):
            raise errors.invalid_tag(
                "This request contains a tag key or value that isn't valid. Valid characters include the following: "
                "[a-zA-Z+-=._:/]. Tag keys can contain up to 128 characters. Tag values can contain up to 256 "
                "characters."
            )
    if len(tags) > BUCKET_TAGS_MAX:
        raise errors.invalid_tag(f"A resource cannot have more than {BUCKET_TAGS_MAX} tags.")
    return tags
