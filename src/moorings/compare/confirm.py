"""Test frozen hypotheses on held-out prompts, with control of false discoveries.

Every hypothesis is tested on differences d_i = mean over the candidate's samples of prompt i minus the precursor's. The p-value is
the larger one of the cluster-robust t test (valid for the mean over prompts like these) and the sign-flip test (valid at any size
if no prompt differs), so that rare behaviours do not pass on a normal approximation.

Charter hypotheses are one family (Holm). All others are one family (Benjamini-Hochberg at q; `guaranteed` marks those that also
stand under arbitrary dependence, Benjamini-Yekutieli). Intervals of findings are adjusted for their selection (false coverage rate).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from moorings.compare.corpus import Corpus
from moorings.compare.predicate import Hypothesis, OutcomePredicate
from moorings.compare.settings import Settings
from moorings.compare.split import Split
from moorings.records import Effect, Interval, Verdict
from moorings.statistics.multiplicity import adjust_bh, adjust_by, adjust_holm, fcr_level
from moorings.statistics.paired import PairedEffects, cluster_robust, interval, prompt_differences, sign_flip_p
from moorings.statistics.power import mde_from_se

if TYPE_CHECKING:
    from jaxtyping import Bool, Float

__all__ = ["Tested", "confirm", "differences"]


class Tested(NamedTuple):
    """What became of a hypothesis."""

    hypothesis: Hypothesis
    values: Float[np.ndarray, " n"]
    """The predicate's value on every response."""
    effect: Effect
    verdict: Verdict
    selected: bool
    guaranteed: bool
    exceeds_tolerance: bool


class _Stage(NamedTuple):
    """Columns of one test, before multiplicity."""

    effects: PairedEffects
    p: Float[np.ndarray, " k"]
    means: Float[np.ndarray, "2 k"]
    sd: Float[np.ndarray, " k"]
    n_missing: Float[np.ndarray, " k"]


def differences(
    values: Float[np.ndarray, "n k"], corpus: Corpus, prompts: Bool[np.ndarray, " n_prompts"]
) -> Float[np.ndarray, "n_prompts k"]:
    """Per-prompt differences of the chosen prompts; NaN for the others."""
    d = prompt_differences(values, corpus.arm, corpus.prompt, len(corpus.prompts))
    d[~prompts] = np.nan
    return d


def confirm(
    hypotheses: Sequence[Hypothesis],
    values: Float[np.ndarray, "n k"],
    corpus: Corpus,
    split: Split,
    settings: Settings,
) -> list[Tested]:
    """Test each hypothesis on prompts that had no part in finding it.

    Args:
        hypotheses: Frozen hypotheses.
        values: The predicates' values on all responses of two arms, NaN where missing.
        corpus: Responses of two arms; arm 0 is the precursor.
        split: Parts of the prompts.
        settings: Error rates and tolerances.

    Returns:
        One result a hypothesis, in the order given.
    """
    if not hypotheses:
        return []
    registered = np.array([h.registered for h in hypotheses])
    stage = _test(values, corpus, split, registered, settings)
    adjusted, guaranteed, work = _multiplicity(hypotheses, stage.p, settings)
    selected = adjusted <= np.array([settings.alpha if h.entry else settings.q for h in hypotheses])
    level = _levels(hypotheses, selected, stage.p, settings)
    floor = np.array([h.binary for h in hypotheses]) * 1.5 / np.maximum(stage.effects.n_prompts, 1)
    wide = stage.effects._replace(se=np.fmax(stage.effects.se, floor))
    low, high = interval(wide, level)
    mde = mde_from_se(wide.se, wide.df, work, settings.power)
    never_varies = (stage.sd == 0) & (floor == 0)
    low, high = np.where(never_varies, -np.inf, low), np.where(never_varies, np.inf, high)
    mde = np.where(never_varies, np.inf, mde)
    worst = _worst_cases(hypotheses, values, corpus, split, registered, stage)
    found = []
    for k, hypothesis in enumerate(hypotheses):
        sd = float(stage.sd[k])
        effect = Effect(
            estimate=_finite(stage.effects.estimate[k]),
            unit=hypothesis.unit,
            standardised=_finite(stage.effects.estimate[k] / sd) if sd > 0 else 0.0,
            precursor=_finite(stage.means[0, k]),
            candidate=_finite(stage.means[1, k]),
            interval=_interval(low[k], high[k], float(level[k])),
            p=_finite(stage.p[k], 1.0),
            p_adjusted=_finite(adjusted[k], 1.0),
            mde=_finite(mde[k], _WIDEST),
            n_prompts=int(stage.effects.n_prompts[k]),
            n_families=int(stage.effects.n_families[k]),
            n_missing=int(stage.n_missing[k]),
            worst_case=worst.get(k),
        )
        tolerance = _tolerance(hypothesis, sd, settings)
        verdict, exceeds = _verdict(effect, bool(selected[k]), tolerance)
        found.append(
            Tested(hypothesis, values[:, k], effect, verdict, verdict == "changed", bool(guaranteed[k]), exceeds)
        )
    return found


_WIDEST = 1e9
"""Stands for 'unknown' where too few families leave no interval."""


