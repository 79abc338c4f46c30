"""What EventBridge does before it knows whether the caller may do what it asks for."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

from pileus.cloud.manifest import Kind
from pileus.services.events.service import SERVICE


def test_no_rules_are_read_before_events_may_be_put() -> None:
    """A stranger who names many buses must not push the rules of others out of memory."""
    # Who looks into the store or into the parts of such a cloud fails.
    ctx: Any = SimpleNamespace(operation="PutEvents", account="1", region="us-east-1", cloud=object())
    request = {"Entries": [{"EventBusName": "arn:aws:events:us-east-1:222233334444:event-bus/others"}]}
    assert SERVICE.resolve is not None
    asyncio.run(SERVICE.resolve(ctx, request))
    # Authorized, then run, as it reads them.
    assert SERVICE.operations["PutEvents"].kind is Kind.FREE
    assert SERVICE.operations["PutEvents"].resource_policy is not None
