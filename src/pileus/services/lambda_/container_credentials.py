"""Credentials of snapshotted functions: SDKs ask for them on the Runtime API's port, and again before they end.

Source: "Using SnapStart with AWS SDKs" of the developer guide, "Container credential provider" of the SDKs' guide.
"""

from __future__ import annotations

import hmac
import json
from datetime import UTC, datetime

from pileus.kernel.errors import AWSError
from pileus.services.lambda_.execution import FunctionSpec
from pileus.services.lambda_.runtime_api import OtherCall

PATH = "/2021-04-23/credentials"


async def tell(call: OtherCall, spec: FunctionSpec, token: str) -> None:
    """Answer those who have the token."""
    if not hmac.compare_digest(call.headers.get("authorization", "").encode(), token.encode()):
        call.answer(404, b"cannot get credentials for token\n")
        return
    try:
        found = await spec.credentials()
    except AWSError as error:
        call.answer(403, json.dumps({"code": error.code, "message": error.message}).encode())
        return
    told = {
        "AccessKeyId": found.access_key_id,
        "SecretAccessKey": found.secret_access_key,
        "Token": found.session_token,
        "Expiration": datetime.fromtimestamp(found.expires, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
    call.answer(200, json.dumps(told).encode())
