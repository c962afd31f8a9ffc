"""Rounds of training on a tiny model, one after the other."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from moorings.charter_run import Use
from moorings.improve.data import DataRow, make_row
from moorings.improve.training import Defence, TrainJob, TrainResult, trainers
from moorings.records import Message
from moorings.subjects.spec import SubjectSpec


class Stop(Exception):
    """A training that was stopped in the middle."""


def make_rows(n: int, answer: str) -> list[DataRow]:
    return [
        make_row((Message(role="user", content=f"Say {i}."),), f"{answer} {i}.", origin="human", method="file", round=1)
        for i in range(n)
    ]


class Rounds:
    """Rounds of training one after the other, each from the result of the one before."""

    def __init__(self, model: Path, folder: Path) -> None:
        self.anchor = SubjectSpec(uri=f"hf:{model}", device="cpu", threads=1)
        self.start, self.folder, self.past = self.anchor, folder, []

    def job(self, answer: str = "Yes", n_rows: int = 8, **changes: Any) -> TrainJob:
        number = len(self.past) + 1
        job = TrainJob(
            start=self.start,
            anchor=self.anchor,
            rows=make_rows(n_rows, answer),
            out=self.folder / f"out{number}",
            work=self.folder / f"work{number}",
            round=number,
            seed=number,
            past=tuple(self.past),
        )
        return replace(job, **changes)

    def train(self, *defences: Defence, job: TrainJob | None = None, **settings: Any) -> TrainResult:
        job = replace(job or self.job(), defences=defences)
        settings = {"r": 4, "batch_size": 4, "epochs": 3, "learning_rate": 0.01, "save_steps": 2} | settings
        result = trainers.make(Use(use="sft", **settings))(job)
        self.past.append(job.out)
        self.start = self.start.model_copy(update={"uri": result.uri})
        return result


def folder_bytes(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
