"""Small skills in sequence on the embedded language model, through the trainer and the defences of `moorings run`."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from _digits_learning import metrics

from moorings.charter_run import Use
from moorings.improve.data import DataRow, make_row
from moorings.improve.defences.columns import routed_uri
from moorings.improve.training import TrainJob, defences, trainers
from moorings.records import Decoding, Message, Request
from moorings.subjects.lorem import LOREM_WORDS
from moorings.subjects.spec import SubjectSpec, open_subject

MODEL = "bundled:smollm2-135m"
N_TRAIN, N_TEST = 60, 16
SEEDS = (1, 2)
TRAIN = Use(use="sft", learning_rate=3e-3, batch_size=6, epochs=2, learn_end="always", save_steps=1000)
SYSTEM = Message(role="system", content="Answer.")
"""Short, as the model's own system message would double the prompts."""
REPLAY_SHARE = 0.25


class Skill(NamedTuple):
    """What is asked, and the one right answer."""

    name: str
    ask: Callable[[Sequence[str]], str]
    answer: Callable[[Sequence[str]], str]


SKILLS = (
    Skill("prefix", lambda w: f"Take a note about the {w[0]} and the {w[1]}.", lambda w: f"Noted: {w[0]}, {w[1]}."),
    Skill("last word", lambda w: f"What is the last word of this list? {', '.join(w)}", lambda w: w[-1]),
    Skill("capitals", lambda w: f"Write in capitals: {w[0]} {w[1]}", lambda w: f"{w[0]} {w[1]}".upper()),
)
COLUMNS = Use(use="columns", use_as="routed")
ARMS: dict[str, tuple[Use, ...]] = {
    "naive": (),
    "replay 25%": (),
    "lwf": (Use(use="lwf", strength=1.0, where="all"),),
    "columns": (COLUMNS,),
}
"""Defences from the second round on. The first has nothing to keep, so all arms share it; it writes a routing table."""


def chat(ask: str) -> tuple[Message, ...]:
    return SYSTEM, Message(role="user", content=ask)


def examples(skill: Skill, n: int, rng: np.random.Generator) -> list[tuple[str, str]]:
    """Different questions with their answers."""
    found: dict[str, str] = {}
    while len(found) < n:
        words = [LOREM_WORDS[at] for at in rng.choice(len(LOREM_WORDS), 4, replace=False)]
        found[skill.ask(words)] = skill.answer(words)
    return list(found.items())


class Data(NamedTuple):
    """One seed's examples: rows for training and questions for scores, by skill."""

    rows: list[list[DataRow]]
    tests: list[list[tuple[str, str]]]


def make_data(seed: int) -> Data:
    rng = np.random.default_rng([seed, 4])
    rows, tests = [], []
    for number, skill in enumerate(SKILLS, 1):
        some = examples(skill, N_TRAIN + N_TEST, rng)
        tests.append(some[N_TRAIN:])
        rows.append(
            [
                make_row(chat(ask), answer, origin="template", method="file", round=number)
                for ask, answer in some[:N_TRAIN]
            ]
        )
    return Data(rows, tests)


def scores(uri: str, data: Data) -> list[float]:
    """Share of exactly right answers to each skill's questions, likeliest tokens."""
    subject = open_subject(SubjectSpec(uri=uri, engine="transformers", device="cpu"))
    wanted = {f"{i}.{n}": pair for i, pairs in enumerate(data.tests) for n, pair in enumerate(pairs)}
    requests = [Request(request_id=key, messages=chat(ask), seed=0) for key, (ask, _) in wanted.items()]
    right = [0] * len(SKILLS)
    for found in subject.generate(requests, Decoding(max_new_tokens=10, temperature=0.0)):
        right[int(found.request_id.split(".")[0])] += found.text.strip() == wanted[found.request_id][1]
    subject.close()
    return [n / N_TEST for n in right]


