"""What a request that cannot be read is answered with.

Sources of the wordings: API Gateway's recorded answers (`class java.lang.Boolean can not be converted to an String`);
what DynamoDB (`NUMBER_VALUE cannot be converted to String`) and CodeDeploy (`STRING_VALUE can not be converted to an
Integer`) answer in reports against AWS's own SDKs.
"""

from __future__ import annotations

from typing import Any

from pileus.kernel.errors import AWSError

# AWS's JSON reader came in three versions: one names the Java classes it met, the others the tokens.
_CLASS_WORDING = frozenset({"apigateway"})
_BARE_WORDING = frozenset({"dynamodb", "dynamodbstreams"})

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
        return serialization("Start of structure or map found where not expected")
    if isinstance(value, list):
        return serialization("Start of list found where not expected")
    if kind in ("list", "structure", "map"):
        return serialization("Unexpected field type")
    name = _TYPE_NAMES.get(kind, kind)
    if service in _CLASS_WORDING:
        return serialization(f"class {_java_class(value)} can not be converted to an {name}")
    if service in _BARE_WORDING:
        return serialization(f"{_token(value)} cannot be converted to {name}")
    return serialization(f"{_token(value)} can not be converted to {'an' if name == 'Integer' else 'a'} {name}")


def bad_base64(service: str, text: str) -> AWSError:
    if service in _BARE_WORDING and len(text) % 4:
        return serialization(f"Base64 encoded length is expected a multiple of 4 bytes but found: {len(text)}")
    return serialization("Invalid Base64 character" if service in _BARE_WORDING else "Unable to decode base64")
