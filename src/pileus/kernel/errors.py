"""Errors that reach the caller.

    AWSError                    an answer in AWS's words: code, message, HTTP status
      NotBuilt                  the operation exists at AWS and not yet in Pileus

Services raise `AWSError` through the small functions of their own `errors.py`; everything else that escapes an
operation is a fault of Pileus and is answered as `InternalFailure`.
"""

from __future__ import annotations

from typing import Any


class AWSError(Exception):
    """An error as AWS answers it.

    `code` is the modelled shape's name (`ResourceNotFoundException`) or the bare wire code where the service has no
    shape for it (`AccessDenied`). `status` left `None` means: what the model says, else 400 (500 where `fault` is
    "server"). `members` are further members of the modelled error shape (`Type`, `BucketName`, `Reason`, ...).
    """

    def __init__(
        self,
        code: str,
        message: str = "",
        *,
        status: int | None = None,
        fault: str = "client",
        headers: dict[str, str] | None = None,
        **members: Any,
    ) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status
        self.fault = fault
        self.headers = headers or {}
        self.members = members


class NotBuilt(AWSError):
    """An operation (or a part of one) that AWS has and Pileus does not have yet; never a made-up success."""

    def __init__(self, what: str) -> None:
        super().__init__("NotImplemented", f"{what} is not implemented by Pileus.", status=501, fault="server")
