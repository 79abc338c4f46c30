"""One question to the policies: may this caller do this to that, and what is known of the circumstances.

Source: "AWS global condition context keys" (IAM User Guide).
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from pileus.kernel.principal import Principal

# Services that still say aws:SourceOwner, which the policies that topics begin with ask for ("Amazon SNS policy keys").
_SOURCE_OWNERS = frozenset({"cloudwatch.amazonaws.com"})
_PRINCIPAL_TYPES = {
    "root": "Account",
    "user": "User",
    "role": "AssumedRole",
    "federated": "FederatedUser",
    "anonymous": "Anonymous",
}


class Circumstances(NamedTuple):
    """What a request says beside what it asks for; from inside Pileus most of it is empty."""

    region: str = ""
    # Seconds since the epoch.
    now: float = 0.0
    source_ip: str = ""
    user_agent: str = ""
    secure: bool = False
    referer: str = ""
    # The service that calls in the name of the principal, if any: "cloudformation.amazonaws.com".
    called_via: tuple[str, ...] = ()


class Call:
    """An action of a principal on a resource."""

    __slots__ = (
        "_cache",
        "_circumstances",
        "_conditions",
        "_owner",
        "action",
        "action_lower",
        "principal",
        "resource",
    )

    def __init__(
        self,
        principal: Principal,
        action: str,
        resource: str,
        conditions: Mapping[str, str | list[str]],
        circumstances: Circumstances,
        owner: str = "",
    ) -> None:
        self.principal = principal
        self.action = action
        self.action_lower = action.lower()
        self.resource = resource
        self._conditions = conditions
        self._circumstances = circumstances
        # The account of the resource, where that is known.
        self._owner = owner
        self._cache: dict[str, Sequence[str] | None] | None = None

    @property
    def looked_up(self) -> bool:
        """Whether any condition key was asked for yet."""
        return self._cache is not None

    def lookup(self, name: str) -> Sequence[str] | None:
        """The values of the condition key `name` (lower-case), or None where the request has no such key."""
        cache = self._cache
        if cache is None:
            cache = self._cache = {
                key.lower(): [value] if isinstance(value, str) else value for key, value in self._conditions.items()
            }
        if name not in cache:
            cache[name] = self._global_key(name)
        return cache[name]

    def _global_key(self, name: str) -> Sequence[str] | None:
        if name == "s3:accessgrantsinstancearn":
            # Said by the session, not by the request: roles that grants use are open to these alone.
            return [self.principal.grants_instance] if self.principal.grants_instance else None
        if not name.startswith("aws:"):
            return None
        if name == "aws:resourceaccount":
            return [self._owner] if self._owner else None
        name = name[4:]
        if name.startswith("principaltag/"):
            wanted = name[13:]
            tags = self.principal.tags
            return next(([value] for key, value in tags.items() if key.lower() == wanted), None)
        value: str | list[str] | None = self._principal_key(name)
        if value is None:
            value = self._circumstance(name)
        if value is None or isinstance(value, list):
            return value
        return [value] if value else None

    def _principal_key(self, name: str) -> str | None:
        principal = self.principal
        service = principal.kind == "service"
        if name == "principalarn":
            # A session's role, without the session: what policies are written with.
            return principal.role_arn if principal.kind == "role" else principal.arn
        if name == "principalaccount":
            return "" if service else principal.account
        if name == "principaltype":
            return _PRINCIPAL_TYPES.get(principal.kind, "")
        if name == "userid":
            return "anonymous" if principal.kind == "anonymous" else principal.id
        if name == "username":
            return principal.name if principal.kind == "user" else ""
        if name == "principalisawsservice":
            return "true" if service else "false"
        if name in ("principalservicename", "principalservicenameslist"):
            return principal.service if service else ""
        if name == "sourcearn":
            return principal.source_arn
        if name == "sourceaccount":
            return principal.source_account
        if name == "sourceowner":
            return principal.source_account if principal.service in _SOURCE_OWNERS else ""
        if name == "sourceidentity":
            return principal.source_identity
        if name == "tokenissuetime":
            return _iso(principal.issued) if principal.issued else ""
        return None

    def _circumstance(self, name: str) -> str | list[str] | None:
        around = self._circumstances
        if name == "sourceip":
            return around.source_ip
        if name == "currenttime":
            return _iso(around.now)
        if name == "epochtime":
            return str(int(around.now))
        if name == "securetransport":
            return "true" if around.secure else "false"
        if name == "useragent":
            return around.user_agent
        if name == "referer":
            return around.referer
        if name == "requestedregion":
            return around.region
        if name == "viaawsservice":
            return "true" if around.called_via else "false"
        if name == "calledvia":
            return list(around.called_via) or None
        if name == "calledviafirst":
            return around.called_via[0] if around.called_via else None
        if name == "calledvialast":
            return around.called_via[-1] if around.called_via else None
        return None


def _iso(when: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(when))
