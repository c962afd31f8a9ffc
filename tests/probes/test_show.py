"""Symbols belong to places, options move, and the part before the options is the same in all orders."""

from __future__ import annotations

import pytest

from moorings.probes.framing import PLAIN, observation
from moorings.probes.item import Item, Option
from moorings.probes.show import show, show_content_free, symbols_of, variants


def item(symbols: list[str]) -> Item:
    options = tuple(Option(symbol=symbol, text=f"text {at}", key=at == 0) for at, symbol in enumerate(symbols))
    return Item(item_id="i", cluster_id="c", subtask="S1", prompt="Which?", options=options)


@pytest.mark.parametrize(
    ("stored", "shown"),
    [
        (["A", "B"], "AB"),
        (["X", "Y"], "XY"),
        (["1", "2"], "12"),
        ([" (A)", " (B)"], "AB"),
        (["1.", "2.", "3."], "123"),
        (["Yes", "No"], "AB"),
        (["A", "a"], "AB"),
        (["", ""], "AB"),
        (["A", "A", "B"], "ABC"),
        (["\u202eA", "B"], "AB"),
        (["100", "200"], "AB"),
    ],
)
def test_symbols_are_those_of_the_item_if_they_are_plain(stored: list[str], shown: str) -> None:
    assert symbols_of(item(stored)) == tuple(shown)


def test_many_options_are_numbered() -> None:
    assert symbols_of(item([""] * 27))[-1] == "27"
    assert symbols_of(item([""] * 26))[-1] == "Z"


def test_options_move_and_symbols_stay() -> None:
    one, other = (show(item(["A", "B", "C"]), order, PLAIN) for order in ((0, 1, 2), (2, 0, 1)))
    assert one.symbols == other.symbols == ("A", "B", "C")
    text = other.messages[-1].content
    assert "A) text 2\nB) text 0\nC) text 1\nAnswer:" in text
    assert text.split("A)")[0] == one.messages[-1].content.split("A)")[0]
    assert (variants("A"), variants("12")) == (("A", " A"), ("12",))


def test_a_content_free_prompt_has_the_same_frame() -> None:
    framing = observation(1)[0]
    shown = show_content_free("AB", "N/A", framing)
    asked = show(item(["A", "B"]), (0, 1), framing)
    assert shown.symbols == asked.symbols
    assert shown.messages[0] == asked.messages[0]
    same = asked.messages[1].content.replace("Which?", "N/A").replace("text 0", "N/A").replace("text 1", "N/A")
    assert shown.messages[1].content == same
