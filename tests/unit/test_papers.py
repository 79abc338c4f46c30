"""The papers say what the code does."""

import importlib.util
import re
from pathlib import Path

import click
import pytest

from pileus.app import SERVICES
from pileus.cli.start import command as start
from pileus.cloud.directory import load as load_service
from pileus.model import load

ROOT = Path(__file__).parents[2]
# What no client can call: services ask each other for it.
_ACTIONS = {"DiscoverEvent", "InvokeApiDestination", "OpenBroker"}


def test_the_list_of_operations_is_the_one_that_is_built() -> None:
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs" / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    generate = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(generate)
    assert (ROOT / "docs" / "operations.md").read_text() == generate.operations_page(), "run `make docs`"


@pytest.mark.parametrize(
    "service", [load_service(place) for place in SERVICES.values()], ids=lambda service: service.name
)
def test_a_manifest_names_only_operations_that_aws_has(service) -> None:
    assert set(service.operations) - _ACTIONS <= set(load(service.name).operations)


@pytest.mark.parametrize("place", SERVICES.values())
def test_every_service_has_its_page(place: str) -> None:
    package = place.partition(":")[0].rpartition(".")[0]
    assert ROOT.joinpath("src", *package.split("."), "README.md").exists()


def test_every_setting_of_start_is_in_the_readme() -> None:
    readme = (ROOT / "README.md").read_text()
    options = [name for one in start.params if isinstance(one, click.Option) and not one.hidden for name in one.opts]
    assert options
    assert [name for name in options if f"`{name}`" not in readme and f"{name}`" not in readme] == []


def test_links_between_the_papers_lead_somewhere() -> None:
    broken = [
        f"{page.name}: {target}"
        for page in [
            *ROOT.glob("*.md"),
            *ROOT.glob("docs/**/*.md"),
            *ROOT.glob("src/**/*.md"),
            *ROOT.glob("bench/*.md"),
        ]
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text())
        if not (page.parent / target).exists()
    ]
    assert broken == []
