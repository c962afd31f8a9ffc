"""A reward model: heads on vectors of answers, trained on preferences, one head a member of an ensemble.

Coste et al. 2023 (arXiv:2310.02743); Bradley-Terry loss, see `reward_training`. The paper's members are language models
of their own; here members share a frozen trunk (see `reward_inputs`) and differ in the head, so an answer is encoded once
and all members are scored in one product. Errors that lie in the trunk are shared by all members, and no aggregate sees
them ("Helping or Herding?", arXiv:2312.09244); `differ: projection` makes the others less alike. Members that are whole
models are trained by `reward_lora` and put together by `ensemble`.

Each member is put on one scale by its mean and spread on reference answers: those of the training pairs, until
`restandardised` takes answers of the start policy.

What it must show: scoring five members costs at most 1.3 times one; a single member's gold score falls under
optimisation where worst case and uncertainty weighting hold (benchmark `overoptimisation`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import Field, ValidationError

from moorings.errors import ConfigError, InputError
from moorings.feedback.aggregate import Aggregation, aggregated
from moorings.feedback.preferences import Preference, as_pairs
from moorings.feedback.reward import Graded, Reward, RewardConfig, Tools, rewards
from moorings.feedback.reward_inputs import InputEncoder, RewardInput
from moorings.feedback.reward_training import Heads, HeadSettings, fit_heads
from moorings.feedback.scored import ScoredBy
from moorings.feedback.standardise import Scales, fit_scales
from moorings.method import MethodConfig
from moorings.store.disk import Disk, write_atomic
from moorings.subjects.protocol import Subject

if TYPE_CHECKING:
    from jaxtyping import Float

__all__ = ["RewardModel", "RewardModelConfig", "load_reward_model", "save_reward_model", "train_reward_model"]

_WEIGHTS, _ABOUT = "weights.safetensors", "reward_model.json"
UNIT = "sd of the reference answers"


class _About(MethodConfig):
    """What lies beside the weights."""

    format: int = Field(default=1, ge=1, le=1)
    input: RewardInput
    heads: HeadSettings
    scales: Scales
    n_pairs: int
    weights_sha256: str


@dataclass(frozen=True)
class RewardModel:
    """Trained heads with what they read."""

    input: RewardInput
    settings: HeadSettings
    heads: Heads
    scales: Scales
    n_pairs: int
    """Pairs that it was trained on."""

    @property
    def names(self) -> tuple[str, ...]:
        """Of the members."""
        return self.scales.names

    def of_rows(self, rows: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "members n"]:
        """Standardised scores of encoded answers."""
        return self.scales.apply(self.heads.scores(rows))

    def of_items(
        self, items: Sequence[Graded], tools: Tools, encoder: InputEncoder | None = None
    ) -> Float[np.ndarray, "members n"]:
        """Standardised scores of answers; NaN where one cannot be read."""
        return self.of_rows(self._encoded(items, tools, encoder))

    def accuracy(
        self, preferences: Sequence[Preference], tools: Tools, encoder: InputEncoder | None = None
    ) -> Float[np.ndarray, " members"]:
        """Share of preferences of which each member scores the chosen answer higher; a tie counts half."""
        pairs = as_pairs(preferences)
        scores = self.of_items([answer for pair in pairs for answer in pair], tools, encoder)
        margins = scores[:, 0::2] - scores[:, 1::2]
        return np.asarray(np.nanmean((np.sign(margins) + 1) / 2, axis=1))

    def restandardised(
        self, reference: Sequence[Graded], tools: Tools, encoder: InputEncoder | None = None
    ) -> RewardModel:
        """The same heads on the scale of other reference answers.

        Raises:
            ConfigError: A member does not tell the answers apart.
        """
        raw = self.heads.scores(self._encoded(reference, tools, encoder))
        return replace(self, scales=fit_scales(raw, self.names))

    def _encoded(self, items: Sequence[Graded], tools: Tools, encoder: InputEncoder | None) -> Float[np.ndarray, "n d"]:
        if encoder is not None:
            return encoder.rows(items, tools)
        own = InputEncoder(self.input)
        try:
            return own.rows(items, tools)
        finally:
            own.close()


def train_reward_model(
    preferences: Sequence[Preference],
    tools: Tools,
    *,
    input: RewardInput | None = None,
    heads: HeadSettings | None = None,
    soft_labels: Float[np.ndarray, " n"] | None = None,
    subject: Subject | None = None,
) -> RewardModel:
    """Train a reward model; deterministic by the seed in `heads`.

    Args:
        preferences: What it learns.
        tools: Embeds texts.
        input: What the heads read.
        heads: Shape and training of the heads.
        soft_labels: Probability that each `chosen` is better; certain if None.
        subject: An opened subject to read hidden states from; the caller closes it.

    Raises:
        ConfigError: No preference can be read.
    """
    input, heads = input or RewardInput(), heads or HeadSettings()
    pairs = as_pairs(preferences)
    encoder = InputEncoder(input, subject)
    try:
        rows = encoder.rows([answer for pair in pairs for answer in pair], tools) if pairs else np.empty((0, 1))
    finally:
        encoder.close()
    chosen, rejected = rows[0::2], rows[1::2]
    known = ~(np.isnan(chosen).any(axis=1) | np.isnan(rejected).any(axis=1))
    labels = None if soft_labels is None else np.asarray(soft_labels, dtype=np.float64)[known]
    fitted = fit_heads(chosen[known], rejected[known], heads, soft_labels=labels)
    raw = fitted.scores(np.concatenate([chosen[known], rejected[known]]))
    names = [f"m{member}" for member in range(heads.members)]
    return RewardModel(input, heads, fitted, fit_scales(raw, names), int(known.sum()))


def save_reward_model(model: RewardModel, folder: Path | str) -> Path:
    """Write a folder of safetensors and JSON; its weights are named by hash in the JSON, which is written last."""
    from safetensors.numpy import save

    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    heads = model.heads
    weights = save({name: np.ascontiguousarray(getattr(heads, name)) for name in ("w1", "b1", "w2")})
    about = _About(
        input=model.input,
        heads=model.settings,
        scales=model.scales,
        n_pairs=model.n_pairs,
        weights_sha256=hashlib.sha256(weights).hexdigest(),
    )
    write_atomic(folder / _WEIGHTS, weights, Disk())
    write_atomic(folder / _ABOUT, about.model_dump_json(indent=1).encode(), Disk())
    return folder


def load_reward_model(folder: Path | str) -> RewardModel:
    """Read what `save_reward_model` wrote.

    Raises:
        InputError: No such folder, or files that do not belong together.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    folder = Path(folder)
    try:
        about = _About.model_validate_json((folder / _ABOUT).read_bytes())
        data = (folder / _WEIGHTS).read_bytes()
        weights = load(data)
    except (OSError, ValidationError, SafetensorError, ConfigError) as error:
        said = str(error).splitlines()[0]
        raise InputError(f"{folder} holds no reward model ({said}); give a folder of save_reward_model") from None
    if hashlib.sha256(data).hexdigest() != about.weights_sha256 or not _fit_together(about, weights):
        raise InputError(f"{folder}: {_WEIGHTS} and {_ABOUT} do not belong together; save the reward model again")
    heads = Heads(weights["w1"], weights["b1"], weights["w2"], about.heads.hidden == 0)
    return RewardModel(about.input, about.heads, heads, about.scales, about.n_pairs)


