"""Cross-origin resource sharing: which rule an origin, method and headers fall under.

Source: "Using cross-origin resource sharing (CORS)" in the Amazon S3 User Guide; recorded answers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pileus.kernel.errors import AWSError
from pileus.services.s3 import errors

_METHODS = ("GET", "PUT", "POST", "DELETE", "HEAD")
RULES_MAX = 100
VARY = "Origin, Access-Control-Request-Headers, Access-Control-Request-Method"


def check_rules(configuration: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    rules: Sequence[dict[str, Any]] = (configuration or {}).get("CORSRules") or ()
    if not rules or len(rules) > RULES_MAX:
        raise errors.malformed_xml()
    for rule in rules:
        if not rule.get("AllowedMethods") or not rule.get("AllowedOrigins"):
            raise errors.malformed_xml()
        for method in rule["AllowedMethods"]:
            if method not in _METHODS:
                raise errors.invalid_request(
                    f"Found unsupported HTTP method in CORS config. Unsupported method is {method}"
                )
        for origin in rule["AllowedOrigins"]:
            if origin.count("*") > 1:
                raise errors.invalid_request(f'AllowedOrigin "{origin}" can not have more than one wildcard.')
        for name in rule.get("AllowedHeaders") or ():
            if name.count("*") > 1:
                raise errors.invalid_request(f'AllowedHeader "{name}" can not have more than one wildcard.')
        for name in rule.get("ExposeHeaders") or ():
            if "*" in name:
                raise errors.invalid_request(
                    f'ExposeHeader "{name}" contains wildcard. We currently do not support wildcard for ExposeHeader.'
                )
    return [dict(rule) for rule in rules]


def _like(pattern: str, text: str) -> bool:
    head, star, tail = pattern.partition("*")
    if not star:
        return pattern == text
    return len(text) >= len(head) + len(tail) and text.startswith(head) and text.endswith(tail)


def find_rule(
    rules: Sequence[Mapping[str, Any]], origin: str, method: str, headers: Sequence[str]
) -> Mapping[str, Any] | None:
    """The first rule that allows all of it."""
    for rule in rules:
        if method not in rule["AllowedMethods"]:
            continue
        if not any(_like(pattern, origin) for pattern in rule["AllowedOrigins"]):
            continue
        allowed = [pattern.lower() for pattern in rule.get("AllowedHeaders") or ()]
        if all(any(_like(pattern, name) for pattern in allowed) for name in headers):
            return rule
    return None


def response_headers(rule: Mapping[str, Any], origin: str, headers: Sequence[str] = ()) -> dict[str, str]:
    """What an answer under `rule` carries; `headers` are those that a preflight asked for."""
    anyone = "*" in rule["AllowedOrigins"]
    found = {
        "Access-Control-Allow-Origin": "*" if anyone else origin,
        "Access-Control-Allow-Methods": ", ".join(rule["AllowedMethods"]),
    }
    if headers:
        found["Access-Control-Allow-Headers"] = ", ".join(headers)
    if exposed := rule.get("ExposeHeaders"):
        found["Access-Control-Expose-Headers"] = ", ".join(exposed)
    if (age := rule.get("MaxAgeSeconds")) is not None:
        found["Access-Control-Max-Age"] = str(age)
    if not anyone:
        found["Access-Control-Allow-Credentials"] = "true"
    found["Vary"] = VARY
    return found


def requested_headers(text: str) -> list[str]:
    return [name for one in text.split(",") if (name := one.strip().lower())]


def preflight(
    rules: Sequence[Mapping[str, Any]] | None, headers: Mapping[str, str], *, resource_type: str
) -> dict[str, str]:
    """The headers that answer an OPTIONS request; `rules` None: there is no such bucket.

    `resource_type`: "BUCKET" or "OBJECT". Raises BadRequest and AccessForbidden.
    """
    origin, method = headers.get("origin"), headers.get("access-control-request-method")
    if not origin:
        raise AWSError("BadRequest", "Insufficient information. Origin request header needed.", status=400)
    if not rules:
        reason = (
            "CORSResponse: Bucket not found" if rules is None else "CORSResponse: CORS is not enabled for this bucket."
        )
        raise _forbidden(reason, method or "OPTIONS", "BUCKET")
    if not method:
        raise AWSError("BadRequest", "Invalid Access-Control-Request-Method: null", status=400)
    wanted = requested_headers(headers.get("access-control-request-headers", ""))
    rule = find_rule(rules, origin, method, wanted)
    if rule is None:
        raise _forbidden(
            "CORSResponse: This CORS request is not allowed. This is usually because the evalution of Origin, request "
            "method / Access-Control-Request-Method or Access-Control-Request-Headers are not whitelisted by the "
            "resource's CORS spec.",
            method,
            resource_type,
        )
    return response_headers(rule, origin, wanted)


def _forbidden(message: str, method: str, resource_type: str) -> AWSError:
    return AWSError("AccessForbidden", message, status=403, Method=method, ResourceType=resource_type)
