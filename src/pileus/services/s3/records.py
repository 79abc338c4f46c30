"""What S3 keeps. Every struct is stored with its version number; new fields go to the end, with a default."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Literal, TypeVar

import msgspec

R = TypeVar("R", bound=msgspec.Struct)

PUBLIC_ACCESS = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")

Versioning = Literal["", "Enabled", "Suspended"]

# What the names of directory buckets end in.
DIRECTORY_END = "--x-s3"
# The same of their access points.
DIRECTORY_POINT_END = "--xa-s3"


class Grant(msgspec.Struct, frozen=True, array_like=True):
    """One entry of an access control list."""

    # "CanonicalUser" or "Group".
    type: str
    # A canonical user id, or a group's URI.
    grantee: str
    permission: str


class Bucket(msgspec.Struct, kw_only=True, tag=1):
    """A bucket with its configuration; members in the names of the API's shapes."""

    name: str
    account: str
    region: str
    # Seconds since the epoch.
    created: float
    # As the creator wrote it: "EU" is answered as "EU".
    location: str = ""
    versioning: Versioning = ""
    tags: tuple[tuple[str, str], ...] = ()
    # The policy document as it was put.
    policy: str = ""
    cors: list[dict[str, Any]] = []
    # None: deleted.
    public_access_block: dict[str, bool] | None = msgspec.field(
        default_factory=lambda: dict.fromkeys(PUBLIC_ACCESS, True)
    )
    # "": deleted.
    ownership: str = "BucketOwnerEnforced"
    encryption: list[dict[str, Any]] = []
    notification: dict[str, Any] = {}
    lifecycle: list[dict[str, Any]] = []
    lifecycle_minimum_size: str = ""
    object_lock: bool = False
    # DefaultRetention; {}: none.
    lock_default: dict[str, Any] = {}
    # () is the default: the owner has full control.
    acl: tuple[Grant, ...] = ()
    # "": never set.
    accelerate: str = ""
    payer: str = "BucketOwner"
    # LoggingEnabled; {}: none.
    logging: dict[str, Any] = {}
    # WebsiteConfiguration; {}: none.
    website: dict[str, Any] = {}
    # ReplicationConfiguration; {}: none.
    replication: dict[str, Any] = {}
    # By kind ("inventory", "analytics", "metrics", "tiering") and id.
    configurations: dict[str, dict[str, dict[str, Any]]] = {}
    # Whether policies see its tags.
    abac: bool = False

    @property
    def is_directory(self) -> bool:
        return self.name.endswith(DIRECTORY_END)

    @property
    def arn(self) -> str:
        if self.is_directory:
            return f"arn:aws:s3express:{self.region}:{self.account}:bucket/{self.name}"
        return f"arn:aws:s3:::{self.name}"


class AccessPoint(msgspec.Struct, kw_only=True, tag=1):
    """A name under which a bucket can be reached, with a policy of its own."""

    name: str
    account: str
    region: str
    bucket: str
    bucket_account: str
    alias: str
    created: float
    public_access_block: dict[str, bool]
    policy: str = ""
    # VpcConfiguration; {}: reached from anywhere.
    vpc: dict[str, str] = {}
    tags: tuple[tuple[str, str], ...] = ()
    # What can be done through it, and to which keys: Permissions and Prefixes; {}: all. Of directory buckets alone.
    scope: dict[str, list[str]] = {}

    @property
    def is_directory(self) -> bool:
        return self.name.endswith(DIRECTORY_POINT_END)

    @property
    def arn(self) -> str:
        service = "s3express" if self.is_directory else "s3"
        return f"arn:aws:{service}:{self.region}:{self.account}:accesspoint/{self.name}"


class Body(msgspec.Struct, frozen=True, array_like=True):
    """Where bytes are: nowhere (no bytes), here, elsewhere in the store, in a blob, or in the pieces of a multipart
    object."""

    kind: Literal["", "here", "inline", "blob", "pieces"] = ""
    # The body's token, which the store's key has, or the blob's id.
    at: str = ""
    # Of what was put, not of what is stored.
    size: int = 0
    # What it is encrypted under (see sealing.py): "" nothing, "node", or "customer" (a key that the requests bring).
    sealed: Literal["", "node", "customer"] = ""
    # As stored, where they are here.
    stored: bytes = b""


class Piece(msgspec.Struct, frozen=True, array_like=True):
    """One part of a multipart object."""

    number: int
    body: Body
    checksum: str = ""


class Checksum(msgspec.Struct, frozen=True, array_like=True):
    """`value` as the API gives it: base64, with "-N" behind it where it was made of those of N parts."""

    algorithm: str
    value: str
    type: Literal["FULL_OBJECT", "COMPOSITE"] = "FULL_OBJECT"


