"""The live track in a report of probes: what it found, in a sentence, by trait and as scores."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

from pydantic import ConfigDict, ValidationError

from moorings.errors import InputError
from moorings.probes.live.track import LiveTrack
from moorings.probes.metrics.cluster_bootstrap import Figure
from moorings.records import Interval, Record
from moorings.report.forest import Scale
from moorings.report.probe import charts
from moorings.report.probe.rows import Row, fixed
from moorings.report.wording import percent

__all__ = [
    "CHANCE_OF_THREE",
    "LiveOutcome",
    "LivePairs",
    "LiveRecord",
    "LiveScore",
    "LiveTrait",
    "foretold",
    "is_told",
    "live_record",
    "live_scores",
    "live_sentence",
    "live_traits",
]

CHANCE_OF_THREE = 1.0 / 3.0
"""Of foretelling more, less or the same by a guess."""


class LiveOutcome(Record):
    """What a training did to a trait; see `moorings.probes.live.truth.Outcome`."""

    truth: Literal["more", "less", "same", "unclear"]
    effect: float
    low: float
    high: float
    n_prompts: int
    by_seed: tuple[float, ...]


class LiveScore(Record):
    """A share or a difference, with its interval over training sets."""

    mean: float
    low: float
    high: float
    detectable: float

    @property
    def told(self) -> bool:
        """Whether there is an interval: from one training set, none can be had."""
        return math.isfinite(self.low) and math.isfinite(self.high)


class LivePairs(Record):
    """Pairs of a training set and a trait."""

    judged: float
    unclear: float


class LiveRecord(Record):
    """A live track as `LiveTrack.as_json` gives it; further keys are kept."""

    model_config = ConfigDict(frozen=True, extra="allow")

    outcomes: dict[str, dict[str, LiveOutcome]]
    foretold: dict[str, dict[str, dict[str, tuple[float, ...]]]]
    surface: dict[str, dict[str, str]]
    scores: dict[str, LiveScore | LivePairs]

    def score(self, name: str) -> LiveScore | None:
        """A score by its name, such as `self`; None where no pair was judged."""
        found = self.scores.get(name)
        return found if isinstance(found, LiveScore) else None

    @property
    def pairs(self) -> LivePairs:
        """How many pairs were judged, and how many were too unclear."""
        found = self.scores.get("pairs")
        return found if isinstance(found, LivePairs) else LivePairs(judged=0, unclear=0)


def live_record(live: LiveTrack | Mapping[str, Any] | None) -> LiveRecord | None:
    """A live track, or what its `as_json` gave, as a record.

    Raises:
        InputError: It is no live track.
    """
    if live is None:
        return None
    try:
        return LiveRecord.model_validate(live.as_json() if isinstance(live, LiveTrack) else dict(live))
    except ValidationError as error:
        reason = ascii(str(error).splitlines()[0])[1:-1]
        raise InputError(f"live is no result of a live track ({reason}); give what LiveTrack.as_json gave") from None


def live_sentence(live: LiveRecord | None) -> str:
    """What the live track showed."""
    if live is None:
        return ""
    n_judged, n_unclear = int(live.pairs.judged), int(live.pairs.unclear)
    own, gain = live.score("self"), live.score("self_advantage")
    if not n_judged or own is None or gain is None:
        return f"Live track: no pair of a training set and a trait was clear enough to be judged ({n_unclear} were unclear)."
    more = "more" if gain.low > 0 else "less" if gain.high < 0 else ""
    told = (
        f"That is {more} often than for another model" if more else "No difference from foretelling another was shown"
    )
    told += f" ({fixed(gain.mean, 2, sign=True)}, {fixed(gain.low, 2, sign=True)} to {fixed(gain.high, 2, sign=True)})"
    told += f"; an advantage of {fixed(gain.detectable, 2)} would have been seen."
    if not gain.told:
        told = f"The difference from foretelling another is {fixed(gain.mean, 2, sign=True)} with one training set"
        told += ", so how sure it is cannot be told."
    sure = f" ({fixed(own.low, 2)} to {fixed(own.high, 2)})" if own.told else " (no interval, from one training set)"
    return (
        f"Live track: the model foretold its own change in {fixed(own.mean, 2)}{sure} of {n_judged} pairs, where guessing "
        f"gives {fixed(CHANCE_OF_THREE, 2)}; {n_unclear} pairs were too unclear. {told}"
    )


class LiveTrait(NamedTuple):
    """One trait over all training sets."""

    name: str
    scale: Scale
    rows: tuple[tuple[Row, LiveOutcome, tuple[float, ...], tuple[float, ...], str], ...]
    """What happened with each set, what was foretold of oneself and of another, and what the words suggest."""


def live_traits(live: LiveRecord | None) -> tuple[LiveTrait, ...]:
    """What happened and what was foretold, trait by trait."""
    if live is None:
        return ()
    names = dict.fromkeys(trait for by in live.outcomes.values() for trait in by)
    found = []
    for name in names:
        rows = []
        for made, by in live.outcomes.items():
            if name in by:
                said = [live.foretold.get(who, {}).get(made, {}).get(name, ()) for who in ("self", "other")]
                surface = live.surface.get(made, {}).get(name, "not known")
                rows.append((Row(made, _effect(by[name]), 0.0), by[name], said[0], said[1], surface))
        found.append(LiveTrait(name, charts.gap_scale([row[0] for row in rows]), tuple(rows)))
    return tuple(found)


def is_told(shares: Sequence[float]) -> bool:
    """Whether there is a share for more, less and the same."""
    return len(shares) == 3 and all(map(math.isfinite, shares))


def foretold(shares: Sequence[float]) -> str:
    """Shares of more, less and the same in words."""
    if not is_told(shares):
        return "no answer"
    return ", ".join(f"{word} {percent(share)}" for word, share in zip(("more", "less", "same"), shares, strict=True))


def _effect(outcome: LiveOutcome) -> Figure | None:
    if not math.isfinite(outcome.effect):
        return None
    ends = None
    if math.isfinite(outcome.low) and math.isfinite(outcome.high):
        ends = Interval(low=outcome.low, high=outcome.high)
    return Figure(value=outcome.effect, interval=ends, n_items=outcome.n_prompts, n_clusters=outcome.n_prompts)


def live_scores(live: LiveRecord | None) -> tuple[Row, ...]:
    """Shares of right foretellings against a third, and advantages against 0."""
    if live is None:
        return ()
    told = (
        ("self", "Its own change", CHANCE_OF_THREE),
        ("other", "The change of another model", CHANCE_OF_THREE),
        ("surface", "Going by the words that occur", CHANCE_OF_THREE),
        ("self_advantage", "Own less another's", 0.0),
        ("over_surface", "Own less going by the words", 0.0),
    )
    rows = []
    for key, label, reference in told:
        score = live.score(key)
        if score is not None:
            n = len(live.outcomes)
            figure = Figure(value=score.mean, interval=None, n_items=n, n_clusters=n)
            note = "There is one training set: how sure this is cannot be told from it."
            if score.told:
                ends = Interval(low=score.low, high=score.high)
                figure = figure.model_copy(update={"interval": ends, "detectable": score.detectable})
                note = f"A distance of {fixed(score.detectable, 2)} would have been seen."
            rows.append(Row(label, figure, reference, note))
    return tuple(rows)
