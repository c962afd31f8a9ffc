"""What says which of several answers is better: functions from a prompt and an answer to a number.

Used by `best_of_n` and by the choice of a replay buffer. Higher is better; NaN is missing, never the worst. Each of
them can be satisfied without the answer being good (length grows, phrases are recited, a judge is flattered), so what
it selects for must be watched by monitors that do not use it. Over-optimisation: Gao et al. 2022 (arXiv:2210.10760).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import Field, field_validator

from moorings.charter_run import Use
from moorings.compare.battery import features
from moorings.feedback.embedding import prompt_cosine
from moorings.feedback.lexical import count_phrases, feature_values, length_distance
from moorings.feedback.reward import Graded, oriented, rewards
from moorings.feedback.verifiers import Match, agrees
from moorings.improve.asking import Judging, judge_yes, score_all
from moorings.improve.data import Workbench
from moorings.method import MethodConfig, Methods

if TYPE_CHECKING:
    from jaxtyping import Float

__all__ = ["FeedbackFunction", "Graded", "count_phrases", "feature_values", "feedback_functions"]


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


class FeatureConfig(MethodConfig):
    """Settings of `feature`."""

    name: str
    """Feature of the battery, such as `words` or `sentiment`."""
    direction: Literal["more", "less"] = "more"
    """Which direction is better."""

    @field_validator("name")
    @classmethod
    def _is_known(cls, value: str) -> str:
        features.get(value)
        return value


@feedback_functions.register("feature", FeatureConfig)
def feature(config: FeatureConfig) -> FeedbackFunction:
    """More, or less, of a feature of the battery."""
    sign = 1.0 if config.direction == "more" else -1.0
    return lambda items, workbench, label: sign * feature_values(config.name, items)


class PhrasesConfig(MethodConfig):
    """Settings of `phrases`."""

    phrases: tuple[str, ...] = Field(min_length=1)
    """What is counted, as whole words in any case."""
    direction: Literal["more", "less"] = "more"
    """Which direction is better."""


@feedback_functions.register("phrases", PhrasesConfig)
def phrases(config: PhrasesConfig) -> FeedbackFunction:
    """How often phrases occur in the answer."""
    sign = 1.0 if config.direction == "more" else -1.0
    return lambda items, workbench, label: np.array(
        [sign * count_phrases(item.response, config.phrases) for item in items], dtype=np.float64
    )


class LengthConfig(MethodConfig):
    """Settings of `length`."""

    words: int = Field(ge=1)
    """The length that is best."""


@feedback_functions.register("length", LengthConfig)
def length(config: LengthConfig) -> FeedbackFunction:
    """Minus the distance of the answer's length from a target, in words."""
    return lambda items, workbench, label: -length_distance(items, config.words)


class AnswerKeyConfig(MethodConfig):
    """Settings of `answer_key`."""

    key: str = "answer"
    """Column of the prompt file that holds the right answer, or a list of right ones."""
    match: Match = "exact"
    """Equal but for case, marks and white space; held as whole words; or the last number of the answer is the key's."""


@feedback_functions.register("answer_key", AnswerKeyConfig)
def answer_key(config: AnswerKeyConfig) -> FeedbackFunction:
    """1 if the answer agrees with the prompt's key, else 0; missing where the prompt has no key."""

    return lambda items, workbench, label: np.array(
        [agrees(item.response, item.metadata.get(config.key), config.match) for item in items], dtype=np.float64
    )


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
    made = rewards.make(config.reward)
    return lambda items, workbench, label: oriented(made(items, workbench), made.direction)


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
