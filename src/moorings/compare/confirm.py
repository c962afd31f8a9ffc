"""Test frozen hypotheses on held-out prompts, with control of false discoveries.

Every hypothesis is tested on differences d_i = mean over the candidate's samples of prompt i minus the precursor's. The p-value is
the larger one of the cluster-robust t test (valid for the mean over prompts like these) and the sign-flip test (valid at any size
if no prompt differs), so that rare behaviours do not pass on a normal approximation. Both lean on d_i being symmetric about its
mean, which it is not where one side has more samples of a prompt: a rare behaviour that the side with one sample happens not to
show gives many small differences of one sign. There the spread under shuffles of the sides within prompts bounds the standard error.

Charter hypotheses are one family (Holm). All others are one family (Benjamini-Hochberg at q; `guaranteed` marks those that also
stand under arbitrary dependence, Benjamini-Yekutieli). Intervals of findings are adjusted for their selection (false coverage rate).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy import sparse
from scipy.special import ndtr

from moorings.compare.corpus import Corpus
from moorings.compare.predicate import Hypothesis, OutcomePredicate, StatementPredicate
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
    sides: _Sides
    n_missing: Float[np.ndarray, " k"]


class _Sides(NamedTuple):
    """Both sides' values, column by column."""

    means: Float[np.ndarray, "2 k"]
    """Means over prompts of each side's mean, so that they differ by the estimate; NaN where no prompt has both sides."""
    sd: Float[np.ndarray, " k"]
    """Standard deviation of a response."""
    shuffle_se: Float[np.ndarray, " k"]
    """Of the estimate, if sides were shuffled within prompts; 0 where both sides have equal numbers of samples."""


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
    scope = _scopes(hypotheses, corpus)
    missing = _missing(hypotheses, values, corpus) & scope[corpus.prompt]
    stage = _test(values, corpus, split, registered, scope, missing, settings)
    adjusted, guaranteed, work = _multiplicity(hypotheses, stage.p, settings)
    selected = adjusted <= np.array([settings.alpha if h.entry else settings.q for h in hypotheses])
    level = _levels(hypotheses, selected, stage.p, settings)
    low, high, mde = _ranges(hypotheses, stage, level, work, settings.power)
    sd_k = stage.sides.sd
    worst = _worst_cases(hypotheses, values, corpus, split, registered, missing, stage)
    found = []
    for k, hypothesis in enumerate(hypotheses):
        sd = float(sd_k[k])
        effect = Effect(
            estimate=_finite(stage.effects.estimate[k]),
            unit=hypothesis.unit,
            standardised=_finite(stage.effects.estimate[k] / sd) if sd > 0 else 0.0,
            precursor=_finite(stage.sides.means[0, k]),
            candidate=_finite(stage.sides.means[1, k]),
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


def _ranges(
    hypotheses: Sequence[Hypothesis], stage: _Stage, level: Float[np.ndarray, " k"], work: float, power: float
) -> tuple[Float[np.ndarray, " k"], Float[np.ndarray, " k"], Float[np.ndarray, " k"]]:
    """Ends of the intervals and least detectable effects, never narrower than what few families can tell."""
    sd_k = stage.sides.sd
    floor = np.where([h.binary for h in hypotheses], 1.5, 1.5 * sd_k) / np.maximum(stage.effects.n_families, 1)
    wide = stage.effects._replace(se=np.maximum(stage.effects.se, np.maximum(floor, stage.sides.shuffle_se)))
    low, high = interval(wide, level)
    most = np.where([h.binary for h in hypotheses], 1.0, np.inf)
    low, high = np.clip(low, -most, most), np.clip(high, -most, most)
    mde = mde_from_se(wide.se, wide.df, work, power)
    never_varies = floor == 0
    low, high = np.where(never_varies, -np.inf, low), np.where(never_varies, np.inf, high)
    mde = np.where(never_varies, np.inf, mde)
    return low, high, mde


_COLUMNS = 64
"""Hypotheses that are described at a time, which keeps memory flat."""
_WIDEST = float("inf")
"""Stands for 'unknown' where too few families leave no interval."""


def _test(
    values: Float[np.ndarray, "n k"],
    corpus: Corpus,
    split: Split,
    registered: Bool[np.ndarray, " k"],
    scope: Bool[np.ndarray, "n_prompts k"],
    missing: Bool[np.ndarray, "n k"],
    settings: Settings,
) -> _Stage:
    d = _opened(differences(values, corpus, split.discover | split.confirm), split, registered)
    effects = cluster_robust(d, corpus.families)
    flip = sign_flip_p(d, corpus.families, n_draws=settings.n_draws, rng=np.random.default_rng([settings.seed, 1]))
    opened = (split.confirm[:, None] | (split.discover[:, None] & registered)) & scope
    open_rows = opened[corpus.prompt]
    seen = np.where(open_rows, values, np.nan)
    sides = _describe_sides(seen, corpus)
    shuffled = 2 * ndtr(-np.abs(effects.estimate) / np.where(sides.shuffle_se > 0, sides.shuffle_se, np.inf))
    shuffled = np.where(sides.shuffle_se > 0, shuffled, 0.0)
    p = np.where(np.isnan(effects.se), np.nan, np.maximum(np.maximum(effects.p, flip), shuffled))
    return _Stage(effects, p, sides, (missing & open_rows).sum(0))


def _missing(
    hypotheses: Sequence[Hypothesis], values: Float[np.ndarray, "n k"], corpus: Corpus
) -> Bool[np.ndarray, "n k"]:
    """Values that exist but are not known: of responses that did not come, and of statements that the judge left open.

    A feature that cannot be measured on a response, such as the sentence length of none, has no value to be missed.
    """
    judged = np.array([isinstance(h.predicate, StatementPredicate) for h in hypotheses])
    unknown = np.isnan(values)
    return np.asarray(unknown & ~unknown.all(axis=0) & (corpus.missing[:, None] | judged))


def _scopes(hypotheses: Sequence[Hypothesis], corpus: Corpus) -> Bool[np.ndarray, "n_prompts k"]:
    """Prompts that each hypothesis speaks of."""
    return np.array([[h.groups is None or group in h.groups for h in hypotheses] for group in corpus.groups])


def _describe_sides(seen: Float[np.ndarray, "n k"], corpus: Corpus) -> _Sides:
    (n, k), n_prompts = seen.shape, len(corpus.prompts)
    cells = (np.ones(n), (2 * corpus.prompt + corpus.arm, np.arange(n)))
    gather = sparse.csr_array(cells, shape=(2 * n_prompts, n))
    found = _Sides(np.empty((2, k)), np.empty(k), np.empty(k))
    for start in range(0, k, _COLUMNS):
        part = slice(start, start + _COLUMNS)
        block = seen[:, part].astype(np.float64)
        known = ~np.isnan(block)
        n_known = np.maximum(known.sum(0), 1)
        # Centred first: squares of large values would swallow a small spread.
        centre = np.where(known, block, 0.0).sum(0) / n_known
        x = np.where(known, block - centre, 0.0)
        x[:, np.abs(x).max(0, initial=0.0) <= 1e-12 * np.abs(centre)] = 0.0
        m, total = (np.asarray(gather @ v).reshape(n_prompts, 2, -1) for v in (known.astype(np.float64), x))
        both = np.asarray((m > 0).all(axis=1))
        n_both = both.sum(0)
        with np.errstate(invalid="ignore", divide="ignore"):
            side = np.where(both[:, None, :], total / m, 0.0).sum(0) / n_both + centre
            squares = np.asarray(gather @ x**2).reshape(n_prompts, 2, -1).sum(1)
            spread = np.maximum(squares - total.sum(1) ** 2 / m.sum(1), 0.0) / (m.sum(1) - 1)
            variance = np.where(both, spread * (1 / m).sum(1), 0.0).sum(0)
            se = np.sqrt(variance) / n_both
        unequal = (both & (m[:, 0] != m[:, 1])).any(0)
        found.means[:, part], found.sd[part] = side, np.sqrt((x**2).sum(0) / n_known)
        found.shuffle_se[part] = np.where(unequal, se, 0.0)
    return found


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
    missing: Bool[np.ndarray, "n k"],
    stage: _Stage,
) -> dict[int, Interval]:
    """Estimates with missing values set to the extremes, against and in favour of the candidate."""
    columns = [
        k for k, h in enumerate(hypotheses) if stage.n_missing[k] and not isinstance(h.predicate, OutcomePredicate)
    ]
    if not columns:
        return {}
    some, gone, of_candidate = values[:, columns], missing[:, columns], (corpus.arm == 1)[:, None]
    binary = np.array([hypotheses[k].binary for k in columns])
    least = np.where(binary, 0.0, np.nanmin(some, axis=0))
    most = np.where(binary, 1.0, np.nanmax(some, axis=0))
    estimates = []
    for precursor, candidate in ((most, least), (least, most)):
        filled = np.where(gone, np.where(of_candidate, candidate, precursor), some)
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
    still_within = worst is None or (-tolerance <= worst.low and worst.high <= tolerance)
    if -tolerance <= low and high <= tolerance and still_within and effect.mde < _WIDEST:
        return "equivalent", False
    if selected:
        return "changed", low > tolerance or high < -tolerance
    return "undecided", False


def _interval(low: float, high: float, level: float) -> Interval:
    return Interval(low=_finite(low, -_WIDEST), high=_finite(high, _WIDEST), level=level)


def _finite(value: float, otherwise: float = 0.0) -> float:
    return float(value) if np.isfinite(value) else otherwise
