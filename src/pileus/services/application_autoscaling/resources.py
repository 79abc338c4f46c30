"""The capacity of what is scaled, read and set by the calls of the service that has it.

They are made as the account itself: the service-linked role of the target may do just this, whoever registered it.
"""

from __future__ import annotations

from typing import Any

from pileus.cloud.context import Cloud
from pileus.cloud.metrics import Metric, Series
from pileus.kernel.errors import AWSError
from pileus.kernel.principal import Principal
from pileus.services.application_autoscaling.names import Target

_CONSUMED = {kind: Metric("AWS/DynamoDB", f"Consumed{kind}CapacityUnits") for kind in ("Read", "Write")}
_UTILIZATION = Metric("AWS/Lambda", "ProvisionedConcurrencyUtilization", "Count", counted=False)
_GONE = frozenset(("ResourceNotFoundException", "ProvisionedConcurrencyConfigNotFoundException"))


async def _call(cloud: Cloud, at: Target, operation: str, request: dict[str, Any]) -> dict[str, Any]:
    return await cloud.call(owner(at), at.namespace, operation, request, region=at.region)


def owner(at: Target) -> Principal:
    return Principal(kind="root", account=at.account, arn=f"arn:aws:iam::{at.account}:root", id=at.account)


async def capacity(cloud: Cloud, at: Target) -> int | None:
    """What it has now (0: a table in on-demand mode, an alias without any); None where it does not exist."""
    if at.namespace == "lambda":
        name, alias = at.parts
        try:
            await _call(cloud, at, "GetAlias", {"FunctionName": name, "Name": alias})
            answer = await _call(cloud, at, "GetProvisionedConcurrencyConfig", _alias(at))
        except AWSError as error:
            if error.code == "ResourceNotFoundException":
                return None
            if error.code in _GONE:
                return 0
            raise
        found: int = answer["RequestedProvisionedConcurrentExecutions"]
        return found
    throughput = await _throughput(cloud, at)
    return None if throughput is None else throughput[f"{_kind(at)}CapacityUnits"]


def _alias(at: Target) -> dict[str, str]:
    name, alias = at.parts
    return {"FunctionName": name, "Qualifier": alias}


def _kind(at: Target) -> str:
    return "Read" if "Read" in at.dimension else "Write"


async def _throughput(cloud: Cloud, at: Target) -> dict[str, int] | None:
    """Both units of the table or index."""
    table, *index = at.parts
    try:
        described = (await _call(cloud, at, "DescribeTable", {"TableName": table}))["Table"]
    except AWSError as error:
        if error.code in _GONE:
            return None
        raise
    if index:
        indexes = described.get("GlobalSecondaryIndexes", ())
        described = next((each for each in indexes if each["IndexName"] == index[0]), None)
    if described is None:
        return None
    found = described["ProvisionedThroughput"]
    return {name: found[name] for name in ("ReadCapacityUnits", "WriteCapacityUnits")}


async def set_capacity(cloud: Cloud, at: Target, units: int) -> None:
    """Raises the service's own error where it does not take it."""
    if at.namespace == "lambda":
        if units:
            concurrency = {**_alias(at), "ProvisionedConcurrentExecutions": units}
            await _call(cloud, at, "PutProvisionedConcurrencyConfig", concurrency)
        else:
            await _call(cloud, at, "DeleteProvisionedConcurrencyConfig", _alias(at))
        return
    table, *index = at.parts
    throughput = {**(await _throughput(cloud, at) or {}), f"{_kind(at)}CapacityUnits": units}
    request: dict[str, Any] = {"TableName": table}
    if index:
        update = {"IndexName": index[0], "ProvisionedThroughput": throughput}
        request["GlobalSecondaryIndexUpdates"] = [{"Update": update}]
    else:
        request["ProvisionedThroughput"] = throughput
    await _call(cloud, at, "UpdateTable", request)


def series(cloud: Cloud, at: Target) -> Series:
    """What a target tracking policy looks at."""
    if at.namespace == "lambda":
        name, alias = at.parts
        dimensions = (("FunctionName", name), ("Resource", f"{name}:{alias}"))
        return cloud.metrics.series(_UTILIZATION, at.account, at.region, dimensions, shown=False)
    table, *index = at.parts
    dimensions = (("TableName", table), *((("GlobalSecondaryIndexName", index[0]),) if index else ()))
    return cloud.metrics.series(_CONSUMED[_kind(at)], at.account, at.region, dimensions)
