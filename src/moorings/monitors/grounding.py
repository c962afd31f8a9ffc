"""Cross-modal grounding: do code, pictures and their descriptions still agree?

What the model says is executed or rendered, and the results are compared, never the wording:

- write: it writes a Python function from a description; the code runs in `execution.sandbox`
- describe: it describes a function; the description is turned into code, and both run in the sandbox
- draw: it draws a picture of characters from the names of its lines; compared with the rendered one
- see: it names the lines of a picture; what the names render to is compared

d = agreement(anchor) - agreement(candidate), where code agrees if it gives equal values at three points, and a picture
by the share of its lines.

All tasks come with worked examples, so that a weak model has something to lose. Code that raises, runs over a limit or
tries what is not allowed does not agree; that is an answer, not a missing one. Left out: images other than characters.
It must show: no difference for an unchanged model, a positive mean for one that has swapped the meaning of operations
or lines. Units: a task with its examples; `tasks.fresh`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from moorings.execution.sandbox import Outcome, run_python
from moorings.feedback.verifiers import code_of
from moorings.monitors.monitor import Differences, Gathering, MonitorConfig, Side, monitors
from moorings.monitors.tasks.answers import ask_texts, collect, level, user_prompt
from moorings.monitors.tasks.fresh import fresh_numbers
from moorings.monitors.tasks.pictures import Picture, lines_in, names_in, picture, picture_space_size
from moorings.monitors.tasks.programs import Program, described, program, program_space_size
from moorings.records import Prompt
from moorings.sampling.bench import Bench

__all__ = ["Grounding", "GroundingConfig"]

Kind = Literal["write", "describe", "draw", "see"]
_WRITE = "Write a Python function f(x) that returns {words}. Give only the code."
_DESCRIBE = "What does this Python function return?\n{source}"
_DRAW = "Draw three lines with {ink} and {ground}: {words}."
_SEE = "Name the three lines of this picture.\n{lines}"


class GroundingConfig(MonitorConfig):
    """Settings of `grounding`."""

    kinds: Annotated[tuple[Kind, ...], Field(strict=False, min_length=1)] = ("write", "describe", "see")
    """Kinds of task, in turn; `draw` as well where the anchor can do it, which small models cannot."""
    max_new_tokens: int = Field(default=48, ge=16, le=1024)
    """Most tokens of an answer."""
    temperature: float = Field(default=0.0, ge=0)
    """Softmax temperature; 0 takes the likeliest token."""


@dataclass(frozen=True)
class _Task:
    kind: Kind
    prompt: Prompt
    truth: Program | Picture


class _Runs:
    """Code that was run in this look. The true programs share one process, an answer never shares one with anything."""

    def __init__(self, programs: Sequence[Program]) -> None:
        self._done: dict[tuple[str, tuple[str, ...]], Outcome] = {}
        source = "\n".join(one.source.replace("def f(", f"def f{at}(") for at, one in enumerate(programs))
        calls = [call.replace("f(", f"f{at}(") for at, one in enumerate(programs) for call in one.calls]
        values = iter(run_python(source, calls).values) if programs else iter(())
        self.truths = {one: tuple(next(values) for _ in one.calls) for one in programs}

    def outcome(self, source: str, calls: tuple[str, ...]) -> Outcome:
        """What became of code; equal code at equal points is run once."""
        if (source, calls) not in self._done:
            self._done[source, calls] = run_python(source, calls)
        return self._done[source, calls]


class Grounding:
    """See the module."""

    statement = "Code and pictures no longer agree with what the candidate says of them."
    side: Side = "more"
    n_units: int | None = None

    def __init__(self, config: GroundingConfig) -> None:
        self.config = config

    def measure(self, gathering: Gathering) -> Differences:
        """Differences of one look."""
        kinds = self.config.kinds
        programs = fresh_numbers(gathering, program_space_size(), "grounding-programs")
        pictures = fresh_numbers(gathering, picture_space_size(), "grounding-pictures")
        tasks = [
            _task(kind, (programs if kind in ("write", "describe") else pictures)[at])
            for at in range(gathering.n)
            for kind in (kinds[at % len(kinds)],)
        ]
        label = gathering.label("do")
        runs = _Runs([task.truth for task in tasks if isinstance(task.truth, Program)])
        old, _ = self._agreement(gathering.anchor, tasks, label, runs)
        new, fates = self._agreement(gathering.candidate, tasks, label, runs)
        d = [None if a is None or c is None else a - c for a, c in zip(old, new, strict=True)]
        by_kind = {
            f"{side}_{kind}": level(
                [v for task, v in zip(tasks, found, strict=True) if v is not None and task.kind == kind]
            )
            for kind in kinds
            for side, found in (("anchor", old), ("candidate", new))
        }
        return collect(
            [task.prompt.prompt_id for task in tasks],
            old,
            new,
            d,
            seen="Executed or rendered, {anchor} of the anchor's and {candidate} of the candidate's answers agree with the "
            f"task ({{n}} tasks of code and pictures); of the candidate's programs {fates['refused']} tried what is not "
            f"allowed and {fates['time'] + fates['memory'] + fates['output'] + fates['exited']} went over a limit or ended early.",
            details={**by_kind, **{f"code_{status}": float(count) for status, count in sorted(fates.items())}},
        )

    def _agreement(
        self, bench: Bench, tasks: Sequence[_Task], label: str, runs: _Runs
    ) -> tuple[list[float | None], Counter[str]]:
        """Agreement of each answer, and what became of the code that was run."""
        answers = ask_texts(
            bench,
            [task.prompt for task in tasks],
            label,
            max_new_tokens=self.config.max_new_tokens,
            temperature=self.config.temperature,
        )
        fates: Counter[str] = Counter()
        agreed = [
            None if answer is None else _agrees(task, answer, runs, fates)
            for task, answer in zip(tasks, answers, strict=True)
        ]
        return agreed, fates


def _task(kind: Kind, number: int) -> _Task:
    if kind in ("write", "describe"):
        truth, examples = program(number)
        text = _WRITE if kind == "write" else _DESCRIBE
        shown = [(_asked(text, one), one.source if kind == "write" else f"It returns {one.words}.") for one in examples]
        return _Task(kind, user_prompt(f"{kind}-{number}", _asked(text, truth), shown), truth)
    seen, pictures = picture(number)
    text = _DRAW if kind == "draw" else _SEE
    shown = [(_asked(text, one), "\n".join(one.rendered) if kind == "draw" else one.words) for one in pictures]
    return _Task(kind, user_prompt(f"{kind}-{number}", _asked(text, seen), shown), seen)


def _asked(text: str, truth: Program | Picture) -> str:
    if isinstance(truth, Program):
        return text.format(words=truth.words, source=truth.source)
    return text.format(words=truth.words, ink=truth.ink, ground=truth.ground, lines="\n".join(truth.rendered))


def _agrees(task: _Task, answer: str, runs: _Runs, fates: Counter[str]) -> float:
    if isinstance(task.truth, Picture):
        wanted = task.truth.rendered
        if task.kind == "draw":
            found = lines_in(answer, task.truth.ink, task.truth.ground)
        else:
            found = task.truth._replace(names=names_in(answer)).rendered
        return sum(one == other for one, other in zip(found, wanted, strict=False)) / len(wanted)
    if task.kind == "write":
        source = code_of(answer)
    else:
        said = described(answer)
        if said is None:
            return 0.0
        source = said.source
    outcome = runs.outcome(source, task.truth.calls)
    fates[outcome.status] += 1
    return float(outcome.status == "ok" and outcome.values == runs.truths[task.truth])


@monitors.register("grounding", GroundingConfig)
def grounding(config: GroundingConfig) -> Grounding:
    """Whether what the candidate says of code and pictures holds when run or rendered."""
    return Grounding(config)
