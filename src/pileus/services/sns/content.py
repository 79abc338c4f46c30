"""What a message may be.

Sources: Publish and PublishBatch of the API reference, "Amazon SNS message attributes"; recorded answers.
"""

from __future__ import annotations

import re
from typing import Any

import orjson

from pileus.services.sns import errors

# Unless a topic says otherwise.
MESSAGE_BYTES_MAX = 256 * 1024
SUBJECT_CHARS_MAX = 100
ENTRIES_MAX = 10
# Printable ASCII that begins with a letter, a digit or punctuation.
_SUBJECT = re.compile(r"[!-~][ -~]*")
_NAME = re.compile(r"[A-Za-z0-9_.-]")
_ID = re.compile(r"[A-Za-z0-9!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~]{1,128}", re.ASCII)
_ENTRY_ID = re.compile(r"[A-Za-z0-9_-]*", re.ASCII)
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_FIELDS = {"String": "String", "Number": "String", "Binary": "Binary"}
# What begins so is for phones and devices: a queue takes no attribute of such a name.
RESERVED = "AWS.SNS."

Attributes = dict[str, dict[str, Any]]


def check_attributes(attributes: Attributes) -> Attributes:
    """The attributes as they are kept. Raises ParameterValueInvalid."""
    return {name: _check_attribute(name, value) for name, value in attributes.items()}


def _check_attribute(name: str, value: dict[str, Any]) -> dict[str, Any]:
    _check_name(name)
    data_type = value.get("DataType") or ""
    if not data_type:
        raise errors.bad_value(f"The message attribute '{name}' must contain non-empty message attribute type.")
    base = data_type.partition(".")[0]
    field = _FIELDS.get(base)
    if field is None or len(data_type) > 256:
        raise errors.bad_value(
            f"The message attribute '{name}' has an invalid message attribute type, the set of supported type prefixes "
            "is Binary, Number, and String."
        )
    other = "StringValue" if field == "Binary" else "BinaryValue"
    if value.get(other):
        raise errors.bad_value(f"The message attribute '{name}' with type '{data_type}' must use field '{field}'.")
    content = value.get(f"{field}Value")
    if not content:
        raise errors.bad_value(
            f"The message attribute '{name}' must contain non-empty message attribute value for message attribute type "
            f"'{data_type}'."
        )
    if base == "Number" and not _NUMBER.fullmatch(content.strip()):
        raise errors.bad_value(f"Could not cast message attribute '{name}' value to number.")
    return {"DataType": data_type, f"{field}Value": content}


def _check_name(name: str) -> None:
    if not name:
        raise errors.bad_value("Message attribute name can not be empty.")
    if len(name) > 256:
        raise errors.bad_value("Length of message attribute name must be less than 256 bytes.")
    for character in name:
        if not _NAME.match(character):
            raise errors.bad_value(
                f"Invalid non-alphanumeric character '#x{ord(character):X}' was found in the message attribute name. "
                "Can only include alphanumeric characters, hyphens, underscores, or dots."
            )
    if name.startswith("."):
        raise errors.bad_value("Invalid message attribute name starting with character '.' was found.")
    if name.endswith("."):
        raise errors.bad_value("Invalid message attribute name ending with character '.' was found.")
    if ".." in name:
        raise errors.bad_value("Message attribute name can not have successive '.' character.")


def size_of(body: str, attributes: Attributes) -> int:
    """What counts: the body, and names, types and values of the attributes; bytes."""
    size = len(body.encode())
    for name, value in attributes.items():
        size += len(name.encode()) + len(value["DataType"].encode())
        size += len(value["StringValue"].encode()) if "StringValue" in value else len(value["BinaryValue"])
    return size


def check_subject(subject: str | None) -> str:
    if subject is None:
        return ""
    if len(subject) >= SUBJECT_CHARS_MAX + 1 or not _SUBJECT.fullmatch(subject):
        raise errors.invalid("Subject")
    return subject


def bodies_of(message: str, structure: str | None, *, platform: str = "") -> dict[str, str]:
    """The bodies by protocol of a message whose structure is "json"; empty for others.

    Where it goes to one device, one for its platform is as good as a default. What is no text is not there.
    """
    if structure is None:
        return {}
    if structure != "json":
        raise errors.invalid_reason("MessageStructure", "only json is supported")
    try:
        bodies = orjson.loads(message)
    except orjson.JSONDecodeError:
        bodies = None
    if not isinstance(bodies, dict):
        raise errors.invalid("Message Structure - JSON message body failed to parse")
    texts = {name: body for name, body in bodies.items() if isinstance(body, str)}
    if platform and not {"default", platform} & texts.keys():
        raise errors.invalid(f"JSON must contain an entry for 'default' or '{platform}'.")
    if not platform and "default" not in texts:
        raise errors.invalid("Message Structure - No default entry in JSON message body")
    return texts


def check_id(value: str, parameter: str) -> None:
    """Message group ids and deduplication ids."""
    if not _ID.fullmatch(value):
        raise errors.invalid_reason(
            parameter,
            f"{parameter} can only include alphanumeric and punctuation characters. 1 to 128 in length",
        )


def check_entries(entries: list[dict[str, Any]]) -> None:
    """What is wrong with a batch as such."""
    if not entries:
        raise errors.empty_batch()
    if len(entries) > ENTRIES_MAX:
        raise errors.too_many_entries()
    ids = [entry["Id"] for entry in entries]
    for one in ids:
        if len(one) > 80:
            raise errors.entry_id_too_long(one)
        if not one or not _ENTRY_ID.fullmatch(one):
            raise errors.bad_entry_id(one)
    if len(set(ids)) != len(ids):
        raise errors.repeated_entry_id()
