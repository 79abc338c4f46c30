"""May this caller do this: all policies together.

Source: "Policy evaluation logic" with "How AWS enforcement code logic evaluates requests to allow or deny access" and
"Cross-account policy evaluation logic" (IAM User Guide).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from pileus.access.policy import Policy
from pileus.access.principals import Grant
from pileus.access.request import Call

IDENTITY = "an identity-based policy"
RESOURCE = "a resource-based policy"
BOUNDARY = "a permissions boundary"
SESSION = "a session policy"


class Decision(NamedTuple):
    allowed: bool
    # Where not allowed: the kind of policy that denies, or that would have had to allow.
    policy: str = ""
    # Whether it denies in so many words.
    explicit: bool = False


ALLOWED = Decision(True)

_REMEMBERED_MAX = 1024


class IdentityPolicies:
    """The policies attached to a principal, compiled.

    `boundary` None means that there is none; an empty one denies everything.
    """

    __slots__ = ("_remembered", "boundary", "identity")

    def __init__(self, identity: Sequence[Policy] = (), boundary: Sequence[Policy] | None = None) -> None:
        self.identity = identity
        self.boundary = boundary
        self._remembered: dict[tuple[str, str], Decision] = {}

    def decide(self, call: Call) -> Decision:
        """The decision where nothing but these has a say, on a resource of the same account.

        What depended on action and resource alone (on no condition, on no variable) is remembered.
        """
        key = (call.action, call.resource)
        known = self._remembered.get(key)
        if known is None:
            known = evaluate(call, self)
            if not call.looked_up:
                if len(self._remembered) >= _REMEMBERED_MAX:
                    self._remembered.clear()
                self._remembered[key] = known
        return known


def evaluate(
    call: Call,
    identity: IdentityPolicies,
    resource_policies: Sequence[Policy] = (),
    session: Sequence[Policy] | None = None,
    *,
    same_account: bool = True,
    must_be_named: bool = False,
) -> Decision:
    """The decision on one call.

    `session` None: there are no session policies; an empty one allows nothing. `must_be_named`: the resource's own
    policy has to allow in any case, as with the trust policy of a role.
    """
    kind = call.principal.kind
    grant = _grant(resource_policies, call)
    if grant is None:
        return Decision(False, RESOURCE, explicit=True)
    if kind in ("service", "anonymous"):
        return ALLOWED if grant > Grant.ACCOUNT else Decision(False, RESOURCE)
    # None: nothing of that kind denies, and nothing of it allows.
    own: bool | None = True if kind == "root" else decide(identity.identity, call)
    limits = [(SESSION, None if session is None else decide(session, call), session is not None)]
    if identity.boundary is not None:
        limits.append((BOUNDARY, decide(identity.boundary, call), True))
    if own is False:
        return Decision(False, IDENTITY, explicit=True)
    for name, verdict, _ in limits:
        if verdict is False:
            return Decision(False, name, explicit=True)
    if must_be_named and grant is Grant.NONE:
        return Decision(False, RESOURCE)
    if same_account and grant is Grant.DIRECT:
        return ALLOWED
    if not own and not (same_account and grant is Grant.LIMITED):
        return Decision(False, IDENTITY)
    for name, verdict, counts in limits:
        if counts and not verdict:
            return Decision(False, name)
    if not same_account and grant is Grant.NONE:
        return Decision(False, RESOURCE)
    return ALLOWED


def decide(policies: Iterable[Policy], call: Call) -> bool | None:
    """True where a statement allows and none denies, False where one denies, None where none says anything."""
    allowed = None
    for policy in policies:
        for statement in policy.statements:
            if allowed and statement.allow:
                continue
            if statement.applies(call):
                if not statement.allow:
                    return False
                allowed = True
    return allowed


def _grant(policies: Iterable[Policy], call: Call) -> Grant | None:
    """How resource-based policies name the caller; None where one of them denies."""
    best = Grant.NONE
    for policy in policies:
        for statement in policy.statements:
            grant = statement.grant(call)
            if grant is not Grant.NONE and (not statement.allow or grant > best) and statement.applies(call):
                if not statement.allow:
                    return None
                best = grant
    return best
