"""What a signed request says of itself: who signs, for what, when, over which headers.

Source: "Elements of an AWS API request signature" (IAM User Guide), "Authenticating Requests: Using Query Parameters"
(Amazon S3 API Reference), "Troubleshoot Signature Version 4 signing for AWS API requests".
"""

from __future__ import annotations

import calendar
import re
import time
from collections.abc import Mapping
from functools import lru_cache
from hashlib import sha256
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

import msgspec

from pileus.access import errors, sigv4a
from pileus.access.canonical import CHARSET
from pileus.access.errors import Family
from pileus.access.patterns import match_pieces
from pileus.kernel.errors import AWSError

ALGORITHM = "AWS4-HMAC-SHA256"
ALGORITHM_ASYMMETRIC = sigv4a.ALGORITHM
TERMINATOR = "aws4_request"

_SHA256 = re.compile(r"[0-9a-f]{64}")
EMPTY_SHA256 = sha256(b"").hexdigest()
UNSIGNED_PAYLOAD = "UNSIGNED-PAYLOAD"
STREAMING_SIGNED = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
STREAMING_SIGNED_TRAILER = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"
STREAMING_UNSIGNED_TRAILER = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
_MARKERS = frozenset((UNSIGNED_PAYLOAD, STREAMING_SIGNED, STREAMING_SIGNED_TRAILER, STREAMING_UNSIGNED_TRAILER))

# Where sessions with directory buckets send their token, in headers and in presigned URLs.
BUCKET_TOKEN = "x-amz-s3session-token"  # noqa: S105 -- a header's name
_BUCKET_TOKEN_PARAMETER = "X-Amz-S3session-Token"  # noqa: S105 -- a parameter's name

# How far a request's time may lie from ours, and how long a presigned URL may live.
SKEW_MAX_S = 15 * 60
EXPIRES_MAX_S = 7 * 24 * 3600

# Longer Authorization headers are read without remembering them.
_HEAD_LENGTH_MAX = 2048

_QUERY_PARAMETERS = (
    "Query-string authentication version 4 requires the X-Amz-Algorithm, X-Amz-Credential, X-Amz-Signature, "
    "X-Amz-Date, X-Amz-SignedHeaders, and X-Amz-Expires parameters."
)


class Scope(NamedTuple):
    """What a signature is good for, and which headers it covers."""

    access_key_id: str
    date: str
    region: str
    service: str
    # Lower-case and sorted.
    signed_headers: tuple[str, ...]


class Claim(msgspec.Struct, frozen=True):
    """What a signed request says of itself; nothing of it is checked against a secret yet."""

    scope: Scope
    signature: str
    # As signed: 20261120T193100Z, and the same in seconds since the epoch.
    timestamp: str
    time: float
    session_token: str
    # Seconds for which a presigned URL is good; None where the signature stands in the header.
    expires_s: int | None
    # What stands for the payload in the canonical request: a hash in hex, one of the markers, or "" where it is the
    # body's own hash.
    payload: str
    # Of version 4A, whose scope has no region: the regions for which it is good, "*" or some with commas between.
    regions: str = ""
    # The token came as that of a session with a directory bucket.
    bucket_session: bool = False

    def region_at(self, here: str) -> str:
        """The region that the request is for, come to where `here` is meant if it says none; "" where it is for none.

        Of several regions that is `here` if they have it, else the first that is named in full.
        """
        if self.scope.region:
            return self.scope.region
        regions = [one.strip() for one in self.regions.split(",")]
        if any(match_pieces(one.split("*"), here) for one in regions):
            return here
        return next((one for one in regions if one and "*" not in one), "")


