"""S3's keys in the store.

Bucket names are global, so nothing here but the owner's index carries an account or a region.

    bucket    (s3, "", "", "bucket", name)                             the bucket and its configuration
    owned     (s3, account, "", "owned", name)                         which buckets an account has; no value
    public    (s3, account, "", "public")                              the account's own public access block
    sealing   (s3, "", "", "sealing")                                  by what the node's root key is known again
    point     (s3, account, region, "point", name)                     an access point
    alias     (s3, "", "", "alias", alias)                             the key of the access point (mrap) of that alias
    mrap      (s3, account, "", "mrap", name)                          a multi-Region access point
    mrap-request (s3, account, "", "mrap-request", id)                 what was asked for of one, and what became of it
    mrap-token (s3, account, "", "mrap-token", token)                  the request that a client token made
    grants    (s3, account, region, "grants")                          an Access Grants instance
    grants-location (s3, account, region, "grants-location", id)       a location of it
    grant     (s3, account, region, "grant", id)                       an access grant
    grants-to (s3, account, region, "grants-to", grantee, id)          which grants a user or role has; no value
    grants-at (s3, account, region, "grants-at", location, id)         which grants a location has; no value
    lens      (s3, account, region, "lens", id)                        a Storage Lens configuration
    lens-group (s3, account, region, "lens-group", name)               a Storage Lens group
    object-lambda (s3, account, region, "object-lambda", name)         an Object Lambda access point
    object    (s3, "", "", "object", bucket, key)                      the current version, unless a delete marker is
    version   (s3, "", "", "version", bucket, key, order)              every other version, the newest first
    null      (s3, "", "", "null", bucket, key)                        the key of the null version among those
    lifecycle (s3, "", "", "lifecycle", bucket)                        buckets with rules, and the day of their last run
    inventory (s3, "", "", "inventory", bucket)                        buckets with inventories; the last reports' days
    access    (s3, "", "", "access", bucket, microseconds, n, id)      a line of an access log, not delivered yet
    job       (s3, account, region, "job", id)                         a batch job
    job-token (s3, account, region, "job-token", token)                the job that a client request token made
    tasks     (s3, "", "", "job-tasks", id, number)                    a stretch of a job's tasks, from that one on
    result    (s3, "", "", "job-result", id, number)                   what became of a job's tasks, from that one on
    body      (s3, "", "", "body", token)                              bytes of a body that is neither tiny nor large
    pieces    (s3, "", "", "pieces", token)                            what a multipart object is made of
    upload    (s3, "", "", "upload", bucket, key, upload id)           a multipart upload that is under way
    part      (s3, "", "", "part", upload id, number)                  an uploaded part
    renamed   (s3, "", "", "renamed", bucket, token)                   the call that a client token of RenameObject made
    renamed-at (s3, "", "", "renamed-at", bucket, microseconds, token) the same by time; no value

Object keys stand as UTF-8 bytes: S3 lists in their order, and a prefix is then a range. Tokens and upload ids begin
with the time, so that small bodies are appended to the tree, not strewn over it.
"""

from __future__ import annotations

from functools import lru_cache

from pileus.store.keys import pack, pack_onto, prefix_range, unpack

_BUCKETS = pack("s3", "", "", "bucket")
_OBJECTS = pack("s3", "", "", "object")
_VERSIONS = pack("s3", "", "", "version")
_NULLS = pack("s3", "", "", "null")
_BODIES = pack("s3", "", "", "body")
_PIECES = pack("s3", "", "", "pieces")
_UPLOADS = pack("s3", "", "", "upload")
_PARTS = pack("s3", "", "", "part")
_LIFECYCLES = pack("s3", "", "", "lifecycle")

# Sequences count from here downwards, so that the newest comes first.
_ORDER_MAX = (1 << 63) - 1


