"""The line between Lambda's control plane and the environments that run functions.

The control plane (operations, event sources, the asynchronous queue) knows what to run and hands it over as a
`FunctionSpec`; the pool (`pool.py`) finds or makes an environment, runs one invocation in it and tells how it went.
The pool knows nothing of the store, of IAM, of HTTP front ends or of CloudWatch Logs.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple, Protocol

import msgspec

from pileus.kernel.errors import AWSError

# "Lambda quotas": request and response of a synchronous invocation, 6 MB; AWS counts 6 MiB and 100 bytes.
PAYLOAD_BYTES_MAX = 6 * 1024 * 1024 + 100
# "Lambda quotas": a streamed response, 200 MB.
STREAM_BYTES_MAX = 200 * 1024 * 1024
# What `LogResult` shows of an invocation's log.
LOG_TAIL_BYTES = 4 * 1024


class RoleCredentials(NamedTuple):
    """Temporary credentials of the function's role."""

    access_key_id: str
    secret_access_key: str
    session_token: str
    # Seconds since the epoch.
    expires: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionSpec:
    """One function version, as far as running it needs.

    Two specs with the same `fingerprint` are interchangeable. The control plane changes it whenever anything here that
    matters to a running environment changes (code, layers, configuration, role): environments of the old one finish
    what they do and are retired.
    """

    fingerprint: str
    # Unqualified: "arn:aws:lambda:{region}:{account}:function:{name}".
    arn: str
    name: str
    # "$LATEST" or "7".
    version: str
    account: str
    region: str
    # "python3.11", "provided.al2023", ...
    runtime: str
    handler: str
    architecture: Literal["x86_64", "arm64"] = "x86_64"
    memory_mb: int = 128
    timeout_s: float = 3.0
    # Size of /tmp.
    tmp_mb: int = 512
    environment: Mapping[str, str] = field(default_factory=dict)
    # Unpacked, and never written to again; files must be readable by everyone (0644, 0755), folders above need not be.
    # It stays until `retire` of the fingerprint has returned.
    code_dir: Path
    # Unpacked layers in their order: a later one's file covers an earlier one's, at /opt.
    layer_dirs: Sequence[Path] = ()
    log_group: str
    log_format: Literal["Text", "JSON"] = "Text"
    # For JSON: the lowest level that is kept; "" keeps AWS's default (INFO).
    application_log_level: str = ""
    system_log_level: str = ""
    tracing: Literal["Active", "PassThrough"] = "PassThrough"
    # Called for each new environment; the keys must outlive it or be long-lived enough (AWS: 12 h).
    credentials: Callable[[], Awaitable[RoleCredentials]]
    # As `FunctionConfiguration` shows it; "" leaves it out of the log.
    runtime_version_arn: str = ""
    # Not 0: the runtime waits for a debugger, which finds it on this port of the machine's loopback.
    debug_port: int = 0
    initialization_type: Literal["on-demand", "provisioned-concurrency", "snap-start"] = "on-demand"


class Invocation(msgspec.Struct, frozen=True, kw_only=True):
    """One event for one function version."""

    request_id: str
    payload: bytes
    # What the caller named, with the qualifier where there was one; the function's `invoked_function_arn`.
    invoked_arn: str
    # Decoded from base64: JSON text, or "".
    client_context: str = ""
    cognito_identity: str = ""
    # The X-Ray header ("Root=1-...;Parent=...;Sampled=0"); "" leaves it out.
    trace_header: str = ""
    # The caller wants the log's tail: the result comes when all of it is there. Otherwise the result of a function with
    # extensions comes once the function has answered, while they go on.
    wants_log: bool = False
    # True where the caller takes a stream (InvokeWithResponseStream, function URLs in RESPONSE_STREAM mode).
    streaming: bool = False


@dataclass(slots=True)
class Trace:
    """What is known of an invocation's trace."""

    # "1-5759e988-bd862e3fe1be46a994272793"
    root: str
    # Of the caller's segment; "".
    parent: str
    sampled: bool
    # The header as Lambda got it, or made it.
    upstream: str
    # What the function is told.
    header: str
    # Whether Lambda writes segments: sampled, and the function's tracing is active.
    recorded: bool = False
    # Of Lambda's own segment and of the function's.
    segment_id: str = ""
    function_id: str = ""


class ResponseStream(Protocol):
    """A streamed answer: read to its end, then `error` says how it ended. Leaving early cuts it off."""

    # As the runtime said: "application/vnd.awslambda.http-integration-response" for a function URL's, else as set.
    content_type: str

    def __aiter__(self) -> AsyncIterator[bytes]: ...

    # Set once the stream has ended: ("Function.SomeError", JSON text or message), or None where all went well.
    error: tuple[str, str] | None
    # Set then, too, where it was asked for: the last 4 KB of the log, the REPORT line included.
    log_tail: bytes


