"""From runs to a corpus: the prompts that all arms answered, in one order."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from moorings.compare.comparison import ArmSummary
from moorings.compare.corpus import MISSING, Corpus
from moorings.errors import InputError
from moorings.records import Interaction, Message, SampleStatus, SubjectInfo
from moorings.store import Run

__all__ = ["ArmSource", "Loaded", "load_corpus", "parse_arm"]

_WORD = re.compile(r"[^\W_]+")


class ArmSource(NamedTuple):
    """Where an arm's responses are."""

    name: str
    run: str
    """Folder or URL of a run."""
    persona: str | None = None
    """Only the responses under this persona; None takes those of a run without personas."""


class Loaded(NamedTuple):
    """A corpus, what its arms are, and what could not be used."""

    corpus: Corpus
    arms: tuple[ArmSummary, ...]
    warnings: tuple[str, ...]


class _Row(NamedTuple):
    key: str
    prompt_id: str
    prompt: str
    group: str | None
    family: str
    number: int
    text: str
    status: SampleStatus


def parse_arm(text: str) -> ArmSource:
    """Read `RUN` or `RUN@PERSONA`.

    >>> parse_arm("runs/base@pirate")
    ArmSource(name='base@pirate', run='runs/base', persona='pirate')
    """
    run, at, persona = text.rpartition("@")
    if not at or "/" in persona:
        run, persona = text, ""
    name = run.rstrip("/").rsplit("/", 1)[-1] or run
    return ArmSource(f"{name}@{persona}" if persona else name, run, persona or None)


def load_corpus(sources: Sequence[ArmSource]) -> Loaded:
    """Read runs and keep the prompts that every arm was asked, matched by the prompt's messages.

    Raises:
        InputError: An arm has no responses, or no prompt is shared by all.
        StorageError: A run cannot be read.
    """
    rows, infos = [], []
    for source in sources:
        with Run.open(source.run) as run:
            rows.append(_rows(run, source))
            infos.append((run.config, _first_subject(run)))
        if not rows[-1]:
            raise InputError(
                f"run {source.run} holds no responses{_under(source)}; see `moorings runs show {source.run}`"
            )
    shared = set.intersection(*({row.key for row in arm} for arm in rows))
    if not shared:
        raise InputError(
            f"{' and '.join(s.name for s in sources)} share no prompt; compare runs that were asked the same prompts"
        )
    warnings = _left_out(sources, rows, shared)
    kept = [sorted((r for r in arm if r.key in shared), key=_order) for arm in rows]
    corpus = _assemble([s.name for s in sources], kept)
    arms = tuple(
        _summary(source, config, subject, arm)
        for source, (config, subject), arm in zip(sources, infos, kept, strict=True)
    )
    return Loaded(corpus, arms, warnings)


def _order(row: _Row) -> tuple[str, int, str, str, str]:
    """The same for the same samples in whatever order they were stored."""
    return row.key, row.number, row.prompt_id, row.text, row.status.value


def _assemble(names: list[str], arms: list[list[_Row]]) -> Corpus:
    first = {row.key: row for row in reversed(arms[0])}
    keys = sorted(first)
    at = {key: i for i, key in enumerate(keys)}
    families = {name: i for i, name in enumerate(dict.fromkeys(first[key].family for key in keys))}
    rows = [row for arm in arms for row in arm]
    return Corpus(
        arm_names=tuple(names),
        prompt_ids=tuple(first[key].prompt_id for key in keys),
        prompts=tuple(first[key].prompt for key in keys),
        families=np.array([families[first[key].family] for key in keys]),
        groups=tuple(first[key].group for key in keys),
        texts=[row.text for row in rows],
        arm=np.repeat(np.arange(len(arms)), [len(arm) for arm in arms]),
        prompt=np.array([at[row.key] for row in rows]),
        status=[row.status for row in rows],
    )


def _rows(run: Run, source: ArmSource) -> list[_Row]:
    """Samples of an arm; those without a response come last, as how much of their chat is the prompt is learnt from others."""
    n_turns = int(run.config.get("n_turns", 1))
    n_given: dict[str, int] = {}
    rows, unfinished = [], []
    for one in run.interactions():
        if one.persona != source.persona:
            continue
        if one.status in MISSING:
            unfinished.append(one)
            continue
        n_given[one.prompt_id] = max(_n_answers(one.messages) - n_turns, 0)
        rows.append(_row(one, source, n_turns, n_given[one.prompt_id]))
    for one in unfinished:
        answered = one.messages[-1].role == "assistant"
        alone = _n_answers(one.messages) - answered if n_turns == 1 else 0
        rows.append(_row(one, source, n_turns, n_given.get(one.prompt_id, alone)))
    return rows


def _n_answers(messages: Sequence[Message]) -> int:
    return sum(message.role == "assistant" for message in messages)


def _row(interaction: Interaction, source: ArmSource, n_turns: int, n_given: int) -> _Row:
    asked, answer = _asked(interaction.messages, n_given)
    if source.persona is not None and asked and asked[0].role == "system":
        asked = asked[1:]
    prompt = "\n\n".join(message.content for message in asked)
    return _Row(
        key="\x00".join(f"{m.role}\x01{m.content}" for m in asked),
        prompt_id=interaction.prompt_id,
        prompt=prompt,
        group=interaction.group,
        family=str(interaction.metadata.get("family") or _plain(prompt) or prompt),
        number=interaction.index,
        text=answer if n_turns > 1 else interaction.response,
        status=interaction.status,
    )


def _asked(messages: Sequence[Message], n_given: int) -> tuple[Sequence[Message], str]:
    """The chat before the subject's first answer, and all its answers; the prompt itself holds `n_given` answers."""
    answers = [i for i, message in enumerate(messages) if message.role == "assistant"][n_given:]
    end = answers[0] if answers else len(messages)
    return messages[:end], "\n\n".join(messages[i].content for i in answers)


def _plain(text: str) -> str:
    """Words alone: prompts that differ only in case, spacing or punctuation are one family."""
    return " ".join(_WORD.findall(text.lower()))


def _summary(source: ArmSource, config: dict[str, object], subject: str | None, rows: list[_Row]) -> ArmSummary:
    statuses: dict[str, int] = {}
    for row in rows:
        statuses[row.status.value] = statuses.get(row.status.value, 0) + 1
    info = config.get("subject")
    return ArmSummary(
        name=source.name,
        info=SubjectInfo.model_validate(info) if isinstance(info, dict) else None,
        run=source.run,
        fingerprint=subject,
        n_responses=len(rows),
        statuses=statuses,
        n_distinct=len({row.text for row in rows}),
        mean_words=float(np.mean([len(row.text.split()) for row in rows])),
    )


def _first_subject(run: Run) -> str | None:
    return next((row.subject for row in run.interactions()), None)


def _left_out(sources: Sequence[ArmSource], rows: list[list[_Row]], shared: set[str]) -> tuple[str, ...]:
    found = []
    for source, arm in zip(sources, rows, strict=True):
        alone = {row.key for row in arm} - shared
        if alone:
            found.append(f"{len(alone)} prompts of {source.name} were not asked of every arm and are left out")
    return tuple(found)


def _under(source: ArmSource) -> str:
    return f" under persona '{source.persona}'" if source.persona else " without a persona"
