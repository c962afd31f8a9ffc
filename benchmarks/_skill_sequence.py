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
from moorings.subjects.spec import SubjectSpec, open_subject

MODEL = "bundled:smollm2-135m"
N_TRAIN, N_TEST = 64, 24
SEEDS = (1, 2)
TRAIN = Use(use="sft", learning_rate=1e-3, batch_size=8, epochs=3, learn_end="always", save_steps=1000)
REPLAY_SHARE = 0.25
WORDS = [
    "anchor",
    "apple",
    "autumn",
    "basket",
    "beach",
    "bell",
    "bird",
    "bottle",
    "branch",
    "bread",
    "bridge",
    "brother",
    "bucket",
    "butter",
    "button",
    "candle",
    "carpet",
    "castle",
    "chair",
    "cherry",
    "circle",
    "cloud",
    "coffee",
    "corner",
    "cotton",
    "curtain",
    "desert",
    "dinner",
    "doctor",
    "dragon",
    "engine",
    "evening",
    "farmer",
    "feather",
    "finger",
    "flower",
    "forest",
    "garden",
    "ginger",
    "glass",
    "hammer",
    "harbour",
    "helmet",
    "honey",
    "island",
    "jacket",
    "jungle",
    "kettle",
    "kitchen",
    "ladder",
    "lemon",
    "letter",
    "library",
    "lizard",
    "market",
    "meadow",
    "mirror",
    "mountain",
    "needle",
    "ocean",
    "onion",
    "orange",
    "oven",
    "painter",
    "palace",
    "paper",
    "parrot",
    "pencil",
    "pepper",
    "piano",
    "picture",
    "pillow",
    "planet",
    "pocket",
    "potato",
    "rabbit",
    "railway",
    "ribbon",
    "river",
    "rocket",
    "saddle",
    "salmon",
    "school",
    "shadow",
    "silver",
    "singer",
    "spider",
    "spring",
    "square",
    "station",
    "storm",
    "summer",
    "sunset",
    "table",
    "teacher",
    "temple",
    "thunder",
    "ticket",
    "tiger",
    "tower",
    "tractor",
    "trumpet",
    "tunnel",
    "turtle",
    "umbrella",
    "valley",
    "village",
    "violin",
    "walnut",
    "water",
    "whale",
    "window",
    "winter",
    "wizard",
    "yellow",
    "zebra",
]


class Skill(NamedTuple):
    """What is asked, and the one right answer."""

    name: str
    ask: Callable[[Sequence[str]], str]
    answer: Callable[[Sequence[str]], str]


SKILLS = (
    Skill("capitals", lambda w: f"Write in capitals: {w[0]} {w[1]}", lambda w: f"{w[0]} {w[1]}".upper()),
    Skill("last word", lambda w: f"What is the last word of this list? {', '.join(w)}", lambda w: w[-1]),
    Skill("prefix", lambda w: f"Take a note about the {w[0]} and the {w[1]}.", lambda w: f"Noted: {w[0]}, {w[1]}."),
)
ARMS: dict[str, tuple[Use, ...]] = {
    "naive": (),
    "replay 25%": (),
    "lwf": (Use(use="lwf", strength=1.0, where="all"),),
    "columns": (Use(use="columns", use_as="routed"),),
}


def examples(skill: Skill, n: int, rng: np.random.Generator) -> list[tuple[str, str]]:
    """Different questions with their answers."""
    found: dict[str, str] = {}
    while len(found) < n:
        words = [WORDS[at] for at in rng.choice(len(WORDS), 4, replace=False)]
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
                make_row((Message(role="user", content=ask),), answer, origin="template", method="file", round=number)
                for ask, answer in some[:N_TRAIN]
            ]
        )
    return Data(rows, tests)


def scores(uri: str, data: Data) -> list[float]:
    """Share of exactly right answers to each skill's questions, likeliest tokens."""
    subject = open_subject(SubjectSpec(uri=uri, engine="transformers", device="cpu"))
    wanted = {f"{i}.{n}": pair for i, pairs in enumerate(data.tests) for n, pair in enumerate(pairs)}
    requests = [
        Request(request_id=key, messages=(Message(role="user", content=ask),), seed=0)
        for key, (ask, _) in wanted.items()
    ]
    right = [0] * len(SKILLS)
    for found in subject.generate(requests, Decoding(max_new_tokens=12, temperature=0.0)):
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
    duration_s: list[float] = field(default_factory=list)

    def round(self) -> None:
        number = len(self.past) + 1
        anchor = SubjectSpec(uri=MODEL, device="cpu", threads=1)
        columns = self.arm == "columns"
        job = TrainJob(
            start=anchor if columns else anchor.model_copy(update={"uri": self.uri}),
            anchor=anchor,
            rows=self._rows(number),
            out=self.folder / f"{number}",
            work=self.folder / f"work{number}",
            round=number,
            seed=1000 * self.seed + number,
            defences=[defences.make(use) for use in ARMS[self.arm]],
            past=tuple(self.past),
            past_rows=self.data.rows[: number - 1],
        )
        result = trainers.make(TRAIN)(job)
        self.past.append(job.out)
        self.uri = routed_uri(job.out) or result.uri
        self.duration_s.append(result.duration_s)
        self.a.append(scores(self.uri, self.data))
        print(f"seed {self.seed} {self.arm:10} after {number}: {self.a[-1]} ({result.duration_s:.0f} s)", flush=True)

    def _rows(self, number: int) -> list[DataRow]:
        """The round's own rows, with random ones of earlier rounds where the arm replays them."""
        rows = list(self.data.rows[number - 1])
        if number == 1 or not self.arm.startswith("replay"):
            return rows
        rng = np.random.default_rng([self.seed, number, 5])
        old = [row for some in self.data.rows[: number - 1] for row in some]
        n = round(len(rows) * REPLAY_SHARE / (1 - REPLAY_SHARE))
        return rows + [old[at] for at in rng.choice(len(old), n, replace=False)]


def skill_sequence() -> dict[str, Any]:
    """Every arm and seed. The first round of plain training is that of replay and of LwF-free arms too, and is done once."""
    found: dict[str, list[dict[str, Any]]] = {arm: [] for arm in ARMS}
    with tempfile.TemporaryDirectory() as place:
        for seed in SEEDS:
            data = make_data(seed)
            untrained = scores(MODEL, data)
            for arm in ARMS:
                chain = Chain(arm, seed, data, Path(place) / f"{seed}" / arm.replace("%", ""), a=[untrained])
                for _ in SKILLS:
                    chain.round()
                a = np.array(chain.a)
                found[arm].append({"a": chain.a, "train_s": chain.duration_s, **metrics(a)._asdict()})
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