class InvokeResult(msgspec.Struct, frozen=True, kw_only=True):
    """How one invocation went. Every figure is measured."""

    # The answer; where `function_error` is set, the JSON error object {"errorMessage": ..., "errorType": ...}.
    payload: bytes
    # Instead of `payload`, where the invocation asked for a stream and the function answers one.
    stream: ResponseStream | None = None
    # What `X-Amz-Function-Error` shows; AWS answers "Unhandled" for everything now.
    function_error: Literal["Unhandled", "Handled"] | None = None
    # The last 4 KB of this invocation's log, START and REPORT lines included, uncoded.
    log_tail: bytes = b""
    duration_ms: float = 0.0
    billed_ms: int = 0
    # Set where this invocation met a cold start.
    init_ms: float | None = None
    max_memory_mb: int = 0
    # Where the environment goes on after this result (a stream, extensions): done when it has come to rest.
    rest: asyncio.Future[None] | None = None


class Finished(msgspec.Struct, frozen=True, kw_only=True):
    """An invocation that has ended, a streamed one with its stream: what is counted, billed and traced."""

    spec: FunctionSpec
    invocation: Invocation
    # Seconds since the epoch, by the node's clock, when it was done.
    ended: float
    duration_ms: float
    billed_ms: int
    # Set where this invocation met a cold start.
    init_ms: float | None
    max_memory_mb: int
    # The function's own error or the platform's.
    failed: bool
    # How long extensions went on after the runtime; None: there are none.
    overhead_ms: float | None = None
    # Set where its environment was restored from a snapshot for it: how long that took.
    restore_ms: float | None = None
    trace: Trace | None = None


class Snapshotted(NamedTuple):
    """What became of the Init at the publishing of a version."""

    # The type of the error that it failed with, or "".
    error_type: str = ""
    # Why its environments are not restored from a snapshot, but initialized each; "": they are restored.
    obstacle: str = ""


# Called on the event loop; must not block nor raise.
FinishedSink = Callable[[Finished], None]


class LogEvent(NamedTuple):
    timestamp_ms: int
    # As the function wrote it, its line end included.
    message: str


# (account, region, log group, log stream, events in order). Called on the event loop; must not block nor raise, and
# must be quick: a function may write 10 MB/s.
LogSink = Callable[[str, str, str, str, Sequence[LogEvent]], None]


class NoCapacity(AWSError):
    """The machine's memory budget is used up by busy environments; nothing was run. AWS has this answer too."""

    def __init__(self) -> None:
        super().__init__(
            "EC2ThrottledException",
            "We are out of capacity: the memory budget for execution environments is used up.",
            status=502,
            fault="server",
        )


class Pool(Protocol):
    """The node's execution environments. One per node; lives on the event loop."""

    def prepare(self, runtime: str, memory_mb: int = 0) -> None:
        """Get ready, in the background, for environments of `runtime`: worth calling when a function is created."""
        ...

    async def settle(self, runtime: str) -> None:
        """Wait a while, where what the very version of a runtime needs is being fetched."""
        ...

    async def supports(self, runtime: str) -> str | None:
        """None where functions of `runtime` can run here, else why they cannot, in one sentence."""
        ...

    async def invoke(
        self, spec: FunctionSpec, invocation: Invocation, ended: Callable[[], None] | None = None
    ) -> InvokeResult:
        """Run one event, in an idle environment of `spec` or in a new one, until it is done, failed or timed out.

        `ended` is called once, when nothing of it runs any more: neither a stream nor extensions.

        Concurrency limits are the caller's: every call here runs. Cancelling it does not stop the function, as at AWS.
        Raises `NoCapacity`. With `invocation.streaming` it returns once the answer begins; figures and log tail are
        then those of that moment and the REPORT line follows in the log.
        """
        ...

    async def provision(self, spec: FunctionSpec, count: int) -> int:
        """Keep `count` environments of `spec` initialized (0: none); returns how many are ready now."""
        ...

    def ready(self, fingerprint: str) -> int:
        """Environments of that fingerprint that are initialized, busy ones included."""
        ...

    def provisioned(self) -> list[tuple[FunctionSpec, int]]:
        """How many environments are kept, by version that has any."""
        ...

    async def snapshot(self, spec: FunctionSpec) -> Snapshotted:
        """Initialize `spec` (of the type "snap-start") and keep a snapshot; its environments are restored from it.

        One that is lost (memory is short, the node ends) is made again when it is needed. Raises `SandboxError`,
        `NoCapacity`.
        """
        ...

    async def retire(self, fingerprint: str) -> None:
        """Take no more events for it; returns when its last environment is gone. Busy ones finish first."""
        ...

    async def close(self) -> None:
        """End everything: idle environments at once, busy ones too; nothing of them is left when it returns."""
        ...
