"""The order application, from the order to the dead letter and back, on a real node."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

ORDERS = Path(__file__).parents[2] / "examples" / "orders" / "app.py"


def test_orders_are_placed_shipped_and_billed(aws: Any) -> None:
    spec = importlib.util.spec_from_file_location("orders_app", ORDERS)
    assert spec is not None
    assert spec.loader is not None
    app = sys.modules["orders_app"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(app)
    steps: list[str] = []
    app.run(app.Orders(aws.client, lambda what, text: steps.append(what)))
    assert steps[-3:] == ["dead letter", "moved back", "removed"]
    assert aws.client("lambda").list_functions()["Functions"] == []
    assert aws.client("sns").list_topics()["Topics"] == []
    assert aws.client("sqs").list_queues().get("QueueUrls", []) == []
