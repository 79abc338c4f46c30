"""Who is behind an access key and what a principal may do, for the authentication and authorization of every call.

What was read is kept in memory. A change made on this node is seen by the next call; one made on another node within
`FRESH_S`, as IAM at AWS is eventually consistent too.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, TypeVar

from pileus.access.authenticate import root_principal
from pileus.access.contract import AssumableRole, Credential, Identities
from pileus.access.evaluate import IdentityPolicies
from pileus.access.policy import Policy, compile_policy
from pileus.cloud.context import Cloud
from pileus.kernel.arn import make_arn, parse_arn
from pileus.kernel.principal import Principal
from pileus.services.iam import aws_policies, keys
from pileus.services.iam.records import AccessKey, Entity, Group, KeyUse, Role, User, decode
from pileus.services.iam.records import Policy as ManagedPolicy
from pileus.store.contract import Reader

# What was read longer ago is read again.
FRESH_S = 5.0
_ENTRIES_MAX = 20_000

E = TypeVar("E", bound=Entity)
_KINDS: dict[type[Entity], keys.Kind] = {User: "user", Group: "group", Role: "role"}

_EVERYTHING = IdentityPolicies(
    [compile_policy('{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}')]
)
_NOTHING = IdentityPolicies()


class _Entry(NamedTuple):
    account: str
    read: float
    value: Any


class IamIdentities(Identities):
    """The node's own; puts itself into `cloud.parts`."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self._entries: dict[str, _Entry] = {}
        # Grows with every change: what was read before one is not kept after it.
        self._generation = 0
        # Access key id -> its last use, until the loop has written it down.
        self.uses: dict[str, KeyUse] = {}
        cloud.parts[Identities] = cloud.parts[IamIdentities] = self

    def forget(self, account: str) -> None:
        """Something of `account` was changed."""
        self._generation += 1
        self._entries = {name: entry for name, entry in self._entries.items() if entry.account != account}

    def _known(self, name: str) -> _Entry | None:
        entry = self._entries.get(name)
        if entry is not None and self._cloud.clock.monotonic() - entry.read < FRESH_S:
            return entry
        return None

    def _keep(self, name: str, account: str, value: Any, generation: int) -> None:
        if generation != self._generation:
            return
        if len(self._entries) >= _ENTRIES_MAX:
            self._entries.clear()
        self._entries[name] = _Entry(account, self._cloud.clock.monotonic(), value)

    # -- access keys

    async def credential(self, access_key_id: str) -> Credential | None:
        entry = self._known(access_key_id)
        if entry is not None:
            known: Credential = entry.value
            return known
        generation = self._generation
        found = await self._cloud.store.read(lambda tx: _credential(tx, access_key_id))
        if found is not None:
            self._keep(access_key_id, found.principal.account, found, generation)
        return found

    def used(self, access_key_id: str, *, service: str, region: str, now: float) -> None:
        use = self.uses.get(access_key_id)
        # AWS tells the last use to the minute at best; the first in each second is enough.
        if use is None or now - use.when >= 1 or (use.service, use.region) != (service, region):
            self.uses[access_key_id] = KeyUse(when=now, service=service, region=region)

    # -- policies

    async def policies(self, principal: Principal, reader: Reader) -> IdentityPolicies:
        arn = principal.role_arn or principal.arn
        entry = self._known(arn)
        if entry is None:
            generation = self._generation
            id, found = await _policies(reader, arn)
            self._keep(arn, principal.account, (id, found), generation)
        else:
            id, found = entry.value
        if principal.kind == "federated":
            return found
        # A user or role made anew under an old name is another one.
        return found if principal.id.partition(":")[0] == id else _NOTHING

    async def assumable_role(self, role_arn: str, reader: Reader) -> AssumableRole | None:
        arn = parse_arn(role_arn)
        if arn is None or arn.service != "iam" or not arn.resource.startswith("role/"):
            return None
        role = await _find(reader, arn.account, Role, role_arn.rpartition("/")[2])
        if role is None or make_arn("iam", "", arn.account, f"role{role.path}{role.name}") != role_arn:
            return None
        return AssumableRole(role_arn, role.id, compile_policy(role.trust), role.max_session_s, role.tags)

    async def managed_policy(self, arn: str, reader: Reader) -> str | None:
        return await _document(reader, arn)


async def _credential(tx: Reader, access_key_id: str) -> Credential | None:
    raw = await tx.get(keys.access_key(access_key_id))
    if raw is None:
        return None
    key = decode(raw, AccessKey)
    if not key.active:
        return None
    user = await _find(tx, key.account, User, key.user)
    if user is None:
        return None
    principal = Principal(
        kind="user",
        account=key.account,
        arn=make_arn("iam", "", key.account, f"user{user.path}{user.name}"),
        id=user.id,
        name=user.name,
        access_key_id=key.id,
        tags=user.tags,
    )
    return Credential(key.secret, principal)


async def _policies(tx: Reader, text: str) -> tuple[str, IdentityPolicies]:
    """The unique id and the policies of the user or role of an ARN."""
    arn = parse_arn(text)
    if arn is None:
        return "", _NOTHING
    if text == root_principal(arn.account).arn:
        return "", _EVERYTHING
    kind, _, rest = arn.resource.partition("/")
    name = rest.rpartition("/")[2]
    entity: User | Role | None
    if kind == "role":
        entity = await _find(tx, arn.account, Role, name)
    else:
        entity = await _find(tx, arn.account, User, name)
    if entity is None:
        return "", _NOTHING
    found = await _of_entity(tx, entity)
    if isinstance(entity, User):
        for group_name in entity.groups:
            group = await _find(tx, arn.account, Group, group_name)
            if group is not None:
                found += await _of_entity(tx, group)
    boundary = await _compiled(tx, [entity.boundary]) if entity.boundary else None
    return entity.id, IdentityPolicies(found, boundary)


async def _of_entity(tx: Reader, entity: Entity) -> list[Policy]:
    return [compile_policy(document) for document in entity.inline.values()] + await _compiled(tx, entity.attached)


async def _compiled(tx: Reader, arns: Sequence[str]) -> list[Policy]:
    documents = [await _document(tx, arn) for arn in arns]
    return [compile_policy(document) for document in documents if document is not None]


async def _document(tx: Reader, text: str) -> str | None:
    arn = parse_arn(text)
    if arn is None:
        return None
    if arn.account == "aws":
        provided = aws_policies.find(text)
        return None if provided is None else provided.document
    raw = await tx.get(keys.entity(arn.account, "policy", text.rpartition("/")[2]))
    if raw is None:
        return None
    policy = decode(raw, ManagedPolicy)
    return policy.versions[policy.default].document if policy.arn == text else None


async def _find(tx: Reader, account: str, kind: type[E], name: str) -> E | None:
    raw = await tx.get(keys.entity(account, _KINDS[kind], name))
    return None if raw is None else decode(raw, kind)
