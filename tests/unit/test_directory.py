"""Services are loaded when they are needed."""

from __future__ import annotations

import asyncio
import sys
from types import ModuleType
from typing import Any

import pytest

from pileus.cloud.directory import Directory
from pileus.cloud.manifest import Service


@pytest.fixture
def places(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Two services, `one` and `two`, in a module of this test's."""
    module = ModuleType("directory_services")
    for name in ("one", "two"):
        setattr(module, name, Service(name=name, operations={}))
    monkeypatch.setitem(sys.modules, module.__name__, module)
    return {name: f"{module.__name__}:{name}" for name in ("one", "two")}


class Begun:
    """Remembers which services were begun; fails for those in `broken`."""

    def __init__(self, *broken: str) -> None:
        self.names: list[str] = []
        self.broken = set(broken)

    async def __call__(self, service: Service) -> None:
        await asyncio.sleep(0)
        if service.name in self.broken:
            raise RuntimeError(f"{service.name} is broken")
        self.names.append(service.name)


CLOUD: Any = None


async def test_a_service_is_begun_once_however_many_ask_at_once(places: dict[str, str]) -> None:
    begun = Begun()
    directory = Directory(places, CLOUD, begun)
    found = await asyncio.gather(*(directory.find("one") for _ in range(5)))
    assert {service.name for service in found if service} == {"one"}
    assert begun.names == ["one"]
    assert await directory.find("three") is None
    assert directory.names == ["one", "two"]


async def test_who_asked_first_may_go_away(places: dict[str, str]) -> None:
    begun = Begun()
    directory = Directory(places, CLOUD, begun)
    first = asyncio.ensure_future(directory.find("one"))
    await asyncio.sleep(0)
    first.cancel()
    service = await directory.find("one")
    assert service is not None
    assert begun.names == ["one"]


async def test_a_service_that_cannot_start_holds_up_no_other_and_is_tried_again(places: dict[str, str]) -> None:
    begun = Begun("one")
    directory = Directory(places, CLOUD, begun)
    assert [service.name for service in await directory.find_all()] == ["two"]
    with pytest.raises(RuntimeError, match="one is broken"):
        await directory.find("one")
    begun.broken.clear()
    assert await directory.find("one") is not None


async def test_what_one_needs_for_its_last_words_is_started_and_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    stopped: list[str] = []

    async def stop_one(_cloud: Any) -> None:
        assert await directory.find("two") is not None
        stopped.append("one")

    async def stop_two(_cloud: Any) -> None:
        stopped.append("two")

    module: Any = ModuleType("directory_services")
    module.one = Service(name="one", operations={}, stop=stop_one)
    module.two = Service(name="two", operations={}, stop=stop_two)
    monkeypatch.setitem(sys.modules, module.__name__, module)
    directory = Directory({name: f"{module.__name__}:{name}" for name in ("one", "two")}, CLOUD, Begun())
    await directory.find("one")
    await directory.stop()
    assert stopped == ["one", "two"]
    assert await directory.find("two") is None


async def test_nothing_is_started_after_the_stop(places: dict[str, str]) -> None:
    begun = Begun()
    directory = Directory(places, CLOUD, begun)
    await directory.find("one")
    await directory.stop()
    assert await directory.find("two") is None
    assert await directory.find("one") is None
    assert begun.names == ["one"]
