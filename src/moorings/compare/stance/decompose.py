"""Volume and stance of a topic apart: does the candidate speak of it more often, or more kindly?

Over both arms' responses: volume is the log odds ratio that a response is about the topic, stance the mean difference in
polarity among those that are. A cluster of praise that grows ninefold together with a cluster of blame is volume only.

Pooled differences have jackknife standard errors over prompt families (Efron and Stein 1981), which keep their level with few
and unequal families better than the linear approximation; paired ones those of `statistics.paired`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import special

from moorings.compare.comparison import Topic
from moorings.compare.stance.stance import StanceScorer, lexicon_stance
from moorings.compare.stance.topics import TopicPhrases, mentions
from moorings.errors import InputError
from moorings.records import Interval
from moorings.statistics.paired import MIN_FAMILIES, cluster_robust, prompt_differences

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int

__all__ = ["MIN_MENTIONS", "Estimate", "TopicEffect", "decompose", "measure_topic"]

MIN_MENTIONS = 10
"""Fewer mentions than this in either arm give no stance difference."""
_SMALL_CELL = 5
_MIN_STRATA = 10


@dataclass(frozen=True)
class Estimate:
    """A difference between the arms, with its uncertainty."""

    value: float
    interval: Interval | None
    """Cluster-robust; None with too few prompt families for one."""
    p: float | None
    """Two-sided, of no difference; None where there is no interval."""
    n_prompts: int
    n_families: int


@dataclass(frozen=True)
class TopicEffect:
    """How a topic's volume and stance differ between two arms. Candidate less precursor throughout."""

    topic: TopicPhrases
    volume: Estimate
    """Log odds ratio that a response mentions the topic, with half a response added to each cell."""
    mantel_haenszel: float | None
    """Log odds ratio within prompts; None with fewer than 10 prompts whose responses differ in mentioning it."""
    stance: Estimate | None
    """The paired one where prompts with mentions in both arms hold half of each arm's mentions, else the unpaired one."""
    stance_paired: Estimate | None
    """Mean over prompts where both arms mention the topic of the difference in mean polarity, -2 to 2."""
    stance_unpaired: Estimate | None
    """Difference in mean polarity over all responses that mention it, -2 to 2."""
    net: Estimate | None
    """Difference in mean polarity over all responses, others counting 0: share of mentions times their stance."""
    net_from_volume: float | None
    net_from_stance: float | None
    """With `net_from_volume` adds up to `net`; each holds the other factor at its average of the arms (Kitagawa 1955)."""
    n_mentions: tuple[int, int]
    """Responses that mention the topic, precursor and candidate."""
    n_expressed: tuple[int, int]
    """Those among them that express a stance."""

    def record(self) -> Topic | None:
        """For a report; None where the volume has no interval."""
        if self.volume.interval is None:
            return None
        known = self.stance is not None and self.stance.interval is not None
        return Topic(
            name=self.topic.name,
            volume=self.volume.value,
            volume_interval=self.volume.interval,
            stance=self.stance.value if self.stance and known else None,
            stance_interval=self.stance.interval if self.stance and known else None,
            n_precursor=self.n_mentions[0],
            n_candidate=self.n_mentions[1],
        )


def decompose(
    texts: Sequence[str],
    arm: Int[np.ndarray, " n"],
    prompt: Int[np.ndarray, " n"],
    families: Int[np.ndarray, " n_prompts"],
    topic: TopicPhrases,
    scorer: StanceScorer = lexicon_stance,
    *,
    nan_is_neutral: bool = True,
    min_mentions: int = MIN_MENTIONS,
    level: float = 0.95,
) -> TopicEffect:
    """Find a topic's mentions, score them and set the arms side by side.

    Args:
        texts: Responses, those of failed samples left out.
        arm: 0 precursor, 1 candidate.
        prompt: Index of each response's prompt, into `families`.
        families: Family of each prompt.
        topic: What to look for, fixed without a look at which response is whose.
        scorer: Called with the texts that mention the topic.
        nan_is_neutral: A mention without a score counts as stance 0. Say False for a scorer whose NaN means failure, such
            as a judge; such mentions are then left out of the stance.
        min_mentions: Least scored mentions in each arm for a stance.
        level: Confidence of the intervals.

    Raises:
        InputError: Columns differ in length, or an arm has no response.
    """
    mentioned = mentions(texts, topic)
    rows = np.flatnonzero(mentioned).tolist()
    stance = np.full(len(texts), np.nan)
    stance[rows] = scorer([texts[i] for i in rows], topic)
    return measure_topic(
        mentioned,
        stance,
        arm,
        prompt,
        families,
        topic,
        nan_is_neutral=nan_is_neutral,
        min_mentions=min_mentions,
        level=level,
    )