def read_claim(
    query: str, headers: Mapping[str, str], family: Family, *, asymmetric: bool | None = None
) -> Claim | None:
    """What the request claims in its Authorization header or its query string; None where it is not signed.

    Raises AWS's error where what is there cannot be read, or is of another kind than Signature Version 4 or, where
    `asymmetric` says that it may be, 4A. None: it may for the JSON services, in a header.
    """
    # Of the JSON services it is EventBridge's global endpoints that take it, of S3 multi-Region access points.
    asymmetric = family == "json" if asymmetric is None else asymmetric
    authorization = headers.get("authorization")
    presigned = "X-Amz-" in query and any(
        name in query for name in ("X-Amz-Algorithm=", "X-Amz-Signature=", "X-Amz-Credential=")
    )
    if authorization is None:
        return _read_query(query, headers, family, asymmetric=asymmetric) if presigned else None
    if presigned and family == "s3":
        raise errors.invalid_argument(
            "Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, "
            "Signature query string parameter or the Authorization header should be specified",
            "Authorization",
            authorization,
        )
    return _read_header(authorization, headers, family, asymmetric=asymmetric)


def _read_header(authorization: str, headers: Mapping[str, str], family: Family, *, asymmetric: bool) -> Claim:
    # All but the signature is the same in every request of a client on one day: it is read once.
    head, _, signature = authorization.rpartition("Signature=")
    regions = ""
    scope = _scope_of_header(head, family) if 0 < len(head) <= _HEAD_LENGTH_MAX else None
    if scope is None or not _is_signature(signature):
        scope, signature = _scope_slowly(authorization, headers, family, asymmetric=asymmetric)
        regions = _regions(scope, headers, family) if not scope.region else ""
    timestamp = headers.get("x-amz-date")
    if timestamp is None:
        timestamp = _date_header(authorization, headers, family)
    when = _seconds(timestamp)
    if when is None:
        if family == "s3":
            raise _no_date()
        raise _not_iso(timestamp, family)
    if timestamp[:8] != scope.date:
        raise _wrong_date(scope.date, timestamp, family)
    payload = ""
    declared = headers.get("x-amz-content-sha256")
    if declared is not None:
        payload = _payload(declared, family)
    elif family == "s3":
        message = "Missing required header for this request: x-amz-content-sha256"
        raise AWSError("InvalidRequest", message, status=400)
    bucket_token = headers.get(BUCKET_TOKEN) if scope.service == "s3express" else None
    token = bucket_token or headers.get("x-amz-security-token", "")
    return Claim(scope, signature, timestamp, when, token, None, payload, regions, bool(bucket_token))


def _regions(scope: Scope, headers: Mapping[str, str], family: Family) -> str:
    """The regions of a signature of version 4A, which must cover them."""
    regions = headers.get("x-amz-region-set", "")
    if not regions or "x-amz-region-set" not in scope.signed_headers:
        raise errors.incomplete_signature(
            family, "'X-Amz-Region-Set' must be a 'SignedHeader' in the AWS Authorization."
        )
    return regions


@lru_cache(maxsize=1024)
def _scope_of_header(head: str, family: Family) -> Scope | None:
    """The scope in the usual form of the header, `... Credential=…, SignedHeaders=…, `; None for any other."""
    algorithm, _, rest = head.partition(" ")
    credential, comma, signed = rest.partition(",")
    signed = signed.strip()
    if (
        algorithm != ALGORITHM
        or not comma
        or not credential.startswith("Credential=")
        or not signed.startswith("SignedHeaders=")
        or not signed.endswith(",")
        or "," in signed[:-1]
    ):
        return None
    return _scope(credential[11:], signed[14:-1], "header", family)


