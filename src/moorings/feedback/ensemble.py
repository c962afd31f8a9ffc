"""An ensemble of rewards as one reward: members of any kind, put on one scale, then aggregated.

Coste et al. 2023 (arXiv:2310.02743); the aggregates are in `moorings.feedback.aggregate`. Members that are trained reward
models with a trunk in common are one `reward_model` with several heads, which is cheaper; here each member is asked alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from pydantic import Field, ValidationError, field_validator

from moorings.charter_run import Use
from moorings.errors import ConfigError, InputError
from moorings.feedback.aggregate import Aggregation, aggregated
from moorings.feedback.reward import Graded, Reward, RewardConfig, Tools, rewards
from moorings.feedback.scored import ScoredBy
from moorings.feedback.standardise import Scales, fit_scales
from moorings.store.disk import Disk, write_atomic

if TYPE_CHECKING:
    from jaxtyping import Float

__all__ = ["EnsembleConfig", "fit_ensemble", "member_values", "read_scales", "write_scales"]


class EnsembleConfig(RewardConfig):
    """Settings of `ensemble`."""

    members: dict[str, Use] = Field(min_length=1)
    """Rewards by name, such as `{short: {use: length, words: 50}}`."""
    aggregation: Aggregation = Aggregation()
    """How they become one value."""
    scales: str | None = None
    """JSON file of `write_scales`. Members are standardised by it; None takes raw values, as `constraints` always does."""

    @field_validator("members")
    @classmethod
    def _are_known(cls, value: dict[str, Use]) -> dict[str, Use]:
        for use in value.values():
            rewards.check(use)
        return value


@rewards.register("ensemble", EnsembleConfig)
def ensemble(config: EnsembleConfig) -> Reward:
    """Several rewards as one.

    Raises:
        ConfigError: Members of different direction or unit without scales, or scales of other members.
    """
    made = {name: rewards.make(use) for name, use in config.members.items()}
    names = tuple(made)
    by_constraints = config.aggregation.kind == "constraints"
    if config.scales is None and not by_constraints and len({(one.unit, one.direction) for one in made.values()}) > 1:
        raise ConfigError(
            f"members {', '.join(names)} differ in unit or direction; give scales, a file of write_scales"
        )

    def score(items: Sequence[Graded], tools: Tools) -> Float[np.ndarray, " n"]:
        values = member_values(made, items, tools)
        if config.scales is not None and not by_constraints:
            scales = read_scales(tools.folder / config.scales)
            if scales.names != names:
                raise ConfigError(
                    f"{config.scales} has scales of {', '.join(scales.names)}, the ensemble has {', '.join(names)}; "
                    "fit the scales again"
                )
            values = scales.apply(values)
        elif not by_constraints and next(iter(made.values())).direction == "lower":
            values = -values
        return aggregated(values, names, config.aggregation)

    if by_constraints:
        unit = "share of constraints"
    else:
        unit = "sd of the reference answers" if config.scales is not None else next(iter(made.values())).unit
    return ScoredBy("ensemble", unit, "higher", score)


def member_values(
    members: Mapping[str, Reward], items: Sequence[Graded], tools: Tools
) -> Float[np.ndarray, "members n"]:
    """Raw values of each member, in its own unit and direction."""
    return np.stack([np.asarray(member(items, tools), dtype=np.float64) for member in members.values()])


def fit_ensemble(config: EnsembleConfig, items: Sequence[Graded], tools: Tools) -> Scales:
    """Scales of an ensemble's members on reference answers, which should be answers of the start policy.

    Raises:
        ConfigError: A member does not tell the answers apart.
    """
    made = {name: rewards.make(use) for name, use in config.members.items()}
    return fit_scales(member_values(made, items, tools), list(made), [member.direction for member in made.values()])


def write_scales(scales: Scales, path: Path | str) -> Path:
    """Write scales as JSON; an existing file is replaced in one step."""
    write_atomic(Path(path), scales.model_dump_json(indent=1).encode(), Disk())
    return Path(path)


def read_scales(path: Path | str) -> Scales:
    """Read what `write_scales` wrote.

    Raises:
        InputError: No such file, or no scales.
    """
    try:
        return Scales.model_validate_json(Path(path).read_bytes())
    except (OSError, ValidationError) as error:
        said = str(error).splitlines()[0]
        raise InputError(f"{path} holds no scales ({said}); give a file that write_scales wrote") from None
