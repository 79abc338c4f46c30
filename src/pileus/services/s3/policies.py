"""Bucket policies: what may be put, whether one is public, and handing it, with the access control lists, to the
evaluation.

Sources: "Bucket policies for Amazon S3", "Blocking public access to your Amazon S3 storage" in the Amazon S3 User
Guide.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import orjson

from pileus.access.contract import Guard
from pileus.access.policy import PolicyError, compile_policy
from pileus.cloud.context import Context
from pileus.kernel.errors import AWSError
from pileus.kernel.principal import Principal
from pileus.services.s3 import access_logs, accesspoints, acls, errors, object_lambda, versions
from pileus.services.s3 import policy_actions as actions_
from pileus.services.s3.accounts import canonical_id
from pileus.services.s3.buckets import check_payer, check_region, load, public_access
from pileus.services.s3.copysource import parse_copy_source
from pileus.services.s3.records import Bucket, Object
from pileus.store.contract import Reader

POLICY_BYTES_MAX = 20 * 1024
_BUCKET_ARN = "arn:aws:s3:::"
_ACTION = re.compile(r"(\*|s3(-object-lambda|-outposts|express)?:[A-Za-z*?]+)")
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


def check(text: str, resource: str) -> dict[str, Any]:
    """The policy document; MalformedPolicy where it is none for this bucket or access point (an ARN)."""
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
        _check_statement(statement, resource)
    try:
        compile_policy(document)
    except PolicyError as error:
        raise errors.malformed_policy(str(error)) from None
    return document


_FIELDS = frozenset(
    (
        "Sid",
        "Effect",
        "Principal",
        "NotPrincipal",
        "Action",
        "NotAction",
        "Resource",
        "NotResource",
        "Condition",
    )
)


def _check_statement(statement: dict[str, Any], arn: str) -> None:
    if unknown := sorted(statement.keys() - _FIELDS):
        raise errors.malformed_policy(f"Unknown field {unknown[0]}")
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
    if not actions or not all(
        isinstance(action, str) and _ACTION.fullmatch(action) and actions_.is_known(action) for action in actions
    ):
        raise errors.malformed_policy("Policy has invalid action")
    resources = _listed(statement.get("Resource", statement.get("NotResource")))
    if not resources or not all(isinstance(one, str) and _is_within(one, arn) for one in resources):
        raise errors.malformed_policy("Policy has invalid resource")
    if "Action" in statement and "Resource" in statement and arn.startswith(_BUCKET_ARN):
        for action in actions:
            if not actions_.applies(action, resources):
                raise errors.malformed_policy("Action does not apply to any resource(s) in statement")
    condition = statement.get("Condition")
    for tests in condition.values() if isinstance(condition, dict) else ():
        if isinstance(tests, dict) and not all(":" in key for key in tests):
            raise errors.malformed_policy("Policy has an invalid condition key")
    principal = statement.get("Principal", statement.get("NotPrincipal"))
    if not _principal_is_valid(principal):
        raise errors.malformed_policy("Invalid principal in policy")


def _is_within(pattern: str, arn: str) -> bool:
    """Whether the resources that a pattern names lie in the bucket or access point."""
    if pattern == arn or pattern.startswith((arn + "/", arn + "*")):
        return True
    # Wildcards may stand in the bucket's name, too.
    return arn.startswith(_BUCKET_ARN) and actions_.matcher(pattern.partition("/")[0])(arn)


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


# What an object's owner decides, not the bucket's: the policy of a bucket gives nothing away of the objects in it that
# belong to other accounts.
_OF_OBJECT_OWNER = (
    "GetObject",
    "HeadObject",
    "GetObjectAcl",
    "PutObjectAcl",
    "GetObjectAttributes",
    "GetObjectTorrent",
)


async def _document(tx: Reader, bucket: Bucket, principal: Principal) -> dict[str, Any] | None:
    """The bucket's policy as far as it counts for this caller: `RestrictPublicBuckets` shuts strangers out."""
    document, public = _parsed(bucket.policy)
    if public and principal.kind != "service" and principal.account != bucket.account:
        restricted = (await public_access(tx, bucket))["RestrictPublicBuckets"]
        return None if restricted else document
    return document


async def _guard(
    ctx: Context, tx: Reader, bucket: Bucket, key: str | None, version_id: str | None, *, of_object: bool
) -> Guard:
    """The policies that guard one bucket, or an object in it, and whose they are.

    A policy names resources of its own bucket only. `of_object`: the call is about an object's own matters.
    """
    principal = ctx.principal
    document = await _document(tx, bucket, principal) if bucket.policy else None
    documents = [document] if document is not None else []
    owners = {bucket.arn: bucket.account}
    if bucket.ownership == acls.ENFORCED:
        return Guard(documents, owners)
    ignore_public = (await public_access(tx, bucket))["IgnorePublicAcls"]
    owner = canonical_id(bucket.account)
    listed = acls.statements(
        acls.effective(bucket.acl, owner),
        principal,
        bucket.arn,
        of_object=False,
        ignore_public=ignore_public,
        writing=ctx.operation in ("PutObject", "CreateMultipartUpload", "CopyObject"),
    )
    if of_object and key is not None:
        version = await _version(tx, bucket, key, version_id)
        if version is not None:
            arn = f"{bucket.arn}/{key}"
            if version.owner:
                owners[arn] = version.owner
                documents = [_without_grants(one) for one in documents]
            grants = acls.effective(version.acl, acls.owner_id(bucket, version))
            # In an ARN of a policy these are wildcards; in a key they are themselves.
            shown = arn.replace("*", "?").replace("$", "?")
            listed += acls.statements(grants, principal, shown, of_object=True, ignore_public=ignore_public)
    if listed:
        documents.append({"Version": "2012-10-17", "Statement": listed})
    return Guard(documents, owners)