def _scope_slowly(
    authorization: str, headers: Mapping[str, str], family: Family, *, asymmetric: bool
) -> tuple[Scope, str]:
    """The scope and signature of a header in any form, or AWS's error of what is wrong with it."""
    algorithm, _, rest = authorization.strip().partition(" ")
    asymmetric = asymmetric and algorithm == ALGORITHM_ASYMMETRIC
    if algorithm != ALGORITHM and not asymmetric:
        raise _unsupported(authorization, algorithm, family)
    parts: dict[str, str] = {}
    for item in rest.split(","):
        name, equals, value = item.strip().partition("=")
        if not equals or name in parts:
            if family == "s3":
                raise errors.header_malformed(f'the authorization component "{item.strip()}" is malformed.')
            raise errors.incomplete_signature(
                family,
                f"'{item.strip()}' not a valid key=value pair (missing equal-sign) in Authorization header: "
                f"'{authorization}'.",
            )
        parts[name] = value
    missing = [name for name in ("Credential", "Signature", "SignedHeaders") if not parts.get(name)]
    if missing:
        if family == "s3":
            if missing == ["Credential"]:
                raise errors.header_malformed("a non-empty Access Key (AKID) must be provided in the credential.")
            raise errors.header_malformed(f"missing {missing[0]}.")
        texts = [f"Authorization header requires '{name}' parameter." for name in missing]
        if "x-amz-date" not in headers and "date" not in headers:
            texts.append("Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header.")
        raise errors.incomplete_signature(family, f"{' '.join(texts)} Authorization={authorization}")
    if asymmetric:
        scope = _scope_without_region(parts["Credential"], parts["SignedHeaders"], "header", family)
        return scope, _as_signature(parts["Signature"])
    # A signature of another form than 64 hex digits is simply a wrong one.
    return _scope(parts["Credential"], parts["SignedHeaders"], "header", family), _as_signature(parts["Signature"])


def _scope_without_region(credential: str, signed_headers: str, where: str, family: Family) -> Scope:
    """The scope of a Credential of version 4A, which names no region."""
    named = credential.split("/")
    if len(named) != 4:
        if family == "s3":
            detail = 'the Credential is mal-formed; expecting "<YOUR-AKID>/YYYYMMDD/SERVICE/aws4_request".'
            raise _s3_credential(where, detail)
        raise errors.incomplete_signature(
            family,
            "Credential must have exactly 4 slash-delimited elements, e.g. keyid/date/service/term, "
            f"got '{credential}'",
        )
    return _scope("/".join((*named[:2], "*", *named[2:])), signed_headers, where, family)._replace(region="")


def _unsupported(authorization: str, algorithm: str, family: Family) -> AWSError:
    if family == "s3":
        if algorithm == "AWS" or algorithm.startswith("AWS4-"):
            return errors.unsupported_mechanism()
        return errors.invalid_argument("Unsupported Authorization Type", "Authorization", authorization)
    if algorithm.startswith("AWS4-"):
        return errors.incomplete_signature(family, f"Unsupported AWS 'algorithm': '{algorithm}'.")
    return errors.incomplete_signature(
        family, f"Authorization header requires '{ALGORITHM}'. Authorization={authorization}"
    )


