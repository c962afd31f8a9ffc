"""Volume and stance of a topic apart: does the candidate speak of it more often, or more kindly?

Over both arms' responses: volume is the log odds ratio that a response is about the topic, stance the mean difference in
polarity among those that are. A cluster of praise that grows ninefold together with a cluster of blame is volume only.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import special

from moorings.compare.comparison import Topic
from moorings.compare.stance.stance import StanceScorer, lexicon_stance
from moorings.compare.stance.topics import TopicPhrases, mentions
from moorings.errors import InputError
from moorings.records import Interval
from moorings.statistics.paired import PairedEffects, cluster_robust, prompt_differences

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
        return None if np.isnan(d).all() else self._estimate(cluster_robust(d, self.families))

    def unpaired(self, values: Float[np.ndarray, " n"]) -> Estimate:
        """Difference of the arms' means over rows, prompts or not; NaN rows are left out."""
        influence = np.full(len(values), np.nan)
        means = []
        for a in (0, 1):
            rows = (self.arm == a) & ~np.isnan(values)
            means.append(float(values[rows].mean()))
            influence[rows] = (2 * a - 1) * (values[rows] - means[a]) / rows.sum()
        return self._from_influence(means[1] - means[0], influence)

    def log_odds_ratio(self, mentioned: Bool[np.ndarray, " n"]) -> Estimate:
        """Pooled over prompts, delta method with clusters; in cells under 5 never surer than Woolf's formula."""
        influence = np.zeros(len(mentioned))
        logits, woolf, smallest = [], 0.0, len(mentioned)
        for a in (0, 1):
            rows = self.arm == a
            n, hits = int(rows.sum()), int(mentioned[rows].sum())
            share = (hits + 0.5) / (n + 1.0)
            logits.append(math.log(share / (1.0 - share)))
            woolf += 1.0 / (hits + 0.5) + 1.0 / (n - hits + 0.5)
            smallest = min(smallest, hits, n - hits)
            influence[rows] = (2 * a - 1) * (mentioned[rows] - hits / n) / (n * share * (1.0 - share))
        floor = math.sqrt(woolf) if smallest < _SMALL_CELL else 0.0
        return self._from_influence(logits[1] - logits[0], influence, floor)

    def is_typical(self, values: Float[np.ndarray, " n"]) -> bool:
        """Whether prompts with values in both arms hold at least half of each arm's."""
        seen = ~np.isnan(values)
        counts = np.array(
            [np.bincount(self.prompt[seen & (self.arm == a)], minlength=len(self.families)) for a in (0, 1)]
        )
        both = (counts > 0).all(axis=0)
        return bool((2 * counts[:, both].sum(axis=1) >= counts.sum(axis=1)).all())

    def _from_influence(self, value: float, influence: Float[np.ndarray, " n"], floor: float = 0.0) -> Estimate:
        """Cluster row influences, which sum to 0, by spreading them over prompts as differences around the value."""
        seen = ~np.isnan(influence)
        n_prompts = len(self.families)
        sums = np.bincount(self.prompt[seen], weights=influence[seen], minlength=n_prompts)
        used = np.bincount(self.prompt[seen], minlength=n_prompts) > 0
        d = np.where(used, value + used.sum() * sums, np.nan)
        return self._estimate(cluster_robust(d[:, None], self.families), floor)

    def _estimate(self, effects: PairedEffects, floor: float = 0.0) -> Estimate:
        value, se, df = float(effects.estimate[0]), max(float(effects.se[0]), floor), float(effects.df[0])
        n_prompts, n_families = int(effects.n_prompts[0]), int(effects.n_families[0])
        if math.isnan(effects.se[0]) or se == 0.0:
            return Estimate(value, None, None, n_prompts, n_families)
        half = float(special.stdtrit(df, 0.5 + self.level / 2.0)) * se
        p = 2.0 * float(special.stdtr(df, -abs(value) / se))
        return Estimate(
            value, Interval(low=value - half, high=value + half, level=self.level), p, n_prompts, n_families
        )


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
