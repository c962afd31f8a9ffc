"""How an item is shown: the words that are sent, and the symbols that stand before the options.

The instruction comes first, then the stem, then one option a line, as in the multiple-choice prompts of Inspect; the
cue `Answer:` closes it, as in MMLU (Hendrycks et al. 2021, arXiv:2009.03300). The part before the options is the same in all
orders of an item, so that engines read it once.
"""

from __future__ import annotations

import string
from collections.abc import Sequence
from typing import NamedTuple

from moorings.probes.framing import Framing
from moorings.probes.item import Item
from moorings.records import Message

__all__ = ["CONTENT_FREE", "Shown", "show", "show_content_free", "symbols_of", "variants"]

CONTENT_FREE = ("N/A", "[MASK]", "")
"""Stems without content, those of Zhao et al. 2021 (arXiv:2102.09690)."""

_LETTERS = string.ascii_uppercase
_AROUND = "()[]{}<>.:*' \t\n\""


class Shown(NamedTuple):
    """An item as it is sent once."""

    messages: tuple[Message, ...]
    symbols: tuple[str, ...]
    """Symbol at each place."""


def symbols_of(item: Item) -> tuple[str, ...]:
    """Symbols of the places, in order: the item's own where they are single letters or numbers, else letters or numbers.

    A symbol belongs to a place, not to an option: under another order the options move and the symbols stay.
    """
    own = tuple(option.symbol.strip(_AROUND) for option in item.options)
    plain = all(symbol.isascii() and (symbol.isdecimal() or (len(symbol) == 1 and symbol.isalpha())) for symbol in own)
    if plain and len({symbol.casefold() for symbol in own}) == len(own) and max(map(len, own), default=0) <= 2:
        return own
    n = len(own)
    return tuple(_LETTERS[:n]) if n <= len(_LETTERS) else tuple(str(at + 1) for at in range(n))


def variants(symbol: str) -> tuple[str, ...]:
    """Continuations that stand for a symbol at the start of an answer; their probabilities are added up.

    A letter may come with a space before it. A number with one is two tokens in many vocabularies, and would cost a second
    reading of the prompt.
    """
    return (symbol,) if symbol.isdecimal() else (symbol, f" {symbol}")


def show(item: Item, order: Sequence[int], framing: Framing) -> Shown:
    """Put an item's options in an order under a framing.

    Args:
        item: What is asked.
        order: Option index at each place.
        framing: What is said before.
    """
    symbols = symbols_of(item)
    return _shown(item.prompt, [item.options[at].text for at in order], symbols, framing, item.system)


def show_content_free(symbols: Sequence[str], stem: str, framing: Framing) -> Shown:
    """The same frame around nothing: what is answered here is answered because of the symbol and its place."""
    return _shown(stem, ["N/A"] * len(symbols), tuple(symbols), framing, None)


def _shown(
    stem: str, texts: Sequence[str], symbols: tuple[str, ...], framing: Framing, own_system: str | None
) -> Shown:
    lines = [*(f"{symbol}) {text}" for symbol, text in zip(symbols, texts, strict=True)), "Answer:"]
    said = [framing.text] if framing.text and framing.place == "question" else []
    content = "\n\n".join([*said, "Answer with the symbol of one option only.", stem, "\n".join(lines)])
    system = "\n\n".join(part for part in (framing.text if framing.place == "system" else "", own_system or "") if part)
    before = (Message(role="system", content=system),) if system else ()
    return Shown((*before, Message(role="user", content=content)), symbols)
