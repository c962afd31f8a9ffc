"""The rows of a report of probes: every figure of a subtask, with what it is held against."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

from moorings.probes.metrics.accuracy import Bounds
from moorings.probes.metrics.cluster_bootstrap import Figure
from moorings.probes.metrics.observation_gap import FramingGap, Gap
from moorings.probes.metrics.profile import SubtaskProfile
from moorings.report.wording import MINUS, number, percent

__all__ = [
    "Row",
    "Standing",
    "TONES",
    "accuracy_rows",
    "all_rows",
    "calibration_rows",
    "consistency_rows",
    "corrected_rows",
    "fixed",
    "gap_rows",
    "overview_row",
    "preference_rows",
    "spread",
    "standing",
    "structure_rows",
]

Standing = Literal["above", "below", "not told apart", "too few clusters", "no answer"]
TONES: dict[Standing, str] = {
    "above": "info",
    "below": "warn",
    "not told apart": "calm",
    "too few clusters": "calm",
    "no answer": "calm",
}
"""Colour of a figure by where it lies."""


class Row(NamedTuple):
    """One figure with what it is held against."""

    label: str
    """May quote names of the item set."""
    figure: Figure | None
    reference: float | None = None
    """Chance, or where nothing would lie; None where there is no such point."""
    note: str = ""
    bounds: Bounds | None = None
    """Range over all that missing answers could have been."""
    doubted: bool = False
    """Whether the interval leaves out the reference and a stricter test does not confirm it."""

    @property
    def tone(self) -> str:
        """Colour: of what is held against 0, by where it lies."""
        if self.doubted:
            return "calm"
        return TONES[standing(self.figure)] if self.reference == 0 else "info"


def standing(figure: Figure | None) -> Standing:
    """Where a figure lies about 0; for `corrected`, about chance."""
    if figure is None:
        return "no answer"
    if figure.interval is None:
        return "too few clusters"
    if figure.interval.low > 0:
        return "above"
    return "below" if figure.interval.high < 0 else "not told apart"


def fixed(value: float | None, digits: int = 3, *, sign: bool = False) -> str:
    """A number with fixed decimals and a true minus, so that those of a column line up.

    >>> fixed(0.5), fixed(-0.25, 2).replace(MINUS, "-"), fixed(-0.001, 2, sign=True), fixed(None)
    ('0.500', '-0.25', '0.00', 'not known')
    """
    if value is None or not math.isfinite(value):
        return number(value)
    text = f"{value:+.{digits}f}" if sign else f"{value:.{digits}f}"
    return text.lstrip("+-") if float(text) == 0 else text.replace("-", MINUS)


def spread(figure: Figure | None, digits: int = 3, *, sign: bool = False) -> str:
    """The interval in words."""
    if figure is None:
        return ""
    if figure.interval is None:
        return "too few clusters"
    return f"{fixed(figure.interval.low, digits, sign=sign)} to {fixed(figure.interval.high, digits, sign=sign)}"


def _kept(rows: Sequence[Row]) -> tuple[Row, ...]:
    return tuple(row for row in rows if row.figure is not None)


def accuracy_rows(one: SubtaskProfile) -> tuple[Row, ...]:
    """Shares of items: averaged over orders, from one order, whole clusters, minimal pairs and under other framings."""
    seen = one.accuracy
    what = "Right" if one.kind == "ability" else "Shows the disposition"
    rows = [
        Row(f"{what}, averaged over orders", seen.item, seen.chance),
        Row("Same, from one order alone", seen.single_order, seen.chance),
        Row(
            f"Share given to the {'right option' if one.kind == 'ability' else 'options that show it'}",
            seen.key_share,
            seen.chance,
        ),
        Row("Whole clusters", seen.cluster, seen.cluster_chance),
        Row("Minimal pairs", seen.pair, seen.pair_chance),
        Row(f"{what}, without symbol prior", one.bias.without_prior, seen.chance),
    ]
    if one.n_missing_answers:
        ends = seen.worst_case
        note = "" if ends is None else f"{fixed(ends.low)} to {fixed(ends.high)} whatever was missing"
        rows.append(Row(f"{what}, missing counted as not", seen.as_wrong, seen.chance, note, ends))
    others = [(name, figure) for name, figure in one.framings.items() if name != one.framing]
    return _kept([*rows, *(Row(f"{what}, framing {name}", figure, seen.chance) for name, figure in others)])


def corrected_rows(one: SubtaskProfile) -> tuple[Row, ...]:
    """Accuracy above chance; none for dispositions, of which nothing is corrected for chance."""
    if one.kind == "disposition":
        return ()
    return _kept(
        [
            Row("Above chance", one.accuracy.corrected, 0.0, _found(one.accuracy.corrected)),
            Row("Same, mean of structure types", one.accuracy.macro, 0.0),
        ]
    )


def overview_row(one: SubtaskProfile) -> Row:
    """Above chance, named by the subtask."""
    return Row(one.subtask, one.accuracy.corrected, 0.0, _found(one.accuracy.corrected))


def structure_rows(one: SubtaskProfile) -> tuple[Row, ...]:
    """Share of right items of each structure type; none where there is only one type."""
    found = one.accuracy.structures
    if len(found) < 2:
        return ()
    return _kept([Row(s.structure, s.item, s.chance, _found(s.corrected)) for s in found])


def preference_rows(one: SubtaskProfile) -> tuple[Row, ...]:
    """Biases and gaps, all of them 0 where there is none."""
    bias = one.bias
    rows = [
        Row(
            "Prefers the first place", bias.position, 0.0, f"orders balanced for {percent(bias.balanced)} of the items"
        ),
        Row("Prefers the longest option", bias.length, 0.0),
        Row("Says yes too often", bias.acquiescence, 0.0),
        *(Row(f"Prefers: {text}", figure, 0.0) for text, figure in bias.constant.items()),
        Row("Items on oneself less on others", bias.self_other_gap, 0.0),
        Row("Items on rises less on falls", bias.valence_gap, 0.0),
        *gap_rows(one),
    ]
    return _kept(rows)


def gap_rows(one: SubtaskProfile) -> tuple[Row, ...]:
    """Gaps between framings: observed and unobserved, self and other."""
    return (*_framing_gap(one.observation_gap), *_framing_gap(one.self_gap))


def _framing_gap(gap: FramingGap | None) -> tuple[Row, ...]:
    if gap is None or gap.right is None:
        return ()
    name = f"{gap.first[0]} less {gap.second[0]}"
    missing = f" {gap.n_missing} items are missing." if gap.n_missing else ""
    right = _tested(f"{name}, items right", gap.right)
    share = None if gap.key_share is None else _tested(f"{name}, share of the right option", gap.key_share)
    right = right._replace(note=right.note + missing, bounds=gap.worst_case if gap.n_missing else None)
    return (right,) if share is None else (right, share)


def _tested(label: str, gap: Gap) -> Row:
    """A gap with what its permutation test says; where interval and test disagree, the test holds."""
    ends = gap.gap.interval
    doubted = ends is not None and standing(gap.gap) != "not told apart" and gap.p > 1.0 - ends.level
    note = f"{gap.said} The interval leaves out 0, but the test does not confirm it." if doubted else gap.said
    return Row(label, gap.gap, 0.0, note, doubted=doubted)


def consistency_rows(one: SubtaskProfile) -> tuple[Row, ...]:
    """Whether the same question gets the same answer."""
    orders, wordings = one.orders, one.paraphrases
    return _kept(
        [
            Row("Same option in other orders", None if orders is None else orders.same),
            Row("Kappa over orders", None if orders is None else orders.kappa, 0.0),
            Row("Kappa over orders, right or wrong", None if orders is None else orders.kappa_right, 0.0),
            Row("Same option in other wordings", None if wordings is None else wordings.same),
            Row("Kappa over wordings", None if wordings is None else wordings.kappa, 0.0),
            Row("Kappa over wordings, right or wrong", None if wordings is None else wordings.kappa_right, 0.0),
        ]
    )


def calibration_rows(one: SubtaskProfile) -> tuple[Row, ...]:
    """Whether it is as sure as it is right; none for dispositions, of which no answer is right."""
    seen = one.calibration
    if seen is None or one.kind == "disposition":
        return ()
    band = seen.ece_if_calibrated
    told = "" if band is None else f"{fixed(band.low)} to {fixed(band.high)} if it were calibrated"
    scaled = "" if seen.temperature is None else f"temperature {seen.temperature:.2f} from {seen.n_dev} dev items"
    return _kept(
        [
            Row("Calibration error", seen.ece, None, told),
            Row("Calibration error, scaled", seen.ece_scaled, None, scaled),
            Row("Confidence less accuracy", seen.overconfidence, 0.0),
            Row("Brier score", seen.brier),
            Row("Log score (nats)", seen.log_score),
            Row("Log score, scaled (nats)", seen.log_score_scaled, None, scaled),
            Row("AUROC of confidence", seen.auroc, 0.5),
            Row("Right on the surest 80 %", seen.selective),
        ]
    )


def all_rows(one: SubtaskProfile) -> tuple[Row, ...]:
    """Every figure of a subtask but those by structure type."""
    groups: tuple[Callable[[SubtaskProfile], tuple[Row, ...]], ...] = (
        accuracy_rows,
        corrected_rows,
        preference_rows,
        consistency_rows,
        calibration_rows,
    )
    found = [row for group in groups for row in group(one)]
    return _kept([*found, Row("Ability (theta)", one.ability)])


def _found(figure: Figure | None) -> str:
    """What would have been found, where nothing was."""
    if figure is None or standing(figure) != "not told apart" or figure.detectable is None:
        return ""
    return f"Not told apart from chance; a true distance of {fixed(figure.detectable, 2)} would have been found."
