"""A response with its prompt, split into words, sentences and lines once for all features."""

from __future__ import annotations

import re
from functools import cached_property, lru_cache

from moorings.compare.battery.words import Words, lower_words, split_words

__all__ = ["EXCLAMATION_MARKS", "QUESTION_MARKS", "Text", "ends_in"]

QUESTION_MARKS = ("?", "\uff1f", "\u061f")
EXCLAMATION_MARKS = ("!", "\uff01")
_CLOSERS = " \t\n\"'\u201d\u2019)]}*_`"

_FENCE = re.compile(r"^[ \t]*+(```|~~~).*+$", re.MULTILINE)
_MARKER = re.compile(r"^[ \t]*+(?:(?:[-*+\u2022\u2013]|#{1,6}|>|\d{1,3}[.)])[ \t]++)++", re.MULTILINE)
_END = re.compile(
    r"[.!?\u2026\u3002\uff01\uff1f](?:(?<=[\u3002\uff01\uff1f])"
    r"|(?<!\b[A-Za-z]\.)(?<!\b[DM]r\.)(?<!\bM[rs]s\.)(?<!\bMs\.)(?<!\bvs\.)(?<!\betc\.)"
    r"[\"'\u201d\u2019)\]*_]*+[ \t]++(?![a-z]))"
)
_LETTER = re.compile(r"[^\W_]")
_OPENING_WORDS = 60
_CLOSING_WORDS = 40


class Text:
    """What features look at. Lines end in a line feed, whatever they ended in before.

    Args:
        text: The response.
        prompt: What it answers.
    """

    def __init__(self, text: str, prompt: str = "") -> None:
        self.text = text.replace("\r\n", "\n").replace("\r", "\n")
        self.prompt = prompt

    @cached_property
    def stripped(self) -> str:
        """Without white space and NUL characters at either end."""
        return self.text.strip(" \t\n\r\x00\x0b\x0c\ufeff\u200b\xa0")

    @cached_property
    def words(self) -> list[str]:
        """All words in lower case, code included."""
        return [word.lower() for word in split_words(self.text)]

    @cached_property
    def lines(self) -> list[str]:
        """Lines that are not blank, without white space at either end."""
        return [line for line in map(str.strip, self.text.split("\n")) if line]

    @cached_property
    def without_code(self) -> str:
        """Without blocks fenced by three backticks or tildes; one left open runs to the end."""
        if "```" not in self.text and "~~~" not in self.text:
            return self.text
        kept, start, opened = [], 0, ""
        for fence in _FENCE.finditer(self.text):
            if not opened:
                kept.append(self.text[start : fence.start()])
                opened = fence[1]
            elif fence[1] == opened:
                start, opened = fence.end(), ""
        if not opened:
            kept.append(self.text[start:])
        return "".join(kept)

    @cached_property
    def has_code(self) -> bool:
        """Whether there is a fenced block."""
        return len(self.without_code) < len(self.text)

    @cached_property
    def prose(self) -> str:
        """Without code, bullets, item numbers, heading and quotation marks at the start of lines."""
        return _MARKER.sub("", self.without_code).replace("**", "")

    @cached_property
    def lower(self) -> str:
        """Prose in lower case, with straight apostrophes."""
        return self.prose.lower().replace("\u2019", "'")

    @cached_property
    def sentences(self) -> list[str]:
        """Sentences of the prose; the end of a line ends one too."""
        found = []
        for line in filter(None, self.prose.split("\n")):
            start = 0
            for end in _END.finditer(line):
                found.append(line[start : end.end()])
                start = end.end()
            found.append(line[start:])
        return [sentence for sentence in found if _LETTER.search(sentence)]

    @cached_property
    def sentence_words(self) -> list[list[str]]:
        """Words of each sentence in their own case."""
        return [split_words(sentence) for sentence in self.sentences]

    @cached_property
    def cased_words(self) -> list[str]:
        """Words of the prose in their own case."""
        return [word for sentence in self.sentence_words for word in sentence]

    @cached_property
    def prose_words(self) -> Words:
        """Words of the prose in lower case."""
        return lower_words(self.cased_words)

    @cached_property
    def first_sentence(self) -> Words:
        """Words of the first sentence in lower case."""
        return lower_words(self.sentence_words[0] if self.sentence_words else [])

    @cached_property
    def opening(self) -> Words:
        """The first 60 words of the prose."""
        return Words(self.prose_words.words[:_OPENING_WORDS])

    @cached_property
    def closing(self) -> Words:
        """The last 40 words of the prose."""
        return Words(self.prose_words.words[-_CLOSING_WORDS:])

    @property
    def prompt_words(self) -> Words:
        """Words of the prompt in lower case."""
        return _read_prompt(self.prompt)

    def per_100(self, n: float) -> float:
        """A count per 100 words of prose; NaN where there is none."""
        return self.prose_words.per_100(n)

    def share_of_sentences(self, n: float) -> float:
        """A count as a share of sentences; NaN where there is none."""
        return n / len(self.sentences) if self.sentences else float("nan")


def ends_in(text: str, marks: tuple[str, ...]) -> bool:
    """Whether a text ends in one of these marks, closing quotation marks, brackets and emphasis apart."""
    return text.rstrip(_CLOSERS).endswith(marks)


@lru_cache(maxsize=64)
def _read_prompt(prompt: str) -> Words:
    """Samples of one prompt stand side by side when measured, so a few are enough."""
    return lower_words(split_words(prompt))
