"""Server-side encryption as requests ask for it: S3's own keys, or keys that the customer brings.

Sources: "Using server-side encryption with customer-provided keys (SSE-C)", "Protecting data with encryption" in the
Amazon S3 User Guide; recorded answers. How bytes are encrypted is in sealing.py.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping
from typing import Any

from pileus.kernel.errors import AWSError, NotBuilt
from pileus.services.s3 import errors, sealing
from pileus.services.s3.records import Bucket, CustomerKey

AES256 = "AES256"
_KMS = ("aws:kms", "aws:kms:dsse", "aws:fsx")
_ARGUMENT = "x-amz-server-side-encryption"
_WRONG = "Requests specifying Server Side Encryption with Customer provided keys must provide the correct secret key."
SOURCE = "CopySource"


def customer_key(request: Mapping[str, Any], prefix: str = "", *, reading: bool = False) -> bytes | None:
    """The key that a request brings; `prefix` `SOURCE`: that of the object which it copies."""
    algorithm = request.get(f"{prefix}SSECustomerAlgorithm")
    given = request.get(f"{prefix}SSECustomerKey")
    md5 = request.get(f"{prefix}SSECustomerKeyMD5")
    if algorithm is None and given is None and md5 is None:
        return None
    if not prefix and (other := request.get("ServerSideEncryption")) is not None:
        raise errors.invalid_argument(
            "Server Side Encryption with Customer provided key is incompatible with the encryption method specified",
            _ARGUMENT,
            str(other),
        )
    demand = "Requests specifying Server Side Encryption with Customer provided keys must provide "
    if not algorithm:
        raise errors.invalid_argument(demand + "a valid encryption algorithm.", _ARGUMENT)
    if algorithm != AES256:
        raise AWSError(
            "InvalidEncryptionAlgorithmError",
            "The Encryption request you specified is not valid. Supported value: AES256.",
            status=400,
            ArgumentName=_ARGUMENT,
            ArgumentValue=algorithm,
        )
    if not given:
        raise errors.invalid_argument(demand + "an appropriate secret key.", _ARGUMENT)
    if not md5:
        if reading:
            raise errors.access_denied(_WRONG)
        raise errors.invalid_argument(demand + "the client calculated MD5 of the secret key.", _ARGUMENT)
    try:
        key = base64.b64decode(given, validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != sealing.KEY_BYTES:
        raise errors.invalid_argument("The secret key was invalid for the specified algorithm.", _ARGUMENT)
    calculated = base64.b64encode(hashlib.md5(key, usedforsecurity=False).digest())
    if not hmac.compare_digest(calculated, md5.encode("utf-8", "replace")):
        raise errors.invalid_argument(
            "The calculated MD5 hash of the key did not match the hash that was provided.", _ARGUMENT
        )
    return key


def check_method(request: Mapping[str, Any], what: str) -> None:
    """`x-amz-server-side-encryption`: S3's own keys; those of KMS are refused by name."""
    given = request.get("ServerSideEncryption")
    if given in (None, AES256):
        if request.get("SSEKMSKeyId") is not None:
            raise errors.invalid_argument(
                "Server Side Encryption with AWS KMS managed key requires HTTP header x-amz-server-side-encryption : "
                "aws:kms",
                _ARGUMENT,
                given,
            )
        return
    if given not in _KMS:
        raise errors.invalid_argument("The encryption method specified is not supported", _ARGUMENT, given)
    raise NotBuilt(f"{what} with server-side encryption {given}")


def check_bucket(bucket: Bucket, request: Mapping[str, Any], what: str) -> None:
    """What the bucket's default encryption says about a write."""
    if not bucket.encryption:
        return
    rule = bucket.encryption[0]
    if request.get("SSECustomerAlgorithm") is not None:
        if "SSE-C" in ((rule.get("BlockedEncryptionTypes") or {}).get("EncryptionType") or ()):
            raise errors.access_denied("Server-side encryption with customer-provided keys (SSE-C) is blocked.")
        return
    default = rule.get("ApplyServerSideEncryptionByDefault")
    if default and default["SSEAlgorithm"] != AES256 and request.get("ServerSideEncryption") is None:
        raise NotBuilt(f"{what} into a bucket with default encryption {default['SSEAlgorithm']}")


def check_key(known: CustomerKey | None, key: bytes | None) -> None:
    """Whether a request brings the key of the object that it reads, and none where the object has none."""
    if known is None:
        if key is not None:
            raise errors.invalid_request("The encryption parameters are not applicable to this object.")
        return
    if key is None:
        raise errors.invalid_request(
            "The object was stored using a form of Server Side Encryption. The correct parameters must be provided to "
            "retrieve the object."
        )
    if not sealing.is_key(known, key):
        raise errors.access_denied(_WRONG)


def check_part_key(known: CustomerKey | None, key: bytes | None) -> None:
    """The same for the part of an upload, which has the key of its upload."""
    if (known is None) != (key is None):
        raise errors.invalid_request(
            "The multipart upload initiate requested encryption. Subsequent part requests must include the "
            "appropriate encryption parameters."
        )
    if known is not None and key is not None and not sealing.is_key(known, key):
        raise errors.invalid_request("The provided encryption parameters did not match the ones used originally.")


def shown(known: CustomerKey | None) -> dict[str, str]:
    """What answers say of an object's encryption."""
    if known is None:
        return {"ServerSideEncryption": AES256}
    return {"SSECustomerAlgorithm": AES256, "SSECustomerKeyMD5": known.md5}
