"""What access asks of whoever keeps users, keys and roles; the service iam implements it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from pileus.access.evaluate import IdentityPolicies
from pileus.access.policy import Policy
from pileus.kernel.principal import Principal
from pileus.store.contract import Reader


class Credential(NamedTuple):
    """What stands behind an access key id."""

    secret: str
    principal: Principal


class AssumableRole(NamedTuple):
    """What assuming a role needs to know of it."""

    arn: str
    # The unique id, AROA...
    id: str
    trust_policy: Policy
    max_session_s: int
    tags: Mapping[str, str]


class Identities:
    """What the service iam offers; the node's one is in `cloud.parts` under this type.

    `credential`, `used` and `policies` are on the way of every call: they answer from memory, and from the store only
    what they do not know.
    """

    async def credential(self, access_key_id: str) -> Credential | None:
        """The active long-term key (AKIA...) of that id, or None."""
        raise NotImplementedError

    def used(self, access_key_id: str, *, service: str, region: str, now: float) -> None:
        """Note that a request was signed with this key, for which service and region."""
        raise NotImplementedError

    async def policies(self, principal: Principal, reader: Reader) -> IdentityPolicies:
        """What is attached to a user (with its groups) or to a session's role; nothing where it is gone."""
        raise NotImplementedError

    async def assumable_role(self, role_arn: str, reader: Reader) -> AssumableRole | None:
        """The role of that ARN, path included, or None."""
        raise NotImplementedError

    async def managed_policy(self, arn: str, reader: Reader) -> str | None:
        """The document of a managed policy's default version, or None."""
        raise NotImplementedError


class Guard(NamedTuple):
    """The policies of resources whose ARNs do not name their account (S3's), and whose these are."""

    documents: Sequence[dict[str, Any]] = ()
    # Account by ARN, whole or as far as the first slash of it: "arn:aws:s3:::bucket".
    owners: Mapping[str, str] = {}
    # Policies that stand before resources (an access point's) and must allow a call, too; by ARN, as above.
    gates: Mapping[str, dict[str, Any]] = {}


class Scoped(NamedTuple):
    """A resource's policy that says nothing of others: for calls that concern several resources."""

    document: str
    # Its ARN; what lies in it has that and a slash before its own name.
    resource: str

    def concerns(self, resource: str) -> bool:
        return resource == self.resource or resource.startswith(f"{self.resource}/")