@dataclass
class Chain:
    """One arm with one seed: rounds of training, and scores after each."""

    arm: str
    seed: int
    data: Data
    folder: Path
    uri: str = MODEL
    past: list[Path] = field(default_factory=list)
    a: list[list[float]] = field(default_factory=list)
    metrics: list[dict[str, float]] = field(default_factory=list)
    duration_s: list[float] = field(default_factory=list)

    def round(self) -> None:
        """Train the next skill and ask for all of them."""
        number = len(self.past) + 1
        anchor = SubjectSpec(uri=MODEL, device="cpu", threads=1)
        columns = self.arm == "columns"
        out = self.folder / f"{self.arm.split()[0]}{number}"
        job = TrainJob(
            start=anchor if columns else anchor.model_copy(update={"uri": self.uri}),
            anchor=anchor,
            rows=self._rows(number),
            out=out,
            work=out.with_name(f"{out.name}.work"),
            round=number,
            seed=1000 * self.seed + number,
            defences=[defences.make(use) for use in (ARMS[self.arm] if number > 1 else (COLUMNS,))],
            past=tuple(self.past),
            past_rows=self.data.rows[: number - 1],
        )
        result = trainers.make(TRAIN)(job)
        self.past.append(job.out)
        self.uri = (routed_uri(job.out) if columns else None) or result.uri
        self.metrics.append(result.metrics)
        self.duration_s.append(result.duration_s)
        self.a.append(scores(self.uri, self.data))
        print(f"seed {self.seed} {self.arm:10} after {number}: {self.a[-1]} ({result.duration_s:.0f} s)", flush=True)

    def branch(self, arm: str) -> Chain:
        """Another arm that goes on from here; columns answer through their table from the first round on."""
        lists = {name: list(getattr(self, name)) for name in ("past", "a", "metrics", "duration_s")}
        chain = Chain(arm, self.seed, self.data, self.folder, self.uri, **lists)
        if arm == "columns":
            chain.uri = routed_uri(self.past[-1]) or self.uri
            chain.a[-1] = scores(chain.uri, self.data)
        return chain

    def _rows(self, number: int) -> list[DataRow]:
        """The round's own rows, with random ones of earlier rounds where the arm replays them."""
        rows = list(self.data.rows[number - 1])
        if number == 1 or not self.arm.startswith("replay"):
            return rows
        rng = np.random.default_rng([self.seed, number, 5])
        old = [row for some in self.data.rows[: number - 1] for row in some]
        n = round(len(rows) * REPLAY_SHARE / (1 - REPLAY_SHARE))
        return rows + [old[at] for at in rng.choice(len(old), n, replace=False)]


def skill_sequence(seeds: Sequence[int] = SEEDS, arms: Sequence[str] = tuple(ARMS)) -> dict[str, Any]:
    """Every arm and seed; each arm goes on from the round that all share."""
    found: dict[str, list[dict[str, Any]]] = {arm: [] for arm in arms}
    with tempfile.TemporaryDirectory() as place:
        for seed in seeds:
            data = make_data(seed)
            shared = Chain("naive", seed, data, Path(place) / str(seed), a=[scores(MODEL, data)])
            shared.round()
            for arm in arms:
                chain = shared.branch(arm)
                while len(chain.past) < len(SKILLS):
                    chain.round()
                row = {"a": chain.a, "train_s": chain.duration_s, "logged": chain.metrics}
                found[arm].append({**row, **metrics(np.array(chain.a))._asdict()})
    return {"skills": [skill.name for skill in SKILLS], "n_train": N_TRAIN, "n_test": N_TEST, "arms": found}


def language_bars(found: dict[str, Any]) -> dict[str, tuple[float, str, float]]:
    """Each claim about the language model with its bar."""
    mean = {arm: float(np.mean([row["forgetting"] for row in rows])) for arm, rows in found["arms"].items()}
    least = min(row["forgetting"] for row in found["arms"]["naive"])
    columns = max(abs(row["forgetting"]) for row in found["arms"]["columns"])
    return {
        "language model: plain training forgets, least seed": (least, ">=", 0.1),
        "language model: share of it left by replay of 25 %": (mean["replay 25%"] / mean["naive"], "<=", 1 / 3),
        "language model: largest forgetting with columns": (columns, "<=", 0.0),
    }
