"""Bucket policies: what may be put, whether one is public, and handing it to the evaluation.

Sources: "Bucket policies for Amazon S3", "Blocking public access to your Amazon S3 storage" in the Amazon S3 User
Guide.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

import orjson

from pileus.access.contract import Guard
from pileus.cloud.context import Context
from pileus.kernel.principal import Principal
from pileus.services.s3 import errors
from pileus.services.s3.buckets import check_region, load
from pileus.services.s3.copysource import parse_copy_source
from pileus.services.s3.records import Bucket
from pileus.store.contract import Reader

POLICY_BYTES_MAX = 20 * 1024
_ACTION = re.compile(r"(\*|s3(-object-lambda|-outposts)?:[A-Za-z*?]+)")
# Conditions that narrow a statement to known callers, so that it is not public.
_NARROWING = frozenset(
    (
        "aws:sourceip",
        "aws:sourcearn",
        "aws:sourcevpc",
        "aws:sourcevpce",
        "aws:sourceowner",
        "aws:sourceaccount",
        "aws:userid",
        "aws:principalorgid",
        "aws:principalorgpaths",
        "aws:principalarn",
        "aws:principalaccount",
        "s3:x-amz-server-side-encryption-aws-kms-key-id",
        "s3:dataaccesspointarn",
        "s3:dataaccesspointaccount",
    )
)


def check(text: str, bucket: str) -> dict[str, Any]:
    """The policy document; MalformedPolicy where it is none for this bucket."""
    if len(text.encode()) > POLICY_BYTES_MAX:
        raise errors.malformed_policy("The policy is too large.")
    try:
        document = orjson.loads(text) if text.startswith("{") else None
    except orjson.JSONDecodeError:
        document = None
    if not isinstance(document, dict):
        raise errors.malformed_policy("Policies must be valid JSON and the first byte must be '{'")
    if "Statement" not in document:
        raise errors.malformed_policy("Missing required field Statement")
    if document.get("Version", "2008-10-17") not in ("2008-10-17", "2012-10-17"):
        raise errors.malformed_policy("The policy must contain a valid version string")
    if not (statements := _listed(document["Statement"])):
        raise errors.malformed_policy("Could not parse the policy: Statement is empty!")
    for statement in statements:
        if not isinstance(statement, dict):
            raise errors.malformed_policy("Policies must be valid JSON and the first byte must be '{'")
        _check_statement(statement, bucket)
    return document


def _check_statement(statement: dict[str, Any], bucket: str) -> None:
    if "Effect" not in statement:
        raise errors.malformed_policy("Missing required field Effect")
    if statement["Effect"] not in ("Allow", "Deny"):
        raise errors.malformed_policy(f"Invalid effect: {statement['Effect']}")
    if "Principal" not in statement and "NotPrincipal" not in statement:
        raise errors.malformed_policy("Missing required field Principal")
    if "Action" not in statement and "NotAction" not in statement:
        raise errors.malformed_policy("Missing required field Action")
    if "Resource" not in statement and "NotResource" not in statement:
        raise errors.malformed_policy("Missing required field Resource")
    actions = _listed(statement.get("Action", statement.get("NotAction")))
    if not actions or not all(isinstance(action, str) and _ACTION.fullmatch(action) for action in actions):
        raise errors.malformed_policy("Policy has invalid action")
    arn = f"arn:aws:s3:::{bucket}"
    resources = _listed(statement.get("Resource", statement.get("NotResource")))
    if not resources or not all(
        isinstance(one, str) and (one == arn or one.startswith((arn + "/", arn + "*"))) for one in resources
    ):
        raise errors.malformed_policy("Policy has invalid resource")
    principal = statement.get("Principal", statement.get("NotPrincipal"))
    if not _principal_is_valid(principal):
        raise errors.malformed_policy("Invalid principal in policy")


_PRINCIPAL = re.compile(r"\*|\d{12}|arn:aws:(iam|sts)::\d{12}:.+|A(RO|ID)A[A-Z0-9]+")


def _principal_is_valid(principal: Any) -> bool:
    if principal == "*":
        return True
    if not isinstance(principal, dict) or not principal:
        return False
    for kind, values in principal.items():
        if kind not in ("AWS", "Service", "Federated", "CanonicalUser"):
            return False
        listed = _listed(values)
        if not listed or not all(isinstance(one, str) for one in listed):
            return False
        if kind == "AWS" and not all(_PRINCIPAL.fullmatch(one) for one in listed):
            return False
    return True


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def is_public(document: dict[str, Any]) -> bool:
    return any(_statement_is_public(statement) for statement in _listed(document["Statement"]))


def _statement_is_public(statement: dict[str, Any]) -> bool:
    if statement["Effect"] != "Allow":
        return False
    principal = statement.get("Principal")
    anyone = "NotPrincipal" in statement or principal == "*"
    if isinstance(principal, dict):
        anyone = any("*" in _listed(values) for values in principal.values())
    if not anyone:
        return False
    for operator, tests in (statement.get("Condition") or {}).items():
        if "Not" in operator or operator.endswith("IfExists"):
            continue
        for key, values in tests.items():
            if key.lower() in _NARROWING and not any("*" in str(one) for one in _listed(values)):
                return False
    return True


@lru_cache(maxsize=512)
def _parsed(text: str) -> tuple[dict[str, Any], bool]:
    document = orjson.loads(text)
    return document, is_public(document)


def _effective(bucket: Bucket, principal: Principal) -> dict[str, Any] | None:
    """The bucket's policy as far as it counts for this caller: `RestrictPublicBuckets` shuts strangers out."""
    if not bucket.policy:
        return None
    document, public = _parsed(bucket.policy)
    restricted = (bucket.public_access_block or {}).get("RestrictPublicBuckets", False)
    if public and restricted and principal.kind != "service" and principal.account != bucket.account:
        return None
    return document


def _guard(*buckets: Bucket | None, principal: Principal) -> Guard:
    """The policies of these buckets, and whose they are. Each policy names resources of its own bucket only."""
    found = [bucket for bucket in buckets if bucket is not None]
    documents = [document for bucket in found if (document := _effective(bucket, principal)) is not None]
    return Guard(documents, {bucket.arn: bucket.account for bucket in found})


async def of_bucket(ctx: Context, tx: Reader, request: dict[str, Any]) -> Guard:
    """What guards a call. What is wrong with the bucket itself is said before anything is denied."""
    bucket = await load(tx, request["Bucket"])
    if bucket is not None:
        check_region(ctx, bucket)
    elif ctx.principal.kind == "anonymous":
        raise errors.no_such_bucket(request["Bucket"])
    return _guard(bucket, principal=ctx.principal)


async def of_bucket_anywhere(ctx: Context, tx: Reader, request: dict[str, Any]) -> Guard:
    """The same for a call that any region answers."""
    return _guard(await load(tx, request["Bucket"]), principal=ctx.principal)


async def of_copy(ctx: Context, tx: Reader, request: dict[str, Any]) -> Guard:
    """The same for a call that reads from one bucket and writes to another."""
    target = await load(tx, request["Bucket"])
    if target is not None:
        check_region(ctx, target)
    source = parse_copy_source(request["CopySource"]).bucket
    return _guard(target, None if source == request["Bucket"] else await load(tx, source), principal=ctx.principal)