# Every call asks for its bucket, some thrice.
@lru_cache(maxsize=1024)
def bucket(name: str) -> bytes:
    return pack_onto(_BUCKETS, name)


def owned(account: str, name: str) -> bytes:
    return pack("s3", account, "", "owned", name)


def owned_range(account: str) -> tuple[bytes, bytes]:
    return prefix_range("s3", account, "", "owned")


def owned_name(key: bytes) -> str:
    return str(unpack(key)[4])


def sealing() -> bytes:
    return pack("s3", "", "", "sealing")


def public_access(account: str) -> bytes:
    return pack("s3", account, "", "public")


def access_point(account: str, region: str, name: str) -> bytes:
    return pack("s3", account, region, "point", name)


def access_points_range(account: str, region: str) -> tuple[bytes, bytes]:
    return prefix_range("s3", account, region, "point")


def alias(name: str) -> bytes:
    return pack("s3", "", "", "alias", name)


def multi_region_point(account: str, name: str) -> bytes:
    return pack("s3", account, "", "mrap", name)


def multi_region_points_range(account: str) -> tuple[bytes, bytes]:
    return prefix_range("s3", account, "", "mrap")


def multi_region_request(account: str, id: str) -> bytes:
    return pack("s3", account, "", "mrap-request", id)


def multi_region_token(account: str, token: str) -> bytes:
    return pack("s3", account, "", "mrap-token", token)


def grants_instance(account: str, region: str) -> bytes:
    return pack("s3", account, region, "grants")


def grants_location(account: str, region: str, id: str) -> bytes:
    return pack("s3", account, region, "grants-location", id)


def grants_locations_range(account: str, region: str) -> tuple[bytes, bytes]:
    return prefix_range("s3", account, region, "grants-location")


def access_grant(account: str, region: str, id: str) -> bytes:
    return pack("s3", account, region, "grant", id)


def access_grants_range(account: str, region: str) -> tuple[bytes, bytes]:
    return prefix_range("s3", account, region, "grant")


def grants_to(account: str, region: str, grantee: str, id: str) -> bytes:
    return pack("s3", account, region, "grants-to", grantee, id)


def grants_to_range(account: str, region: str, grantee: str) -> tuple[bytes, bytes]:
    return prefix_range("s3", account, region, "grants-to", grantee)


def grants_at(account: str, region: str, location: str, id: str) -> bytes:
    return pack("s3", account, region, "grants-at", location, id)


def grants_at_range(account: str, region: str, location: str) -> tuple[bytes, bytes]:
    return prefix_range("s3", account, region, "grants-at", location)


def lens_configuration(account: str, region: str, id: str) -> bytes:
    return pack("s3", account, region, "lens", id)


def lens_configurations_range(account: str, region: str) -> tuple[bytes, bytes]:
    return prefix_range("s3", account, region, "lens")


def lens_group(account: str, region: str, name: str) -> bytes:
    return pack("s3", account, region, "lens-group", name)


def lens_groups_range(account: str, region: str) -> tuple[bytes, bytes]:
    return prefix_range("s3", account, region, "lens-group")


def object_lambda_point(account: str, region: str, name: str) -> bytes:
    return pack("s3", account, region, "object-lambda", name)


def object_lambda_points_range(account: str, region: str) -> tuple[bytes, bytes]:
    return prefix_range("s3", account, region, "object-lambda")


def last_name(key: bytes) -> str:
    """The name or id that ends a key."""
    return str(unpack(key)[-1])


@lru_cache(maxsize=1024)
def objects(bucket: str) -> bytes:
    """The prefix of a bucket's objects: `pack_onto(objects(bucket), key)` is one of them."""
    return pack_onto(_OBJECTS, bucket)


def object_(bucket: str, key: str) -> bytes:
    return pack_onto(objects(bucket), key.encode())


def versions(bucket: str) -> bytes:
    return pack_onto(_VERSIONS, bucket)


