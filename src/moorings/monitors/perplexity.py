"""Perplexity of each model on the other's text: does what the candidate writes still look like language to the anchor?

With x(m, t) the mean nats a token that model m finds in text t, for each prompt

forward = x(anchor, candidate's answer) - x(anchor, anchor's answer)
reverse = x(candidate, anchor's answer) - x(anchor, anchor's answer)
d = [clip(forward / scale, -1, 1) + clip(reverse / scale, -1, 1)] / 2

The reverse part estimates the Kullback-Leibler divergence of the candidate from the anchor per token. The forward part
falls where the candidate's text becomes more predictable, as in collapse, and can then hide a rise of the other; the
levels of both are among the details. Needs a subject that can score. Left out: a third model as judge. It must show:
exactly 0 for an unchanged model with equal draws, and a positive mean for text that is strange to the anchor.
Units: the look's general prompts.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from pydantic import Field

from moorings.monitors.monitor import Differences, Gathering, MonitorConfig, Side, monitors
from moorings.monitors.tasks.answers import collect, level, readable, score_texts
from moorings.records import Message, Prompt
from moorings.sampling.bench import Bench

__all__ = ["Perplexity", "PerplexityConfig"]

_Texts = Sequence[str | None]


class PerplexityConfig(MonitorConfig):
    """Settings of `perplexity`."""

    scale_nats: float = Field(default=2.0, gt=0)
    """Rise in nats a token that counts as a whole unit of harm."""


class Perplexity:
    """See the module."""

    statement = "The candidate's text has become strange to the anchor, or the anchor's to the candidate."
    side: Side = "more"
    n_units: int | None = None

    def __init__(self, config: PerplexityConfig) -> None:
        self.config = config

    def measure(self, gathering: Gathering) -> Differences:
        """Differences of one look."""
        asked = gathering.general
        prompts = asked.prompts
        old: list[str | None] = [readable(answer) for answer in asked.anchor]
        new: list[str | None] = [readable(answer) for answer in asked.candidate]
        both = _nats(gathering.anchor, [*prompts, *prompts], [*old, *new], gathering.label("nats"))
        itself, forward = both[: len(prompts)], both[len(prompts) :]
        reverse = _nats(gathering.candidate, prompts, old, gathering.label("nats"))
        d = [
            None if a is None or f is None or r is None else (self._share(f - a) + self._share(r - a)) / 2
            for a, f, r in zip(itself, forward, reverse, strict=True)
        ]
        return collect(
            [prompt.prompt_id for prompt in prompts],
            itself,
            forward,
            d,
            seen="The anchor finds {anchor} nats a token in its own and {candidate} in the candidate's answers ({n} prompts); "
            f"the candidate finds {_level(reverse):.2f} in the anchor's.",
            details={"anchor_on_candidate_nats": _level(forward), "candidate_on_anchor_nats": _level(reverse)},
        )

    def _share(self, nats: float) -> float:
        return max(-1.0, min(1.0, nats / self.config.scale_nats))


def _nats(bench: Bench, prompts: Sequence[Prompt], texts: _Texts, label: str) -> list[float | None]:
    """Mean nats a token of each text after its prompt; None where there is no text or no finite value."""
    items: list[tuple[Sequence[Message], str]] = [
        (prompt.messages, text) for prompt, text in zip(prompts, texts, strict=True) if text is not None
    ]
    values = iter([-level(score.logprobs_nats) for score in score_texts(bench, items, label)])
    found = [None if text is None else next(values) for text in texts]
    return [None if value is None or not math.isfinite(value) else value for value in found]


def _level(values: Sequence[float | None]) -> float:
    return level([value for value in values if value is not None])


@monitors.register("perplexity", PerplexityConfig)
def perplexity(config: PerplexityConfig) -> Perplexity:
    """How strange the models' texts are to each other."""
    return Perplexity(config)
