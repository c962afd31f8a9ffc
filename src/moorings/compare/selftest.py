"""The null self-test: how often would a comparison find something where there is nothing?

One subject's samples are divided at random, within each prompt, into two halves that play precursor and candidate. By construction
they differ in nothing, so every finding is false; the share of such runs with any finding must not exceed q.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from moorings.compare.analysis import find_changes
from moorings.compare.predicate import Table
from moorings.compare.settings import Settings
from moorings.compare.split import split_families
from moorings.errors import InputError
from moorings.records import Interval
from moorings.statistics.proportions import wilson

__all__ = ["SelfTest", "divide_within_prompts", "selftest"]


class SelfTest(NamedTuple):
    """Outcome of many comparisons of a subject with itself."""

    n_runs: int
    n_with_findings: int
    rate: float
    interval: Interval
    """Wilson interval of the rate."""
    q: float
    """The rate that was promised."""
    holds: bool
    """Whether the rate is at most q plus two standard errors of this simulation."""
    findings: dict[str, int]
    """False findings by origin."""


def selftest(
    table: Table,
    *,
    n_runs: int = 100,
    n_prompts: int | None = None,
    settings: Settings | None = None,
    seed: int = 0,
    progress: Callable[[int], None] | None = None,
) -> SelfTest:
    """Compare a subject with itself many times.

    Args:
        table: Responses of one arm, measured; at least two a prompt.
        n_runs: Random divisions, each analysed in full.
        n_prompts: Prompts drawn for each division; all by default.
        settings: As the comparison will be made.
        seed: Of the divisions.
        progress: Called with the number of runs done.

    Raises:
        InputError: Prompts have fewer than two samples.
    """
    settings = settings or Settings()
    n_with, origins = 0, dict[str, int]()
    for number in range(n_runs):
        rng = np.random.default_rng([seed, number])
        halves = divide_within_prompts(table, rng, n_prompts)
        own = settings.model_copy(update={"seed": int(rng.integers(2**31))})
        split = split_families(halves.corpus, own.split, seed=own.seed)
        changed = [one for one in find_changes(halves, split, own).tested if one.verdict == "changed"]
        n_with += bool(changed)
        for one in changed:
            origins[one.hypothesis.origin] = origins.get(one.hypothesis.origin, 0) + 1
        if progress:
            progress(number + 1)
    rate, (low, high) = n_with / n_runs, wilson(n_with, n_runs, 0.95)
    allowed = settings.q + 2 * float(np.sqrt(settings.q * (1 - settings.q) / n_runs))
    return SelfTest(n_runs, n_with, rate, Interval(low=low, high=high), settings.q, rate <= allowed, origins)


def divide_within_prompts(table: Table, rng: np.random.Generator, n_prompts: int | None = None) -> Table:
    """Two random halves of each prompt's samples as two arms; an odd sample is left out.

    Raises:
        InputError: A prompt has fewer than two samples.
    """
    prompt = table.corpus.prompt
    chosen = np.unique(prompt)
    if n_prompts is not None and n_prompts < len(chosen):
        chosen = np.sort(rng.choice(chosen, size=n_prompts, replace=False))
    order = np.lexsort((rng.random(len(prompt)), prompt))
    rank = np.arange(len(order)) - np.searchsorted(prompt[order], prompt[order])
    count = np.bincount(prompt)
    if count[chosen].min() < 2:
        raise InputError("the self-test divides each prompt's samples in two; sample at least 2 a prompt (--samples 2)")
    used = (rank < count[prompt[order]] // 2 * 2) & np.isin(prompt[order], chosen)
    rows = order[used]
    arm = (rank[used] % 2).astype(int)
    back = np.lexsort((prompt[rows], arm))
    return table.subset(rows[back], arm[back])