async def _version(tx: Reader, bucket: Bucket, key: str, version_id: str | None) -> Object | None:
    try:
        return await versions.wanted(tx, bucket, key, version_id)
    except AWSError:
        # What is wrong with the version id is the operation's to say.
        return None


def _without_grants(document: dict[str, Any]) -> dict[str, Any]:
    denials = [one for one in _listed(document["Statement"]) if one["Effect"] == "Deny"]
    return {**document, "Statement": denials}


_NOTHING: dict[str, Any] = {"Version": "2012-10-17", "Statement": []}


async def of_bucket(ctx: Context, tx: Reader, request: dict[str, Any]) -> Guard:
    """What guards a call. What is wrong with the bucket itself is said before anything is denied."""
    bucket = await load(tx, request["Bucket"])
    if bucket is None:
        if ctx.principal.kind == "anonymous":
            raise errors.no_such_bucket(request["Bucket"])
        return Guard()
    access_logs.watch(ctx, bucket, request)
    check_region(ctx, bucket)
    check_payer(ctx, bucket, request)
    guard = await _guard(
        ctx,
        tx,
        bucket,
        request.get("Key"),
        request.get("VersionId"),
        of_object=ctx.operation in _OF_OBJECT_OWNER,
    )
    return await _through(ctx, tx, request, bucket, guard)


async def _through(ctx: Context, tx: Reader, request: dict[str, Any], bucket: Bucket, guard: Guard) -> Guard:
    """The same for a call that may have come through an access point.

    What its policy denies is denied. What it allows counts like the bucket's policy where both are the caller's
    account's; to callers of other accounts both must allow, and a point on another account's bucket gives nothing of
    that away.
    """
    via = request.get(accesspoints.VIA)
    if via is None:
        return guard
    point = await accesspoints.named(ctx, tx, via)
    account = ctx.principal.account
    if account == point.account and not point.policy:
        return guard
    document = accesspoints.translated(point, bucket.arn) if point.policy else _NOTHING
    if account == point.account == bucket.account:
        return Guard([*guard.documents, document], guard.owners)
    denials = _without_grants(document)
    if account == point.account:
        return Guard([*guard.documents, denials], guard.owners)
    shut = ctx.principal.kind != "service" and point.public_access_block["RestrictPublicBuckets"]
    gate = denials if shut and is_public(document) else document
    return Guard([*guard.documents, denials], guard.owners, {bucket.arn: gate})


async def of_object_lambda(ctx: Context, tx: Reader, request: dict[str, Any]) -> dict[str, Any] | None:
    """The policy of the Object Lambda access point whose function answers a call."""
    point = await object_lambda.named(ctx, tx, request[object_lambda.POINT])
    return dict(orjson.loads(point.policy)) if point.policy else None


async def of_bucket_anywhere(ctx: Context, tx: Reader, request: dict[str, Any]) -> Guard:
    """The same for a call that any region answers."""
    bucket = await load(tx, request["Bucket"])
    return Guard() if bucket is None else await _guard(ctx, tx, bucket, None, None, of_object=False)


async def of_copy(ctx: Context, tx: Reader, request: dict[str, Any]) -> Guard:
    """The same for a call that reads from one bucket and writes to another."""
    documents: list[dict[str, Any]] = []
    owners: dict[str, str] = {}
    gates: Mapping[str, dict[str, Any]] = {}
    target = await load(tx, request["Bucket"])
    if target is not None:
        access_logs.watch(ctx, target, request)
        check_region(ctx, target)
        check_payer(ctx, target, request)
        found = await _through(ctx, tx, request, target, await _guard(ctx, tx, target, None, None, of_object=False))
        documents += found.documents
        owners |= found.owners
        gates = found.gates
    source = parse_copy_source(request["CopySource"])
    bucket = target if source.bucket == request["Bucket"] else await load(tx, source.bucket)
    if bucket is not None:
        access_logs.watch_source(ctx, bucket, source.key, source.version_id, None)
        check_payer(ctx, bucket, request)
    if bucket is not None and (bucket is not target or bucket.ownership != acls.ENFORCED):
        found = await _guard(ctx, tx, bucket, source.key, source.version_id, of_object=True)
        documents += found.documents
        owners |= found.owners
    return Guard(documents, owners, gates)
