"""Paging tokens come back as the place they were made of, or not at all."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pileus.kernel.paging import BadToken, page_place, page_token
from pileus.store import keys

START, END = keys.prefix_range("logs", "111122223333", "us-east-1", "group")
PLACE = keys.pack("logs", "111122223333", "us-east-1", "group", "/aws/lambda/thumbnails")


@given(st.binary(max_size=40))
def test_a_token_comes_back(rest):
    place = START + rest
    token = page_token(place, START)
    assert page_place(token, START, END) == place
    assert token.isascii()
    assert not set(token) & set("+/= ")


def test_a_token_is_short_and_shows_no_more_than_its_place():
    token = page_token(PLACE, START)
    assert len(token) < 50


@given(st.integers(0, 200), st.characters())
def test_a_changed_token_is_refused(at, character):
    token = page_token(PLACE, START)
    at %= len(token)
    changed = token[:at] + character + token[at + 1 :]
    if changed != token:
        with pytest.raises(BadToken):
            page_place(changed, START, END)


@given(st.text(max_size=60))
def test_what_is_no_token_is_refused(text):
    with pytest.raises(BadToken):
        page_place(text, START, END)


@pytest.mark.parametrize("cut", [0, 1, 5, 6, 8, 20])
def test_a_token_that_breaks_off_is_refused(cut):
    with pytest.raises(BadToken):
        page_place(page_token(PLACE, START)[:cut], START, END)


def test_the_token_of_another_listing_is_refused():
    start, end = keys.prefix_range("logs", "444455556666", "us-east-1", "group")
    with pytest.raises(BadToken):
        page_place(page_token(PLACE, START), start, end)
    with pytest.raises(BadToken):
        page_place(page_token(END + b"x", START), START, END)
