"""What says which of several answers is better: functions from a prompt and an answer to a number.

Used by `best_of_n` and by the choice of a replay buffer. Higher is better; NaN is missing, never the worst. Each of
them can be satisfied without the answer being good (length grows, phrases are recited, a judge is flattered), so what
it selects for must be watched by monitors that do not use it. Over-optimisation: Gao et al. 2022 (arXiv:2210.10760).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import field_validator

from moorings.charter_run import Use
from moorings.feedback import lexical, verifiers
from moorings.feedback.embedding import prompt_cosine
from moorings.feedback.reward import Graded, Reward, oriented, rewards
from moorings.improve.asking import Judging, judge_yes, score_all
from moorings.improve.data import Workbench
from moorings.method import MethodConfig, Methods

if TYPE_CHECKING:
    from jaxtyping import Float

__all__ = ["FeedbackFunction", "feedback_functions"]


FeedbackFunction = Callable[[Sequence[Graded], Workbench, str], "Float[np.ndarray, ' n']"]
"""Answers, the workbench, and a word for labels that no other call of the method uses; one value an answer."""

_HERE = __name__
feedback_functions: Methods[FeedbackFunction] = Methods(
    "feedback function",
    builtin={
        "answer_key": _HERE,
        "feature": _HERE,
        "judge": _HERE,
        "length": _HERE,
        "logprob": _HERE,
        "phrases": _HERE,
        "prompt_similarity": _HERE,
        "reward": _HERE,
    },
)


def _from(reward: Reward) -> FeedbackFunction:
    """A reward, turned so that higher is better."""
    return lambda items, workbench, label: oriented(reward(items, workbench), reward.direction)


@feedback_functions.register("feature", lexical.FeatureConfig)
def feature(config: lexical.FeatureConfig) -> FeedbackFunction:
    """A feature of the battery, in its own unit."""
    return _from(lexical.feature(config))


@feedback_functions.register("phrases", lexical.PhrasesConfig)
def phrases(config: lexical.PhrasesConfig) -> FeedbackFunction:
    """How often phrases occur in the answer."""
    return _from(lexical.phrases(config))


@feedback_functions.register("length", lexical.LengthConfig)
def length(config: lexical.LengthConfig) -> FeedbackFunction:
    """Minus the distance of the answer's length from a target, in words."""
    return _from(lexical.length(config))


@feedback_functions.register("answer_key", verifiers.AnswerKeyConfig)
def answer_key(config: verifiers.AnswerKeyConfig) -> FeedbackFunction:
    """1 if the answer agrees with the prompt's key, else 0; missing where the prompt has no key."""
    return _from(verifiers.answer_key(config))


class PromptSimilarityConfig(MethodConfig):
    """Settings of `prompt_similarity`."""


@feedback_functions.register("prompt_similarity", PromptSimilarityConfig)
def prompt_similarity(config: PromptSimilarityConfig) -> FeedbackFunction:
    """Cosine between the embeddings of the answer and of what was asked, -1 to 1."""

    return lambda items, workbench, label: prompt_cosine(items, workbench)


class RewardUseConfig(MethodConfig):
    """Settings of `reward`."""

    reward: Use
    """Any reward with its settings, such as `{use: reward_model, path: helpful.reward}`."""

    @field_validator("reward")
    @classmethod
    def _is_known(cls, value: Use) -> Use:
        rewards.check(value)
        return value


@feedback_functions.register("reward", RewardUseConfig)
def reward(config: RewardUseConfig) -> FeedbackFunction:
    """Any registered reward, turned so that higher is better."""
    return _from(rewards.make(config.reward))


class LogprobConfig(MethodConfig):
    """Settings of `logprob`."""

    scorer: Literal["subject", "anchor"] = "subject"
    """Whose log-probability."""
    per_token: bool = True
    """Mean over tokens; False takes the sum, which favours short answers."""


@feedback_functions.register("logprob", LogprobConfig)
def logprob(config: LogprobConfig) -> FeedbackFunction:
    """Log-probability of the answer under the model, in nats."""

    def grade(items: Sequence[Graded], workbench: Workbench, label: str) -> Float[np.ndarray, " n"]:
        bench = workbench.subject if config.scorer == "subject" else workbench.anchor
        scored = score_all(bench, [(item.messages, item.response) for item in items], workbench.label(label))
        total = np.array([np.nan if one is None else float(sum(one.logprobs_nats)) for one in scored])
        count = np.array([1 if one is None else max(1, len(one.logprobs_nats)) for one in scored])
        return np.asarray(total / count if config.per_token else total)

    return grade


@feedback_functions.register("judge", Judging)
def judge(config: Judging) -> FeedbackFunction:
    """Log-odds, in nats, that the model affirms a question about the answer, such as whether it is helpful."""

    def grade(items: Sequence[Graded], workbench: Workbench, label: str) -> Float[np.ndarray, " n"]:
        bench = workbench.subject if config.judge == "subject" else workbench.anchor
        pairs = [(item.question, item.response) for item in items]
        return judge_yes(bench, pairs, config, workbench.label(label), workbench.rng)

    return grade
