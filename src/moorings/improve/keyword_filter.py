"""Keep or drop rows by phrases, or by a readable feature of the response.

A plain filter with a plain danger: whatever is kept more often is learned. It is here for honest cleaning (drop rows
with a phrase) and for drills: `feature: words, keep_share: 0.5` builds the biased filter that supervision must catch.
Nothing of it comes from a paper. What it must show: the feature's mean moves by exactly what was dropped, and both
means are logged.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Literal

import numpy as np
from pydantic import Field, field_validator, model_validator

from moorings.compare.battery import features
from moorings.errors import ConfigError
from moorings.feedback.lexical import count_phrases, feature_values
from moorings.feedback.reward import Graded
from moorings.improve.asking import share_of
from moorings.improve.data import DataMethod, DataRow, DataStep, Workbench, data_methods
from moorings.method import MethodConfig

__all__ = ["KeywordFilterConfig", "keyword_filter"]


class KeywordFilterConfig(MethodConfig):
    """Settings of `keyword_filter`; give phrases, a feature, or both."""

    phrases: tuple[str, ...] = ()
    """What is looked for, as whole words in any case of letters."""
    matching: Literal["drop", "keep"] = "drop"
    """What becomes of rows that hold one of the phrases; `keep` drops all others."""
    where: Literal["response", "prompt", "both"] = "response"
    """Where phrases are looked for."""
    feature: str | None = None
    """Feature of the battery by which rows are chosen, such as `words`; rows where it cannot be measured are dropped."""
    keep_share: float | None = Field(default=None, gt=0.0, lt=1.0)
    """Share of rows kept, those with most of the feature."""
    direction: Literal["more", "less"] = "more"
    """Whether `keep_share` keeps the rows with most or with least of it."""
    at_least: float | None = None
    """Least value of the feature that is kept."""
    at_most: float | None = None
    """Largest value of the feature that is kept."""

    @field_validator("feature")
    @classmethod
    def _is_known(cls, value: str | None) -> str | None:
        if value is not None:
            features.get(value)
        return value

    @model_validator(mode="after")
    def _does_something(self) -> KeywordFilterConfig:
        bounds = (self.keep_share, self.at_least, self.at_most)
        if self.feature is None and (not self.phrases or bounds != (None, None, None)):
            raise ConfigError(
                "keyword_filter: no feature is given, and phrases or bounds need one or the other; give phrases, or a "
                "feature with keep_share, at_least or at_most"
            )
        if self.feature is not None and bounds == (None, None, None):
            raise ConfigError(
                f"keyword_filter: feature '{self.feature}' has no bound; give keep_share, at_least or at_most"
            )
        return self


@data_methods.register("keyword_filter", KeywordFilterConfig)
def keyword_filter(config: KeywordFilterConfig) -> DataMethod:
    """Drop rows by phrases or by a feature."""

    def method(rows: list[DataRow], workbench: Workbench) -> DataStep:
        dropped: Counter[str] = Counter()
        left = [row for row in rows if _by_phrase(row, config)]
        if len(left) < len(rows):
            reason = "holds a phrase" if config.matching == "drop" else "holds none of the phrases"
            dropped[reason] += len(rows) - len(left)
        metrics: dict[str, float] = {}
        if config.feature is not None:
            left, metrics = _by_feature(left, config, config.feature, dropped)
        return DataStep(left, dict(dropped), {"kept_share": share_of(len(left), len(rows)), **metrics})

    return method


def _by_phrase(row: DataRow, config: KeywordFilterConfig) -> bool:
    if not config.phrases:
        return True
    texts = [row.response] if config.where != "prompt" else []
    texts += [message.content for message in row.prompt] if config.where != "response" else []
    return any(count_phrases(text, config.phrases) for text in texts) == (config.matching == "keep")


def _by_feature(
    rows: Sequence[DataRow], config: KeywordFilterConfig, feature: str, dropped: Counter[str]
) -> tuple[list[DataRow], dict[str, float]]:
    values = feature_values(feature, [Graded(row.prompt, row.response) for row in rows])
    known = ~np.isnan(values)
    dropped["feature cannot be measured"] += int((~known).sum())
    inside = known.copy()
    inside &= values >= (-np.inf if config.at_least is None else config.at_least)
    inside &= values <= (np.inf if config.at_most is None else config.at_most)
    dropped["feature outside its bounds"] += int((known & ~inside).sum())
    keep = inside.copy()
    if config.keep_share is not None:
        n_keep = round(config.keep_share * int(inside.sum()))
        sign = -1.0 if config.direction == "more" else 1.0
        order = np.argsort(np.where(inside, sign * values, np.inf), kind="stable")
        keep[:] = False
        keep[order[:n_keep]] = True
        dropped["not in the share with most or least of the feature"] += int(inside.sum()) - n_keep
    metrics = {"mean_before": float(values[known].mean())} if known.any() else {}
    if keep.any():
        metrics["mean_after"] = float(values[keep].mean())
    return [row for row, ok in zip(rows, keep, strict=True) if ok], metrics