def _test(
    values: Float[np.ndarray, "n k"],
    corpus: Corpus,
    split: Split,
    registered: Bool[np.ndarray, " k"],
    settings: Settings,
) -> _Stage:
    d = _opened(differences(values, corpus, split.discover | split.confirm), split, registered)
    effects = cluster_robust(d, corpus.families)
    flip = sign_flip_p(d, corpus.families, n_draws=settings.n_draws, rng=np.random.default_rng([settings.seed, 1]))
    unknown = np.isnan(effects.se)
    p = np.where(unknown, np.nan, np.maximum(effects.p, flip))
    open_rows = np.where(
        registered[None, :],
        (split.discover | split.confirm)[corpus.prompt][:, None],
        split.confirm[corpus.prompt][:, None],
    )
    seen = np.where(open_rows, values, np.nan)
    with np.errstate(invalid="ignore"):
        means = np.stack([_nan_mean(seen[corpus.arm == arm]) for arm in (0, 1)])
        sd = np.sqrt(np.maximum(_nan_mean(seen**2) - _nan_mean(seen) ** 2, 0.0))
    in_scope = ~np.all(np.isnan(values), axis=0)
    n_missing = (np.isnan(seen) & open_rows & corpus.missing[:, None]).sum(0) * in_scope
    return _Stage(effects, p, means, sd, n_missing)


def _opened(
    d: Float[np.ndarray, "n_prompts k"], split: Split, registered: Bool[np.ndarray, " k"]
) -> Float[np.ndarray, "n_prompts k"]:
    """Hide the discovery prompts from hypotheses that were found on them."""
    d[np.ix_(split.discover, ~registered)] = np.nan
    return d


def _multiplicity(
    hypotheses: Sequence[Hypothesis], p: Float[np.ndarray, " k"], settings: Settings
) -> tuple[Float[np.ndarray, " k"], Bool[np.ndarray, " k"], float]:
    """Adjusted p-values, whether each stands under any dependence, and the level of a single test."""
    own = np.array([h.entry is not None for h in hypotheses])
    adjusted = np.empty(len(p))
    adjusted[own], adjusted[~own] = adjust_holm(p[own]), adjust_bh(p[~own])
    guaranteed = np.zeros(len(p), dtype=bool)
    guaranteed[own] = adjusted[own] <= settings.alpha
    guaranteed[~own] = adjust_by(p[~own]) <= settings.q
    n_tested = max(int(np.isfinite(p[~own]).sum()), 1)
    n_selected = int((adjusted[~own] <= settings.q).sum())
    return adjusted, guaranteed, settings.q * max(n_selected, 1) / n_tested


def _levels(
    hypotheses: Sequence[Hypothesis], selected: Bool[np.ndarray, " k"], p: Float[np.ndarray, " k"], settings: Settings
) -> Float[np.ndarray, " k"]:
    """Confidence of each interval: adjusted for selection where selected, 95 % elsewhere."""
    own = np.array([h.entry is not None for h in hypotheses])
    level = np.full(len(p), 0.95)
    if (chosen := selected & ~own).any():
        level[chosen] = fcr_level(settings.q, int(chosen.sum()), int(np.isfinite(p[~own]).sum()))
    if own.any():
        level[own] = 1 - settings.alpha / max(int(np.isfinite(p[own]).sum()), 1)
    return level


def _worst_cases(
    hypotheses: Sequence[Hypothesis],
    values: Float[np.ndarray, "n k"],
    corpus: Corpus,
    split: Split,
    registered: Bool[np.ndarray, " k"],
    stage: _Stage,
) -> dict[int, Interval]:
    """Estimates with missing values set to the extremes, against and in favour of the candidate."""
    columns = [
        k for k, h in enumerate(hypotheses) if stage.n_missing[k] and not isinstance(h.predicate, OutcomePredicate)
    ]
    if not columns:
        return {}
    some, missing = values[:, columns], corpus.missing
    binary = np.array([hypotheses[k].binary for k in columns])
    with np.errstate(invalid="ignore"):
        least = np.where(binary, 0.0, np.nanmin(some, axis=0))
        most = np.where(binary, 1.0, np.nanmax(some, axis=0))
    estimates = []
    for precursor, candidate in ((most, least), (least, most)):
        filled = some.copy()
        filled[missing] = np.where((corpus.arm[missing] == 1)[:, None], candidate, precursor)
        d = _opened(differences(filled, corpus, split.discover | split.confirm), split, registered[columns])
        estimates.append(cluster_robust(d, corpus.families).estimate)
    return {k: Interval(low=_finite(lo), high=_finite(hi)) for k, lo, hi in zip(columns, *estimates, strict=True)}


def _tolerance(hypothesis: Hypothesis, sd: float, settings: Settings) -> float:
    if hypothesis.tolerance is not None:
        return hypothesis.tolerance
    return settings.tolerance_share if hypothesis.binary else settings.tolerance_sd * sd


def _verdict(effect: Effect, selected: bool, tolerance: float) -> tuple[Verdict, bool]:
    """Three-valued; a result that missing values could turn around is undecided."""
    low, high = effect.interval.low, effect.interval.high
    worst = effect.worst_case
    if worst is not None and worst.low * worst.high <= 0 and selected:
        return "undecided", False
    if -tolerance <= low and high <= tolerance and effect.mde < _WIDEST:
        return "equivalent", False
    if selected:
        return "changed", low > tolerance or high < -tolerance
    return "undecided", False


def _interval(low: float, high: float, level: float) -> Interval:
    return Interval(low=_finite(low, -_WIDEST), high=_finite(high, _WIDEST), level=level)


def _finite(value: float, otherwise: float = 0.0) -> float:
    return float(value) if np.isfinite(value) else otherwise


def _nan_mean(values: Float[np.ndarray, "n k"]) -> Float[np.ndarray, " k"]:
    known = ~np.isnan(values)
    mean: np.ndarray = np.where(known, values, 0.0).sum(0) / np.maximum(known.sum(0), 1)
    return mean
