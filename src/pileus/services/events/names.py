"""Buses and rules as requests name them, and the ARNs of everything."""

from __future__ import annotations

from typing import NamedTuple

from pileus.cloud.context import Context
from pileus.kernel.arn import make_arn, parse_arn
from pileus.services.events import errors

DEFAULT = "default"
# Rules of archives, as AWS shows who manages them.
ARCHIVES_MANAGER = "prod.vhs.events.aws.internal"


class BusName(NamedTuple):
    account: str
    region: str
    name: str

    @property
    def arn(self) -> str:
        return make_arn("events", self.region, self.account, f"event-bus/{self.name}")

    def rule_arn(self, rule: str) -> str:
        within = "" if self.name == DEFAULT else f"{self.name}/"
        return make_arn("events", self.region, self.account, f"rule/{within}{rule}")


def bus_name(ctx: Context, name: str | None) -> BusName:
    """The bus that a name or an ARN means; the default one without either."""
    if not name:
        return BusName(ctx.account, ctx.region, DEFAULT)
    if name.startswith("arn:"):
        return bus_of_arn(name)
    return BusName(ctx.account, ctx.region, name)


def bus_of_arn(text: str) -> BusName:
    arn = parse_arn(text)
    if arn is None or arn.service != "events" or not arn.resource.startswith("event-bus/"):
        raise errors.invalid("Parameter EventBusName is not valid. Reason: Provided Arn is not in correct format.")
    return BusName(arn.account, arn.region, arn.resource.removeprefix("event-bus/"))


class RuleName(NamedTuple):
    bus: BusName
    name: str

    @property
    def arn(self) -> str:
        return self.bus.rule_arn(self.name)


def rule_of_arn(text: str) -> RuleName | None:
    """The rule of an ARN: "rule/name" on the default bus, "rule/bus/name" on others."""
    arn = parse_arn(text)
    if arn is None or arn.service != "events" or not arn.resource.startswith("rule/"):
        return None
    bus, _, name = arn.resource.removeprefix("rule/").rpartition("/")
    return RuleName(BusName(arn.account, arn.region, bus or DEFAULT), name)


def source_arn(region: str, name: str) -> str:
    """Of a partner event source: nobody's account."""
    return make_arn("events", region, "", f"event-source/{name}")


def archive_arn(account: str, region: str, name: str) -> str:
    return make_arn("events", region, account, f"archive/{name}")


def replay_arn(account: str, region: str, name: str) -> str:
    return make_arn("events", region, account, f"replay/{name}")


def connection_arn(account: str, region: str, name: str, id: str) -> str:
    return make_arn("events", region, account, f"connection/{name}/{id}")


def api_destination_arn(account: str, region: str, name: str, id: str) -> str:
    return make_arn("events", region, account, f"api-destination/{name}/{id}")


def endpoint_arn(account: str, region: str, name: str) -> str:
    return make_arn("events", region, account, f"endpoint/{name}")
