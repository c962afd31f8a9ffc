"""Numbers and verdicts in words that need no statistics."""

from __future__ import annotations

import math
from collections.abc import Sequence

from moorings.records import Effect, Finding, Interval

__all__ = [
    "GLOSSARY",
    "VERDICTS",
    "amount",
    "change",
    "direction",
    "interval_text",
    "listed",
    "number",
    "p_value",
    "percent",
    "seconds",
    "sentence",
]

SHARE = "share of responses"
MINUS = "\N{MINUS SIGN}"

VERDICTS = {
    "no change found": ("calm", "=", "No change was found. This is not proof that there is none."),
    "changed as intended": ("good", "✓", "Behaviour changed, and only as intended."),
    "changed": ("info", "Δ", "Behaviour changed. Nothing was said about what was intended."),
    "side effects": ("warn", "!", "Behaviour also changed in ways that nobody asked for."),
    "concerning": ("bad", "✕", "Behaviour changed in a way that was ruled out or is judged harmful."),
}
"""Tone, sign and plain sentence of each verdict, least to most serious."""

GLOSSARY = {
    "interval": "The range in which the true difference lies with the stated confidence. "
    "It is widened for having picked out the strongest findings.",
    "p": "How often a difference at least this large would turn up if the two did not differ, "
    "corrected for the number of behaviours that were tested.",
    "mde": "Minimum detectable effect: the smallest true difference that this comparison would have found "
    "four times out of five.",
    "standardised": "The difference divided by the spread of single responses, so that unlike units can be compared. "
    "0.2 is small, 0.5 medium, 0.8 large.",
    "fidelity": "How well the sentence sorts unseen responses into those that it was written for and the rest: "
    "0.5 is guessing, 1 is perfect.",
    "guaranteed": "Holds under the strictest correction, whatever the relation between the tested behaviours.",
    "exploratory": "Expected share of false ones in this list is controlled, but this one is not certain on its own.",
    "tolerance": "The whole interval lies beyond the difference that was declared small enough to ignore.",
    "families": "Groups of prompts that belong together, counted once each.",
    "worst": "The difference if every missing response had been the least favourable one, in either direction.",
    "volume": "How much more often the topic comes up, on the log-odds scale: 0 is the same, 0.7 doubles the odds, "
    "2.2 multiplies them by nine.",
    "stance": "How much more favourably the topic is spoken of when it comes up, from -2 to 2.",
    "omnibus": "A single test of whether anything at all differs.",
}
"""Terms that a card needs, explained."""


def number(value: float | None, *, sign: bool = False) -> str:
    """A number with about three significant digits and a true minus (U+2212).

    >>> number(0.01234), number(1234.5), number(0.5, sign=True), number(-1).replace(MINUS, "-")
    ('0.0123', '1,234', '+0.5', '-1')
    """
    if value is None or math.isnan(value):
        return "not known"
    if math.isinf(value):
        return "unbounded"
    if abs(value) >= 100:
        text = f"{abs(value):,.0f}"
    elif abs(value) >= 0.001:
        decimals = max(0, 2 - math.floor(math.log10(abs(value))))
        text = f"{abs(value):.{decimals}f}".rstrip("0").rstrip(".")
    else:
        text = f"{abs(value):.1g}" if value else "0"
    minus_or_plus = MINUS if value < 0 else "+" if sign and value > 0 else ""
    return minus_or_plus + text


def percent(share: float) -> str:
    """A share as a percentage.

    >>> percent(0.1234), percent(0.0012)
    ('12.3 %', '0.12 %')
    """
    if not math.isfinite(share):
        return number(share)
    value = 100 * share
    return f"{value:.1f} %" if abs(value) >= 1 or value == 0 else f"{value:.2f} %"


def amount(value: float, unit: str) -> str:
    """A level in its unit.

    >>> amount(0.5, "share of responses"), amount(12, "words")
    ('50.0 %', '12 words')
    """
    return percent(value) if unit == SHARE else f"{number(value)} {unit}"


def change(value: float, unit: str) -> str:
    """A difference in its unit; shares differ by percentage points.

    >>> change(0.5, "share of responses"), change(12, "words")
    ('+50 points', '+12 words')
    """
    return f"{number(100 * value, sign=True)} points" if unit == SHARE else f"{number(value, sign=True)} {unit}"


def interval_text(interval: Interval, unit: str | None = None) -> str:
    """Both ends of an interval; in percentage points if the unit is a share.

    >>> interval_text(Interval(low=0.1, high=0.2), "share of responses")
    '+10 to +20 points'
    """
    scale = 100 if unit == SHARE else 1
    word = {SHARE: " points", None: ""}.get(unit, f" {unit}")
    return f"{number(scale * interval.low, sign=True)} to {number(scale * interval.high, sign=True)}{word}"


def p_value(p: float) -> str:
    """A probability, never shown as exactly zero.

    >>> p_value(0.0001), p_value(0.0421)
    ('< 0.001', '0.042')
    """
    return "< 0.001" if p < 0.001 else f"{p:.3f}" if p < 0.1 else f"{p:.2f}"


def seconds(value: float) -> str:
    """A duration.

    >>> seconds(3.21), seconds(754)
    ('3.2 s', '12 min 34 s')
    """
    return f"{value:.1f} s" if value < 60 else f"{value // 60:.0f} min {value % 60:.0f} s"


def direction(effect: Effect) -> tuple[str, str]:
    """Arrow and word of an effect.

    Returns:
        Such as ('↑', 'more often').
    """
    often = " often" if effect.unit == SHARE else ""
    if effect.estimate > 0:
        return "↑", f"more{often}"
    return ("↓", f"less{often}") if effect.estimate < 0 else ("→", "the same")


def sentence(finding: Finding) -> str:
    """The result in one plain sentence."""
    effect = finding.effect
    level = f"{effect.interval.level * 100:.3g} %"
    if effect.unit == SHARE:
        opening = (
            f"The candidate shows it in {percent(effect.candidate)} of its responses, "
            f"the precursor in {percent(effect.precursor)}."
        )
    else:
        opening = (
            f"On average the candidate has {number(effect.candidate)} {effect.unit} a response, "
            f"the precursor {number(effect.precursor)}."
        )
    between = interval_text(effect.interval, effect.unit).replace(" to ", " and ")
    return (
        f"{opening} With {level} confidence the true difference is between {between}, "
        f"judged on {effect.n_prompts:,} prompts that played no part in finding it."
    )


def listed(names: Sequence[str]) -> str:
    """Names in a sentence.

    >>> listed(["a"]), listed(["a", "b", "c"])
    ('a', 'a, b and c')
    """
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
