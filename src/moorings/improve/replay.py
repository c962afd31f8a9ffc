"""Replay: mix rows of earlier rounds into the new ones.

Rehearsal keeps what earlier rounds taught (Scialom et al. 2022, arXiv:2205.12393: 1 % of each earlier data set). The
buffer can be chosen in five ways. `reservoir`: every past row with equal probability (Vitter 1985, algorithm R).
`random`: each pick takes a round at random, then a row of it, so small rounds count as much as large ones. `herding`
(Welling 2009; iCaRL, arXiv:1611.10001): x_k = argmin |mu - (x_1 + ... + x_k) / k| over embeddings. `k_centre`
(arXiv:1708.00489): the row farthest from those chosen, again and again. `score`: the rows with the best score, by a
feedback function or as they were scored when made.

A buffer that the model's own scores choose feeds back: it keeps what the model already preferred. So the past is the
set of different rows ever trained on, never the last buffer, a share of the buffer is reserved for human-written rows,
and the buffer is held against the past in every round: chi-square of rounds and origins, and squared MMD between the
embeddings of what was chosen and of what was not.
Left out: A-GEM's projection of gradients (a defence of training). What it must show: replay removes most forgetting,
and a buffer chosen by score drifts away from the past where a reservoir does not.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import Field, model_validator

from moorings.charter_run import Use
from moorings.errors import ConfigError
from moorings.feedback.reward import Graded
from moorings.improve.asking import draw, share_of
from moorings.improve.data import DataMethod, DataRow, DataStep, Workbench, data_methods
from moorings.improve.feedback_functions import feedback_functions
from moorings.improve.file import reservoir
from moorings.method import MethodConfig
from moorings.statistics.mmd import mmd2_unbiased

if TYPE_CHECKING:
    from jaxtyping import Float

__all__ = ["ReplayConfig", "composition_chi2", "herd", "k_centres", "replay"]

Choice = Literal["reservoir", "random", "herding", "k_centre", "score"]


class ReplayConfig(MethodConfig):
    """Settings of `replay`."""

    share: float = Field(default=0.1, gt=0.0, lt=1.0)
    """Share of the round's rows that is replayed. Ours: the paper's 1 % of each of 38 sets came to about 28 % of its
    mixture, so its figure does not carry over to a run of few rounds."""
    choice: Choice = "reservoir"
    """How the buffer is chosen."""
    feedback: Use | None = None
    """For `score`: the feedback function that ranks past rows; None takes the scores that they have."""
    human_share: float = Field(default=0.1, ge=0.0, le=1.0)
    """Least share of the buffer that is human-written, as long as there are such rows; as in `human_mix`."""
    audit_rows: int = Field(default=256, ge=0)
    """Most rows of buffer and past, each, whose embeddings are compared; 0 compares none."""

    @model_validator(mode="after")
    def _fits(self) -> ReplayConfig:
        if self.feedback is not None:
            if self.choice != "score":
                raise ConfigError(
                    f"replay: feedback is given but choice is '{self.choice}'; choose 'score', or leave feedback out"
                )
            feedback_functions.check(self.feedback)
        return self


@data_methods.register("replay", ReplayConfig)
def replay(config: ReplayConfig) -> DataMethod:
    """Add rows of earlier rounds."""

    def method(rows: list[DataRow], workbench: Workbench) -> DataStep:
        rng = workbench.rng
        rounds = _past(workbench.history)
        past = [row for some in rounds for row in some]
        of_round = [at for at, some in enumerate(rounds) for _ in some]
        present = {row.row_id for row in rows}
        pool = [at for at, row in enumerate(past) if row.row_id not in present]
        wanted = min(len(pool), round(config.share * len(rows) / (1.0 - config.share)))
        human = [at for at in pool if past[at].origin == "human"]
        choose = _chooser(config, past, of_round, workbench, rng) if wanted else _nothing
        chosen = choose(human, min(len(human), math.ceil(config.human_share * wanted - 1e-9)))
        taken = set(chosen)
        chosen = sorted([*chosen, *choose([at for at in pool if at not in taken], wanted - len(chosen))])
        buffer = [past[at].model_copy(update={"method": "replay"}) for at in chosen]
        metrics = {
            "candidates": float(len(buffer)),
            "replay_share": share_of(len(buffer), len(rows) + len(buffer)),
            "past_rows": float(len(past)),
            "buffer_human_share": _share(buffer, "human"),
            "past_human_share": _share(past, "human"),
            "buffer_self_share": _share(buffer, "self"),
            "past_self_share": _share(past, "self"),
        }
        if buffer:
            groups = [(number, row.origin) for number, row in zip(of_round, past, strict=True)]
            chi2, df = composition_chi2([groups[at] for at in chosen], groups)
            metrics |= {"composition_chi2": chi2, "composition_df": float(df)}
            taken = set(chosen)
            rest = [past[at] for at in pool if at not in taken]
            metrics |= _mmd(buffer, rest, config.audit_rows, workbench, rng)
        return DataStep([*rows, *buffer], {}, metrics)

    return method


def _past(history: Sequence[Sequence[DataRow]]) -> list[list[DataRow]]:
    """Rows of each round that no earlier round had."""
    seen: set[str] = set()
    rounds: list[list[DataRow]] = []
    for some in history:
        new = {row.row_id: row for row in some if row.row_id not in seen}
        seen |= new.keys()
        rounds.append(list(new.values()))
    return rounds


_Choose = Callable[[list[int], int], list[int]]


def _nothing(pool: list[int], n: int) -> list[int]:
    return []


def _chooser(
    config: ReplayConfig,
    past: Sequence[DataRow],
    of_round: Sequence[int],
    workbench: Workbench,
    rng: np.random.Generator,
) -> _Choose:
    """What takes n of some past rows."""
    if config.choice == "reservoir":
        return lambda pool, n: reservoir(pool, n, rng) if n else []
    if config.choice == "random":
        return lambda pool, n: _by_round(pool, n, of_round, rng)
    if config.choice == "score":
        scores = _scores(config, past, workbench)
        return lambda pool, n: sorted(pool, key=lambda at: -scores[at])[:n]
    vectors = workbench.embed([_text(row) for row in past])
    pick = herd if config.choice == "herding" else k_centres
    return lambda pool, n: [pool[at] for at in pick(vectors[pool], n)] if n else []


def _by_round(pool: list[int], n: int, of_round: Sequence[int], rng: np.random.Generator) -> list[int]:
    left: dict[int, list[int]] = {}
    for at in pool:
        left.setdefault(of_round[at], []).append(at)
    chosen: list[int] = []
    for _ in range(min(n, len(pool))):
        number = sorted(left)[int(rng.integers(len(left)))]
        some = left[number]
        chosen.append(some.pop(int(rng.integers(len(some)))))
        if not some:
            del left[number]
    return chosen


def _scores(config: ReplayConfig, past: Sequence[DataRow], workbench: Workbench) -> list[float]:
    """Score of each past row; those without one rank last."""
    if config.feedback is None:
        values: Sequence[float | None] = [row.score for row in past]
    else:
        items = [Graded(row.prompt, row.response) for row in past]
        values = feedback_functions.make(config.feedback)(items, workbench, "feedback").tolist()
    return [-math.inf if value is None or math.isnan(value) else value for value in values]


def herd(vectors: Float[np.ndarray, "n d"], n: int) -> list[int]:
    """Rows whose running mean follows the mean of all, without replacement; the first of equal ones.

    Source: Welling 2009; Rebuffi et al. 2017 (arXiv:1611.10001), algorithm 4.
    """
    x = np.asarray(vectors, dtype=np.float64)
    mean, total = x.mean(axis=0), np.zeros(x.shape[1])
    free = np.ones(len(x), dtype=bool)
    chosen: list[int] = []
    for k in range(1, min(n, len(x)) + 1):
        distance = np.square(mean - (total + x) / k).sum(axis=1)
        best = int(np.where(free, distance, np.inf).argmin())
        free[best] = False
        total += x[best]
        chosen.append(best)
    return chosen


def k_centres(vectors: Float[np.ndarray, "n d"], n: int) -> list[int]:
    """Rows that cover all: first the one nearest the mean, then always the one farthest from those chosen.

    The largest distance of a row to its nearest chosen one is at most twice the least possible.

    Source: Gonzalez 1985; as a coreset Sener and Savarese 2018 (arXiv:1708.00489), algorithm 1.
    """
    x = np.asarray(vectors, dtype=np.float64)
    if not len(x) or n < 1:
        return []
    chosen = [int(np.square(x - x.mean(axis=0)).sum(axis=1).argmin())]
    nearest = np.square(x - x[chosen[0]]).sum(axis=1)
    nearest[chosen[0]] = -1.0
    while len(chosen) < min(n, len(x)):
        best = int(nearest.argmax())
        chosen.append(best)
        nearest = np.minimum(nearest, np.square(x - x[best]).sum(axis=1))
        nearest[chosen] = -1.0
    return chosen


def composition_chi2(buffer: Sequence[object], past: Sequence[object]) -> tuple[float, int]:
    """Pearson's chi-square of how a buffer divides into groups against how the past does, and degrees of freedom.

    >>> composition_chi2(["a", "a", "b"], ["a", "b", "b"])
    (1.5, 1)
    """
    seen, expected = Counter(buffer), Counter(past)
    cells = [(seen[group], len(buffer) * n / len(past)) for group, n in expected.items()]
    return sum((n - e) ** 2 / e for n, e in cells), len(cells) - 1


def _share(rows: Sequence[DataRow], origin: str) -> float:
    return share_of(sum(row.origin == origin for row in rows), len(rows))


def _text(row: DataRow) -> str:
    return "\n".join([*(message.content for message in row.prompt), row.response])


def _mmd(
    buffer: Sequence[DataRow], rest: Sequence[DataRow], most: int, workbench: Workbench, rng: np.random.Generator
) -> dict[str, float]:
    """Squared MMD of the buffer and of the past rows left out of it: 0 on average if the choice was blind to content.

    The bandwidth is the median distance between rows of both together.
    """
    if min(len(buffer), len(rest), most) < 2:
        return {}
    some, others = draw(buffer, most, rng), draw(rest, most, rng)
    vectors = np.asarray(workbench.embed([_text(row) for row in [*some, *others]]), dtype=np.float64)
    squared = np.maximum(2.0 - 2.0 * vectors @ vectors.T, 0.0)
    positive = squared[squared > 1e-9]
    bandwidth = math.sqrt(float(np.median(positive))) if positive.size else 1.0
    return {"buffer_mmd2": mmd2_unbiased(vectors[: len(some)], vectors[len(some) :], bandwidth=bandwidth)}
