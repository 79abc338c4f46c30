"""Static websites: what a configuration may say, and what it makes of a request.

Sources: "Hosting a static website using Amazon S3", "Configuring an index document", "(Optional) Configuring a webpage
redirect" in the Amazon S3 User Guide; recorded answers.
"""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, NamedTuple
from urllib.parse import quote

from pileus.kernel.errors import AWSError
from pileus.services.s3 import errors

RULES_MAX = 50
_PROTOCOLS = ("http", "https")


def check(configuration: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration as it is kept."""
    redirect_all = configuration.get("RedirectAllRequestsTo")
    rules: Sequence[dict[str, Any]] = configuration.get("RoutingRules") or ()
    index = configuration.get("IndexDocument")
    if redirect_all is not None:
        if len(configuration) > 1:
            raise errors.invalid_argument(
                "RedirectAllRequestsTo cannot be provided in conjunction with other Routing Rules.",
                "RedirectAllRequestsTo",
                "not null",
            )
        _check_protocol(redirect_all)
        return dict(configuration)
    if index is None:
        raise errors.invalid_argument(
            "A value for IndexDocument Suffix must be provided if RedirectAllRequestsTo is empty",
            "IndexDocument",
            "null",
        )
    suffix = index["Suffix"]
    if not suffix or "/" in suffix:
        raise errors.invalid_argument("The IndexDocument Suffix is not well formed", "IndexDocument", suffix)
    error = configuration.get("ErrorDocument")
    if error is not None and not error["Key"]:
        raise errors.invalid_argument("The ErrorDocument Key is not well formed", "ErrorDocument", "")
    if "RoutingRules" in configuration and not rules:
        raise errors.malformed_xml()
    if len(rules) > RULES_MAX:
        raise errors.invalid_request(
            f"{len(rules)} routing rules provided, the number of routing rules in a website configuration is limited "
            f"to {RULES_MAX}."
        )
    for rule in rules:
        _check_rule(rule)
    return dict(configuration)


def _check_protocol(redirect: Mapping[str, Any]) -> None:
    protocol = redirect.get("Protocol")
    if protocol is not None and protocol not in _PROTOCOLS:
        raise errors.invalid_request(
            "Invalid protocol, protocol can be http or https. If not defined the protocol will be selected "
            "automatically."
        )


def _is_code(text: str) -> bool:
    return len(text) == 3 and text.isascii() and text.isdigit()


def _check_rule(rule: Mapping[str, Any]) -> None:
    redirect = rule["Redirect"]
    if "ReplaceKeyPrefixWith" in redirect and "ReplaceKeyWith" in redirect:
        raise errors.invalid_request("You can only define ReplaceKeyPrefix or ReplaceKey but not both.")
    condition = rule.get("Condition")
    if condition is not None and not condition:
        raise errors.invalid_request(
            "Condition cannot be empty. To redirect all requests without a condition, the condition element shouldn't "
            "be present."
        )
    code = (condition or {}).get("HttpErrorCodeReturnedEquals")
    if code is not None and not (_is_code(code) and 400 <= int(code) < 600):
        raise errors.invalid_request(f"The provided HTTP error code ({code}) is not valid. Valid codes are 4XX or 5XX.")
    _check_protocol(redirect)
    code = redirect.get("HttpRedirectCode")
    if code is not None and not (_is_code(code) and 300 < int(code) < 400):
        raise errors.invalid_request(
            f"The provided HTTP redirect code ({code}) is not valid. Valid codes are 3XX except 300."
        )
    if not redirect:
        raise errors.malformed_xml()


class Redirect(NamedTuple):
    status: int
    location: str


def redirect_all(configuration: Mapping[str, Any], path: str, query: str, scheme: str) -> Redirect | None:
    """Where every request goes, if it does; `path` and `query` as they came."""
    target = configuration.get("RedirectAllRequestsTo")
    if target is None:
        return None
    behind = f"?{query}" if query else ""
    return Redirect(301, f"{target.get('Protocol') or scheme}://{target['HostName']}{path}{behind}")


def redirect_by_rule(
    configuration: Mapping[str, Any], key: str, status: int | None, *, scheme: str, host: str
) -> Redirect | None:
    """The redirect of the first rule that is about a request for `key`, before it is answered or (`status`) after."""
    for rule in configuration.get("RoutingRules") or ():
        condition = rule.get("Condition") or {}
        wanted = condition.get("HttpErrorCodeReturnedEquals")
        prefix = condition.get("KeyPrefixEquals", "")
        if not key.startswith(prefix) or wanted != (None if status is None else str(status)):
            continue
        to = rule["Redirect"]
        target = key
        if "ReplaceKeyWith" in to:
            target = to["ReplaceKeyWith"]
        elif "ReplaceKeyPrefixWith" in to:
            target = to["ReplaceKeyPrefixWith"] + key[len(prefix) :]
        shown = quote(target, safe="/-_.~!*'()?&=;:@+$,#%")
        location = f"{to.get('Protocol') or scheme}://{to.get('HostName') or host}/{shown}"
        return Redirect(int(to.get("HttpRedirectCode") or 301), location)
    return None


def index_key(key: str, suffix: str) -> str:
    """The object that is meant by the address of a folder."""
    return key + suffix if not key or key.endswith("/") else key


def page(
    error: AWSError, status: int, *, request_id: str, host_id: str, custom: AWSError | None = None, custom_key: str = ""
) -> bytes:
    """What a browser is shown of an error; `custom`: why the configured error document could not be."""
    title = f"{status} {HTTPStatus(status).phrase}"
    lines = ["<html>", f"<head><title>{title}</title></head>", "<body>", f"<h1>{title}</h1>"]
    lines += _listed(error, {**error.members, "RequestId": request_id, "HostId": host_id})
    if custom is not None:
        lines.append("<h3>An Error Occurred While Attempting to Retrieve a Custom Error Document</h3>")
        lines += _listed(custom, {"Key": custom_key} if custom.code == "NoSuchKey" else {})
    lines += ["<hr/>", "</body>", "</html>", ""]
    return "\n".join(lines).encode()


def _listed(error: AWSError, members: Mapping[str, str]) -> list[str]:
    shown = {"Code": error.code, "Message": error.message, **members}
    return ["<ul>", *(f"<li>{name}: {html.escape(str(value))}</li>" for name, value in shown.items()), "</ul>"]
