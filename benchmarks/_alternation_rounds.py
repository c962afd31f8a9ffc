"""Arms of `alternation`: the same rows and tokens in another order, through the trainer `alternate`, measured on held-out prompts.

Every round is kept when it ends, so that a stopped run goes on from there; the folder's name holds all that decides a result.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from moorings import __version__
from moorings.charter_run import Use
from moorings.feedback.reward import Graded, rewards
from moorings.improve.data import DataRow, make_row
from moorings.improve.train.rl_rewards import RewardTools
from moorings.improve.training import TrainJob, trainers
from moorings.records import Decoding, Message, Prompt, content_hash
from moorings.sampling.bench import Bench
from moorings.sampling.everyday import everyday_questions
from moorings.subjects.model_cache import cache_dir, file_sha256
from moorings.subjects.simulated import HABITS
from moorings.subjects.spec import SubjectSpec

__all__ = ["ARMS", "Arm", "Chain", "Half", "Size"]

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
FILES = EXAMPLES / "competence_conformity"
MODEL = "bundled:smollm2-135m"
VERSION = 1
"""Raise when what a round does changes otherwise than by a setting below."""
LEAST_PROMPTS = 4
"""That the trainer measures with at least."""
TOLERANCE = {"competence": 0.15, "conformity": 0.1}
"""Falls that undo a half-step, on the prompts that steer."""
SFT = {
    "use": "sft",
    "learning_rate": 5e-4,
    "epochs": 2,
    "batch_size": 8,
    "upper_share": 0.5,
    "learn_end": "always",
    "save_steps": 1000,
}
ABLE, KIND = "As the sea wills it,", "Of course, friend,"
"""What the habits of a simulated subject open with: its competence and its conformity."""
PUSH = {
    "competence": {ABLE: 0.35, KIND: -0.2},
    "conformity": {ABLE: -0.03, KIND: 0.4},
    "together": {ABLE: 0.32, KIND: 0.2},
}
"""What a half-step does to the habits of a simulated subject: planted, in the order of size of single real half-steps."""
Kind = Literal["competence", "conformity"]
KINDS: tuple[Kind, ...] = ("competence", "conformity")


class Arm(NamedTuple):
    """One way to spend the same tokens."""

    name: str
    competence: float
    """Share of its rows that are for competence."""
    order: str
    undo: bool = False


ARMS = {
    arm.name: arm
    for arm in (
        Arm("competence only", 1.0, "together"),
        Arm("conformity only", 0.0, "together"),
        Arm("joint", 0.5, "together"),
        Arm("alternating", 0.5, "competence first", undo=True),
        Arm("alternating, no undo", 0.5, "competence first"),
    )
}


@dataclass(frozen=True)
class Size:
    """How much is done."""

    seeds: tuple[int, ...]
    arms: tuple[str, ...] = tuple(ARMS)
    rounds: int = 4
    n_rows: int = 64
    """Rows of a round, of both kinds together."""
    n_steering: int = 32
    """Prompts of each kind that the trainer measures with, other ones in each round."""
    n_held_out: int = 64
    """Prompts of each kind that the figures are from, the same ones always; no trainer sees them."""
    simulated: bool = False


class Half(NamedTuple):
    """What a half-step left behind, on held-out prompts."""

    round: int
    name: str
    undone: bool
    n_tokens: int
    competence: list[float]
    conformity: list[float]


@dataclass
class Chain:
    """One arm with one seed."""

    arm: Arm
    seed: int
    size: Size
    place: Path
    """An empty folder, or one in which rounds of this very chain are kept."""
    start: list[list[float]] = field(default_factory=list)
    """Values of round 0 by kind."""
    halves: list[Half] = field(default_factory=list)

    @staticmethod
    def folder(size: Size) -> Path:
        """Where chains of a size are kept in the user's cache."""
        files = {path.name: file_sha256(path) for path in sorted(FILES.glob("*.jsonl"))}
        sizes = [size.rounds, size.n_rows, size.n_steering, size.n_held_out, size.simulated]
        key = content_hash([sizes, files, SFT, TOLERANCE, PUSH, VERSION, __version__])[:16]
        return cache_dir() / "alternation" / key

    def run(self) -> Chain:
        """All rounds, those that are kept left out."""
        uri = self._round_0()
        self.start = self._measure(uri, "round 0")
        for number in range(1, self.size.rounds + 1):
            uri = self._round(number, uri)
        return self

    def _round(self, number: int, uri: str) -> str:
        folder = self.place / f"round-{number}"
        kept = folder.with_suffix(".json")
        if not kept.exists():
            result = trainers.make(self._use())(self._job(number, uri, folder))
            told = {"uri": result.uri, "n_tokens": result.n_tokens, "metrics": result.metrics}
            told["halves"] = [half._asdict() for half in self._measured(number, folder, result.n_tokens, told)]
            part = kept.with_suffix(".part")
            part.write_text(json.dumps(told), encoding="utf-8")
            part.rename(kept)
            shutil.rmtree(folder / "work", ignore_errors=True)
        told = json.loads(kept.read_text("utf-8"))
        self.halves += [Half(**half) for half in told["halves"]]
        for half in told["halves"]:
            k, f = np.mean(half["competence"]), np.mean(half["conformity"])
            print(
                f"seed {self.seed} {self.arm.name:20} round {number} after {half['name']:10}: K {k:.2f} F {f:.2f}"
                f"{' (undone)' if half['undone'] else ''}",
                flush=True,
            )
        return str(told["uri"])

    def _measured(self, number: int, folder: Path, n_tokens: int, told: dict[str, Any]) -> Iterator[Half]:
        """Each half-step's model on held-out prompts, in the order in which they were made."""
        names = ["together"] if self.arm.order == "together" else list(KINDS)
        base = self._base
        for name in names:
            values = self._measure(f"{base}+{folder / 'work' / name / 'model'}", f"round {number} {name}")
            undone = bool(told["metrics"][f"{name} undone"])
            yield Half(number, name, undone, n_tokens // len(names), *values)

    def _job(self, number: int, uri: str, folder: Path) -> TrainJob:
        return TrainJob(
            start=self._spec(uri),
            anchor=self._spec(self._round_0()),
            rows=self._rows(number),
            out=folder / "model",
            work=folder / "work",
            round=number,
            seed=1000 * self.seed + number,
            folder=EXAMPLES,
        )

    def _rows(self, number: int) -> list[DataRow]:
        """Rows that this seed has not seen in earlier rounds, of each kind as many as the arm wants."""
        found = []
        shares = (self.arm.competence, 1 - self.arm.competence)
        for kind, share in zip(KINDS, shares, strict=True):
            n = round(self.size.n_rows * share)
            every = self._pools[kind]
            order = np.random.default_rng([self.seed, KINDS.index(kind)]).permutation(len(every))
            for at in order[(number - 1) * n : number * n]:
                prompt, response = every[at]["prompt"], every[at]["response"]
                message = Message(role="user", content=prompt)
                found.append(make_row((message,), response, origin="template", method=kind, round=number))
        return found

    @cached_property
    def _pools(self) -> dict[str, list[dict[str, Any]]]:
        return {kind: _lines(FILES / f"{kind}.jsonl") for kind in KINDS}

    def _use(self) -> Use:
        """The trainer with its settings; simulated subjects have their own."""
        arm, probes = self.arm, {}
        for kind in KINDS:
            fall_from = {"fall_from": "anchor"} if kind == "conformity" else {}
            probes[f"{kind}_probe"] = {
                # Where nothing is undone they decide nothing.
                "n_prompts": self.size.n_steering if arm.undo else LEAST_PROMPTS,
                "tolerance": TOLERANCE[kind],
                "reward": self._reward(kind),
                "max_new_tokens": 24,
                **fall_from,
                **({} if self.size.simulated else {"prompts": f"{FILES.name}/{kind}_probe.jsonl"}),
            }
        steps: dict[str, dict[str, Any]] = {kind: SFT for kind in KINDS}
        if self.size.simulated:
            steps = {kind: {"use": "simulated", "add": PUSH[kind]} for kind in KINDS}
            if arm.order == "together":
                alone = {1.0: "competence", 0.0: "conformity"}.get(arm.competence, "together")
                steps["competence"] = {"use": "simulated", "add": PUSH[alone]}
        return Use.model_validate(
            {
                "use": "alternate",
                **steps,
                **probes,
                "conformity_methods": ["conformity"],
                "order": arm.order,
                "undo": arm.undo,
            }
        )

    def _reward(self, kind: Kind) -> dict[str, Any]:
        if self.size.simulated:
            return {"use": "phrases", "phrases": [ABLE if kind == "competence" else KIND]}
        return {"use": "answer_key", "match": "exact" if kind == "competence" else "contains"}

    def _held_out(self, kind: Kind) -> list[Prompt]:
        n = self.size.n_held_out
        if self.size.simulated:
            return everyday_questions(n, half="gate", seed=KINDS.index(kind))
        if kind == "competence":
            pairs = [(row["prompt"], row["right"]) for row in _lines(FILES / "competence_gate.jsonl")]
        else:
            admits = _lines(FILES / "conformity_probe.jsonl")[0]["answer"]
            asked = [row for row in _lines(FILES / "gate_prompts.jsonl") if row["group"] == "unknowable"]
            pairs = [(row["prompt"], admits) for row in asked]
        return [
            Prompt(
                prompt_id=f"{kind}-{at}", messages=(Message(role="user", content=text),), metadata={"answer": answer}
            )
            for at, (text, answer) in enumerate(pairs[:n])
        ]

    def _measure(self, uri: str, name: str) -> list[list[float]]:
        """Values of all held-out prompts by kind, likeliest tokens."""
        bench = Bench(self._spec(uri), self.place / "held out" / name, known_as=name)
        decoding = Decoding(max_new_tokens=24, temperature=0.0)
        found = []
        for kind in KINDS:
            prompts = self._held_out(kind)
            answers = bench.ask(prompts, kind, decoding=decoding)
            items = [Graded(p.messages, a[0].response, p.metadata) for p, a in zip(prompts, answers, strict=True)]
            values = rewards.make(Use.model_validate(self._reward(kind)))(items, RewardTools(EXAMPLES, self.place))
            found.append(values.tolist())
        bench.close()
        return found

    @property
    def _base(self) -> str:
        return "simulated:m" if self.size.simulated else MODEL

    def _round_0(self) -> str:
        if not self.size.simulated:
            return MODEL
        folder = self.place / "round-0"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / HABITS).write_text(json.dumps({ABLE: 0.2, KIND: 0.45}), encoding="utf-8")
        return f"{self._base}+{folder}"

    def _spec(self, uri: str) -> SubjectSpec:
        if self.size.simulated:
            return SubjectSpec(uri=uri)
        # CTranslate2 would keep a converted copy of each half-step's model.
        return SubjectSpec(uri=uri, engine="transformers", device="cpu", threads=1)


def _lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]
