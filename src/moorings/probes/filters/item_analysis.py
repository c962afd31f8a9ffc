"""After runs: which items do not tell better respondents from worse ones, and may therefore be faulty.

Classical test theory: the corrected point-biserial correlation of an item with the score on all other items, and the
difference in its success between the upper and the lower 27 % of respondents (Kelley 1939). Where an item response
model was fitted its discrimination `a` is used in place of the latter. An item is put in quarantine and looked at;
nothing is deleted here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from moorings.errors import ConfigError

if TYPE_CHECKING:
    from jaxtyping import Float

__all__ = ["MIN_RESPONDENTS", "Analysis", "item_analysis"]

MIN_RESPONDENTS = 15
"""Fewest respondents: with fewer the signs of correlations are mostly luck (the design's bound for response models)."""
_TAIL = 0.27


class Analysis(NamedTuple):
    """How one item behaved."""

    item_id: str
    n: int
    """Respondents with an answer to it."""
    success: float
    point_biserial: float
    """NaN where all answers are right, or all wrong."""
    discrimination: float
    """The model's `a` where given, else upper less lower group."""
    quarantine: str
    """Why it should be looked at; empty if it need not."""


def item_analysis(
    right: Float[np.ndarray, "respondents items"],
    item_ids: Sequence[str],
    *,
    a: Sequence[float] | None = None,
    least: float = 0.2,
) -> list[Analysis]:
    """Analyse each item.

    Args:
        right: 1 for a right answer, 0 for a wrong one, NaN for none; shares of right answers over orders are fine too.
        item_ids: One a column.
        a: Discriminations of a fitted response model, one a column.
        least: Discrimination below which an item is put in quarantine; the design's value.

    Raises:
        ConfigError: Fewer than 15 respondents, or columns that do not fit.
    """
    n_respondents, n_items = right.shape
    if n_respondents < MIN_RESPONDENTS:
        raise ConfigError(
            f"{n_respondents} respondents; item analysis needs {MIN_RESPONDENTS}: add checkpoints or prompts"
        )
    if len(item_ids) != n_items or (a is not None and len(a) != n_items):
        raise ConfigError(f"{n_items} columns, {len(item_ids)} ids; give one id and one discrimination a column")
    there = np.isfinite(right)
    filled = np.where(there, right, 0.0)
    n_others = there.sum(axis=1, keepdims=True) - there
    rest = (filled.sum(axis=1, keepdims=True) - filled) / np.maximum(n_others, 1)
    return [
        _analysed(name, right[there[:, k], k], rest[there[:, k], k], None if a is None else a[k], least)
        for k, name in enumerate(item_ids)
    ]


def _analysed(
    item_id: str, right: Float[np.ndarray, " n"], rest: Float[np.ndarray, " n"], a: float | None, least: float
) -> Analysis:
    n = len(right)
    if n < MIN_RESPONDENTS:
        return Analysis(item_id, n, float("nan"), float("nan"), float("nan"), "")
    varied = np.ptp(right) > 0 and np.ptp(rest) > 0
    biserial = float(np.corrcoef(right, rest)[0, 1]) if varied else float("nan")
    order = np.argsort(rest, kind="stable")
    tail = max(1, round(_TAIL * n))
    power = float(right[order[-tail:]].mean() - right[order[:tail]].mean()) if a is None else float(a)
    reasons = []
    if biserial < 0:
        reasons.append(f"better respondents get it wrong more often (point-biserial {biserial:+.2f})")
    if varied and power < least:
        reasons.append(f"it hardly tells respondents apart (discrimination {power:.2f})")
    return Analysis(item_id, n, float(right.mean()), biserial, power, "; ".join(reasons))
