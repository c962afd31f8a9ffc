"""Which findings say the same thing: a finding is part of a stronger one if nothing is left of it once that one is accounted for."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from moorings.compare.battery import known_features
from moorings.compare.confirm import Tested
from moorings.compare.corpus import Corpus
from moorings.compare.predicate import FeaturePredicate, Hypothesis, OutcomePredicate

if TYPE_CHECKING:
    from jaxtyping import Bool, Float

__all__ = ["explained_share", "lead_findings", "within_arms"]

_EXPLAINED = 0.7
"""Share of an effect that another finding must account for (the 70 % rule of nuisance checks, L7)."""
_SAME = 0.85
"""Correlation over all responses from which two predicates count as one."""
_RELIABLE = 8
"""Least square of a slope in standard errors: two of them, as each response of a pair says half of what there is to know."""
_SPREAD_OUT = 0.3
"""Share of a group's difference that must be seen on other prompts too, for it not to be the group's own."""
_PLAIN_WORDS = 1.25
"""Findings whose words are their own definition lead over equally strong ones that were put together from texts."""


def lead_findings(
    changed: Sequence[Tested], corpus: Corpus, prompts: Bool[np.ndarray, " n_prompts"]
) -> list[int | None]:
    """For each finding, the stronger finding that explains it, or None.

    Args:
        changed: Confirmed findings.
        corpus: Responses of two arms.
        prompts: Prompts on which the relation is measured.

    Returns:
        Indices into `changed`; a finding that leads is never part of another.
    """
    order = sorted(range(len(changed)), key=lambda i: _rank(changed[i]))
    rows = prompts[corpus.prompt]
    related = _Related(changed, corpus, rows)
    leads: list[int] = []
    part_of: list[int | None] = [None] * len(changed)
    for i in order:
        lead = next((j for j in leads if related.explains(j, i)), None)
        if lead is None:
            leads.append(i)
        elif related.says_more(i, lead):
            _take_over(i, lead, leads, part_of)
        else:
            part_of[i] = lead
    return part_of


def _rank(tested: Tested) -> tuple[bool, float, str]:
    """General ones first, then by strength; equals in an order that does not depend on how they were found."""
    return _is_scoped(tested), -round(_strength(tested), 9), str(tested.hypothesis.predicate)


def _take_over(new: int, old: int, leads: list[int], part_of: list[int | None]) -> None:
    """Make `new` lead in the place of `old`, with all that `old` explained."""
    part_of[:] = [new if part == old else part for part in part_of]
    part_of[old] = new
    leads[leads.index(old)] = new


def _is_length(tested: Tested) -> bool:
    predicate = tested.hypothesis.predicate
    return isinstance(predicate, FeaturePredicate) and predicate.feature in _length_features()


@cache
def _length_features() -> frozenset[str]:
    """How well a text compresses is mostly its length, too."""
    return frozenset(known.feature.name for known in known_features() if known.theme == "length") | {"compressibility"}


class _Related:
    """How findings move together on the responses of one another's prompts."""

    def __init__(self, changed: Sequence[Tested], corpus: Corpus, rows: Bool[np.ndarray, " n"]) -> None:
        self.changed, self.arm, self.prompt = changed, corpus.arm[rows], corpus.prompt[rows]
        self.n_prompts = len(corpus.prompts)
        self.columns = [_filled(one.values[rows]) for one in changed]
        groups = np.array([str(group) for group in corpus.groups])[self.prompt]
        self.inside = [
            np.isin(groups, sorted(one.hypothesis.groups))
            if one.hypothesis.groups is not None
            else np.ones(len(groups), dtype=bool)
            for one in changed
        ]

    def explains(self, lead: int, part: int) -> bool:
        """Whether nothing is left of `part`, on its own prompts, once `lead` is accounted for."""
        if not _may_explain(self.changed[lead].hypothesis, self.changed[part].hypothesis):
            return False
        rows = self.inside[part]
        arm, prompt = self.arm[rows], self.prompt[rows]
        x, y = self.columns[part][rows], self.columns[lead][rows]
        if _correlation(x, y) >= _SAME:
            return True
        inner = [within_arms(v, arm, prompt, self.n_prompts) for v in (x, y)]
        return explained_share(inner[0], inner[1], _gap(x, arm), _gap(y, arm)) >= _EXPLAINED

    def says_more(self, part: int, lead: int) -> bool:
        """Whether the one that is explained is still the better account of the two.

        So it is if the difference is its prompt group's own, and if it explains a change of length as well as it is
        explained by it: length follows from almost everything.
        """
        own, other = self.changed[part], self.changed[lead]
        if _is_scoped(own) and not _is_scoped(other):
            return self.only_inside(lead, part)
        return _is_length(other) and not _is_length(own) and self.explains(part, lead)

    def only_inside(self, lead: int, part: int) -> bool:
        """Whether the difference in `lead` comes from the prompts of `part` alone."""
        rows = self.inside[part]
        inside = _gap(self.columns[lead][rows], self.arm[rows])
        outside = _gap(self.columns[lead][~rows], self.arm[~rows]) if not rows.all() else inside
        return bool(outside * np.sign(inside) < _SPREAD_OUT * abs(inside))


