"""Best of n: draw n answers to each prompt and keep the one that a feedback function likes best.

Stiennon et al. 2020 (arXiv:2009.01325); the KL that selection costs and how far it over-optimises: Gao et al. 2022
(arXiv:2210.10760). y* = argmax_i r(x, y_i), y_i ~ p(. | x); KL(best of n || p) = ln n - (n - 1) / n for scores without
ties. Training on y* is rejection sampling (expert iteration); with `pairs` best and worst become a preference pair for
DPO. Left out: reward models that are trained here; any feedback function stands in.
What it must show: the mean score of kept rows grows with n as the expected maximum of n draws does.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from pydantic import Field, field_validator, model_validator

from moorings.charter_run import Use
from moorings.errors import ConfigError
from moorings.feedback.reward import Graded
from moorings.improve.asking import Asking, ask_all, draw, share_of
from moorings.improve.data import DataMethod, DataRow, DataStep, Workbench, data_methods, make_row
from moorings.improve.feedback_functions import FeedbackFunction, feedback_functions
from moorings.records import Prompt

__all__ = ["BestOfNConfig", "best_of_n", "kl_of_best"]


class BestOfNConfig(Asking):
    """Settings of `best_of_n`."""

    feedback: Use
    """The feedback function with its settings, such as `{use: feature, name: words}`."""
    n: int = Field(default=4, ge=2)
    """Answers drawn for each prompt; ours, as papers use 16 to 128 where samples are cheap."""
    keep: int = Field(default=1, ge=1)
    """Best answers kept of each prompt."""
    pairs: bool = False
    """Make one preference pair of the best and the worst answer instead."""
    min_score: float | None = None
    """Least score of a kept answer; None keeps the best however bad."""
    n_prompts: int | None = Field(default=None, ge=1)
    """Prompts drawn without replacement; None takes all."""

    @field_validator("feedback")
    @classmethod
    def _is_known(cls, value: Use) -> Use:
        feedback_functions.check(value)
        return value

    @model_validator(mode="after")
    def _fits(self) -> BestOfNConfig:
        if self.keep >= self.n or (self.pairs and self.keep != 1):
            raise ConfigError(
                f"best_of_n: keep is {self.keep} with n {self.n} and pairs {self.pairs}; keep fewer than n, and 1 for pairs"
            )
        return self


class _Draft(NamedTuple):
    prompt: Prompt
    text: str
    key: str
    score: float


def kl_of_best(n: int) -> float:
    """KL divergence in nats of the best of n from a single draw, for scores without ties.

    >>> round(kl_of_best(4), 4)
    0.6363
    """
    return math.log(n) - (n - 1) / n


@data_methods.register("best_of_n", BestOfNConfig)
def best_of_n(config: BestOfNConfig) -> DataMethod:
    """Rejection sampling by a feedback function."""
    feedback = feedback_functions.make(config.feedback)

    def method(rows: list[DataRow], workbench: Workbench) -> DataStep:
        prompts = draw(workbench.prompts, config.n_prompts, workbench.rng)
        dropped: Counter[str] = Counter()
        groups = _draft(config, feedback, prompts, workbench, dropped)
        made: list[DataRow] = []
        for group in groups:
            made += _pair(group, config, workbench.round, dropped) if config.pairs else []
            made += [] if config.pairs else _best(group, config, workbench.round, dropped)
        return DataStep([*rows, *made], dict(dropped), _metrics(config, groups, made, config.n * len(prompts)))

    return method


def _draft(
    config: BestOfNConfig,
    feedback: FeedbackFunction,
    prompts: Sequence[Prompt],
    workbench: Workbench,
    dropped: Counter[str],
) -> list[list[_Draft]]:
    """Usable and graded answers to each prompt, best first; equal scores in the order they were drawn."""
    answers = ask_all(
        workbench.subject, prompts, workbench.label("samples"), decoding=config.decoding(), n_samples=config.n
    )
    flat: list[tuple[int, Prompt, str, str]] = []
    for at, (prompt, some) in enumerate(zip(prompts, answers, strict=True)):
        for answer in some:
            text, reason = config.usable(answer)
            if reason:
                dropped[reason] += 1
            else:
                flat.append((at, prompt, text, answer.key))
    graded = [Graded(prompt.messages, text, prompt.metadata) for _, prompt, text, _ in flat]
    scores = feedback(graded, workbench, "feedback") if graded else np.empty(0)
    groups: list[list[_Draft]] = [[] for _ in prompts]
    for (at, prompt, text, key), score in zip(flat, scores, strict=True):
        if math.isfinite(score):
            groups[at].append(_Draft(prompt, text, key, float(score)))
        else:
            dropped["no score"] += 1
    return [sorted(group, key=lambda draft: -draft.score) for group in groups]


def _best(group: Sequence[_Draft], config: BestOfNConfig, round: int, dropped: Counter[str]) -> list[DataRow]:
    made: list[DataRow] = []
    for rank, draft in enumerate(group):
        if rank >= config.keep:
            dropped["not among the best"] += 1
        elif config.min_score is not None and draft.score < config.min_score:
            dropped["score below the least allowed"] += 1
        else:
            made.append(_row(draft, round))
    return made


def _pair(group: Sequence[_Draft], config: BestOfNConfig, round: int, dropped: Counter[str]) -> list[DataRow]:
    if not group:
        return []
    best, worst = group[0], group[-1]
    if best.score == worst.score or best.text == worst.text:
        dropped["no better and worse answer"] += len(group)
        return []
    if config.min_score is not None and best.score < config.min_score:
        dropped["score below the least allowed"] += len(group)
        return []
    dropped["neither best nor worst"] += len(group) - 2
    dropped["became the worse half of a pair"] += 1
    return [_row(best, round, worst)]


def _row(draft: _Draft, round: int, worst: _Draft | None = None) -> DataRow:
    return make_row(
        draft.prompt.messages,
        draft.text,
        origin="self",
        method="best_of_n",
        round=round,
        rejected=worst.text if worst else None,
        parents=(draft.prompt.prompt_id, draft.key, *([worst.key] if worst else [])),
        score=draft.score,
    )


def _metrics(
    config: BestOfNConfig, groups: Sequence[Sequence[_Draft]], made: Sequence[DataRow], n_asked: int
) -> dict[str, float]:
    some = [group for group in groups if group]
    scores = [draft.score for group in some for draft in group]
    tied = sum(group[0].score == group[-1].score for group in some)
    metrics = {
        "candidates": float(n_asked),
        "graded_share": share_of(len(scores), n_asked),
        "mean_score": share_of(sum(scores), len(scores)),
        "mean_kept_score": share_of(sum(row.score or 0.0 for row in made), len(made)),
        "tied_share": share_of(tied, len(some)),
    }
    if config.keep == 1:
        metrics["kl_nats"] = share_of(sum(kl_of_best(len(group)) for group in some), len(some))
    return metrics
