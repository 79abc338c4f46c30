"""A bucket's settings: versioning, tags, policy, CORS, public access, ownership, encryption."""

from __future__ import annotations

from typing import Any

import msgspec

from pileus.cloud.context import Context
from pileus.kernel.errors import AWSError, NotBuilt
from pileus.services.s3 import acls, buckets, cors, directories, errors, keys, policies
from pileus.services.s3.metadata import BUCKET_TAGS_MAX, body_tags, shown_tags
from pileus.services.s3.records import PUBLIC_ACCESS, Bucket, encode
from pileus.store.contract import Reader, Transaction


async def _change(ctx: Context, tx: Transaction, request: dict[str, Any], **values: Any) -> None:
    """Set fields of the bucket's record."""
    bucket = await buckets.find(ctx, tx, request)
    save(tx, bucket, **values)


def save(tx: Transaction, bucket: Bucket, **values: Any) -> None:
    tx.put(keys.bucket(bucket.name), encode(msgspec.structs.replace(bucket, **values)))


async def get_bucket_versioning(ctx: Context, tx: Reader, request: dict[str, Any]) -> dict[str, Any]:
    bucket = await buckets.find(ctx, tx, request)
    return {"Status": bucket.versioning} if bucket.versioning else {}


async def put_bucket_versioning(ctx: Context, tx: Transaction, request: dict[str, Any]) -> None:
    bucket = await buckets.find(ctx, tx, request)
    configuration = request.get("VersioningConfiguration") or {}
    status = configuration.get("Status")
    if status is None:
        raise AWSError(
            "IllegalVersioningConfigurationException", "The Versioning element must be specified", status=400
        )
    if status not in ("Enabled", "Suspended"):
        raise errors.malformed_xml()
    if (mfa_delete := configuration.get("MFADelete")) not in (None, "Disabled"):
        if mfa_delete != "Enabled":
            raise errors.malformed_xml()
        raise NotBuilt("PutBucketVersioning with MFA delete")
    if bucket.object_lock and status != "Enabled":
        raise errors.invalid_bucket_state(
            "An Object Lock configuration is present on this bucket, so the versioning state cannot be changed."
        )
    if bucket.replication and status != "Enabled":
        raise errors.invalid_bucket_state(
            "A replication configuration is present on this bucket, so the versioning state cannot be changed."
        )
    save(tx, bucket, versioning=status)


async def get_bucket_tagging(ctx: Context, tx: Reader, request: dict[str, Any]) -> dict[str, Any]:
    bucket = await buckets.find(ctx, tx, request)
    if not bucket.tags:
        raise errors.not_found("NoSuchTagSet", "The TagSet does not exist", bucket.name)
    return {"TagSet": shown_tags(bucket.tags)}


async def put_bucket_tagging(ctx: Context, tx: Transaction, request: dict[str, Any]) -> None:
    bucket = await buckets.find(ctx, tx, request)
    _check_tags_are_free(ctx, bucket)
    save(tx, bucket, tags=body_tags(request.get("Tagging"), BUCKET_TAGS_MAX, "Bucket"))
    ctx.status = 204


async def delete_bucket_tagging(ctx: Context, tx: Transaction, request: dict[str, Any]) -> None:
    bucket = await buckets.find(ctx, tx, request)
    _check_tags_are_free(ctx, bucket)
    save(tx, bucket, tags=())
    ctx.status = 204


def _check_tags_are_free(ctx: Context, bucket: Bucket) -> None:
    """Where tags decide who may do what, they are changed by the operations with permissions of their own for that."""
    if bucket.abac:
        raise errors.invalid_request(
            f"{ctx.operation} is not supported for buckets with attribute-based access control (ABAC) enabled. Use "
            "TagResource and UntagResource instead."
        )


async def get_bucket_policy(ctx: Context, tx: Reader, request: dict[str, Any]) -> dict[str, Any]:
    bucket = await buckets.find(ctx, tx, request)
    if not bucket.policy:
        raise errors.not_found("NoSuchBucketPolicy", "The bucket policy does not exist", bucket.name)
    return {"Policy": bucket.policy}


async def get_bucket_policy_status(ctx: Context, tx: Reader, request: dict[str, Any]) -> dict[str, Any]:
    bucket = await buckets.find(ctx, tx, request)
    if not bucket.policy:
        raise errors.not_found("NoSuchBucketPolicy", "The bucket policy does not exist", bucket.name)
    return {"PolicyStatus": {"IsPublic": policies.is_public(msgspec.json.decode(bucket.policy))}}


async def put_bucket_policy(ctx: Context, tx: Transaction, request: dict[str, Any]) -> None:
    bucket = await buckets.find(ctx, tx, request)
    text = request.get("Policy") or ""
    document = policies.check(text, bucket.arn)
    if bucket.is_directory:
        directories.check_policy(document)
    if policies.is_public(document) and (await buckets.public_access(tx, bucket))["BlockPublicPolicy"]:
        raise errors.access_denied(
            f"User: {ctx.principal.arn} is not authorized to perform: s3:PutBucketPolicy on resource: "
            f'"{bucket.arn}" because public policies are prevented by the BlockPublicPolicy setting in S3 Block '
            "Public Access."
        )
    save(tx, bucket, policy=text)
    ctx.status = 204


