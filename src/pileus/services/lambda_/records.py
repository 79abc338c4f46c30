"""What Lambda stores. Times are seconds since the epoch."""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

R = TypeVar("R", bound=msgspec.Struct)


class Vpc(msgspec.Struct, frozen=True):
    """The VPC that a function was given, which changes nothing here."""

    subnets: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    dual_stack: bool = False


class Layer(msgspec.Struct, frozen=True, array_like=True):
    """A layer version as a function uses it; it goes on working when the layer version is deleted."""

    arn: str
    code_sha256: str
    size_bytes: int
    unpacked_bytes: int


class Configuration(msgspec.Struct, kw_only=True, omit_defaults=True):
    """What a version runs as: everything a caller can set."""

    role: str
    runtime: str
    handler: str
    # Hexadecimal; AWS shows it in base64.
    code_sha256: str
    code_size_bytes: int
    unpacked_bytes: int
    # The folder of this machine that the code runs from, as it is saved; "" where it is the package.
    hot_reload: str = ""
    description: str = ""
    timeout_s: int = 3
    memory_mb: int = 128
    tmp_mb: int = 512
    architecture: str = "x86_64"
    # None where none was ever given: AWS then leaves `Environment` out.
    environment: dict[str, str] | None = None
    layers: tuple[Layer, ...] = ()
    tracing: str = "PassThrough"
    # Where asynchronous events that failed go: the ARN of a queue or topic.
    dead_letter: str = ""
    kms_key: str = ""
    snap_start: str = "None"
    # None where none was ever given: AWS then leaves `VpcConfig` out.
    vpc: Vpc | None = None
    # ARN of the access point and where it would be mounted.
    file_systems: tuple[tuple[str, str], ...] = ()
    log_group: str = ""
    log_format: str = "Text"
    application_log_level: str = ""
    system_log_level: str = ""


class Version(msgspec.Struct, kw_only=True, omit_defaults=True):
    """`$LATEST` or a published version."""

    version: str
    configuration: Configuration
    revision: str
    modified: float
    # "Pending" until its code is in place, then "Active". One that is snapshotted may become "Failed" instead, and
    # "Inactive" when nobody invokes it.
    state: str = "Pending"
    # Where there is one that is not always the same: why it is in this state, and AWS's code for it.
    reason: str = ""
    reason_code: str = ""
    # "", "InProgress", "Successful" or "Failed".
    update_status: str = ""
    # Whether its environments are restored from a snapshot, as far as that is known.
    optimized: bool = False
    # What invocations get while an update is in progress.
    serving: Configuration | None = None


class Function(msgspec.Struct, kw_only=True, omit_defaults=True):
    name: str
    created: float
    last_version: int = 0
    # Digest of what $LATEST was when the last version was published: publishing again without a change makes none.
    published: str = ""
    tags: dict[str, str] = {}
    recursive_loop: str = "Terminate"


class Alias(msgspec.Struct, kw_only=True, omit_defaults=True):
    name: str
    version: str
    description: str = ""
    revision: str
    # Another version and the share of invocations it gets.
    weights: dict[str, float] = {}


class Provisioned(msgspec.Struct, kw_only=True, omit_defaults=True):
    """Provisioned concurrency of a version or alias."""

    wanted: int
    modified: float
    # Another one with every change: who provides looks whether it still goes by this.
    revision: str
    # "IN_PROGRESS", "READY" or "FAILED".
    status: str = "IN_PROGRESS"
    reason: str = ""
    # How many there were when it became what it is.
    allocated: int = 0


