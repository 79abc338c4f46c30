"""Packages and refused calls, for Lambda's tests."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from typing import Any

import pytest

ECHO = "def handler(event, context):\n    return event\n"


def package(files: dict[str, str | bytes]) -> bytes:
    """A zip file of these."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return out.getvalue()


def caught(call: Callable[..., Any], **request: Any) -> tuple[str, int, str]:
    """Code, status and message of the error that a call must end with."""
    from botocore.exceptions import ClientError

    with pytest.raises(ClientError) as failure:
        call(**request)
    answer = failure.value.response
    return answer["Error"]["Code"], answer["ResponseMetadata"]["HTTPStatusCode"], answer["Error"].get("Message", "")
