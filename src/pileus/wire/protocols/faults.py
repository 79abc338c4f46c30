"""What a request that cannot be read is answered with.

Sources of the wordings: the records of API Gateway (`class java.lang.Boolean can not be converted to an String`),
DynamoDB's and Kinesis's answers to wrong JSON types.
"""

from __future__ import annotations

from typing import Any

from pileus.kernel.errors import AWSError

# The services on the newer JSON reader, which names tokens; the others name the Java classes they met.
_TOKEN_WORDING = frozenset(
    {"dynamodb", "dynamodbstreams", "lambda", "sqs", "stepfunctions", "events", "scheduler", "pipes"}
)

_TYPE_NAMES = {
    "string": "String",
    "character": "String",
    "integer": "Integer",
    "long": "Long",
    "float": "Float",
    "double": "Double",
    "bigdecimal": "BigDecimal",
    "biginteger": "BigInteger",
    "boolean": "Boolean",
    "timestamp": "Date",
    "blob": "ByteBuffer",
}


def serialization(message: str | None = None) -> AWSError:
    """The request is not what its protocol's grammar or the operation's types allow."""
    return AWSError("SerializationException", message or "", status=400)


def _token(value: Any) -> str:
    if value is True:
        return "TRUE_VALUE"
    if value is False:
        return "FALSE_VALUE"
    if isinstance(value, str):
        return "STRING_VALUE"
    if isinstance(value, int):
        return "NUMBER_VALUE"
    return "DECIMAL_VALUE" if isinstance(value, float) else "BINARY_VALUE"


def _java_class(value: Any) -> str:
    if isinstance(value, bool):
        return "java.lang.Boolean"
    if isinstance(value, str):
        return "java.lang.String"
    return "com.amazon.coral.value.json.numbers.TruncatingBigNumber"


def wrong_type(service: str, kind: str, value: Any) -> AWSError:
    """A JSON value where the model has another type; `kind` is the model's."""
    if isinstance(value, dict):
        return serialization("Start of structure or map found where not expected.")
    if isinstance(value, list):
        return serialization("Start of list found where not expected")
    if kind == "list":
        return serialization("Unexpected field type" if service in _TOKEN_WORDING else "Expected list or null")
    if kind in ("structure", "map"):
        return serialization("Unexpected field type" if service in _TOKEN_WORDING else "Expected map or null")
    name = _TYPE_NAMES.get(kind, kind)
    if service in _TOKEN_WORDING:
        return serialization(f"{_token(value)} cannot be converted to {name}")
    return serialization(f"class {_java_class(value)} can not be converted to an {name}")


def bad_base64(service: str, text: str) -> AWSError:
    if service in _TOKEN_WORDING:
        if len(text) % 4:
            return serialization(f"Base64 encoded length is expected a multiple of 4 bytes but found: {len(text)}")
        return serialization("Invalid Base64 character")
    return serialization("Unable to decode base64")