def versions_of(bucket: str, key: str) -> bytes:
    """The prefix of a key's versions."""
    return pack_onto(_VERSIONS, bucket, key.encode())


def version(bucket: str, key: str, sequence: int) -> bytes:
    return pack_onto(_VERSIONS, bucket, key.encode(), _ORDER_MAX - sequence)


def null(bucket: str, key: str) -> bytes:
    return pack_onto(_NULLS, bucket, key.encode())


def lifecycle(bucket: str) -> bytes:
    return pack_onto(_LIFECYCLES, bucket)


def lifecycles_range() -> tuple[bytes, bytes]:
    return prefix_range("s3", "", "", "lifecycle")


def lifecycle_name(key: bytes) -> str:
    return str(unpack(key)[4])


def job(account: str, region: str, id: str) -> bytes:
    return pack("s3", account, region, "job", id)


def jobs_range(account: str, region: str) -> tuple[bytes, bytes]:
    return prefix_range("s3", account, region, "job")


def job_token(account: str, region: str, token: str) -> bytes:
    return pack("s3", account, region, "job-token", token)


def job_tasks(id: str, number: int) -> bytes:
    return pack("s3", "", "", "job-tasks", id, number)


def job_tasks_range(id: str) -> tuple[bytes, bytes]:
    return prefix_range("s3", "", "", "job-tasks", id)


def job_results(id: str, number: int) -> bytes:
    return pack("s3", "", "", "job-result", id, number)


def job_results_range(id: str) -> tuple[bytes, bytes]:
    return prefix_range("s3", "", "", "job-result", id)


def inventory(bucket: str) -> bytes:
    return pack("s3", "", "", "inventory", bucket)


def inventories_range() -> tuple[bytes, bytes]:
    return prefix_range("s3", "", "", "inventory")


def access_record(bucket: str, time: float, number: int, id: str) -> bytes:
    return pack("s3", "", "", "access", bucket, int(time * 1e6), number, id)


def access_records_range() -> tuple[bytes, bytes]:
    return prefix_range("s3", "", "", "access")


def body(token: str) -> bytes:
    return pack_onto(_BODIES, token)


def pieces(token: str) -> bytes:
    return pack_onto(_PIECES, token)


def uploads(bucket: str) -> bytes:
    return pack_onto(_UPLOADS, bucket)


def upload(bucket: str, key: str, upload_id: str) -> bytes:
    return pack_onto(_UPLOADS, bucket, key.encode(), upload_id)


def part(upload_id: str, number: int) -> bytes:
    return pack_onto(_PARTS, upload_id, number)


def parts_range(upload_id: str) -> tuple[bytes, bytes]:
    return prefix_range("s3", "", "", "part", upload_id)


def rename_token(bucket: str, token: str) -> bytes:
    return pack("s3", "", "", "renamed", bucket, token)


def rename_tokens(bucket: str) -> tuple[tuple[bytes, bytes], tuple[bytes, bytes]]:
    """The ranges of all that is kept of a bucket's tokens."""
    return prefix_range("s3", "", "", "renamed", bucket), prefix_range("s3", "", "", "renamed-at", bucket)


def rename_tokens_by_time(bucket: str, time: float, token: str) -> bytes:
    return pack("s3", "", "", "renamed-at", bucket, int(time * 1e6), token)


def rename_tokens_range(bucket: str, until: float) -> tuple[bytes, bytes]:
    start, _ = prefix_range("s3", "", "", "renamed-at", bucket)
    return start, pack("s3", "", "", "renamed-at", bucket, max(0, int(until * 1e6)))


def upload_key(key: bytes) -> str:
    """The object key that an upload's key holds."""
    object_key = unpack(key)[-2]
    assert isinstance(object_key, bytes)
    return object_key.decode()


def part_number(key: bytes) -> int:
    """The number that ends a part's key."""
    number = unpack(key)[-1]
    assert isinstance(number, int)
    return number
