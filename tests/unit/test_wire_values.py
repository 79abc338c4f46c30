"""Single values as the protocols write them, and XML from strangers."""

from __future__ import annotations

import math
from typing import Any

import pytest
from codec_kit import decode

from pileus.kernel.errors import AWSError
from pileus.wire.protocols import values
from pileus.wire.protocols.xml_reader import read_xml
from pileus.wire.protocols.xml_shapes import escape


@pytest.mark.parametrize(
    ("seconds", "iso", "rfc"),
    [
        (0, "1970-01-01T00:00:00Z", "Thu, 01 Jan 1970 00:00:00 GMT"),
        (1_700_000_000.123, "2023-11-14T22:13:20.123Z", "Tue, 14 Nov 2023 22:13:20 GMT"),
        (1_700_000_000.9996, "2023-11-14T22:13:21Z", "Tue, 14 Nov 2023 22:13:20 GMT"),
        (-1.5, "1969-12-31T23:59:58.500Z", "Wed, 31 Dec 1969 23:59:58 GMT"),
        (253_402_300_799, "9999-12-31T23:59:59Z", "Fri, 31 Dec 9999 23:59:59 GMT"),
    ],
)
def test_timestamps_are_written(seconds: float, iso: str, rfc: str) -> None:
    assert values.iso8601(seconds) == iso
    assert values.rfc822(seconds) == rfc


@pytest.mark.parametrize(
    ("written", "form", "seconds"),
    [
        ("2023-11-14T22:13:20Z", "iso8601", 1_700_000_000),
        ("2023-11-14T22:13:20.123Z", "iso8601", 1_700_000_000.123),
        ("2023-11-14T23:13:20+01:00", "iso8601", 1_700_000_000),
        ("2023-11-14T22:13:20", "iso8601", 1_700_000_000),
        ("2023-11-14", "iso8601", 1_699_920_000),
        ("Tue, 14 Nov 2023 22:13:20 GMT", "rfc822", 1_700_000_000),
        ("Tue, 14 Nov 2023 22:13:20 GMT", "iso8601", 1_700_000_000),
        ("1700000000", "iso8601", 1_700_000_000),
        ("1.7e9", "unixtimestamp", 1_700_000_000),
        (" 1700000000.5 ", "unixtimestamp", 1_700_000_000.5),
    ],
)
def test_timestamps_are_read(written: str, form: str, seconds: float) -> None:
    assert values.parse_timestamp(written, form) == pytest.approx(seconds)


@pytest.mark.parametrize("written", ["", "yesterday", "nan", "1e400", "99999999999999", "2023-13-01T00:00:00Z", "٣"])
def test_what_is_no_timestamp_is_refused(written: str) -> None:
    for form in ("iso8601", "rfc822", "unixtimestamp"):
        with pytest.raises(ValueError, match=r"."):
            values.parse_timestamp(written, form)


@pytest.mark.parametrize("written", ["", "1.5", "0x10", "1_000", "٣", "2147483648", "nan"])
def test_what_is_no_integer_is_refused(written: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        values.parse_integer(written, "integer")


def test_floats_know_the_special_ones() -> None:
    assert values.parse_float("-Infinity") == -math.inf
    assert math.isnan(values.parse_float("NaN"))
    assert [values.float_text(v) for v in (math.inf, -math.inf, math.nan, 1.0, 0.1)] == [
        "Infinity",
        "-Infinity",
        "NaN",
        "1.0",
        "0.1",
    ]
    with pytest.raises(ValueError, match="nan"):
        values.parse_float("nan")


@pytest.mark.parametrize("written", ["AAA", "AA=A", "AA==AA==", "AA\n==", "A-_=", "=", "ü==="])
def test_base64_is_strict(written: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        values.parse_blob(written)


@pytest.mark.parametrize(
    ("raw", "escaped"),
    [
        ("plain", "plain"),
        ('<a b="c">&\'', "&lt;a b=&quot;c&quot;&gt;&amp;'"),
        ("\r\n\t", "&#xD;\n\t"),
        ("a\x00b\x1f", "a&#x0;b&#x1F;"),
        ("ü ✓ 𝄞", "ü ✓ 𝄞"),
        ("\uffff", "&#xFFFF;"),
    ],
)
def test_xml_text_is_escaped(raw: str, escaped: str) -> None:
    assert escape(raw) == escaped


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"   ",
        b"<a>",
        b"<a></b>",
        b"<a/><b/>",
        b"<a>&undefined;</a>",
        b'<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>',
        b'<!DOCTYPE a SYSTEM "file:///etc/passwd"><a/>',
        b"<!DOCTYPE a><a/>",
        b"<a>\x00</a>",
        b"<a>" * 101 + b"</a>" * 101,
        b"<?xml version='1.0' encoding='no-such'?><a/>",
        b"\xff\xfe<",
    ],
)
def test_bad_xml_is_refused(body: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        read_xml(body)


def test_xml_is_read_without_its_prefixes() -> None:
    root = read_xml(b'<?xml version="1.0"?><n:a xmlns:n="urn:n" n:k="v">x<!-- c --><b><![CDATA[<y>]]></b>&#65;z</n:a>')
    assert (root.name, root.attributes, root.text) == ("a", {"k": "v"}, "xAz")
    assert [(child.name, child.text) for child in root.children] == [("b", "<y>")]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"<Tagging><TagSet><Tag><Key>a</Key><Value>b</Value></Tag></TagSet></Tagging>", None),
        (b"<Tagging><TagSet/></Tagging>", None),
        (b"<Tags><TagSet/></Tags>", "MalformedXML"),
        (b"<Tagging><TagSet></Tagging>", "MalformedXML"),
        (b"<Tagging><TagSet/><TagSet/></Tagging>", "MalformedXML"),
        (b"<Tagging><TagSet><Other/></TagSet></Tagging>", "MalformedXML"),
        (b"<Tagging><TagSet><Tag><Key><b/></Key></Tag></TagSet></Tagging>", "MalformedXML"),
    ],
)
def test_s3_takes_its_own_documents_only(body: bytes, code: str | None) -> None:
    def call() -> dict[str, Any]:
        return decode("s3", "PutBucketTagging", body, method="PUT", path="/b", query="tagging")

    if code is None:
        assert "TagSet" in call()["Tagging"]
        return
    with pytest.raises(AWSError, match=code):
        call()
