"""The Extensions API without an environment: what extensions may say, when, and what they hear otherwise."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
from function_kit import spec

from pileus.kernel.ids import Ids
from pileus.services.lambda_.extensions import EXTENSIONS_MAX, Extension, Extensions, ExtensionState


class Asked:
    """A call, and what it was answered."""

    def __init__(self, method: str, body: Any = None, *, hung_up: bool = False, **headers: str) -> None:
        self.method = method.encode()
        self.body = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        self.headers = {name.replace("_", "-").lower(): value for name, value in headers.items()}
        self.hung_up = hung_up
        self.answers: list[tuple[int, Any, Mapping[str, str]]] = []

    def answer(self, status: int, body: bytes, headers: Mapping[str, str] | None = None) -> bool:
        if self.hung_up:
            return False
        self.answers.append((status, json.loads(body) if body[:1] == b"{" else body, headers or {}))
        return True

    @property
    def error(self) -> tuple[int, str]:
        ((status, body, _),) = self.answers
        return status, body["errorType"]


class Host:
    def __init__(self) -> None:
        self.spec = spec("PassThrough")
        self.heard: list[Any] = []
        self.extensions = Extensions(self, Ids())

    def extensions_changed(self) -> None:
        self.heard.append("changed")

    def extension_failed(self, extension: Extension, error_type: str) -> None:
        self.heard.append((extension.name, extension.error_type, error_type))

    def ask(self, method: str, path: str, body: Any = None, **headers: Any) -> Asked:
        asked = Asked(method, body, **headers)
        self.extensions.handle(asked, path)
        return asked

    def register(self, name: str, *events: str, **headers: str) -> Asked:
        return self.ask("POST", "register", {"events": events}, Lambda_Extension_Name=name, **headers)


@pytest.fixture
def host() -> Host:
    return Host()


def id_of(asked: Asked) -> str:
    ((status, _, headers),) = asked.answers
    assert status == 200
    return headers["Lambda-Extension-Identifier"]


def test_registering(host: Host) -> None:
    host.extensions.begin(["watcher"])
    assert not host.extensions.all_registered
    asked = host.register("watcher", "SHUTDOWN", "INVOKE", "INVOKE", Lambda_Extension_Accept_Feature="other, accountId")
    ((_, body, _),) = asked.answers
    assert body == {
        "functionName": "f",
        "functionVersion": "$LATEST",
        "handler": "index.handler",
        "accountId": "0" * 12,
    }
    (known,) = host.extensions.all
    assert (known.state, known.events, known.external) == (ExtensionState.REGISTERED, ["SHUTDOWN", "INVOKE"], True)
    assert host.extensions.all_registered
    assert host.heard == ["changed"]


def test_registrations_that_are_refused(host: Host) -> None:
    host.extensions.begin([])
    assert host.ask("POST", "register", {}).error == (403, "Extension.InvalidExtensionName")
    for body in (b"x", b"[]", b'{"events": "INVOKE"}', b"\xff"):
        refused = host.ask("POST", "register", body, Lambda_Extension_Name="a")
        assert refused.error == (400, "InvalidRequestFormat")
    assert host.register("a", "OTHER").error == (403, "Extension.InvalidEventType")
    assert host.register("a", "SHUTDOWN").error == (403, "Extension.InvalidEventType")
    for number in range(EXTENSIONS_MAX):
        id_of(host.register(str(number)))
    assert host.register("one more").error == (403, "Extension.TooManyExtensions")
    assert host.register("1").error == (403, "Extension.InvalidExtensionState")
    host.extensions.open = False
    assert host.register("late").error == (403, "Extension.RegistrationClosed")
    # Another Init begins anew.
    host.extensions.begin([])
    id_of(host.register("late"))


def test_events_go_to_those_who_want_them(host: Host) -> None:
    host.extensions.begin(["a", "b"])
    a, b = (id_of(host.register(name, *events)) for name, events in (("a", ["INVOKE"]), ("b", ["SHUTDOWN"])))
    waiting = host.ask("GET", "event/next", Lambda_Extension_Identifier=a)
    assert not waiting.answers
    assert not host.extensions.all_ready
    host.ask("GET", "event/next", Lambda_Extension_Identifier=b)
    assert host.extensions.all_ready
    host.extensions.send("INVOKE", {"requestId": "r"})
    ((status, body, headers),) = waiting.answers
    assert (status, body) == (200, {"eventType": "INVOKE", "requestId": "r"})
    assert headers["Lambda-Extension-Identifier"] == a
    assert not host.extensions.all_ready
    # The next event waits for whoever is busy.
    host.extensions.send("INVOKE", {"requestId": "s"})
    again = host.ask("GET", "event/next", Lambda_Extension_Identifier=a)
    assert again.answers[0][1]["requestId"] == "s"


def test_an_event_is_not_lost_with_whoever_hangs_up(host: Host) -> None:
    host.extensions.begin([])
    me = id_of(host.register("a", "INVOKE"))
    host.ask("GET", "event/next", hung_up=True, Lambda_Extension_Identifier=me)
    host.extensions.send("INVOKE", {"requestId": "r"})
    again = host.ask("GET", "event/next", Lambda_Extension_Identifier=me)
    assert again.answers[0][1]["requestId"] == "r"


def test_failures(host: Host) -> None:
    host.extensions.begin([])
    me = id_of(host.register("a", "INVOKE"))
    host.heard.clear()
    assert host.ask("POST", "init/error", Lambda_Extension_Identifier=me).error == (403, "Extension.MissingHeader")
    said = {"Lambda_Extension_Identifier": me, "Lambda_Extension_Function_Error_Type": "Own.Kind"}
    accepted = host.ask("POST", "init/error", {}, **said)
    assert accepted.answers == [(202, {"status": "OK"}, {"Lambda-Extension-Identifier": me})]
    assert host.heard == [("a", "Own.Kind", "Extension.InitError")]
    # After that nothing succeeds.
    for method, path in (("POST", "exit/error"), ("POST", "init/error"), ("GET", "event/next")):
        assert host.ask(method, path, **said).error == (403, "Extension.InvalidExtensionState")


def test_init_errors_belong_to_init(host: Host) -> None:
    host.extensions.begin([])
    me = id_of(host.register("a"))
    host.extensions.open = False
    said = {"Lambda_Extension_Identifier": me, "Lambda_Extension_Function_Error_Type": "Own.Kind"}
    assert host.ask("POST", "init/error", **said).error == (403, "Extension.InvalidExtensionState")
    assert host.ask("POST", "exit/error", **said).answers[0][0] == 202


def test_other_paths_and_methods(host: Host) -> None:
    assert host.ask("GET", "register").answers[0][0] == 405
    assert host.ask("POST", "event/next").answers[0][0] == 405
    assert host.ask("GET", "nothing").answers[0][0] == 404
