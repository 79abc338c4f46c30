"""Filter patterns: the examples of CloudWatch Logs' user guide, and what is refused."""

from __future__ import annotations

import json

import pytest

from pileus.kernel.errors import AWSError
from pileus.services.logs.patterns import compile_pattern

EVENT = {
    "eventType": "UpdateTrail",
    "sourceIPAddress": "111.111.111.111",
    "arrayKey": ["value", "another value"],
    "objectList": [{"name": "a", "id": 1}, {"name": "b", "id": 2}],
    "SomeObject": None,
    "cluster.name": "c",
    "errorCode": 400,
    "latency": 2.5,
    "ok": True,
}
ACCESS = '127.0.0.1 Prod frank [10/Oct/2000:13:25:15 -0700] "GET /index.html HTTP/1.0" 404 1534'


@pytest.mark.parametrize(
    ("pattern", "message", "matches"),
    [
        ("", "anything", True),
        ("  ", "anything", True),
        ("ERROR", "[ERROR] failed", True),
        ("ERROR", "[error] failed", False),
        ("ERROR ARGUMENTS", "ERROR 401 with ARGUMENTS", True),
        ("ERROR ARGUMENTS", "ERROR 401", False),
        ('"INTERNAL SERVER ERROR"', "500 INTERNAL SERVER ERROR", True),
        ('"INTERNAL SERVER ERROR"', "INTERNAL ERROR", False),
        ("?ERROR ?ARGUMENTS", "no ARGUMENTS", True),
        ("?ERROR ?ARGUMENTS", "nothing", False),
        ("ERROR -ARGUMENTS", "ERROR 401", True),
        ("ERROR -ARGUMENTS", "ERROR with ARGUMENTS", False),
        ("?ERROR REQUEST", "REQUEST", True),
        ('"say \\"hi\\""', 'they say "hi"', True),
        ("%4[0-9]{2}%", "status 404", True),
        ("%4[0-9]{2}%", "status 50", False),
        ("%^ERR% -%no%", "ERR yes", True),
    ],
)
def test_terms(pattern: str, message: str, matches: bool) -> None:
    assert compile_pattern(pattern)(message) is matches


@pytest.mark.parametrize(
    ("pattern", "matches"),
    [
        ('{ $.eventType = "UpdateTrail" }', True),
        ("{ $.eventType = UpdateTrail }", True),
        ('{ $.eventType = "Update*" }', True),
        ('{ $.eventType = "*trail" }', False),
        ("{ $.eventType = %Trail$% }", True),
        ('{ $.sourceIPAddress != "123.123.*" }', True),
        ('{ $.sourceIPAddress != "111.*" }', False),
        ('{ $.arrayKey[0] = "value" }', True),
        ('{ $.arrayKey[5] = "value" }', False),
        ('{ $.arrayKey[*] = "another value" }', True),
        ("{ $.objectList[1].id = 2 }", True),
        ("{ $.objectList[*].id > 1 }", True),
        ("{ $.SomeObject IS NULL }", True),
        ("{ $.eventType IS NULL }", False),
        ("{ $.missing NOT EXISTS }", True),
        ("{ $.eventType NOT EXISTS }", False),
        ("{ $.ok IS TRUE }", True),
        ("{ $.ok IS FALSE }", False),
        ("{ $['cluster.name'] = \"c\" }", True),
        ("{ $.errorCode = 400 }", True),
        ("{ $.errorCode >= 400.0 }", True),
        ("{ $.errorCode < 4e2 }", False),
        ("{ $.errorCode != 500 }", True),
        ('{ $.errorCode = "400" }', False),
        ("{ $.latency > 2 && $.latency < 3 }", True),
        ("{ ($.latency > 3 || $.errorCode = 400) && $.eventType = Update* }", True),
        ("{ $.latency > 3 || $.errorCode = 400 && $.eventType = None }", False),
        ("{ $.missing != 1 }", False),
    ],
)
def test_json(pattern: str, matches: bool) -> None:
    assert compile_pattern(pattern)(json.dumps(EVENT)) is matches


@pytest.mark.parametrize("message", ["plain text", "[1]", "{not json}", "{}", '"{"'])
def test_a_json_pattern_takes_no_other_messages(message: str) -> None:
    assert not compile_pattern("{ $.a = 1 }")(message)


@pytest.mark.parametrize(
    ("pattern", "matches"),
    [
        ("[ip, user, username, timestamp, request, status_code, bytes]", True),
        ("[ip, user, username]", False),
        ("[ip, user, username, timestamp, request, status_code = 404, bytes]", True),
        ("[ip, user, username, timestamp, request =*html*, status_code = 4*, bytes]", True),
        ("[ip, user, username, timestamp, request =*html*, status_code = 5*, bytes]", False),
        ("[..., status_code >= 400, bytes]", True),
        ("[..., status_code > 404, bytes]", False),
        ("[ip = 127.0.0.1, ...]", True),
        ("[ip != 127.0.0.1, ...]", False),
        ("[..., status = 404 || status = 410, bytes]", True),
        ("[..., status > 400 && status < 404, bytes]", False),
        ('[ip, user, username, timestamp = "10/Oct/2000*", ...]', True),
        ("[]", True),
    ],
)
def test_fields(pattern: str, matches: bool) -> None:
    assert compile_pattern(pattern)(ACCESS) is matches


@pytest.mark.parametrize(
    "pattern",
    [
        "{ $.a = }",
        "{ $.a = 1",
        "{ a = 1 }",
        "{ $.a > big }",
        "{ $.a = 1 && }",
        "{ ($.a = 1 }",
        "{ $.a ~ 1 }",
        "{ " + "(" * 1000 + "$.a = 1" + ")" * 1000 + " }",
        "[a, b",
        "[..., a, ...]",
        "[a =]",
        '"open',
        "a.b",
        "%(a+)+%",
        "%[%",
    ],
)
def test_what_is_no_pattern_is_refused(pattern: str) -> None:
    with pytest.raises(AWSError) as caught:
        compile_pattern(pattern)
    assert caught.value.code == "InvalidParameterException"


def test_a_pattern_that_takes_too_long_is_refused() -> None:
    match = compile_pattern("%" + "a*" * 8 + "[xyz]%")
    with pytest.raises(AWSError, match="too long"):
        match("a" * 20_000)
