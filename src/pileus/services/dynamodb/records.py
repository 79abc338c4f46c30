"""What is stored of tables. Items are stored as `items` says."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from pileus.kernel.principal import Principal

View = Literal["KEYS_ONLY", "NEW_IMAGE", "OLD_IMAGE", "NEW_AND_OLD_IMAGES"]


class Index(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A secondary index."""

    name: str
    # Part of its entries' keys: an index that is made anew under the same name begins empty.
    id: bytes
    scope: Literal["global", "local"]
    hash: str
    range: str = ""
    # Further attributes of either key.
    more_hash: tuple[str, ...] = ()
    more_range: tuple[str, ...] = ()
    projection: Literal["ALL", "KEYS_ONLY", "INCLUDE"] = "ALL"
    non_key_attributes: tuple[str, ...] = ()
    # An index is filled in batches; until then it takes entries and cannot be read.
    status: Literal["CREATING", "ACTIVE"] = "ACTIVE"
    read_units: int = 0
    write_units: int = 0
    last_increase: float = 0.0
    last_decrease: float = 0.0
    # On the UTC day of the last decrease.
    decreases: int = 0
    warm_read: int = 0
    warm_write: int = 0
    on_demand: dict[str, int] = {}

    @property
    def hashes(self) -> tuple[str, ...]:
        """All attributes of the partition key."""
        return (self.hash, *self.more_hash)

    @property
    def ranges(self) -> tuple[str, ...]:
        """Those of the sort key."""
        return (self.range, *self.more_range) if self.range else ()

    @property
    def names(self) -> tuple[str, ...]:
        return (*self.hashes, *self.ranges)


class Table(msgspec.Struct, kw_only=True, omit_defaults=True, tag_field="v", tag=1):
    """A table; `attributes` are (name, type) of those in keys."""

    name: str
    id: str
    created: float
    attributes: dict[str, str]
    hash: str
    range: str = ""
    indexes: tuple[Index, ...] = ()
    billing: Literal["PROVISIONED", "PAY_PER_REQUEST"] = "PROVISIONED"
    # When it became PAY_PER_REQUEST.
    on_demand_since: float = 0.0
    # When it became so by a change, the last few times.
    on_demand_changes: tuple[float, ...] = ()
    read_units: int = 0
    write_units: int = 0
    last_increase: float = 0.0
    last_decrease: float = 0.0
    decreases: int = 0
    on_demand: dict[str, int] = {}
    # 0: what the billing mode gives.
    warm_read: int = 0
    warm_write: int = 0
    table_class: str = ""
    # Encrypted with the key that AWS manages in the account, not with AWS's own; when that was changed, the last day.
    managed_key: bool = False
    key_changes: tuple[float, ...] = ()
    deletion_protection: bool = False
    tags: dict[str, str] = {}
    ttl_attribute: str = ""
    # Part of its expiry entries' keys: time to live that is switched on anew begins empty.
    ttl_id: bytes = b""
    # Of its latest stream; `stream_view` is "" when that is switched off.
    stream_label: str = ""
    stream_view: View | Literal[""] = ""
    # A resource-based policy, as it was given; its revision is the millisecond in which it was.
    policy: str = ""
    policy_revision: str = ""
    # By index ("": the table itself) with contributor insights: their mode, and since when.
    insights: dict[str, tuple[str, float]] = {}
    # Since when it can be recovered to a point in time (0: it cannot), and how many days back.
    pitr_since: float = 0.0
    pitr_days: int = 35
    # The ids of the backups, exports and tables that it is being copied into.
    copying: tuple[str, ...] = ()
    # While it is being copied from elsewhere nobody can use it; from where, as RestoreSummary.
    restoring: bool = False
    restored_from: dict[str, Any] = {}
    # Of a replica of a global table: the regions of the others, and what is part of the keys of its items' versions.
    replicas: tuple[str, ...] = ()
    group: bytes = b""
    # When another replica was last made from it.
    sourced: float = 0.0
    # It is being deleted, and nobody can use it; what it has not handed on yet is handed on before.
    leaving: bool = False
    # It may be disassociated; it is being so, once nothing is pending between it and the others.
    disassociable: bool = False
    parting: bool = False
    # What it has of its own in place of what all replicas have: read units and maximum on-demand read units by index
    # ("": the table itself), and its class.
    read_overrides: dict[str, int] = {}
    on_demand_overrides: dict[str, int] = {}
    class_override: str = ""
    # What is written to one replica is written to all in the same transaction; the region of the witness.
    strong: bool = False
    witness: str = ""

    @property
    def usable(self) -> bool:
        """Whether its items may be read and written."""
        return not (self.restoring or self.leaving)

    @property
    def keeps_history(self) -> bool:
        return bool(self.pitr_since or self.copying)


class Backup(msgspec.Struct, kw_only=True, omit_defaults=True, tag_field="v", tag=1):
    """A backup: the table as it was."""

    id: str
    name: str
    created: float
    table: Table
    items: int
    size_bytes: int
    # Whether all of its items are there.
    ready: bool = False
    # The ids of the tables that it is being copied into.
    copying: tuple[str, ...] = ()
    # Of a table that was deleted: its id, under which its items are left as they are; and until when.
    kept: str = ""
    expires: float = 0.0


