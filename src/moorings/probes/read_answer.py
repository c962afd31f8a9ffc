"""Which option a drawn answer names. Answers are hostile text: they are read, never trusted, and nothing is guessed.

An answer that names two options names none, whatever it says of them: telling "B, not A" from "A, not B" would need an
understanding of the sentence, and a wrong reading would be a wrong score. It then counts as unreadable.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from typing import Literal

__all__ = ["MAX_CHARACTERS", "read_answer"]

MAX_CHARACTERS = 4000
"""What follows is not read."""

_TYPED = str.maketrans({"\u2018": "'", "\u2019": "'", "\u201c": "", "\u201d": "", '"': "", "*": "", "_": "", "`": ""})
_QUOTES = re.compile(r"(?<!\w)'|'(?!\w)")
_CUE = r"\b(?:answer|option|choice|symbol|letter)(?: (?:is|would be))?"
_VERB = r" (?:is|was|would|will|should|because|since|as|or|and|nor|not|but|seems?|looks?|fits?)\b"
"""After these words a capital A is no article."""

_Naming = Literal["yes", "perhaps", "no"]


def read_answer(text: str, symbols: Sequence[str], options: Sequence[str]) -> int | None:
    """Place of the one option that an answer names; None where it names none, or perhaps several.

    A symbol is named where it stands alone, in or before a bracket, before a full stop, comma or colon, or after a cue such
    as `Answer:`. A capital is named anywhere, but an `A` that may be an article names its option only perhaps, and an `I`
    or a number in a sentence not at all. Where no symbol is named, the option counts whose text is in the answer.

    >>> read_answer("The answer is (B).", "AB", ["more", "less"]), read_answer("A or B", "AB", ["more", "less"])
    (1, None)
    >>> read_answer("Much less, I think.", "AB", ["more", "less"]), read_answer("A lot.", "AB", ["more", "less"])
    (1, None)

    Args:
        text: What was said.
        symbols: Symbol at each place.
        options: Text of the option at each place.
    """
    said = _plain(text)
    namings = [_naming(said, symbol) for symbol in symbols]
    found = [at for at, naming in enumerate(namings) if naming == "yes"]
    if not found:
        # Only then do the options' texts decide: an answer may repeat several of them beside a symbol.
        found = _texts_in(said, options)
    others = [at for at, naming in enumerate(namings) if naming == "perhaps" and [at] != found]
    return found[0] if len(found) == 1 and not others else None


def _plain(text: str) -> str:
    """One line of NFKC text without quotes, emphasis and invisible characters, bounded."""
    shown = unicodedata.normalize("NFKC", text[:MAX_CHARACTERS])[:MAX_CHARACTERS]
    visible = "".join(c if unicodedata.category(c)[0] != "C" else " " if c.isspace() else "" for c in shown)
    return " ".join(_QUOTES.sub("", visible.translate(_TYPED)).split())


def _naming(said: str, symbol: str) -> _Naming:
    s = re.escape(symbol)
    token = rf"(?<![\w'.-]){s}(?![\w'-])"
    either_case = rf"(?i:(?<![\w'.-]){s}(?![\w'-]))"
    sure = [
        rf"\A\W*{either_case}\W*\Z",
        rf"[(\[{{] ?{either_case} ?[)\]}}]",
        rf"{either_case}[)\]]",
        rf"{token}[.:,](?!\w)",
        rf"(?i:{_CUE}) ?[(\[]?{token}",
        rf"(?i:{_CUE}) ?[:=]? ?[(\[]?{either_case}(?=\W*\Z)",
        rf"(?i:{_CUE}) ?[:=] ?[(\[]?{token}(?! [a-z])",
    ]
    if symbol == "A":
        sure += [rf"{token}{_VERB}", rf"{token}\W*\Z"]
    elif symbol.isupper() and symbol != "I":
        sure.append(token)
    if any(re.search(pattern, said) for pattern in sure):
        return "yes"
    return "perhaps" if symbol == "A" and re.search(token, said) else "no"


def _texts_in(said: str, options: Sequence[str]) -> list[int]:
    """Options whose text is in the answer, those left out that are only there as part of a longer option's text."""
    texts = [_plain(option).casefold().strip(" .") for option in options]
    rest = said.casefold()
    found = []
    for at in sorted(range(len(texts)), key=lambda place: -len(texts[place])):
        pattern = rf"(?<!\w){re.escape(texts[at])}(?!\w)"
        if texts[at] and re.search(pattern, rest):
            found.append(at)
            rest = re.sub(pattern, " \0 ", rest)
    return sorted(found)
