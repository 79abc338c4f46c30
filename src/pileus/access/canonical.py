"""The canonical request: one text for every way in which HTTP may write the same request.

Source: "Create a signed AWS API request" (IAM User Guide), "Signature Calculations for the Authorization Header"
(Amazon S3 API Reference).
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote, unquote_to_bytes

from pileus.access import errors

# How the bytes of a request line and its headers became text: by this one, none is lost.
CHARSET = "latin-1"


def check_headers_signed(signed: tuple[str, ...], headers: Mapping[str, str]) -> None:
    """S3: every x-amz-* header that is there must be covered; the payload's hash is covered by its own line."""
    missing = [
        name for name in headers if name.startswith("x-amz-") and name not in signed and name != "x-amz-content-sha256"
    ]
    if missing:
        raise errors.headers_not_signed(sorted(missing))


def canonical_request(
    *, method: str, uri: str, query: str, headers: Mapping[str, str], signed: tuple[str, ...], payload: str
) -> str:
    """What is hashed into the string to sign; `signed` are the covered headers' names, sorted."""
    lines = [method, uri, query]
    for name in signed:
        value = headers.get(name, "")
        # Most have no space at all.
        if (" " in value or "\t" in value) and ("  " in value or "\t" in value or value[0] == " " or value[-1] == " "):
            value = " ".join(value.split())
        lines.append(f"{name}:{value}")
    lines += ("", ";".join(signed), payload)
    return "\n".join(lines)


def sorted_query(query: str) -> str:
    """The query string in the canonical order, its encoding left as it came."""
    if not query:
        return ""
    if "&" not in query:
        return query if "=" in query else f"{query}="
    pairs = [part.partition("=") for part in query.split("&") if part]
    return "&".join(f"{name}={value}" for name, _, value in sorted(pairs))


def amz_parameters(query: str) -> dict[str, bytes]:
    """The `x-amz-*` of a query, as the headers that they stand for: lower-case names, several of one name joined.

    What is signed and what is done read them here, both: else whoever has a URL could add to it.
    """
    found: dict[str, bytes] = {}
    for part in query.split("&"):
        name, _, value = part.partition("=")
        name = name.lower()
        if name.startswith("x-amz-"):
            decoded = unquote_to_bytes(value)
            found[name] = found[name] + b"," + decoded if name in found else decoded
    return found


def encoded_query(query: str) -> str:
    """The query string in the canonical order and encoding; "+" stands for a space."""
    pairs = []
    for part in query.split("&"):
        if part:
            name, _, value = part.replace("+", "%20").partition("=")
            pairs.append((encoded(name, safe="~"), encoded(value, safe="~")))
    return "&".join(f"{name}={value}" for name, value in sorted(pairs))


def encoded(text: str, *, safe: str) -> str:
    """Percent-encoded as the canonical request has it, whether or not it was before."""
    return quote(unquote_to_bytes(text.encode(CHARSET)), safe=safe)


def double_encoded(path: str) -> str:
    """The path without dot segments and empty ones, encoded once more: the rule of every service but S3."""
    if path == "/":
        return path
    if "//" in path or "/." in path:
        path = _normalized(path)
    if path.isascii() and path.replace("/", "").replace("-", "").replace("_", "").isalnum():
        return path
    return quote(path or "/", safe="/~", encoding=CHARSET)


def _normalized(path: str) -> str:
    """Source: RFC 3986, 5.2.4, without empty segments."""
    kept: list[str] = []
    for segment in path.split("/"):
        if segment in ("", "."):
            continue
        if segment == "..":
            if kept:
                kept.pop()
        else:
            kept.append(segment)
    text = "/" + "/".join(kept)
    return text + "/" if kept and path.endswith("/") else text
