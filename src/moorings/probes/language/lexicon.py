"""Names and things in disjoint parts: no entry of one part stands in another part.

One part each for dev, anchor and canary items, and one for each of `N_FORMS` forms of the test items. Forms beyond
that use the parts again, with other items.
"""

from __future__ import annotations

from functools import cache
from itertools import product
from typing import NamedTuple

from moorings.errors import ConfigError, nearest
from moorings.probes.language import words

__all__ = ["FIXED_PARTS", "N_FORMS", "Lexicon", "lexicon", "part_of"]

N_FORMS = 8
"""Forms of the test items that share no name and no value."""
FIXED_PARTS = ("dev", "anchor", "canary")
_N_PARTS = len(FIXED_PARTS) + N_FORMS


class Lexicon(NamedTuple):
    """What the items of one part are made of."""

    names: tuple[str, ...]
    admired: tuple[str, ...]
    questioned: tuple[str, ...]
    events: tuple[str, ...]
    mechanisms: tuple[str, ...]
    crafts: tuple[str, ...]
    roles: tuple[str, ...]
    places: tuple[str, ...]
    gates: tuple[str, ...]
    processes: tuple[str, ...]
    landmarks: tuple[str, ...]
    """What something may be named after a value with: `thrift` and `the thrift hall`."""


def part_of(split: str, form: int) -> int:
    """Number of the part that a split and form use.

    Raises:
        ConfigError: No such split, or a negative form.
    """
    if split not in (*FIXED_PARTS, "test"):
        raise ConfigError(f"split {split!a} is unknown; {nearest(split, (*FIXED_PARTS, 'test'))}")
    if form < 0:
        raise ConfigError(f"form is {form}; it must be 0 or more")
    return FIXED_PARTS.index(split) if split in FIXED_PARTS else len(FIXED_PARTS) + form % N_FORMS


@cache
def lexicon(part: int) -> Lexicon:
    """The words of one part."""

    def cut(listed: str | list[str]) -> tuple[str, ...]:
        whole = listed if isinstance(listed, list) else [w.strip() for w in listed.replace("\n", "|").split("|")]
        return tuple([word for word in whole if word][part::_N_PARTS])

    def paired(first: str, second: str, pattern: str) -> tuple[str, ...]:
        return tuple(pattern.format(a, b) for a, b in product(cut(first), cut(second)))

    return Lexicon(
        names=cut(words.NAMES),
        admired=cut(words.ADMIRED),
        questioned=cut(words.QUESTIONED),
        events=paired(words.KINDS, words.EVENTS, "the {} {}"),
        mechanisms=paired(words.TOPICS, words.SITES, "the {} in the {}"),
        crafts=cut(words.CRAFTS),
        roles=paired(words.SITES, words.CRAFTS, "the {} {}"),
        places=cut(words.PLACES),
        gates=tuple(f"the {gate}" for gate in cut(words.GATES)),
        processes=paired(words.MANNERS, words.MEANS, "the {} {}"),
        landmarks=cut(words.SITES),
    )