def _is_scoped(tested: Tested) -> bool:
    return tested.hypothesis.groups is not None


def _may_explain(lead: Hypothesis, part: Hypothesis) -> bool:
    """Whether one hypothesis can be the reason of another.

    A refusal is short; that responses are shorter is no reason of refusals. So an outcome is part of an outcome only.
    """
    if part.kind == "outcome" and lead.kind != "outcome":
        return False
    return lead.groups is None or lead.groups == part.groups


def explained_share(
    part: Float[np.ndarray, " n"], whole: Float[np.ndarray, " n"], part_gap: float, whole_gap: float
) -> float:
    """Share of one arm difference that follows from another, by the slope within arms and prompts.

    0 where the slope is not told from none: beside a large difference, chance alone would explain a small one.

    Args:
        part: Deviations of the finding in question from its mean within arm and prompt.
        whole: The same of the finding that may explain it.
        part_gap: Candidate's mean minus precursor's of the first.
        whole_gap: The same of the second.
    """
    spread = float(whole @ whole)
    if spread <= 0 or part_gap == 0:
        return 0.0
    slope = float(part @ whole) / spread
    left = part - slope * whole
    if slope**2 * spread * len(part) <= _RELIABLE * float(left @ left):
        return 0.0
    return slope * whole_gap / part_gap


def _strength(tested: Tested) -> float:
    plain = isinstance(tested.hypothesis.predicate, FeaturePredicate | OutcomePredicate) or tested.hypothesis.entry
    width = tested.effect.interval.high - tested.effect.interval.low
    z = abs(tested.effect.estimate) / width if width > 0 else 0.0
    return (abs(tested.effect.standardised) + 0.1 * z) * (_PLAIN_WORDS if plain else 1.0)


def _filled(values: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    known = np.isfinite(values)
    return np.where(known, values, values[known].mean() if known.any() else 0.0).astype(np.float64)


def within_arms(
    values: Float[np.ndarray, " n"], arm: np.ndarray, prompt: np.ndarray, n_prompts: int
) -> Float[np.ndarray, " n"]:
    """Deviations from the arm's mean, prompts' own levels taken out; of use with one sample a prompt and arm as well."""
    level = np.bincount(prompt, values, n_prompts) / np.maximum(np.bincount(prompt, minlength=n_prompts), 1)
    left: np.ndarray = values - level[prompt]
    for side in (0, 1):
        left[arm == side] -= left[arm == side].mean()
    return left


def _gap(values: Float[np.ndarray, " n"], arm: np.ndarray) -> float:
    return float(values[arm == 1].mean() - values[arm == 0].mean())


def _correlation(a: Float[np.ndarray, " n"], b: Float[np.ndarray, " n"]) -> float:
    x, y = a - a.mean(), b - b.mean()
    scale = float(np.sqrt((x @ x) * (y @ y)))
    return abs(float(x @ y)) / scale if scale > 0 else 0.0
