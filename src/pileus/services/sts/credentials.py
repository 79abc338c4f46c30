"""How answers show temporary credentials."""

from __future__ import annotations

from pileus.access.sessions import TemporaryCredentials
from pileus.cloud.manifest import Answer


def credentials_answer(issued: TemporaryCredentials) -> Answer:
    return {
        "AccessKeyId": issued.access_key_id,
        "SecretAccessKey": issued.secret_access_key,
        "SessionToken": issued.session_token,
        "Expiration": issued.expiration,
    }
