"""The sealed prompts of the gate: fresh at each look, each spent once, none of them ever trained on."""

from __future__ import annotations

import random
from collections.abc import Collection, Sequence
from functools import cached_property, lru_cache
from pathlib import Path

from moorings.charter_run import RunSection
from moorings.errors import ConfigError
from moorings.improve.data import DataRow
from moorings.records import Prompt
from moorings.sampling.everyday import N_QUESTIONS, everyday_questions, question_texts
from moorings.sampling.plan import derive_seed
from moorings.sampling.prompts import load_prompts

__all__ = ["GateQuestions", "training_prompts"]

_COUNTED = 4096
"""Generated prompts on which groups are counted."""


class GateQuestions:
    """General prompts of the gate, by number.

    Args:
        section: Of the charter.
        folder: The charter's, from which relative paths start.

    Raises:
        InputError: The file of sealed prompts cannot be read.
    """

    def __init__(self, section: RunSection, folder: Path) -> None:
        self._seed = derive_seed(section.seed, "gate questions")
        self._file: list[Prompt] | None = None
        self.sha256: str | None = None
        """Of the file; None where prompts are generated."""
        if section.gate_prompts is not None:
            given = load_prompts(folder / section.gate_prompts)
            self._file, self.sha256 = _different(given.prompts), given.sha256
            random.Random(self._seed).shuffle(self._file)

    @property
    def n(self) -> int:
        """How many there are; equal ones in a file count once, as the second would not be fresh."""
        return len(self._file) if self._file is not None else N_QUESTIONS["gate"]

    def share_of(self, groups: Collection[str]) -> float:
        """Share of the prompts that are of these groups."""
        prompts = self._file or everyday_questions(_COUNTED, half="gate", seed=self._seed)
        return sum(prompt.group in groups for prompt in prompts) / len(prompts)

    @property
    def groups(self) -> frozenset[str]:
        """Groups that prompts have."""
        prompts = self._file or everyday_questions(_COUNTED, half="gate", seed=self._seed)
        return frozenset(prompt.group for prompt in prompts if prompt.group is not None)

    def take(self, start: int, n: int) -> tuple[Prompt, ...]:
        """Prompts number `start` to `start + n`.

        Raises:
            ConfigError: They are used up.
        """
        if self._file is None:
            return tuple(everyday_questions(n, half="gate", seed=self._seed, start=start))
        if start + n > len(self._file):
            raise ConfigError(
                f"the {len(self._file)} sealed prompts are used up: {start} are spent and {n} more are wanted; "
                "add prompts to the file, or leave gate_prompts out to have them generated"
            )
        return tuple(self._file[start : start + n])

    def trained_on(self, rows: list[DataRow]) -> list[DataRow]:
        """Rows of which a turn is a gate prompt: those must not be trained on."""
        sealed = self._sealed
        return [row for row in rows if any(_plain(message.content) in sealed for message in row.prompt)]

    @cached_property
    def _sealed(self) -> frozenset[str]:
        if self._file is None:
            return _generated()
        return frozenset(_plain(prompt.messages[-1].content) for prompt in self._file)


def training_prompts(section: RunSection, folder: Path) -> tuple[Prompt, ...]:
    """Prompts that data may be made from: the charter's file, or 2,000 generated ones.

    Raises:
        InputError: The file cannot be read.
    """
    if section.prompts is not None:
        return load_prompts(folder / section.prompts).prompts
    return tuple(everyday_questions(2000, half="train", seed=derive_seed(section.seed, "training questions")))


@lru_cache(maxsize=1)
def _generated() -> frozenset[str]:
    """Texts of all prompts that are generated for the gate, the same in every run."""
    return frozenset(_plain(text) for text in question_texts("gate"))


def _different(prompts: Sequence[Prompt]) -> list[Prompt]:
    first: dict[str, Prompt] = {}
    for prompt in prompts:
        first.setdefault("\n".join(f"{m.role}: {_plain(m.content)}" for m in prompt.messages), prompt)
    return list(first.values())


def _plain(text: str) -> str:
    return " ".join(text.lower().split())