class Policy(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A resource policy: the statements as AWS shows them."""

    statements: list[dict[str, Any]] = []
    version: str = "2012-10-17"
    id: str = "default"
    # Only a layer version's policy has a revision of its own.
    revision: str = ""


class AsyncConfig(msgspec.Struct, kw_only=True, omit_defaults=True):
    """What an EventInvokeConfig says."""

    modified: float
    retries: int | None = None
    age_max_s: int | None = None
    on_success: str = ""
    on_failure: str = ""


class Url(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A function URL."""

    id: str
    auth_type: str
    created: float
    modified: float
    # As given, in AWS's members; empty: none.
    cors: dict[str, Any] = {}
    # "" where none was ever given: buffered.
    invoke_mode: str = ""


class UrlPlace(msgspec.Struct, kw_only=True, omit_defaults=True):
    """Where a function URL leads."""

    account: str
    region: str
    name: str
    qualifier: str = ""


class EventSource(msgspec.Struct, kw_only=True, omit_defaults=True):
    """An event source mapping. Figures that AWS shows as -1 (no limit) are -1 here, too."""

    id: str
    # The function, with the qualifier that was given.
    name: str
    qualifier: str = ""
    # The ARN of the queue, stream or broker; "" for Kafka brokers of one's own.
    source: str
    # Of such brokers: "host:port" each, the topics, the consumer group and how to get in, in AWS's members.
    brokers: list[str] = []
    topics: list[str] = []
    group: str = ""
    access: list[dict[str, str]] = []
    # Of a broker of Amazon MQ.
    queues: list[str] = []
    # "Creating", "Enabling", "Enabled", "Disabling", "Disabled", "Updating", "Deleting".
    state: str
    # Whether it is to feed the function, whatever state it is in on the way there.
    enabled: bool = True
    # Another one with every change: who feeds looks whether it still goes by this.
    revision: str
    modified: float
    # What became of the last batch: shown for streams.
    result: str = "No records processed"
    batch_size: int
    window_s: int = 0
    # Event patterns as they were given; a record passes that matches one.
    filters: list[str] = []
    kms_key: str = ""
    report_items: bool = False
    # None: none was ever given.
    metrics: list[str] | None = None
    log_level: str = ""
    pollers: dict[str, Any] | None = None
    tags: dict[str, str] = {}
    # Queues: how many batches may be under way; 0: as many as the function's concurrency lets.
    concurrency_max: int = 0
    # Streams.
    start: str = ""
    start_at: float | None = None
    retries: int = -1
    age_max_s: int = -1
    bisect: bool = False
    lanes: int = 1
    tumbling_s: int = 0
    on_failure: str = ""


class StreamPlace(msgspec.Struct, kw_only=True, omit_defaults=True):
    """How far an event source mapping has come in one shard."""

    # The sequence number of the last record that is done with; "" where none is.
    after: str = ""
    # Where that is "" and reading began at the shard's end: when that was.
    since: float | None = None
    # Whether the shard has been read to its end.
    ended: bool = False
    # With tumbling windows: the one that is open, by its beginning, and the state that the function has built up.
    window: float | None = None
    state: dict[str, Any] = {}


class CodeSigning(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A code signing configuration."""

    id: str
    modified: float
    publishers: list[str]
    # "Warn" or "Enforce".
    policy: str
    description: str = ""
    tags: dict[str, str] = {}


class Code(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One deployment package, shared by every version and layer of every account that has the same bytes."""

    blob: str
    size_bytes: int
    unpacked_bytes: int
    references: int = 0


class LayerHead(msgspec.Struct, kw_only=True, omit_defaults=True):
    name: str
    last_version: int = 0


class LayerVersion(msgspec.Struct, kw_only=True, omit_defaults=True):
    name: str
    version: int
    created: float
    code_sha256: str
    size_bytes: int
    unpacked_bytes: int
    description: str = ""
    license: str = ""
    # None where none was given: AWS then leaves the member out.
    runtimes: list[str] | None = None
    architectures: list[str] | None = None


class Usage(msgspec.Struct, kw_only=True, omit_defaults=True):
    """What a function has used on one day; memory times time is in MB-milliseconds."""

    requests: int = 0
    duration_mb_ms: int = 0
    # Invocations in provisioned environments, and these environments themselves.
    provisioned_duration_mb_ms: int = 0
    provisioned_mb_ms: int = 0
    # Of /tmp, what is above the 512 MB that cost nothing.
    storage_mb_ms: int = 0
    # Snapshots of published versions, kept, and restored.
    cached_mb_ms: int = 0
    restored_mb: int = 0


class CachedSnapshot(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A version's snapshot that AWS would charge for keeping; times are seconds since the epoch."""

    began: float
    # What was before is in the usage records.
    counted: float
    memory_mb: int
    architecture: str


_encoder = msgspec.msgpack.Encoder()
_decoders: dict[type[msgspec.Struct], msgspec.msgpack.Decoder[Any]] = {
    kind: msgspec.msgpack.Decoder(kind)
    for kind in (
        Version,
        Function,
        Alias,
        Policy,
        AsyncConfig,
        Url,
        UrlPlace,
        CachedSnapshot,
        Provisioned,
        EventSource,
        StreamPlace,
        CodeSigning,
        Code,
        LayerHead,
        LayerVersion,
        Usage,
    )
}


def encode(record: msgspec.Struct) -> bytes:
    return _encoder.encode(record)


def decode(kind: type[R], data: bytes) -> R:
    record: R = _decoders[kind].decode(data)
    return record
