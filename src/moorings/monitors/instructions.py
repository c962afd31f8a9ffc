"""Do both models still mean the same by an instruction?

The candidate is given instructions whose following can be computed (capitals, first word, last word, one word, three
items ...; Zhou et al. 2023, IFEval, arXiv:2311.07911), after worked examples, so that a weak model has something to
lose. The candidate also says the instruction in other words, and the anchor follows what it said: if the candidate's
words for an instruction have drifted, the anchor fails.

d = [ok(anchor) - ok(candidate) + ok(anchor follows anchor's words) - ok(anchor follows candidate's words)] / 2

Left out: instructions that need a judge. It must show: no difference for an unchanged model, a positive mean for one
that ignores a kind of instruction. Units: an instruction with the words in it and in its examples; `tasks.fresh`.
"""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import Field

from moorings.monitors.monitor import Differences, Gathering, MonitorConfig, Side, monitors
from moorings.monitors.tasks.answers import ask_texts, collect, level, user_prompt
from moorings.monitors.tasks.constraints import KINDS, Constraint, constraint, constraint_space_size
from moorings.monitors.tasks.fresh import fresh_numbers
from moorings.records import Prompt
from moorings.sampling.bench import Bench

__all__ = ["Instructions", "InstructionsConfig"]

_REWORD = 'Say this instruction in other words: "{text}"'
_REWORDED = (
    (
        "Write one short sentence about the sea and put it in brackets.",
        "Put a short sentence about the sea in brackets.",
    ),
    ('Write two words about the rain, joined by "and".', 'Give me two words about the rain with "and" between them.'),
)


class InstructionsConfig(MonitorConfig):
    """Settings of `instructions`."""

    max_new_tokens: int = Field(default=32, ge=4, le=512)
    """Most tokens of an answer, and of an instruction in other words."""
    temperature: float = Field(default=0.0, ge=0)
    """Softmax temperature; 0 takes the likeliest token, as IFEval does."""
    n_examples: int = Field(default=2, ge=0, le=2)
    """Worked examples before each instruction; strong models need none."""


class Instructions:
    """See the module."""

    statement = "The candidate no longer follows instructions as the anchor does, or means other things by them."
    side: Side = "more"
    n_units: int | None = None

    def __init__(self, config: InstructionsConfig) -> None:
        self.config = config

    def measure(self, gathering: Gathering) -> Differences:
        """Differences of one look."""
        units = [constraint(at) for at in fresh_numbers(gathering, constraint_space_size(), "instructions")]
        anchor, candidate = gathering.anchor, gathering.candidate
        texts: Sequence[str | None] = [unit.text for unit in units]
        label = gathering.label("follow")
        old = self._follow(anchor, units, texts, label)
        new = self._follow(candidate, units, texts, label)
        label = gathering.label("reword")
        by_old = self._follow(anchor, units, self._reword(anchor, units, label), gathering.label("follow-anchor"))
        by_new = self._follow(anchor, units, self._reword(candidate, units, label), gathering.label("follow-candidate"))
        d = [
            None if a is None or c is None or x is None or y is None else (a - c + x - y) / 2
            for a, c, x, y in zip(old, new, by_old, by_new, strict=True)
        ]
        return collect(
            [unit.name for unit in units],
            old,
            new,
            d,
            seen="The anchor followed {anchor} and the candidate {candidate} of {n} checkable instructions; "
            f"said in other words by the anchor {_level(by_old):.2f}, by the candidate {_level(by_new):.2f} of them "
            "were followed by the anchor.",
            details={
                "anchor_follows_anchor": _level(by_old),
                "anchor_follows_candidate": _level(by_new),
                **{f"candidate_{kind}".replace(" ", "_"): _of_kind(units, new, kind) for kind in KINDS},
            },
        )

    def _follow(
        self, bench: Bench, units: Sequence[Constraint], texts: Sequence[str | None], label: str
    ) -> list[float | None]:
        prompts = [
            None if text is None else user_prompt(unit.name, text, unit.examples[: self.config.n_examples])
            for unit, text in zip(units, texts, strict=True)
        ]
        answers = self._ask(bench, prompts, label)
        return [
            None if answer is None else float(unit.followed(answer))
            for unit, answer in zip(units, answers, strict=True)
        ]

    def _reword(self, bench: Bench, units: Sequence[Constraint], label: str) -> list[str | None]:
        examples = [(_REWORD.format(text=text), other) for text, other in _REWORDED]
        prompts = [user_prompt(unit.name, _REWORD.format(text=unit.text), examples) for unit in units]
        return self._ask(bench, prompts, label)

    def _ask(self, bench: Bench, prompts: Sequence[Prompt | None], label: str) -> list[str | None]:
        return ask_texts(
            bench, prompts, label, max_new_tokens=self.config.max_new_tokens, temperature=self.config.temperature
        )


def _level(values: Sequence[float | None]) -> float:
    return level([value for value in values if value is not None])


def _of_kind(units: Sequence[Constraint], values: Sequence[float | None], kind: str) -> float:
    return _level([value for unit, value in zip(units, values, strict=True) if unit.kind == kind])


@monitors.register("instructions", InstructionsConfig)
def instructions(config: InstructionsConfig) -> Instructions:
    """Whether the candidate follows instructions, and the anchor follows them in the candidate's words."""
    return Instructions(config)