class Lock(msgspec.Struct, frozen=True, array_like=True):
    """A version's retention (mode "": none) until a time, seconds since the epoch, and its legal hold."""

    mode: str = ""
    until: float = 0.0
    # "" (never set), "ON", "OFF".
    legal_hold: str = ""


class CustomerKey(msgspec.Struct, frozen=True, array_like=True):
    """What is kept of a key that a customer brings: enough to know it again, not enough to read anything."""

    # Base64, as the answers show it.
    md5: str
    salt: bytes
    # HMAC-SHA256 of the key under the salt.
    proof: bytes


class Restoration(msgspec.Struct, frozen=True, array_like=True):
    """A copy of an archived object that can be read, from one time until another (seconds since the epoch)."""

    ready: float
    expires: float
    tier: str = "Standard"


class Object(msgspec.Struct, kw_only=True, array_like=True, tag=1):
    """One version of an object."""

    body: Body
    # Hexadecimal MD5, or "{md5 of md5s}-{parts}".
    etag: str
    # Seconds since the epoch.
    modified: float
    # Grows with every version of a key: the order of versions and the sequencer of events.
    sequence: int
    # ContentType, CacheControl ... and WebsiteRedirectLocation, as they were put.
    headers: dict[str, str] = {}
    metadata: dict[str, str] = {}
    tags: tuple[tuple[str, str], ...] = ()
    storage_class: str = "STANDARD"
    checksum: Checksum | None = None
    # How many parts it was uploaded in; 0: in one request.
    parts: int = 0
    # "": the null version.
    version_id: str = ""
    delete_marker: bool = False
    # Of the multipart upload that made it: completing that again is answered as the first time.
    upload_id: str = ""
    lock: Lock | None = None
    # The account that owns it; "": the bucket's.
    owner: str = ""
    # () is the default: the owner has full control.
    acl: tuple[Grant, ...] = ()
    customer_key: CustomerKey | None = None
    restoration: Restoration | None = None
    # By destination bucket: "PENDING", "COMPLETED", "FAILED".
    replication: dict[str, str] = {}
    # Made by replication from another bucket.
    replica: bool = False

    @property
    def size(self) -> int:
        return self.body.size


class Upload(msgspec.Struct, kw_only=True, array_like=True, tag=1):
    """A multipart upload under way; what it will give the object."""

    initiated: float
    headers: dict[str, str] = {}
    metadata: dict[str, str] = {}
    tags: tuple[tuple[str, str], ...] = ()
    storage_class: str = "STANDARD"
    # "": none was asked for; S3 then makes a CRC64NVME of its own.
    checksum_algorithm: str = ""
    checksum_type: str = ""
    # The sequence of the object that was there at the beginning; 0: none.
    seen: int = 0
    initiator_id: str = ""
    initiator_name: str = ""
    # The members of the request that ask for object lock.
    lock: dict[str, Any] = {}
    owner: str = ""
    acl: tuple[Grant, ...] = ()
    customer_key: CustomerKey | None = None


class Part(msgspec.Struct, kw_only=True, array_like=True, tag=1):
    body: Body
    etag: str
    modified: float
    # By the upload's algorithm (CRC64NVME where it has none).
    checksum: str = ""


class RenameToken(msgspec.Struct, frozen=True, array_like=True, tag=1):
    """What a client token of RenameObject stands for."""

    # Seconds since the epoch.
    made: float
    # SHA-256 of the call's members.
    digest: bytes


class AccessRecord(msgspec.Struct, kw_only=True, array_like=True, tag=1):
    """A line of a server access log that waits for its delivery."""

    # The bucket that the request was for.
    bucket: str
    account: str
    region: str
    # Of the request, seconds since the epoch.
    time: float
    line: str
    # LoggingEnabled, as it was then.
    target: dict[str, Any]


_encoder = msgspec.msgpack.Encoder()
_object_decoder = msgspec.msgpack.Decoder(Object)
_upload_decoder = msgspec.msgpack.Decoder(Upload)
_part_decoder = msgspec.msgpack.Decoder(Part)
_pieces_decoder = msgspec.msgpack.Decoder(list[Piece])
_public_access_decoder = msgspec.msgpack.Decoder(dict[str, bool])
_bucket_decoder = msgspec.msgpack.Decoder(Bucket)

encode = _encoder.encode
decode_object = _object_decoder.decode
decode_upload = _upload_decoder.decode
decode_part = _part_decoder.decode
decode_pieces = _pieces_decoder.decode
decode_access_point = msgspec.msgpack.Decoder(AccessPoint).decode
decode_access_record = msgspec.msgpack.Decoder(AccessRecord).decode
decode_rename_token = msgspec.msgpack.Decoder(RenameToken).decode
decode_public_access = _public_access_decoder.decode


@lru_cache(maxsize=256)
def decode_bucket(data: bytes) -> Bucket:
    """The bucket of these bytes; shared, so never changed in place: `msgspec.structs.replace` makes another."""
    return _bucket_decoder.decode(data)
