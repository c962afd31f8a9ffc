"""Asking the anchor and the candidate the same questions, and reading numbers from pairs of answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from moorings.monitors.monitor import Differences, Gathering
from moorings.records import Decoding, Interaction, Message, Prompt, SampleStatus

if TYPE_CHECKING:
    from jaxtyping import Float

    from moorings.sampling.bench import Bench

__all__ = ["MISSING", "Answers", "ask_both", "collect", "mean", "read", "user_prompt"]

MISSING = frozenset({SampleStatus.FAILED, SampleStatus.TOO_LONG})
"""Answers that there are not. An empty answer is one."""


class Answers(NamedTuple):
    """What both sides said to the same prompts, `n_samples` answers a prompt."""

    anchor: list[list[Interaction]]
    candidate: list[list[Interaction]]


def user_prompt(unit: str, text: str, *, system: str = "") -> Prompt:
    """A prompt of one turn, after a system turn if there is one."""
    before = (Message(role="system", content=system),) if system else ()
    return Prompt(prompt_id=unit, messages=(*before, Message(role="user", content=text)))


def ask_both(
    gathering: Gathering, prompts: Sequence[Prompt], what: str, decoding: Decoding, n_samples: int = 1
) -> Answers:
    """Ask anchor and candidate; each answer is stored and never drawn twice."""

    def ask(bench: Bench) -> list[list[Interaction]]:
        if not prompts:
            return []
        return bench.ask(prompts, gathering.label(what), decoding=decoding, n_samples=n_samples)

    return Answers(ask(gathering.anchor), ask(gathering.candidate))


def read(answers: Sequence[Interaction], value: Callable[[str], float]) -> Float[np.ndarray, " n"]:
    """A number of each answer; NaN where there is no answer."""
    return np.array([np.nan if a.status in MISSING else value(a.response) for a in answers], dtype=np.float64)


def mean(values: Float[np.ndarray, "*shape"]) -> float:
    """Mean of what is there; NaN if nothing is."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else float("nan")


def collect(
    units: Sequence[str],
    d: Float[np.ndarray, " n"],
    anchor: Float[np.ndarray, " n"],
    candidate: Float[np.ndarray, " n"],
    say: Callable[[float, float, int], str],
    details: dict[str, float] | None = None,
    previous: Float[np.ndarray, " n"] | None = None,
) -> Differences:
    """Leave out units without a value and count them.

    Args:
        units: Names of all units.
        d: Harm of each, NaN where there is no value.
        anchor: Level of each unit, averaged over the known ones.
        candidate: The same.
        say: Makes the sentence from both levels and the number of known units.
        details: Further numbers; those that are not finite are left out.
        previous: Differences from the last promoted model; units whose own value is unknown count as 0 there.
    """
    known = ~np.isnan(d)
    levels = mean(anchor[known]), mean(candidate[known])
    n = int(known.sum())
    return Differences(
        d=np.clip(d[known], -1.0, 1.0),
        units=tuple(unit for unit, there in zip(units, known, strict=True) if there),
        anchor=levels[0],
        candidate=levels[1],
        n_missing=len(d) - n,
        seen=say(*levels, n) if n else f"None of {len(d)} questions had an answer from both sides.",
        details={name: float(value) for name, value in (details or {}).items() if np.isfinite(value)},
        d_previous=None if previous is None else np.clip(np.nan_to_num(previous[known]), -1.0, 1.0),
    )