def measure_topic(
    mentioned: Bool[np.ndarray, " n"],
    stance: Float[np.ndarray, " n"],
    arm: Int[np.ndarray, " n"],
    prompt: Int[np.ndarray, " n"],
    families: Int[np.ndarray, " n_prompts"],
    topic: TopicPhrases,
    *,
    nan_is_neutral: bool = True,
    min_mentions: int = MIN_MENTIONS,
    level: float = 0.95,
) -> TopicEffect:
    """Set mentions and stances that are already known side by side; for arguments see `decompose`."""
    if not len(mentioned) == len(stance) == len(arm) == len(prompt) or not {0, 1} <= set(np.unique(arm).tolist()):
        raise InputError(f"columns of {len(mentioned)} responses differ in length, or an arm has none; give both arms")
    columns = _Columns(arm, prompt, families, level)
    expressed = mentioned & ~np.isnan(stance)
    scored = mentioned if nan_is_neutral else expressed
    values = np.where(scored, np.nan_to_num(stance), np.nan)
    n_scored = _count(scored, arm)
    enough = min(n_scored) >= min_mentions
    paired = columns.paired(values) if enough else None
    unpaired = columns.unpaired(values) if enough else None
    effect_net = columns.unpaired(np.where(mentioned & ~scored, np.nan, np.nan_to_num(values))) if enough else None
    of_volume, of_stance = _kitagawa(mentioned, values, arm) if enough else (None, None)
    return TopicEffect(
        topic=topic,
        volume=columns.log_odds_ratio(mentioned),
        mantel_haenszel=_mantel_haenszel(mentioned, arm, prompt, len(families)),
        stance=paired if paired and columns.is_typical(values) else unpaired,
        stance_paired=paired,
        stance_unpaired=unpaired,
        net=effect_net,
        net_from_volume=of_volume,
        net_from_stance=of_stance,
        n_mentions=_count(mentioned, arm),
        n_expressed=_count(expressed, arm),
    )


@dataclass(frozen=True, eq=False)
class _Columns:
    """Whose responses they are, and to what."""

    arm: Int[np.ndarray, " n"]
    prompt: Int[np.ndarray, " n"]
    families: Int[np.ndarray, " n_prompts"]
    level: float

    def paired(self, values: Float[np.ndarray, " n"]) -> Estimate | None:
        """Mean of per-prompt differences; None where no prompt has values on both sides."""
        d = prompt_differences(values[:, None], self.arm, self.prompt, len(self.families))
        if np.isnan(d).all():
            return None
        e = cluster_robust(d, self.families)
        return self._estimate(
            float(e.estimate[0]), float(e.se[0]), float(e.df[0]), int(e.n_prompts[0]), int(e.n_families[0])
        )

    def unpaired(self, values: Float[np.ndarray, " n"]) -> Estimate:
        """Difference of the arms' means over rows, prompts or not; NaN rows are left out."""
        seen = ~np.isnan(values)
        return self._jackknife(np.where(seen, values, 0.0), seen, _mean_difference, seen)

    def log_odds_ratio(self, mentioned: Bool[np.ndarray, " n"]) -> Estimate:
        """Pooled over prompts; with fewer than 5 responses in a cell never surer than Woolf's formula."""
        hits, misses = _count(mentioned, self.arm), _count(~mentioned, self.arm)
        cells = np.array([*hits, *misses])
        floor = math.sqrt((1.0 / (cells + 0.5)).sum()) if cells.min() < _SMALL_CELL else 0.0
        everyone = np.ones(len(mentioned), dtype=bool)
        return self._jackknife(mentioned.astype(float), everyone, _log_odds_ratio, mentioned, floor)

    def is_typical(self, values: Float[np.ndarray, " n"]) -> bool:
        """Whether prompts with values in both arms hold at least half of each arm's."""
        seen = ~np.isnan(values)
        counts = np.array(
            [np.bincount(self.prompt[seen & (self.arm == a)], minlength=len(self.families)) for a in (0, 1)]
        )
        both = (counts > 0).all(axis=0)
        return bool((2 * counts[:, both].sum(axis=1) >= counts.sum(axis=1)).all())

    def _jackknife(
        self,
        values: Float[np.ndarray, " n"],
        seen: Bool[np.ndarray, " n"],
        statistic: Callable[[Float[np.ndarray, "2 k"], Float[np.ndarray, "2 k"]], Float[np.ndarray, " k"]],
        informative: Bool[np.ndarray, " n"],
        floor: float = 0.0,
    ) -> Estimate:
        """Leave out one family at a time; degrees of freedom from the arm whose informative rows lie in fewer families."""
        names, family = np.unique(self.families[self.prompt], return_inverse=True)
        n, sums = (
            np.array(
                [np.bincount(family[self.arm == a], weights=w[self.arm == a], minlength=len(names)) for a in (0, 1)]
            )
            for w in (seen.astype(float), values)
        )
        used = n.sum(axis=0) > 0
        n, sums = n[:, used], sums[:, used]
        n_families, n_prompts = int(used.sum()), len(np.unique(self.prompt[seen]))
        n_all, s_all = n.sum(axis=1, keepdims=True), sums.sum(axis=1, keepdims=True)
        value = float(statistic(n_all, s_all)[0])
        without = statistic(n_all - n, s_all - sums)
        se = math.sqrt((n_families - 1) / n_families * float(np.square(without - without.mean()).sum()))
        in_arm = min(len(np.unique(family[informative & (self.arm == a)])) for a in (0, 1))
        known = n_families >= MIN_FAMILIES and math.isfinite(se)
        df = max(in_arm, MIN_FAMILIES) - 1.0
        return self._estimate(value, max(se, floor) if known else math.nan, df, n_prompts, n_families)

    def _estimate(self, value: float, se: float, df: float, n_prompts: int, n_families: int) -> Estimate:
        if not se > 0.0:
            return Estimate(value, None, None, n_prompts, n_families)
        half = float(special.stdtrit(df, 0.5 + self.level / 2.0)) * se
        interval = Interval(low=value - half, high=value + half, level=self.level)
        return Estimate(value, interval, 2.0 * float(special.stdtr(df, -abs(value) / se)), n_prompts, n_families)


