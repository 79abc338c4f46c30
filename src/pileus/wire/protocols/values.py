"""Single values as text: timestamps, numbers, booleans, blobs. What is no such value raises `ValueError`."""

from __future__ import annotations

import binascii
import math
import re
import time
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_INTEGER = re.compile(r"[+-]?\d{1,19}", re.ASCII)
_SPECIAL = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}

_TWO = tuple(f"{number:02d}" for number in range(60))

# Inclusive limits of the integral types.
INTEGER_LIMITS = {"integer": (-(2**31), 2**31 - 1), "long": (-(2**63), 2**63 - 1)}


def iso8601(seconds: float) -> str:
    """`2006-01-02T15:04:05Z`, with milliseconds where there are any."""
    millis = round(seconds * 1000)
    return iso8601_seconds(millis // 1000) if millis % 1000 == 0 else iso8601_millis(seconds)


def iso8601_seconds(seconds: float) -> str:
    t = time.gmtime(seconds)
    return f"{t[0]:04d}-{t[1]:02d}-{t[2]:02d}T{t[3]:02d}:{t[4]:02d}:{t[5]:02d}Z"


def iso8601_millis(seconds: float) -> str:
    # S3's listings have a thousand of these in a page, mostly of a few days.
    whole, millis = divmod(round(seconds * 1000), 1000)
    day, left = divmod(whole, 86_400)
    minutes, second = divmod(left, 60)
    return f"{_date(day)}T{_TWO[minutes // 60]}:{_TWO[minutes % 60]}:{_TWO[second]}.{millis:03d}Z"


@lru_cache(maxsize=1024)
def _date(day: int) -> str:
    t = time.gmtime(day * 86_400)
    return f"{t[0]:04d}-{t[1]:02d}-{t[2]:02d}"


def rfc822(seconds: float) -> str:
    """`Mon, 02 Jan 2006 15:04:05 GMT`."""
    return _rfc822(int(seconds // 1))


@lru_cache(maxsize=1024)
def _rfc822(seconds: int) -> str:
    t = time.gmtime(seconds)
    return f"{_DAYS[t[6]]}, {t[2]:02d} {_MONTHS[t[1] - 1]} {t[0]:04d} {t[3]:02d}:{t[4]:02d}:{t[5]:02d} GMT"


def unix(seconds: float) -> float | int:
    """Seconds as AWS's JSON shows them: to the millisecond, whole ones without a fraction."""
    millis = round(seconds * 1000)
    return millis // 1000 if millis % 1000 == 0 else millis / 1000


def parse_iso8601(text: str) -> float:
    # Python's parser also takes dates alone and offsets; without an offset it is UTC.
    moment = datetime.fromisoformat(text)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def parse_rfc822(text: str) -> float:
    try:
        moment = parsedate_to_datetime(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (TypeError, OverflowError, IndexError) as error:
        raise ValueError(f"no timestamp: {text!r}") from error


def parse_unix(text: str) -> float:
    if not _NUMBER.fullmatch(text):
        raise ValueError(f"no number: {text!r}")
    return check_timestamp(float(text))


def check_timestamp(seconds: float) -> float:
    """The same seconds, if the calendar's years 1 to 9999 have them."""
    if not -62135596800 <= seconds < 253402300800:
        raise ValueError(f"beyond the calendar: {seconds!r}")
    return seconds


_PARSERS = {"iso8601": parse_iso8601, "rfc822": parse_rfc822, "unixtimestamp": parse_unix}


def parse_timestamp(text: str, form: str) -> float:
    """Seconds since the epoch of a timestamp in `form`, or in one of the other forms: AWS is as lenient."""
    text = text.strip()
    try:
        return _PARSERS[form](text)
    except (ValueError, OverflowError):
        for other, parser in _PARSERS.items():
            if other != form:
                try:
                    return parser(text)
                except (ValueError, OverflowError):
                    continue
        raise ValueError(f"no timestamp: {text!r}") from None


def parse_integer(text: str, kind: str = "long") -> int:
    """An integer of `kind` ("integer": 32 bits, "long": 64)."""
    text = text.strip()
    if not _INTEGER.fullmatch(text):
        raise ValueError(f"no {kind}: {text!r}")
    value = int(text)
    low, high = INTEGER_LIMITS[kind]
    if not low <= value <= high:
        raise ValueError(f"no {kind}: {text!r}")
    return value


def parse_float(text: str) -> float:
    text = text.strip()
    special = _SPECIAL.get(text)
    if special is not None:
        return special
    if not _NUMBER.fullmatch(text):
        raise ValueError(f"no number: {text!r}")
    return float(text)


def parse_boolean(text: str) -> bool:
    text = text.strip().lower()
    if text in ("true", "1"):
        return True
    if text in ("false", "0"):
        return False
    raise ValueError(f"no boolean: {text!r}")


def float_text(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    if value in (math.inf, -math.inf):
        return "Infinity" if value > 0 else "-Infinity"
    return repr(value)


def parse_blob(text: str | bytes) -> bytes:
    """Base64, strictly: padded, without line breaks or foreign characters."""
    return binascii.a2b_base64(text, strict_mode=True)


def blob_text(value: bytes | bytearray | memoryview | str) -> str:
    if isinstance(value, str):
        value = value.encode()
    return binascii.b2a_base64(value, newline=False).decode("ascii")
