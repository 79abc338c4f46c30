"""Pipes and their ARNs."""

from __future__ import annotations

from typing import NamedTuple

from pileus.kernel.arn import make_arn


class PipeName(NamedTuple):
    account: str
    region: str
    name: str

    @property
    def arn(self) -> str:
        return make_arn("pipes", self.region, self.account, f"pipe/{self.name}")