class Export(msgspec.Struct, kw_only=True, omit_defaults=True, tag_field="v", tag=1):
    """An export to S3. Its items are copied aside first, as those of a backup under the export's id."""

    id: str
    arn: str
    table: str
    table_arn: str
    table_id: str
    # As of when.
    moment: float
    started: float
    ended: float = 0.0
    status: Literal["IN_PROGRESS", "COMPLETED", "FAILED"] = "IN_PROGRESS"
    bucket: str
    bucket_owner: str = ""
    prefix: str = ""
    encryption: str = ""
    format: Literal["DYNAMODB_JSON", "ION"] = "DYNAMODB_JSON"
    # Of an incremental export: what changed since then, up to `moment`; and the attributes of the table's key.
    since: float = 0.0
    keys: tuple[str, ...] = ()
    view: Literal["NEW_IMAGE", "NEW_AND_OLD_IMAGES"] = "NEW_AND_OLD_IMAGES"
    # Its FilterSpecification; see `filtering`.
    limited_to: bytes = b""
    token: str
    # Who asked for it, and writes the files.
    principal: Principal
    copied: bool = False
    items: int = 0
    size_bytes: int = 0
    manifest: str = ""
    # Code and message.
    failure: tuple[str, str] = ("", "")


class Import(msgspec.Struct, kw_only=True, omit_defaults=True, tag_field="v", tag=1):
    """An import from S3 into a table that nobody can use until it is over."""

    id: str
    arn: str
    table: str
    table_arn: str
    table_id: str
    started: float
    ended: float = 0.0
    status: Literal["IN_PROGRESS", "COMPLETED", "FAILED"] = "IN_PROGRESS"
    bucket: str
    bucket_owner: str = ""
    prefix: str = ""
    format: Literal["DYNAMODB_JSON", "ION", "CSV"]
    compression: Literal["GZIP", "ZSTD", "NONE"] = "NONE"
    delimiter: str = ""
    header: tuple[str, ...] = ()
    key_types: dict[str, str]
    # TableCreationParameters, as they were given.
    creation: dict[str, Any]
    token: str
    # Who asked for it, and reads the files.
    principal: Principal
    # The last file that is done, and how much is done of the next: a node that dies leaves the rest to another.
    done: str = ""
    lines: int = 0
    errors: int = 0
    processed: int = 0
    processed_bytes: int = 0
    imported: int = 0
    failure: tuple[str, str] = ("", "")


class Statistics(msgspec.Struct, kw_only=True, tag_field="v", tag=1):
    """How much a table or index holds: nearly exact, written behind the changes."""

    items: int = 0
    size_bytes: int = 0


class Token(msgspec.Struct, kw_only=True, tag_field="v", tag=1):
    """A TransactWriteItems call that went through under a ClientRequestToken."""

    # SHA-256 of the request without its token.
    digest: bytes
    expires: float


class Stream(msgspec.Struct, kw_only=True, omit_defaults=True, tag_field="v", tag=1):
    """A stream, which may outlive its table; all its records are in one shard."""

    table: str
    table_id: str
    label: str
    created: float
    view: View
    hash: str
    range: str = ""
    # The number of its first record.
    first: int
    # Once it is switched off: when, and the number of its last record (first - 1: there was none).
    ended: float = 0.0
    last: int = 0
    # As a table's.
    policy: str = ""
    policy_revision: str = ""


class Change(msgspec.Struct, kw_only=True, omit_defaults=True, tag_field="v", tag=1):
    """A stream record. Keys and images are the JSON in which they are answered."""

    id: str
    name: Literal["INSERT", "MODIFY", "REMOVE"]
    # Seconds since the epoch, rounded down.
    at: int
    keys: bytes
    new: bytes | None = None
    old: bytes | None = None
    size: int
    by_ttl: bool = False
    # Of a replica of a global table: when it was written here, microseconds since the epoch; when and in which region
    # its writer wrote it.
    stamp: int = 0
    version: int = 0
    origin: str = ""


class Version(msgspec.Struct, kw_only=True, omit_defaults=True, tag_field="v", tag=1):
    """When and where an item of a global table was last written; see `versions`."""

    at: int
    region: str
    deleted: bool = False


encode = msgspec.msgpack.Encoder().encode
decode_table = msgspec.msgpack.Decoder(Table).decode
decode_backup = msgspec.msgpack.Decoder(Backup).decode
decode_export = msgspec.msgpack.Decoder(Export).decode
decode_import = msgspec.msgpack.Decoder(Import).decode
decode_statistics = msgspec.msgpack.Decoder(Statistics).decode
decode_token = msgspec.msgpack.Decoder(Token).decode
decode_stream = msgspec.msgpack.Decoder(Stream).decode
decode_change = msgspec.msgpack.Decoder(Change).decode
decode_version = msgspec.msgpack.Decoder(Version).decode
