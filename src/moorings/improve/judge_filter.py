"""Filter by the model's own judgement of its rows.

The model is asked about each row whether the answer is plausible, and log p(Yes) - log p(No) of the two fixed labels
is the verdict (Kadavath et al. 2022, arXiv:2207.05221; self-training on what passes: Yuan et al. 2024,
arXiv:2401.10020). Nothing that the judge writes is read, so no reply can be mistaken; but a model prefers what it would
write itself, and a self-training loop finds what its judge likes (arXiv:2507.08794), so the numbers to watch are the
kept share and what the filter prefers beside quality: length, and rows of the model over those of people.
Left out: chain-of-thought verdicts, several judges. What it must show: kept rows are right more often than dropped
ones on prompts with known answers.
"""

from __future__ import annotations

from collections import Counter

import numpy as np
from pydantic import Field, model_validator

from moorings.errors import ConfigError
from moorings.improve.asking import Judging, judge_yes, last_text, share_of
from moorings.improve.data import DataMethod, DataRow, DataStep, Origin, Workbench, data_methods

__all__ = ["JudgeFilterConfig", "judge_filter"]


class JudgeFilterConfig(Judging):
    """Settings of `judge_filter`; give exactly one of `threshold` and `keep_share`."""

    threshold: float | None = Field(default=None, gt=0.0, lt=1.0)
    """Least probability of the favourable label, normalised over the two; small models are badly calibrated here."""
    keep_share: float | None = Field(default=None, gt=0.0, lt=1.0)
    """Share of the judged rows that is kept, the best ones."""
    origins: tuple[Origin, ...] = ("self",)
    """Rows that are judged, by who wrote the response; all others pass."""

    @model_validator(mode="after")
    def _has_one(self) -> JudgeFilterConfig:
        if (self.threshold is None) == (self.keep_share is None):
            raise ConfigError(
                f"judge_filter: threshold is {self.threshold} and keep_share is {self.keep_share}; give exactly one, "
                "such as keep_share: 0.5"
            )
        return self


@data_methods.register("judge_filter", JudgeFilterConfig)
def judge_filter(config: JudgeFilterConfig) -> DataMethod:
    """Keep rows that the model finds plausible."""

    def method(rows: list[DataRow], workbench: Workbench) -> DataStep:
        judged = [at for at, row in enumerate(rows) if row.origin in config.origins]
        pairs = [(last_text(rows[at].prompt), rows[at].response) for at in judged]
        bench = workbench.subject if config.judge == "subject" else workbench.anchor
        odds = judge_yes(bench, pairs, config, workbench.label("verdicts"), workbench.rng) if pairs else np.empty(0)
        passed = _passed(odds, config)
        verdict = {at: (value, ok) for at, value, ok in zip(judged, odds, passed, strict=True)}
        kept: list[DataRow] = []
        dropped: Counter[str] = Counter()
        for at, row in enumerate(rows):
            value, ok = verdict.get(at, (0.0, True))
            if np.isnan(value):
                dropped["could not be judged"] += 1
            elif not ok:
                dropped["judged implausible"] += 1
            elif at in verdict:
                kept.append(row.model_copy(update={"score": float(value), "method": "judge_filter"}))
            else:
                kept.append(row)
        words = np.array([len(rows[at].response.split()) for at in judged], dtype=np.float64)
        return DataStep(kept, dict(dropped), _metrics(odds, passed, words))

    return method


def _passed(odds: np.ndarray, config: JudgeFilterConfig) -> np.ndarray:
    if config.threshold is not None:
        return np.asarray(odds >= np.log(config.threshold / (1.0 - config.threshold)))
    n_keep = round((config.keep_share or 0.0) * int(np.isfinite(odds).sum()))
    order = np.argsort(-np.where(np.isnan(odds), -np.inf, odds), kind="stable")
    passed = np.zeros(len(odds), dtype=bool)
    passed[order[:n_keep]] = True
    return np.asarray(passed & ~np.isnan(odds))


def _metrics(odds: np.ndarray, passed: np.ndarray, words: np.ndarray) -> dict[str, float]:
    known = ~np.isnan(odds)
    if not known.any():
        return {"judged": 0.0}
    p = 1.0 / (1.0 + np.exp(-odds[known]))
    metrics = {
        "judged": float(known.sum()),
        "mean_p": float(p.mean()),
        "sd_p": float(p.std()),
        "kept_share": share_of(float(passed.sum()), float(known.sum())),
        "mean_words": float(words[known].mean()),
    }
    if passed.any():
        metrics["mean_words_kept"] = float(words[passed].mean())
    if p.std() > 0 and words[known].std() > 0:
        metrics["length_correlation"] = float(np.corrcoef(odds[known], words[known])[0, 1])
    return metrics
