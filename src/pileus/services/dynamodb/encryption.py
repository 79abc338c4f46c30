"""With which key a table is encrypted: AWS's own, which needs no word, or the one that AWS manages in the account.

Without KMS there are no keys of customers: none that is named is found. Which key a table has is a setting: what is
stored is stored as it is.

Sources: the API reference's pages SSESpecification, SSEDescription; "Quotas in Amazon DynamoDB" (changes of the key);
KMS's pages DescribeKey and "Key identifiers (KeyId)"; AWS's answers as users have told of them (the limit of changes,
`UPDATING`), and from memory what is said of a table that has the key already.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import NAMESPACE_URL, uuid5

import msgspec

from pileus.cloud.context import Context
from pileus.kernel.arn import make_arn
from pileus.services.dynamodb import errors, records

ALIAS = "alias/aws/dynamodb"
# Changes of the key that come whenever they like within a day; of those after them one every so many seconds.
FREE_CHANGES = 4
_APART_S = 21_600.0
_DAY_S = 86_400.0
_KEY_ID = re.compile(r"(?:mrk-)?[0-9a-fA-F-]{32,36}", re.ASCII)

Request = Mapping[str, Any]


def managed_key(account: str, region: str) -> str:
    """The ARN of the key that AWS manages for DynamoDB in an account: always the same there."""
    alias = make_arn("kms", region, account, ALIAS)
    return make_arn("kms", region, account, f"key/{uuid5(NAMESPACE_URL, alias)}")


def check_key(account: str, region: str, key: str) -> None:
    """Refuse a KMSMasterKeyId, unless it is that of the key that AWS manages."""
    arn = key if key.startswith("arn:") else ""
    if key.startswith("alias/"):
        arn = make_arn("kms", region, account, key)
    elif _KEY_ID.fullmatch(key):
        arn = make_arn("kms", region, account, f"key/{key}")
    if arn in (managed_key(account, region), make_arn("kms", region, account, ALIAS)):
        return
    if not arn:
        reason = f"Invalid keyId '{key}'"
    elif ":alias/" in arn:
        reason = f"Alias {arn} is not found."
    else:
        reason = f"Key '{arn}' does not exist"
    raise errors.validation(
        f"KMS validation error: com.amazonaws.services.kms.model.NotFoundException: {reason} "
        "(Service: AWSKMS; Status Code: 400; Error Code: NotFoundException)"
    )


def is_managed(ctx: Context, asked: Request) -> bool:
    """Whether an SSESpecification asks for the key that AWS manages; it cannot ask for any other."""
    key = asked.get("KMSMasterKeyId")
    if not asked.get("Enabled"):
        if key:
            raise errors.invalid("KMSMasterKeyId can only be specified if SSE is enabled")
        return False
    if asked.get("SSEType", "KMS") != "KMS":
        raise errors.invalid("The only valid SSEType is KMS")
    if key:
        if "SSEType" not in asked:
            raise errors.invalid("SSEType KMS is required if KMSMasterKeyId is specified")
        check_key(ctx.account, ctx.region, key)
    return True


def changed(ctx: Context, record: records.Table, asked: Request) -> records.Table:
    """The table with the key that UpdateTable asks for."""
    managed = is_managed(ctx, asked)
    if managed is record.managed_key:
        raise errors.invalid(f"Table is already encrypted by {'given KMSMasterKeyId' if managed else 'default'}")
    recent = tuple(at for at in record.key_changes if at > ctx.now - _DAY_S)
    if len(recent) >= FREE_CHANGES and ctx.now - recent[-1] < _APART_S:
        end = datetime.fromtimestamp(recent[0] + _DAY_S, UTC)
        raise errors.limit_exceeded(
            f"Encryption mode changes are limited in the 24h window ending at {end:%Y-%m-%dT%H:%M:%S}."
            f"{end.microsecond // 1000:03}Z. After the first {FREE_CHANGES} change, each subsequent change in the same "
            f"window can be performed at most once every {_APART_S:.0f} seconds. Number of updates today: {len(recent)}"
        )
    return msgspec.structs.replace(record, managed_key=managed, key_changes=(*recent, ctx.now))


def describe(account: str, region: str, record: records.Table, status: str = "ENABLED") -> dict[str, Any]:
    """As SSEDescription; of AWS's own key there is nothing to say."""
    if not record.managed_key:
        return {} if status == "ENABLED" else {"Status": status}
    return {"Status": status, "SSEType": "KMS", "KMSMasterKeyArn": managed_key(account, region)}
