"""Why there is no answer, in AWS's words."""

from __future__ import annotations

import contextlib
import json
import os
import signal
from dataclasses import dataclass

from pileus.sandbox.contract import Exit
from pileus.services.lambda_.execution import PAYLOAD_BYTES_MAX


@dataclass(frozen=True, slots=True)
class Failure:
    """Why there is no answer."""

    message: str
    error_type: str
    # "error" or "timeout".
    status: str = "error"

    @property
    def reason(self) -> str:
        """Why extensions are shut down."""
        return "timeout" if self.status == "timeout" else "failure"

    def payload(self) -> bytes:
        members = {"errorType": self.error_type, "errorMessage": self.message}
        return json.dumps(members, separators=(",", ":")).encode()


@dataclass(frozen=True, slots=True)
class InitFailure(Failure):
    """What the runtime itself said of a failed init."""

    said: bytes = b""

    def payload(self) -> bytes:
        return self.said


def timed_out(request_id: str, limit_s: float) -> Failure:
    message = f"RequestId: {request_id} Error: Task timed out after {limit_s:.2f} seconds"
    return Failure(message, "Sandbox.Timedout", "timeout")


def too_large() -> Failure:
    message = f"Response payload size exceeded maximum allowed payload size ({PAYLOAD_BYTES_MAX} bytes)."
    return Failure(message, "Function.ResponseSizeTooLarge")


def of_runtime(request_id: str, program: str, found: Exit, *, over_memory: bool) -> Failure:
    """The runtime has ended, or its `program` could not be executed."""
    prefix = f"RequestId: {request_id} Error: "
    if over_memory or found.out_of_memory:
        return Failure(f"{prefix}Runtime exited with error: signal: killed", "Runtime.OutOfMemory")
    if found.not_executed:
        text = f"fork/exec {program}: {_reason(found.not_executed)}"
        return Failure(f"{prefix}{text}", "Runtime.InvalidEntrypoint")
    if found.signal is None and not found.status:
        return Failure(f"{prefix}Runtime exited without providing a reason", "Runtime.ExitError")
    return Failure(f"{prefix}Runtime exited with error: {how(found)}", "Runtime.ExitError")


def of_extension(request_id: str, name: str, found: Exit) -> tuple[Failure, str]:
    """An external extension has ended, or could not be started; and the error type for its line of the log."""
    prefix = f"RequestId: {request_id} Error: "
    if found.not_executed:
        reason = _reason(found.not_executed)
        kind = "PermissionDenied" if "permission" in reason else "UnknownError"
        return Failure(f"{prefix}fork/exec /opt/extensions/{name}: {reason}", "Extension.LaunchError"), kind
    text = "exit code 0" if found.signal is None and not found.status else how(found)
    return Failure(f"{prefix}{text}", "Extension.Crash"), "Extension.Crash"


def _reason(number: int) -> str:
    """An error of the system in the words of Go, which AWS's supervisor is written in."""
    reason = os.strerror(number)
    return reason[:1].lower() + reason[1:]


def how(found: Exit) -> str:
    if found.signal is not None:
        return f"signal: {_SIGNALS.get(found.signal, f'signal {found.signal}')}"
    return f"exit status {found.status}"


def error_type_of(payload: bytes) -> str:
    """The errorType of an error that a runtime has posted."""
    with contextlib.suppress(ValueError, AttributeError):
        return str(json.loads(payload).get("errorType", ""))
    return ""


# As Go's os/exec names them, which is what AWS shows.
_SIGNALS: dict[int, str] = {
    signal.SIGHUP: "hangup",
    signal.SIGINT: "interrupt",
    signal.SIGQUIT: "quit",
    signal.SIGILL: "illegal instruction",
    signal.SIGTRAP: "trace/breakpoint trap",
    signal.SIGABRT: "aborted",
    signal.SIGBUS: "bus error",
    signal.SIGFPE: "floating point exception",
    signal.SIGKILL: "killed",
    signal.SIGSEGV: "segmentation fault",
    signal.SIGPIPE: "broken pipe",
    signal.SIGTERM: "terminated",
    signal.SIGSYS: "bad system call",
}