def _read_query(query: str, headers: Mapping[str, str], family: Family, *, asymmetric: bool) -> Claim:
    parameters: dict[str, str] = {}
    for part in query.split("&"):
        if part.startswith("X-Amz-"):
            name, _, value = part.partition("=")
            if name in parameters:
                raise _malformed_query(_QUERY_PARAMETERS, family)
            parameters[name] = unquote_to_bytes(value).decode(CHARSET) if "%" in value else value
    names = ("X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Signature", "X-Amz-Date", "X-Amz-SignedHeaders")
    # Services other than S3 give a presigned request without X-Amz-Expires the time of any other.
    if any(not parameters.get(name) for name in names) or (family == "s3" and "X-Amz-Expires" not in parameters):
        raise _malformed_query(_QUERY_PARAMETERS, family)
    algorithm = parameters["X-Amz-Algorithm"]
    # The JSON services take it in headers alone.
    asymmetric = asymmetric and family == "s3" and algorithm == ALGORITHM_ASYMMETRIC
    if algorithm != ALGORITHM and not asymmetric:
        if family == "s3" and algorithm == ALGORITHM_ASYMMETRIC:
            raise errors.unsupported_mechanism()
        raise _malformed_query('X-Amz-Algorithm only supports "AWS4-HMAC-SHA256"', family)
    timestamp = parameters["X-Amz-Date"]
    when = _seconds(timestamp)
    if when is None:
        if family == "s3":
            message = "X-Amz-Date must be in the ISO8601 Long Format \"yyyyMMdd'T'HHmmss'Z'\""
            raise errors.query_parameters_error(message)
        raise _not_iso(timestamp, family)
    expires_s = _expires(parameters.get("X-Amz-Expires", str(SKEW_MAX_S)), family)
    regions = ""
    if asymmetric:
        scope = _scope_without_region(
            parameters["X-Amz-Credential"], parameters["X-Amz-SignedHeaders"], "query", family
        )
        regions = parameters.get("X-Amz-Region-Set", "")
        if not regions:
            raise _malformed_query(_QUERY_PARAMETERS, family)
    else:
        scope = _scope(parameters["X-Amz-Credential"], parameters["X-Amz-SignedHeaders"], "query", family)
    if timestamp[:8] != scope.date:
        if family == "s3":
            raise errors.query_parameters_error(
                f'Error parsing the X-Amz-Credential parameter; incorrect date "{scope.date}". '
                f'This date must match the date in the X-Amz-Date parameter: "{timestamp[:8]}".'
            )
        raise _wrong_date(scope.date, timestamp, family)
    declared = parameters.get("X-Amz-Content-Sha256", headers.get("x-amz-content-sha256"))
    if declared is None:
        declared = UNSIGNED_PAYLOAD if family == "s3" else ""
    payload = _payload(declared, family)
    bucket_token = parameters.get(_BUCKET_TOKEN_PARAMETER) if scope.service == "s3express" else None
    token = bucket_token or parameters.get("X-Amz-Security-Token", "")
    signature = _as_signature(parameters["X-Amz-Signature"])
    return Claim(scope, signature, timestamp, when, token, expires_s, payload, regions, bool(bucket_token))


def _malformed_query(message: str, family: Family) -> AWSError:
    if family == "s3":
        return errors.query_parameters_error(message)
    return errors.incomplete_signature(family, message)


def _expires(text: str, family: Family) -> int:
    digits = text[1:] if text.startswith("-") else text
    if not (digits.isascii() and digits.isdigit()):
        raise _malformed_query("X-Amz-Expires should be a number", family)
    if text.startswith("-"):
        raise _malformed_query("X-Amz-Expires must be non-negative", family)
    if len(digits) > 9 or int(digits) > EXPIRES_MAX_S:
        raise _malformed_query(
            "X-Amz-Expires must be less than a week (in seconds); "
            f"that is, the given X-Amz-Expires must be less than {EXPIRES_MAX_S} seconds",
            family,
        )
    return int(digits)


def _scope(credential: str, signed_headers: str, where: str, family: Family) -> Scope:
    """The scope of a Credential; raises AWS's error where it is none."""
    # An access key id has no slash, and nothing else may have one.
    parts = credential.split("/")
    if family == "s3":
        if len(parts) != 5:
            detail = 'the Credential is mal-formed; expecting "<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request".'
            raise _s3_credential(where, detail)
        if not parts[0]:
            raise _s3_credential(where, "a non-empty Access Key (AKID) must be provided in the credential.")
        if not (len(parts[1]) == 8 and parts[1].isascii() and parts[1].isdigit()):
            raise _s3_credential(
                where,
                f'incorrect date format "{parts[1]}". This date in the credential must be in the format "yyyyMMdd".',
            )
        if not parts[2]:
            raise _s3_credential(where, "a non-empty region must be provided in the credential.")
        if parts[3] not in ("s3", "s3express", "s3-outposts", "s3-object-lambda"):
            raise _s3_credential(where, f'incorrect service "{parts[3]}". This endpoint belongs to "s3".')
        if parts[4] != TERMINATOR:
            raise _s3_credential(where, f'incorrect terminal "{parts[4]}". This endpoint uses "{TERMINATOR}".')
    else:
        if len(parts) != 5:
            raise errors.incomplete_signature(
                family,
                "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, "
                f"got '{credential}'",
            )
        if parts[4] != TERMINATOR:
            raise errors.invalid_signature(
                family, f"Credential should be scoped with a valid terminator: '{TERMINATOR}', not '{parts[4]}'."
            )
        if not parts[2]:
            raise errors.invalid_signature(family, "Credential should be scoped to a valid region. ")
        if not parts[3]:
            raise errors.invalid_signature(family, "Credential should be scoped to correct service. ")
    names = tuple(sorted(name.strip().lower() for name in signed_headers.split(";")))
    if "host" not in names and ":authority" not in names:
        if family == "s3":
            raise errors.headers_not_signed(["host"])
        raise errors.invalid_signature(
            family, "'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization."
        )
    return Scope(parts[0], parts[1], parts[2], parts[3], names)


