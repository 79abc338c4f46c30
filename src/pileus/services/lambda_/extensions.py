"""Extensions of one environment, and the Extensions API they meet on the Runtime API's port.

External extensions are programs in /opt/extensions that run beside the runtime, internal ones threads of it; both
register during Init, ask for events, and may say why they fail ("Using the Lambda Extensions API to create
extensions").
Nothing here waits or starts anything: the environment does, when it is told that something has changed.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Protocol

from pileus.kernel.ids import Ids
from pileus.services.lambda_.execution import FunctionSpec

PREFIX = "/2020-01-01/extension/"
# "You can register up to 10 extensions for a function."
EXTENSIONS_MAX = 10
_EVENTS = ("INVOKE", "SHUTDOWN")


class ExtensionState(Enum):
    """Where an extension stands; the names are those of the log and of the API's error messages."""

    STARTED = "Started"
    REGISTERED = "Registered"
    READY = "Ready"
    RUNNING = "Running"
    INIT_ERROR = "InitError"
    EXIT_ERROR = "ExitError"
    LAUNCH_ERROR = "LaunchError"
    EXITED = "Exited"


_REGISTERED = frozenset({ExtensionState.REGISTERED, ExtensionState.READY, ExtensionState.RUNNING})


class Call(Protocol):
    """One HTTP call from inside, to be answered once, now or later."""

    method: bytes
    # Lower-case names.
    headers: Mapping[str, str]
    body: bytes

    def answer(self, status: int, body: bytes, headers: Mapping[str, str] | None = None) -> bool:
        """False where the caller has hung up."""
        ...


class ExtensionHost(Protocol):
    """The environment."""

    spec: FunctionSpec

    def extensions_changed(self) -> None:
        """One has registered, or asks for its next event."""
        ...

    def extension_failed(self, extension: Extension, error_type: str) -> None:
        """One has said that it fails ("Extension.InitError", "Extension.ExitError")."""
        ...


@dataclass(slots=True, eq=False)
class Extension:
    name: str
    external: bool
    state: ExtensionState = ExtensionState.STARTED
    id: str = ""
    events: list[str] = field(default_factory=list)
    # What it said of its failure.
    error_type: str = ""
    # Its call for the next event, and the event that waits for such a call.
    waiting: Call | None = None
    pending: dict[str, Any] | None = None

    @property
    def registered(self) -> bool:
        return self.state in _REGISTERED

    @property
    def ready(self) -> bool:
        """It has nothing to do."""
        return self.waiting is not None


def failure(status: int, error_type: str, message: str) -> tuple[int, bytes]:
    return status, json.dumps({"errorType": error_type, "errorMessage": message}, separators=(",", ":")).encode()


