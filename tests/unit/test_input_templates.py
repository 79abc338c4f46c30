"""What input templates may come to: thousands of variables, each for a whole event, would be gigabytes."""

from __future__ import annotations

from typing import Any
from unittest.mock import Mock

import pytest

from pileus.delivery.input_templates import OUTPUT_MAX, InvalidOutput
from pileus.services.events.inputs import make_input
from pileus.services.pipes import events
from pileus.services.pipes.names import PipeName


def made(template: str, event: dict[str, Any]) -> bytes:
    target = {"InputTransformer": {"InputPathsMap": {"a": "$"}, "InputTemplate": template}}
    return make_input(target, event, rule_arn="arn", rule_name="rule", ingested="now")


def test_a_rules_template_comes_to_no_more_than_targets_take() -> None:
    event = {"detail": "x" * 100_000}
    many = f"[{','.join(['<a>'] * 10)}]"
    assert len(made(many, event)) > 10 * 100_000
    for template in (f"[{','.join(['<a>'] * 2000)}]", '"' + "<a>" * 2000 + '"'):
        with pytest.raises(InvalidOutput):
            made(template, event)


def test_a_pipes_templates_come_to_no_more_than_targets_take() -> None:
    at, pipe = PipeName("000000000000", "us-east-1", "p"), Mock(source="s", target="t", enrichment="")

    def shaped(template: str, batch: list[dict[str, Any]]) -> list[Any]:
        return events.all_shaped(at, pipe, template, batch, 0.0)

    event = {"body": "x" * 1000}
    assert shaped("", [event]) == [event]
    assert shaped('{"b": <$.body>}', [event, {"body": "y"}]) == [{"b": "x" * 1000}, {"b": "y"}]
    assert shaped("plain <$.body>", [{"body": "y"}]) == ['plain "y"']
    with pytest.raises(InvalidOutput):
        shaped("<$.body>" * 1000, [{"body": "x" * (OUTPUT_MAX // 500)}])
    # Each by itself is small enough.
    with pytest.raises(InvalidOutput):
        shaped("<$.body>" * 1000, [event] * 100)
