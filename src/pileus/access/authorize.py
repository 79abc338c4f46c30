"""Whether a call may be made, and AWS's answer where it may not.

Source: "Access denied error message examples" (IAM User Guide).
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Protocol

from pileus.access.contract import Guard, Identities, Scoped
from pileus.access.errors import Family
from pileus.access.evaluate import ALLOWED, Decision, IdentityPolicies, evaluate
from pileus.access.policy import Policy, compile_policy
from pileus.access.request import Call, Circumstances
from pileus.kernel.errors import AWSError
from pileus.kernel.principal import Principal
from pileus.kernel.settings import IamMode
from pileus.store.contract import Reader

log = logging.getLogger("pileus.access")

# The policies of the resource that is asked for: one document, or several where a call concerns several resources.
ResourcePolicies = Callable[[], Awaitable[dict[str, Any] | Sequence[dict[str, Any] | Scoped] | Guard | None]]


class Needed(Protocol):
    """A permission that a call needs."""

    @property
    def action(self) -> str: ...

    @property
    def resource(self) -> str: ...

    @property
    def conditions(self) -> Mapping[str, str | list[str]]: ...


async def authorize(
    principal: Principal,
    needed: Sequence[Needed],
    *,
    account: str,
    circumstances: Circumstances,
    reader: Reader,
    identities: Identities,
    resource_policies: ResourcePolicies | None,
    family: Family,
    mode: IamMode,
) -> None:
    """Raise AWS's error unless every permission is given.

    `account` owns what is asked for where neither its ARN nor a `Guard` says who does. `resource_policies` is only
    awaited where it can matter.
    """
    if mode == "off":
        return
    if resource_policies is None and is_own_root(principal, account, needed):
        return
    identity, session = IdentityPolicies(), None
    resources: list[tuple[Policy, Scoped | None]] = []
    owners: Mapping[str, str] = {}
    gates: dict[str, Policy] = {}
    if principal.kind in ("user", "role", "federated"):
        identity = await identities.policies(principal, reader)
    if principal.session_policies or principal.kind == "federated":
        session = [compile_policy(document) for document in principal.session_policies]
    if resource_policies is not None:
        found = await resource_policies()
        if isinstance(found, Guard):
            gates = {arn: compile_policy(document) for arn, document in found.gates.items()}
            owners, found = found.owners, found.documents
        if found is not None:
            resources = [_compiled(one) for one in ([found] if isinstance(found, dict) else found)]
    for one in needed:
        owner = owners.get(one.resource) or owners.get(one.resource.partition("/")[0]) or _owner(one.resource, account)
        call = Call(principal, one.action, one.resource, one.conditions, circumstances, owner)
        same_account = principal.account == owner
        if same_account and resource_policies is None and session is None and principal.kind != "root":
            decision = identity.decide(call)
        else:
            about = [policy for policy, scope in resources if scope is None or scope.concerns(one.resource)]
            decision = evaluate(call, identity, about, session, same_account=same_account)
            gate = (gates.get(one.resource) or gates.get(one.resource.partition("/")[0])) if gates else None
            if gate is not None and decision.allowed:
                decision = evaluate(call, identity, [gate], session, same_account=False)
        if decision is not ALLOWED and not decision.allowed:
            if mode == "audit":
                log_denial(call, decision)
            else:
                raise access_denied(call, decision, family, same_account=same_account)


def _compiled(document: dict[str, Any] | Scoped) -> tuple[Policy, Scoped | None]:
    """A policy, and what alone it has a say about."""
    return (
        (compile_policy(document.document), document)
        if isinstance(document, Scoped)
        else (compile_policy(document), None)
    )


def is_own_root(principal: Principal, account: str, needed: Sequence[Needed]) -> bool:
    """Whether the root of an account asks for what is that account's: no policy has a say."""
    own = principal.account
    if principal.kind != "root":
        return False
    for one in needed:  # noqa: SIM110 -- a generator costs every call more than its single permission
        if _owner(one.resource, account) != own:
            return False
    return True


@lru_cache(4096)
def _owner(resource: str, account: str) -> str:
    """The account of a resource: its ARN's, where it has one."""
    parts = resource.split(":", 5)
    if len(parts) == 6 and len(parts[4]) == 12 and parts[4].isdigit():
        return parts[4]
    return account


def log_denial(call: Call, decision: Decision) -> None:
    """Log what would be denied if policies were enforced."""
    details = {
        "principal": caller(call.principal),
        "action": call.action,
        "resource": call.resource,
        "because": reason(call, decision),
    }
    log.warning("would be denied", extra={"details": details})


def caller(principal: Principal) -> str:
    """How error messages call a principal."""
    return principal.arn or principal.service or "anonymous"


def reason(call: Call, decision: Decision) -> str:
    """The end of AWS's sentence: which policy denies, or which would have had to allow."""
    if decision.explicit:
        return f"with an explicit deny in {decision.policy}"
    kind = decision.policy.partition(" ")[2]
    return f"because no {kind} allows the {_shown(call.action)} action"


# Services whose messages write actions differently than policies do.
_SHOWN: dict[str, Callable[[str], str]] = {"sqs": str.lower, "sns": lambda action: "SNS:" + action.partition(":")[2]}


def _shown(action: str) -> str:
    show = _SHOWN.get(action.partition(":")[0])
    return show(action) if show is not None else action


def access_denied(call: Call, decision: Decision, family: Family, *, same_account: bool = True) -> AWSError:
    """AWS's refusal of `call`, in the words and under the code of its service."""
    principal, action = call.principal, _shown(call.action)
    service = action.partition(":")[0].lower()
    who = caller(principal)
    if family == "s3":
        if principal.kind == "anonymous" or not same_account:
            return AWSError("AccessDenied", "Access Denied", status=403)
        message = (
            f'User: {who} is not authorized to perform: {action} on resource: "{call.resource}" '
            f"{reason(call, decision)}"
        )
        return AWSError("AccessDenied", message, status=403)
    message = (
        f"User: {who} is not authorized to perform: {action} on resource: {call.resource} {reason(call, decision)}"
    )
    if family == "ec2":
        return AWSError(
            "UnauthorizedOperation", f"You are not authorized to perform this operation. {message}", status=403
        )
    if family == "query":
        return AWSError("AuthorizationError" if service == "sns" else "AccessDenied", message, status=403)
    # SQS kept the status of its query protocol when it learnt JSON.
    return AWSError("AccessDeniedException", message, status=403 if family == "rest-json" or service == "sqs" else 400)