async def delete_bucket_policy(ctx: Context, tx: Transaction, request: dict[str, Any]) -> None:
    await _change(ctx, tx, request, policy="")


async def get_bucket_cors(ctx: Context, tx: Reader, request: dict[str, Any]) -> dict[str, Any]:
    bucket = await buckets.find(ctx, tx, request)
    if not bucket.cors:
        raise errors.not_found("NoSuchCORSConfiguration", "The CORS configuration does not exist", bucket.name)
    return {"CORSRules": bucket.cors}


async def put_bucket_cors(ctx: Context, tx: Transaction, request: dict[str, Any]) -> None:
    bucket = await buckets.find(ctx, tx, request)
    save(tx, bucket, cors=cors.check_rules(request.get("CORSConfiguration")))


async def delete_bucket_cors(ctx: Context, tx: Transaction, request: dict[str, Any]) -> None:
    await _change(ctx, tx, request, cors=[])


async def get_public_access_block(ctx: Context, tx: Reader, request: dict[str, Any]) -> dict[str, Any]:
    bucket = await buckets.find(ctx, tx, request)
    if bucket.public_access_block is None:
        raise errors.not_found(
            "NoSuchPublicAccessBlockConfiguration",
            "The public access block configuration was not found",
            bucket.name,
        )
    return {"PublicAccessBlockConfiguration": bucket.public_access_block}


async def put_public_access_block(ctx: Context, tx: Transaction, request: dict[str, Any]) -> None:
    bucket = await buckets.find(ctx, tx, request)
    given = request.get("PublicAccessBlockConfiguration") or {}
    if not given:
        raise errors.invalid_request("Must specify at least one configuration.")
    save(tx, bucket, public_access_block={name: bool(given.get(name, False)) for name in PUBLIC_ACCESS})


async def delete_public_access_block(ctx: Context, tx: Transaction, request: dict[str, Any]) -> None:
    await _change(ctx, tx, request, public_access_block=None)


async def get_bucket_ownership_controls(ctx: Context, tx: Reader, request: dict[str, Any]) -> dict[str, Any]:
    bucket = await buckets.find(ctx, tx, request)
    if not bucket.ownership:
        raise errors.not_found(
            "OwnershipControlsNotFoundError", "The bucket ownership controls were not found", bucket.name
        )
    return {"OwnershipControls": {"Rules": [{"ObjectOwnership": bucket.ownership}]}}


async def put_bucket_ownership_controls(ctx: Context, tx: Transaction, request: dict[str, Any]) -> None:
    bucket = await buckets.find(ctx, tx, request)
    rules: list[dict[str, Any]] = (request.get("OwnershipControls") or {}).get("Rules") or []
    if len(rules) != 1 or rules[0].get("ObjectOwnership") not in acls.OWNERSHIPS:
        raise errors.malformed_xml()
    if rules[0]["ObjectOwnership"] == acls.ENFORCED and bucket.acl:
        raise acls.invalid_with_enforced()
    save(tx, bucket, ownership=rules[0]["ObjectOwnership"])


async def delete_bucket_ownership_controls(ctx: Context, tx: Transaction, request: dict[str, Any]) -> None:
    await _change(ctx, tx, request, ownership="")


async def get_bucket_encryption(ctx: Context, tx: Reader, request: dict[str, Any]) -> dict[str, Any]:
    bucket = await buckets.find(ctx, tx, request)
    rules = bucket.encryption or [
        {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}, "BucketKeyEnabled": False}
    ]
    return {"ServerSideEncryptionConfiguration": {"Rules": rules}}


async def put_bucket_encryption(ctx: Context, tx: Transaction, request: dict[str, Any]) -> None:
    bucket = await buckets.find(ctx, tx, request)
    rules: list[dict[str, Any]] = (request.get("ServerSideEncryptionConfiguration") or {}).get("Rules") or []
    if len(rules) != 1:
        raise errors.malformed_xml()
    blocked = rules[0].get("BlockedEncryptionTypes")
    default = rules[0].get("ApplyServerSideEncryptionByDefault")
    if default is None:
        if blocked is None:
            raise errors.malformed_xml()
        default = {"SSEAlgorithm": "AES256"}
    algorithm = default.get("SSEAlgorithm")
    if algorithm not in ("AES256", "aws:kms", "aws:kms:dsse"):
        raise errors.malformed_xml()
    if algorithm == "AES256" and default.get("KMSMasterKeyID"):
        raise errors.invalid_argument(
            "a KMSMasterKeyID is not applicable if the default sse algorithm is not aws:kms or aws:kms:dsse",
            "ApplyServerSideEncryptionByDefault",
        )
    if bucket.is_directory:
        directories.check_encryption(default)
    kept = {
        "ApplyServerSideEncryptionByDefault": dict(default),
        "BucketKeyEnabled": bool(rules[0].get("BucketKeyEnabled")),
    }
    if blocked is not None:
        kept["BlockedEncryptionTypes"] = blocked
    save(tx, bucket, encryption=[kept])


async def delete_bucket_encryption(ctx: Context, tx: Transaction, request: dict[str, Any]) -> None:
    await _change(ctx, tx, request, encryption=[])
