"""The subjects of a run, opened, and the function by which a batch reaches them."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any, NamedTuple

from moorings.errors import ConfigError
from moorings.execution import Executor
from moorings.records import Decoding, Interaction
from moorings.sampling.plan import Batch, UserSimulator
from moorings.sampling.worker import draw_batch, draw_with
from moorings.subjects.protocol import Subject
from moorings.subjects.spec import SubjectSpec, open_subject

__all__ = ["Sides", "open_sides"]

_NOT_WORTH_CACHING = {"scripted", "simulated", "recorded"}


class Sides(NamedTuple):
    """Who talks in a run."""

    spec: SubjectSpec
    subject: Subject
    fingerprint: str
    """Of the subject with its decoding."""
    decoding: Decoding
    user: UserSimulator | None
    draw: Callable[[Batch], list[Interaction]]
    """What the executor runs."""
    cacheable: bool
    config: dict[str, Any]
    """The part of the run's configuration that is about the subjects."""
    opened: tuple[Subject, ...]
    """Subjects that were opened for this run and are to be closed with it."""

    def close(self) -> None:
        """Close what was opened here."""
        for subject in self.opened:
            with suppress(OSError):
                subject.close()


def open_sides(
    subject: str | SubjectSpec | Subject,
    user: str | SubjectSpec | Subject | None,
    *,
    n_turns: int,
    instruction: str,
    decoding: Decoding,
    pool: Executor,
) -> Sides:
    """Open the subject, and the one that plays the user, with their share of the cores.

    Raises:
        ConfigError: An opened subject is given to an executor of other processes.
    """
    spec, opened = _open(subject, pool)
    info = opened.describe()
    config: dict[str, Any] = {
        "kind": "sample",
        "subject": info.model_dump(),
        "decoding": decoding.model_dump(),
        "n_turns": n_turns,
    }
    simulator, user_opened, engines = None, None, {info.engine}
    if user is not None:
        user_spec, user_opened = _open(user, pool)
        user_info = user_opened.describe()
        simulator = UserSimulator(user_spec, user_info.fingerprint(decoding), n_turns, instruction)
        config |= {"user": user_info.model_dump(), "user_instruction": instruction}
        engines.add(user_info.engine)
    return Sides(
        spec=spec,
        subject=opened,
        fingerprint=info.fingerprint(decoding),
        decoding=decoding,
        user=simulator,
        draw=partial(draw_with, subject=opened, user=user_opened) if pool.in_process else draw_batch,
        cacheable=not engines & _NOT_WORTH_CACHING,
        config=config,
        opened=tuple(s for s, given in ((opened, subject), (user_opened, user)) if s is not None and s is not given),
    )


def _open(subject: str | SubjectSpec | Subject, pool: Executor) -> tuple[SubjectSpec, Subject]:
    """Open a subject here; in other processes it is opened again from its spec."""
    if isinstance(subject, str):
        subject = SubjectSpec(uri=subject)
    if isinstance(subject, SubjectSpec):
        if pool.workers > 1 and subject.threads is None:
            subject = subject.model_copy(update={"threads": max(1, subject.n_threads() // pool.workers)})
        return subject, open_subject(subject)
    if not pool.in_process:
        raise ConfigError(
            f"executor {pool.name} works in other processes and needs a subject's URI, not an opened subject"
        )
    return SubjectSpec(uri=subject.describe().uri), subject
