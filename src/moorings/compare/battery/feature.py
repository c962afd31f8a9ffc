"""What a feature of the battery is, and how one is added."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import count

from moorings.compare.battery.text import Text
from moorings.errors import ConfigError
from moorings.registry import Registry

__all__ = [
    "PER_100",
    "SHARE",
    "SHARE_OF_SENTENCES",
    "THEMES",
    "Feature",
    "Measure",
    "Measured",
    "feature",
    "features",
    "known_features",
]

THEMES = ("length", "structure", "tone", "courtesy", "caution", "opening", "language", "content", "topics", "copying")
"""Modules of the built-in features, in the order of their columns."""
SHARE = "share of responses"
"""Unit of a feature that a response has or has not."""
PER_100 = "per 100 words"
"""Unit of a count over words of prose."""
SHARE_OF_SENTENCES = "share of sentences"

Measure = Callable[[Text], float | bool]


@dataclass(frozen=True)
class Feature:
    """One readable property of a response."""

    name: str
    """Stable; charters and stored findings refer to it."""
    more: str
    """Sentence that is true if the candidate has more of it."""
    less: str
    """Sentence that is true if the candidate has less of it."""
    unit: str
    """What its mean over responses counts."""
    binary: bool
    """Whether a response has it or has not."""
    style: bool
    """Whether it is about how something is said, not about what is said or done."""
    doc: str
    """How it is measured."""


@dataclass(frozen=True)
class Measured:
    """A feature with the function that measures it."""

    feature: Feature
    measure: Measure
    theme: str
    """Module that defines it; the last part of its name for a built-in one."""
    order: int
    """Features of a theme stand in the order of their definition."""

    def __call__(self, text: Text) -> float:
        """Value of a response; NaN where it cannot be measured."""
        return float(self.measure(text))


features: Registry[Measured] = Registry("battery feature")
_PACKAGE = __name__.rpartition(".")[0] + "."
_position = count()


def feature(*, name: str, more: str, less: str, unit: str, style: bool) -> Callable[[Measure], Measure]:
    """Register a function from a text to a number as a feature; its docstring says how it is measured.

    The function must not raise on any text, takes time linear in it, and returns NaN where the feature cannot be
    measured. A package of its own lists its module under the entry-point group `moorings`.

    Args:
        name: Stable name in lower case.
        more: Sentence if the candidate has more of it ("Responses are longer").
        less: Sentence if the candidate has less of it ("Responses are shorter").
        unit: What the mean counts; `share of responses` makes the feature binary.
        style: How something is said (True), or what is said or done (False).

    Raises:
        ConfigError: The name is taken, or the function has no docstring.
    """

    def add(measure: Measure) -> Measure:
        doc = " ".join((measure.__doc__ or "").split())
        if not doc:
            raise ConfigError(f"battery feature '{name}' has no docstring; say in a sentence how it is measured")
        described = Feature(name, more, less, unit, binary=unit == SHARE, style=style, doc=doc)
        theme = str(getattr(measure, "__module__", "")).removeprefix(_PACKAGE)
        features.register(name)(Measured(described, measure, theme, next(_position)))
        return measure

    return add


def known_features() -> tuple[Measured, ...]:
    """All features: the built-in ones by theme, then those of other packages by name."""
    found = [features.get(name) for name in features.names()]
    built_in = sorted((f for f in found if f.theme in THEMES), key=lambda f: (THEMES.index(f.theme), f.order))
    return (*built_in, *(f for f in found if f.theme not in THEMES))