class Extensions:
    """Those of one environment."""

    def __init__(self, host: ExtensionHost, ids: Ids) -> None:
        self._host = host
        self._ids = ids
        self.all: list[Extension] = []
        # Open during Init.
        self.open = True

    def begin(self, external: list[str]) -> None:
        """Another Init: these external ones are being started."""
        self.all = [Extension(name, external=True) for name in external]
        self.open = True

    # what the environment wants to know

    @property
    def external(self) -> list[Extension]:
        return [each for each in self.all if each.external]

    @property
    def all_registered(self) -> bool:
        """Every external one."""
        return all(each.registered for each in self.all)

    @property
    def all_ready(self) -> bool:
        return all(each.ready for each in self.all if each.registered)

    @property
    def engaged(self) -> bool:
        """Whether there is any that invocations have to wait for."""
        return bool(self.all)

    def by_id(self, identifier: str) -> Extension | None:
        return next((each for each in self.all if each.id and each.id == identifier), None)

    def send(self, kind: str, event: dict[str, Any]) -> None:
        """Hand an event to all that registered for it."""
        for each in self.all:
            if kind in each.events and each.registered:
                each.pending = {"eventType": kind, **event}
                self._hand_over(each)

    # the API

    def handle(self, call: Call, path: str) -> None:
        """`path`: what follows the prefix."""
        match call.method, path:
            case b"POST", "register":
                self._register(call)
            case b"GET", "event/next":
                extension = self.known(call)
                if extension is not None:
                    self._next(call, extension)
            case b"POST", "init/error":
                self._fail(call, ExtensionState.INIT_ERROR, "Extension.InitError")
            case b"POST", "exit/error":
                self._fail(call, ExtensionState.EXIT_ERROR, "Extension.ExitError")
            case _, "register" | "event/next" | "init/error" | "exit/error":
                call.answer(405, b"")
            case _:
                call.answer(404, b"404 page not found\n")

    def _register(self, call: Call) -> None:
        name = call.headers.get("lambda-extension-name", "")
        if not name:
            call.answer(*failure(403, "Extension.InvalidExtensionName", "Empty extension name"))
            return
        try:
            request = json.loads(call.body) if call.body.strip() else {}
            events = request.get("events") or []
            if not isinstance(events, list):
                raise TypeError
        except (ValueError, TypeError, AttributeError):
            call.answer(*failure(400, "InvalidRequestFormat", "The request body is not valid JSON"))
            return
        if not self.open:
            call.answer(*failure(403, "Extension.RegistrationClosed", "Extension registration closed already"))
            return
        found = next((each for each in self.all if each.name == name), None)
        external = found is not None and found.external
        for event in events:
            if event not in _EVENTS:
                call.answer(*failure(403, "Extension.InvalidEventType", f"{event}: Invalid event type"))
                return
            if event == "SHUTDOWN" and not external:
                message = "SHUTDOWN: Event type not supported for internal extensions"
                call.answer(*failure(403, "Extension.InvalidEventType", message))
                return
        if found is not None and found.state is not ExtensionState.STARTED:
            self._refuse(call, found, ExtensionState.REGISTERED)
            return
        if found is None:
            if len(self.all) >= EXTENSIONS_MAX:
                message = f"Extension limit ({EXTENSIONS_MAX}) reached"
                call.answer(*failure(403, "Extension.TooManyExtensions", message))
                return
            found = Extension(name, external=False)
            self.all.append(found)
        found.id, found.state = self._ids.uuid(), ExtensionState.REGISTERED
        found.events = list(dict.fromkeys(events))
        spec = self._host.spec
        answer = {"functionName": spec.name, "functionVersion": spec.version, "handler": spec.handler}
        features = {each.strip() for each in call.headers.get("lambda-extension-accept-feature", "").split(",")}
        if "accountId" in features:
            answer["accountId"] = spec.account
        body = json.dumps(answer, separators=(",", ":")).encode()
        call.answer(200, body, {"Lambda-Extension-Identifier": found.id})
        self._host.extensions_changed()

    def _next(self, call: Call, extension: Extension) -> None:
        if not extension.registered:
            self._refuse(call, extension, ExtensionState.READY)
            return
        extension.state = ExtensionState.READY
        extension.waiting = call
        self._hand_over(extension)
        if extension.waiting is not None:
            self._host.extensions_changed()

    def _fail(self, call: Call, state: ExtensionState, error_type: str) -> None:
        extension = self.known(call)
        if extension is None:
            return
        said = call.headers.get("lambda-extension-function-error-type", "")
        if not said:
            message = "Lambda-Extension-Function-Error-Type not found"
            call.answer(*failure(403, "Extension.MissingHeader", message))
            return
        if not extension.registered or (state is ExtensionState.INIT_ERROR and not self.open):
            self._refuse(call, extension, state)
            return
        extension.state, extension.error_type, extension.waiting = state, said, None
        call.answer(202, b'{"status":"OK"}\n', {"Lambda-Extension-Identifier": extension.id})
        self._host.extension_failed(extension, error_type)

    def known(self, call: Call) -> Extension | None:
        """The extension that calls; the call is refused where it is none."""
        header = "Lambda-Extension-Identifier"
        identifier = call.headers.get(header.lower(), "")
        if not identifier:
            call.answer(*failure(403, "Extension.MissingExtensionIdentifier", f"Missing {header} header"))
            return None
        try:
            uuid.UUID(identifier)
        except ValueError:
            call.answer(*failure(403, "Extension.InvalidExtensionIdentifier", f"Invalid {header}"))
            return None
        found = self.by_id(identifier)
        if found is None:
            message = f"Unknown extension {identifier}"
            call.answer(*failure(403, "Extension.UnknownExtensionIdentifier", message))
        return found

    @staticmethod
    def _refuse(call: Call, extension: Extension, wanted: ExtensionState) -> None:
        message = (
            f"State transition from {extension.state.value} to {wanted.value} failed for extension {extension.name}."
            " Error: State transition is not allowed"
        )
        call.answer(*failure(403, "Extension.InvalidExtensionState", message))

    def _hand_over(self, extension: Extension) -> None:
        call, event = extension.waiting, extension.pending
        if call is None or event is None:
            return
        extension.waiting = None
        body = json.dumps(event, separators=(",", ":")).encode()
        headers = {
            "Lambda-Extension-Event-Identifier": self._ids.uuid(),
            "Lambda-Extension-Identifier": extension.id,
        }
        if call.answer(200, body, headers):
            extension.pending = None
            extension.state = ExtensionState.RUNNING
