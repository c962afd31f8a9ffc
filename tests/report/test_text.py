"""Text that only shows."""

from __future__ import annotations

import doctest
import unicodedata
from importlib import import_module

import make
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from moorings.report.text import cut, shown, shown_html

ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=60)
BIDI = {0x61C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A)}


@pytest.mark.parametrize("name", ["text", "wording", "scatter"])
def test_examples_in_docstrings(name: str) -> None:
    result = doctest.testmod(import_module(f"moorings.report.{name}"))
    assert result.failed == 0
    assert result.attempted > 0


@given(ANY_TEXT)
@settings(max_examples=300, deadline=None)
def test_nothing_that_acts_or_hides_is_left(text: str) -> None:
    result = shown(text)
    result.encode("utf-8")
    for char in result:
        assert char in "\n\t" or unicodedata.category(char) not in ("Cc", "Cs"), hex(ord(char))
        assert ord(char) not in BIDI
        assert not 0xE0000 <= ord(char) <= 0xE0FFF


@given(st.text(st.characters(categories=("L", "N", "P", "Zs", "Sc", "Sm")), max_size=60))
def test_ordinary_text_is_kept(text: str) -> None:
    hidden = {"\u3164", "\uffa0", "\u115f", "\u1160"}
    if not hidden & set(text):
        assert shown(text) == text


@given(ANY_TEXT)
def test_html_shows_the_same_text(text: str) -> None:
    assert shown_html(text).striptags().split() == shown(text).split() or "<" in text or "&" in text
    assert "<script" not in str(shown_html("<script>" + text))


@pytest.mark.parametrize("text", ["👩‍👩‍👧‍👦 ❤️", "Việt Nam", "हिन्दी में", "שָׁלוֹם", "العَرَبِيَّة", "ไม่ใช่ที่นี่", "e\u0301\u0323"])
def test_scripts_of_the_world_are_kept(text: str) -> None:
    assert shown(text) == text


def test_a_tower_of_marks_is_cut() -> None:
    assert shown("z" + "\u0301" * 10_000 + "!") == "z" + "\u0301" * 4 + "⟨9,996 more combining marks⟩!"


@pytest.mark.parametrize("payload", make.PAYLOADS, ids=lambda p: p.name)
def test_visible_form_of_each_payload(payload: make.Payload) -> None:
    assert payload.visible in shown(payload.text)


def test_a_cut_is_told() -> None:
    kept, note = cut("x" * 1500, 1000)
    assert (len(kept), note) == (1000, " … [500 more characters]")
    assert shown_html("x" * 1500, 1000).striptags().endswith("… [500 more characters]")
