"""Cut a response into the clauses that speak of a topic, with the weight that each has in its sentence."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass

__all__ = ["TOPIC", "Clause", "clauses", "passages"]

TOPIC = "\N{PILCROW SIGN}"
"""Token that stands for the topic."""
_END = re.compile(r"(?<=[.!?])[\"')\]*_]*\s+|\n+")
_TOKEN = re.compile(rf"{TOPIC}|[^\W_]+(?:['-][^\W_]+)*|[,;:()\u2013\u2014?!]", re.UNICODE)
_EXPANSIONS = (
    ("can't", "can not"),
    ("cannot", "can not"),
    ("won't", "will not"),
    ("n't", " not"),
    ("shan't", "shall not"),
)
_BARE_NOT = re.compile(r"\b(do|does|did|is|are|was|were|have|has|had|could|would|should|ca|wo)(?:n t|nt)\b")
"""Negations whose apostrophe was lost."""
_MAX_SENTENCE = 600
_BREAKS = frozenset(";:()\u2013\u2014")
_CONTRAST = frozenset({"but", "however", "yet", "whereas", "nevertheless", "nonetheless", "still"})
_NOT_CONTRAST = frozenset({"anything", "nothing", "all", "help", "not"})
"""Before "but": "anything but good"."""
_CONCEDE = frozenset({"although", "though", "despite", "notwithstanding", "while"})
_REASON = frozenset({"because", "since", "so"})
_NOW = frozenset({"now", "today", "nowadays", "overall"})
_PRONOUNS = frozenset({"they", "them", "these", "those", "it", "their", "its"})
_SUBJECTS = frozenset(
    {"i", "we", "you", "he", "she", "they", "it", "this", "that", "there", "my", "your", "our", "his", "her"}
)
_OTHERS = frozenset({"the", "a", "an", "my", "your", "our", "his", "her", "he", "she", "other", "another"})
_HOLDERS = _OTHERS - {"the", "a", "an"} | {
    "some",
    "many",
    "most",
    "others",
    "critics",
    "opponents",
    "supporters",
    "people",
    "fans",
}


@dataclass(frozen=True)
class Clause:
    """Part of a sentence with one subject."""

    tokens: tuple[str, ...]
    """Lower-case, negations expanded, the topic as `TOPIC`."""
    weight: float
    """0 where it does not speak of the topic; over 1 where it corrects the clause before."""
    past: bool = False
    """It says how things used to be."""


def passages(text: str, pattern: re.Pattern[str]) -> Iterator[str]:
    """Sentences that mention a topic, and those right after that refer back to one, with the topic as `TOPIC`.

    Args:
        text: Any text; a sentence of over 600 characters is cut to pieces.
        pattern: Finds the topic.
    """
    before = False
    for sentence in _sentences(text):
        marked, n = pattern.subn(f" {TOPIC} ", sentence)
        if n or (before and _refers_back(sentence)):
            yield marked
        before = n > 0


def _sentences(text: str) -> Iterator[str]:
    for line in _END.split(text.replace(TOPIC, " ")):
        for start in range(0, len(line), _MAX_SENTENCE):
            yield line[start : start + _MAX_SENTENCE]


def _refers_back(sentence: str) -> bool:
    words = _tokens(sentence)
    return not {"they", "them", "these", "those"}.isdisjoint(words) or not {"it", "this"}.isdisjoint(words[:3])


def _tokens(sentence: str) -> list[str]:
    text = sentence.lower().replace("\N{RIGHT SINGLE QUOTATION MARK}", "'")
    for short, long in _EXPANSIONS:
        text = text.replace(short, long)
    return _TOKEN.findall(_BARE_NOT.sub(r"\1 not", text))


def clauses(sentence: str, *, whole: bool = False) -> list[Clause]:
    """Cut a sentence at contrasts, strong punctuation and new subjects, and weigh its clauses.

    A question counts only if it is rhetorical ("who would not ..."), a condition not at all. What comes after "but"
    has three times the weight of what comes before; a concession ("although") a quarter of its main clause.

    Args:
        sentence: With the topic as `TOPIC`.
        whole: Every clause but conditions speaks of the topic, whether or not it says so.
    """
    words = _tokens(sentence)
    if "?" in words and words[0] not in {"who", "why", "how"}:
        return []
    parts = _split(words)
    found: list[Clause] = []
    for i, part in enumerate(parts):
        opened = part[0] if part else ""
        weight = _relevance(part, first=i == 0, whole=whole)
        if i + 1 < len(parts) and parts[i + 1][:1] and parts[i + 1][0] in _CONTRAST:
            weight *= 0.5
        if (opened in _CONTRAST and i > 0) or (i > 0 and not _NOW.isdisjoint(part)):
            weight *= 1.5
        if opened in _CONCEDE or part[:2] in (["for", "all"], ["in", "spite"], ["even", "though"], ["even", "if"]):
            weight *= 0.25
        found.append(Clause(tuple(part), weight, past=_is_past(part)))
    return found


def _split(words: list[str]) -> list[list[str]]:
    parts: list[list[str]] = [[]]
    conceding = False
    for word, following in itertools.zip_longest(words, words[1:], fillvalue=""):
        here = parts[-1]
        if word == "but" and here and here[-1] in _NOT_CONTRAST:
            here.append(word)
            continue
        if word in _BREAKS or (
            word == ","
            and (
                conceding
                or following in _SUBJECTS | {TOPIC}
                or following in _CONTRAST | _CONCEDE | _REASON | {"and", "or"}
            )
        ):
            conceding = False
            parts.append([])
        elif word in _CONTRAST - {"yet", "still"} or word in _CONCEDE - {"while"} or word == "because":
            conceding = word in _CONCEDE and not here
            parts.append([word])
        elif word == "and" and following in _SUBJECTS:
            parts.append([word])
        elif word not in {",", "?", "!"}:
            conceding = conceding or (not here and word in _CONCEDE | {"for", "in", "if", "even"})
            here.append(word)
    return [part for part in parts if part]


def _relevance(part: list[str], *, first: bool, whole: bool) -> float:
    """0 for conditions and clauses about something else, a half for what others are said to think."""
    start = 1 if part[0] in _CONTRAST | _CONCEDE | _REASON | {"and", "or"} else 0
    subject = part[start] if len(part) > start else ""
    if subject in {"if", "unless", "whether"}:
        return 0.0
    about = TOPIC in part or not _PRONOUNS.isdisjoint(part)
    if not (about or whole) and (first or subject in _OTHERS or subject in {"this", "there"}):
        return 0.0
    return 0.5 if subject in _HOLDERS else 1.0


def _is_past(part: list[str]) -> bool:
    text = " ".join(part)
    return "used to" in text or "at first" in text or part[0] in {"once", "formerly", "initially", "originally"}
