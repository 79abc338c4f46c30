"""Schedules and groups, and their ARNs."""

from __future__ import annotations

from typing import NamedTuple

from pileus.cloud.context import Context
from pileus.cloud.manifest import Request
from pileus.kernel.arn import make_arn

DEFAULT = "default"


class ScheduleName(NamedTuple):
    account: str
    region: str
    group: str
    name: str

    @property
    def arn(self) -> str:
        return make_arn("scheduler", self.region, self.account, f"schedule/{self.group}/{self.name}")

    @property
    def group_arn(self) -> str:
        return group_arn(self.account, self.region, self.group)


def group_arn(account: str, region: str, name: str) -> str:
    return make_arn("scheduler", region, account, f"schedule-group/{name}")


def schedule_name(ctx: Context, request: Request) -> ScheduleName:
    return ScheduleName(ctx.account, ctx.region, request.get("GroupName") or DEFAULT, request["Name"])
