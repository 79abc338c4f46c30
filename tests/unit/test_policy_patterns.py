"""Wildcards and variables of the policy language."""

from __future__ import annotations

import re
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from steps_kit import within_steps

from pileus.access.patterns import ArnPattern, compile_pattern

KEYS = {"aws:username": ["alice"], "aws:principaltag/team": ["red*"], "many": ["a", "b"]}


def lookup(name: str) -> Sequence[str] | None:
    return KEYS.get(name)


@settings(max_examples=500, deadline=None)
@given(st.text("ab*?.", max_size=10), st.text("ab.", max_size=12))
def test_wildcards_as_a_regular_expression_has_them(pattern: str, text: str) -> None:
    reference = re.escape(pattern).replace(r"\*", ".*").replace(r"\?", ".")
    assert compile_pattern(pattern).matches(text, lookup) == bool(re.fullmatch(reference, text, re.DOTALL))


def test_no_pattern_takes_long() -> None:
    pattern = compile_pattern("*a" * 1000 + "b")
    assert not within_steps(10_000, lambda: pattern.matches("a" * 100_000, lookup))
    pattern = compile_pattern("*a?" * 300 + "b")
    assert not within_steps(10_000, lambda: pattern.matches("a" * 10_000, lookup))


@pytest.mark.parametrize(
    ("pattern", "text", "fits"),
    [
        ("home/${aws:username}/*", "home/alice/x", True),
        ("home/${aws:username}/*", "home/bob/x", False),
        ("home/${aws:unknown}/*", "home//x", False),
        ("home/${aws:unknown, 'guest'}/*", "home/guest/x", True),
        # A value is taken as it is: its stars are no wildcards.
        ("${aws:PrincipalTag/Team}", "red*", True),
        ("${aws:PrincipalTag/Team}", "redder", False),
        ("${many}", "a", False),
        ("a${*}b", "a*b", True),
        ("a${*}b", "aXb", False),
        ("a${?}${$}", "a?$", True),
        ("$x", "$x", True),
    ],
)
def test_variables(pattern: str, text: str, fits: bool) -> None:
    assert compile_pattern(pattern).matches(text, lookup) is fits


def test_variables_are_plain_text_in_the_old_version() -> None:
    assert compile_pattern("${aws:username}", variables=False).matches("${aws:username}", lookup)


@pytest.mark.parametrize("text", ["${aws:username", "a\x00b"])
def test_what_is_no_pattern(text: str) -> None:
    with pytest.raises(ValueError, match=r"end|null"):
        compile_pattern(text)


@pytest.mark.parametrize(
    ("pattern", "arn", "fits"),
    [
        ("*", "arn:aws:s3:::b", True),
        ("arn:aws:s3:::b/*", "arn:aws:s3:::b/k:1/2", True),
        ("arn:aws:s3:::b*", "arn:aws:s3:::b/k", True),
        ("arn:aws:sqs:*:111111111111:q", "arn:aws:sqs:eu-west-1:111111111111:q", True),
        # A star stays within its part of the ARN.
        ("arn:aws:sqs:*:q", "arn:aws:sqs:eu-west-1:111111111111:q", True),
        ("arn:aws:*:*:111111111111:q", "arn:aws:sqs:a:b:111111111111:q", False),
        ("arn:aws:lambda:*:*:function:f:*", "arn:aws:lambda:us-east-1:111111111111:function:f:1", True),
        ("arn:aws:lambda:*:*:function:f:*", "arn:aws:lambda:us-east-1:111111111111:function:f", False),
        ("arn:aws:iam::*:user/${aws:username}", "arn:aws:iam::111111111111:user/alice", True),
        ("arn:aws:iam::*:user/${aws:username}", "arn:aws:iam::111111111111:user/bob", False),
        ("arn:aws:s3:::b", "*", False),
    ],
)
def test_arns(pattern: str, arn: str, fits: bool) -> None:
    assert ArnPattern(pattern).matches(arn, lookup) is fits