def _s3_credential(where: str, detail: str) -> AWSError:
    if where == "header":
        return errors.header_malformed(detail)
    return errors.query_parameters_error(f"Error parsing the X-Amz-Credential parameter; {detail}")


def _payload(declared: str, family: Family) -> str:
    """What stands in the canonical request for a declared x-amz-content-sha256."""
    if declared in _MARKERS:
        if family != "s3" and declared != UNSIGNED_PAYLOAD:
            raise errors.invalid_signature(family, f"Unsupported x-amz-content-sha256: '{declared}'.")
        return declared
    if _SHA256.fullmatch(declared):
        return declared
    if family == "s3":
        if declared.startswith("STREAMING-AWS4-ECDSA-"):
            raise errors.unsupported_mechanism()
        raise errors.invalid_argument(
            "x-amz-content-sha256 must be UNSIGNED-PAYLOAD, STREAMING-UNSIGNED-PAYLOAD-TRAILER, "
            "STREAMING-AWS4-HMAC-SHA256-PAYLOAD, STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER, "
            "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD, STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD-TRAILER "
            "or a valid sha256 value.",
            "x-amz-content-sha256",
            declared,
        )
    # Other services compute the hash themselves, whatever the header says.
    return ""


def _is_signature(text: str) -> bool:
    return len(text) == 64 and text.isascii() and "," not in text


def _as_signature(text: str) -> str:
    """`text` as something that can be compared: only ASCII can."""
    return text if text.isascii() else ""


@lru_cache(maxsize=64)
def _seconds(timestamp: str) -> float | None:
    """`20261120T193100Z` as seconds since the epoch; None where it is no such time."""
    if len(timestamp) != 16 or not timestamp.isascii():
        return None
    try:
        return float(calendar.timegm(time.strptime(timestamp, "%Y%m%dT%H%M%SZ")))
    except ValueError:
        return None


def _date_header(authorization: str, headers: Mapping[str, str], family: Family) -> str:
    """The time of a request that carries it in the Date header, in the form in which it was signed."""
    from email.utils import parsedate_to_datetime

    date = headers.get("date")
    if date is None:
        if family == "s3":
            raise _no_date()
        raise errors.incomplete_signature(
            family,
            "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header. "
            f"Authorization={authorization}",
        )
    if _seconds(date) is not None:
        return date
    try:
        return errors.basic_time(parsedate_to_datetime(date).timestamp())
    except (ValueError, OverflowError):
        if family == "s3":
            raise _no_date() from None
        raise _not_iso(date, family) from None


def _no_date() -> AWSError:
    return AWSError("AccessDenied", "AWS authentication requires a valid Date or x-amz-date header", status=403)


def _not_iso(text: str, family: Family) -> AWSError:
    return errors.incomplete_signature(
        family,
        f"Date must be in ISO-8601 'basic format'. Got '{text}'. See http://en.wikipedia.org/wiki/ISO_8601",
    )


def _wrong_date(date: str, timestamp: str, family: Family) -> AWSError:
    if family == "s3":
        return errors.header_malformed(
            f'Invalid credential date "{date}". This date is not the same as X-Amz-Date: "{timestamp[:8]}".'
        )
    return errors.invalid_signature(
        family,
        "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: "
        f"'{date}' != '{timestamp[:8]}', from '{timestamp}'.",
    )