def _fit_together(about: _About, weights: dict[str, Any]) -> bool:
    k, h = about.heads.members, about.heads.hidden or 1
    return (
        set(weights) == {"w1", "b1", "w2"}
        and weights["w1"].ndim == 3
        and weights["w1"].shape[::2] == (k, h)
        and weights["b1"].shape == weights["w2"].shape == (k, h)
        and len(about.scales.members) == k
        and all(bool(np.isfinite(value).all()) for value in weights.values())
    )


class RewardModelConfig(RewardConfig):
    """Settings of `reward_model`."""

    path: str
    """Folder of `save_reward_model`, relative to the tools' folder."""
    aggregation: Aggregation = Aggregation()
    """How members become one value; for `weighted_sum` and `constraints` they are named m0, m1, …"""
    member: int | None = Field(default=None, ge=0)
    """Take only this member; None takes all."""


@rewards.register("reward_model", RewardModelConfig)
def reward_model(config: RewardModelConfig) -> Reward:
    """A trained reward model, in standard deviations of its reference answers; read at first use.

    Raises:
        ConfigError: There is no such member.
    """
    loaded: list[tuple[RewardModel, InputEncoder]] = []

    def score(items: Sequence[Graded], tools: Tools) -> Float[np.ndarray, " n"]:
        if not loaded:
            model = load_reward_model(tools.folder / config.path)
            loaded.append((model, InputEncoder(model.input)))
        model, encoder = loaded[0]
        values = model.of_items(items, tools, encoder)
        if config.member is None:
            return aggregated(values, model.names, config.aggregation)
        if config.member >= len(values):
            raise ConfigError(f"member {config.member} of {config.path}; allowed: 0 to {len(values) - 1}")
        return np.asarray(values[config.member])

    unit = "share of constraints" if config.aggregation.kind == "constraints" and config.member is None else UNIT
    return ScoredBy("reward_model", unit, "higher", score)
