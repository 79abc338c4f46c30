"""What a message may be made of, and the digests of it.

Sources: "Amazon SQS message quotas", "Calculating the MD5 message digest for message attributes" (Amazon SQS Developer
Guide).
"""

from __future__ import annotations

import re
import struct
from hashlib import md5
from typing import Any

from pileus.services.sqs import errors

ATTRIBUTES_MAX = 10
# Of a whole batch, whatever the queue's own limit.
BATCH_BYTES_MAX = 1048576
BODY_BAD = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
# Every byte as itself, but for the controls that no body may have.
_PLAIN = bytes(255 if number < 32 and number not in b"\t\n\r" else number for number in range(256))
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,256}")
_ID = re.compile(r"[A-Za-z0-9!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~]{1,128}")
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?")
_LENGTH = struct.Struct(">I")
_FIELDS = {"String": "StringValue", "Number": "StringValue", "Binary": "BinaryValue"}

Attributes = dict[str, dict[str, Any]]


def check_body(body: str, data: bytes) -> None:
    """`data`: the body in UTF-8."""
    if body.isascii() and data.translate(_PLAIN) == data:
        # Most bodies, at a fraction of the time.
        return
    bad = BODY_BAD.search(body)
    if bad is not None:
        raise errors.bad_character(bad[0], "message body")


def check_id(value: str, parameter: str) -> None:
    """Message group ids and deduplication ids."""
    if not _ID.fullmatch(value):
        raise errors.invalid_value(
            value,
            parameter,
            f"{parameter} can only include alphanumeric and punctuation characters. 1 to 128 in length.",
        )


def check_attributes(attributes: Attributes, kind: str = "user") -> Attributes:
    """The attributes as they are kept. `kind`: "user" or "system"."""
    if len(attributes) > ATTRIBUTES_MAX:
        raise errors.invalid(
            f"Number of message attributes [{len(attributes)}] exceeds the allowed maximum [{ATTRIBUTES_MAX}]."
        )
    return {name: _check_attribute(name, value, kind) for name, value in attributes.items()}


def _check_attribute(name: str, value: dict[str, Any], kind: str) -> dict[str, Any]:
    if not name:
        raise errors.invalid("The message attribute name must not be empty.")
    if len(name) > 256:
        raise errors.invalid(f"Length of message attribute name must be less than 256 bytes. Name {name} is too long.")
    lower = name.lower()
    if not _NAME.fullmatch(name) or name.startswith(".") or name.endswith(".") or ".." in name:
        raise errors.invalid(
            f"The message attribute name '{name}' is invalid. Attribute name can contain A-Z, a-z, 0-9, "
            "underscore (_), hyphen (-), and period (.) characters."
        )
    if lower.startswith(("aws.", "amazon.")):
        raise errors.invalid(
            f"The message attribute name '{name}' is invalid. Attribute name can not start with AWS. or Amazon."
        )
    data_type = value.get("DataType", "")
    if not data_type:
        raise errors.invalid(f"The message attribute '{name}' must contain non-empty message attribute type.")
    base = data_type.partition(".")[0]
    field = _FIELDS.get(base)
    if field is None or len(data_type) > 256:
        raise errors.invalid(
            f"The message attribute '{name}' has an invalid message attribute type, the set of supported type "
            "prefixes is Binary, Number, and String."
        )
    if value.get("StringListValues") or value.get("BinaryListValues"):
        raise errors.invalid("Message attribute list values in SendMessage operation are not supported.")
    other = "BinaryValue" if field == "StringValue" else "StringValue"
    if other in value and field not in value:
        shown = "Binary" if base == "Binary" else "String"
        raise errors.invalid(f"The message attribute '{name}' with type '{base}' must use field '{shown}'.")
    content = value.get(field)
    if not content:
        raise errors.invalid(f"Message ({kind}) attribute '{name}' must contain a non-empty value of type '{base}'.")
    if base == "Number" and not _is_number(content):
        raise errors.invalid(f"Can't cast the value of message ({kind}) attribute '{name}' to a number.")
    if field == "StringValue":
        bad = BODY_BAD.search(content)
        if bad is not None:
            raise errors.bad_character(bad[0], f"message attribute '{name}'")
    return {"DataType": data_type, field: content}


def _is_number(text: str) -> bool:
    return len(text) <= 256 and _NUMBER.fullmatch(text.strip()) is not None


def attributes_bytes(attributes: Attributes) -> int:
    """What attributes count towards a message's size: names, types and values."""
    size = 0
    for name, value in attributes.items():
        size += len(name.encode()) + len(value["DataType"].encode())
        size += len(value["StringValue"].encode()) if "StringValue" in value else len(value["BinaryValue"])
    return size


def attributes_md5(attributes: Attributes) -> str:
    digest = md5(usedforsecurity=False)
    for name in sorted(attributes):
        value = attributes[name]
        for text in (name, value["DataType"]):
            data = text.encode()
            digest.update(_LENGTH.pack(len(data)) + data)
        if "StringValue" in value:
            data = value["StringValue"].encode()
            digest.update(b"\x01" + _LENGTH.pack(len(data)) + data)
        else:
            data = value["BinaryValue"]
            digest.update(b"\x02" + _LENGTH.pack(len(data)) + data)
    return digest.hexdigest()


def body_md5(data: bytes) -> str:
    return md5(data, usedforsecurity=False).hexdigest()