def _mean_difference(n: Float[np.ndarray, "2 k"], sums: Float[np.ndarray, "2 k"]) -> Float[np.ndarray, " k"]:
    with np.errstate(invalid="ignore", divide="ignore"):
        means: Float[np.ndarray, "2 k"] = np.where(n > 0.5, sums / n, np.nan)
    difference: Float[np.ndarray, " k"] = means[1] - means[0]
    return difference


def _log_odds_ratio(n: Float[np.ndarray, "2 k"], hits: Float[np.ndarray, "2 k"]) -> Float[np.ndarray, " k"]:
    """With half a response added to each cell (Haldane 1956, Anscombe 1956)."""
    logits: Float[np.ndarray, "2 k"] = np.log((hits + 0.5) / (n - hits + 0.5))
    ratio: Float[np.ndarray, " k"] = logits[1] - logits[0]
    return ratio


def _count(rows: Bool[np.ndarray, " n"], arm: Int[np.ndarray, " n"]) -> tuple[int, int]:
    return int((rows & (arm == 0)).sum()), int((rows & (arm == 1)).sum())


def _kitagawa(
    mentioned: Bool[np.ndarray, " n"], values: Float[np.ndarray, " n"], arm: Int[np.ndarray, " n"]
) -> tuple[float, float]:
    """Parts of the net difference that come from how often and from how kindly."""
    share = [float(mentioned[arm == a].mean()) for a in (0, 1)]
    stance = [float(np.nanmean(values[arm == a])) for a in (0, 1)]
    return (share[1] - share[0]) * sum(stance) / 2.0, (stance[1] - stance[0]) * sum(share) / 2.0


def _mantel_haenszel(
    mentioned: Bool[np.ndarray, " n"], arm: Int[np.ndarray, " n"], prompt: Int[np.ndarray, " n"], n_prompts: int
) -> float | None:
    """Log of the Mantel-Haenszel odds ratio over prompts; None where too few prompts tell anything."""
    cells = np.bincount(prompt * 4 + arm * 2 + mentioned, minlength=4 * n_prompts).reshape(n_prompts, 4)
    total = np.maximum(cells.sum(axis=1), 1)
    up, down = cells[:, 3] * cells[:, 0] / total, cells[:, 2] * cells[:, 1] / total
    if ((up > 0) | (down > 0)).sum() < _MIN_STRATA or not up.any() or not down.any():
        return None
    return math.log(up.sum() / down.sum())
