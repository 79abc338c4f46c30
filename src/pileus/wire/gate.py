"""The node's authentication and authorization for what does not come through the pipeline: see `cloud.context.Gate`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pileus.access.authenticate import Keyring, find_credential
from pileus.access.authorize import authorize
from pileus.access.contract import Credential, Guard
from pileus.access.request import Circumstances
from pileus.cloud.context import Cloud
from pileus.cloud.manifest import Permission
from pileus.kernel.principal import Principal
from pileus.store.contract import Reader


class Gate:
    def __init__(self, cloud: Cloud, keyring: Keyring) -> None:
        self._cloud = cloud
        self._keyring = keyring

    async def credential(self, access_key_id: str, session_token: str) -> Credential:
        return await find_credential(
            access_key_id, session_token, family="json", keyring=self._keyring, now=self._cloud.clock.time()
        )

    async def allow(
        self,
        principal: Principal,
        action: str,
        resource: str,
        *,
        region: str = "",
        source_ip: str = "",
        user_agent: str = "",
        secure: bool = False,
        conditions: Mapping[str, str | list[str]] | None = None,
        policy: dict[str, Any] | Guard | None = None,
    ) -> None:
        async def policies() -> dict[str, Any] | Guard | None:
            return policy

        async def check(reader: Reader) -> None:
            await authorize(
                principal,
                (Permission(action, resource, conditions or {}),),
                account=principal.account,
                circumstances=Circumstances(region, self._cloud.clock.time(), source_ip, user_agent, secure),
                reader=reader,
                identities=self._keyring.identities,
                resource_policies=policies,
                family="rest-json",
                mode=self._cloud.settings.iam,
            )

        await self._cloud.store.read(check)
