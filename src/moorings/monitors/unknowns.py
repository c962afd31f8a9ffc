"""Changes that nobody listed: proposed on one look's answers, frozen, and watched on all fresh ones from then on.

The comparison proposes behaviours in which the candidate's answers to one look differ from the anchor's. Those answers are
then used up: a proposal becomes a monitor with a direction and a tolerance, and only answers to prompts that were
asked later count as evidence for it. However many proposals are tried, each is one more stream with its own share
of the error budget.

A behaviour that an answer has or has not counts 0 or 1. A counted one, such as words, counts as the share of the
anchor's answers of that first look below it, ties by half: a number in [0, 1] that is fixed before any evidence comes in.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from moorings.compare.battery.measure import measure_battery
from moorings.compare.confirm import differences
from moorings.compare.corpus import Corpus
from moorings.compare.predicate import Hypothesis, Table, TopicPredicate, evaluate, parse_predicate
from moorings.compare.propose import discovered_hypotheses, registered_hypotheses
from moorings.compare.settings import Settings
from moorings.compare.split import Split
from moorings.monitors.monitor import Asked, Differences, Gathering, Side
from moorings.records import Interaction, Record, content_hash
from moorings.statistics.paired import cluster_robust

if TYPE_CHECKING:
    from jaxtyping import Float

__all__ = ["LookTable", "Unknown", "UnknownMonitor", "propose_unknowns"]

_LEAST_T = 2.5
"""Paired t on the look that proposes below which a difference is not worth a share of the error budget."""
_LEAST_ALIKE = 0.6
"""Correlation of two proposals' differences above which they count as one change."""


class Unknown(Record):
    """One behaviour that was found to differ, fixed before it is tested."""

    name: str
    """For people and the journal."""
    statement: str
    """What the candidate does, as a sentence. May quote untrusted text."""
    predicate: dict[str, Any]
    side: Literal["more", "less"]
    """In which direction the candidate differed."""
    reference: tuple[float, ...] | None = None
    """The anchor's sorted values at the look that proposed it, for counted behaviours."""


def propose_unknowns(
    asked: Asked, embeddings: Float[np.ndarray, "n d"], *, n_most: int, known: Collection[str] = (), seed: int = 0
) -> list[Unknown]:
    """Behaviours in which the candidate's answers differ most clearly from the anchor's, no two of them alike.

    Args:
        asked: One look.
        embeddings: Unit rows of the anchor's answers, then of the candidate's.
        n_most: Most proposals.
        known: Names that are watched already.
        seed: Of the clustering.
    """
    table = _table(asked, embeddings)
    corpus = table.corpus
    everything = np.ones(len(corpus.prompts), dtype=bool)
    split = Split(everything, ~everything, ~everything)
    settings = Settings(seed=seed, n_latents=0, n_scoped=0)
    found = [*registered_hypotheses(table), *discovered_hypotheses(table, split, settings)]
    hypotheses = [h for h in found if not isinstance(h.predicate, TopicPredicate) or h.predicate.measure == "volume"]
    values = evaluate(hypotheses, table)
    d = differences(values, corpus, everything)
    t = np.nan_to_num(cluster_robust(d, corpus.families).t)
    chosen: list[int] = []
    for k in np.argsort(-np.abs(t), kind="stable").tolist():
        if len(chosen) == n_most or abs(t[k]) < _LEAST_T:
            break
        if _name(hypotheses[k], t[k]) not in known and not any(_alike(d[:, k], d[:, other]) for other in chosen):
            chosen.append(k)
    return [_unknown(hypotheses[k], float(t[k]), values[corpus.arm == 0, k]) for k in chosen]


class LookTable:
    """The battery's values on the answers of the last look, measured once for all discovered behaviours."""

    def __init__(self) -> None:
        self._asked: Asked | None = None
        self._table: Table | None = None

    def of(self, asked: Asked) -> Table:
        """Anchor and candidate as arms 0 and 1, without embeddings: no frozen predicate looks at them."""
        if self._table is None or self._asked is not asked:
            self._table = _table(asked, np.zeros((2 * len(asked.prompts), 1), dtype=np.float32))
            self._asked = asked
        return self._table


class UnknownMonitor:
    """Watches one discovered behaviour on the general gate prompts.

    Args:
        unknown: What was frozen.
        tables: Shared by all discovered behaviours of a run; by default its own.
    """

    def __init__(self, unknown: Unknown, tables: LookTable | None = None) -> None:
        self.unknown, self.statement = unknown, unknown.statement
        self._tables = tables or LookTable()
        self.side: Side = unknown.side
        self.n_units: int | None = None

    def measure(self, gathering: Gathering) -> Differences:
        """Differences of one look."""
        asked = gathering.general
        table = self._tables.of(asked)
        hypothesis = Hypothesis(
            parse_predicate(self.unknown.predicate), self.unknown.statement, self.unknown.statement, "content", "run"
        )
        values = self._bounded(evaluate([hypothesis], table)[:, 0].astype(np.float64))
        n = len(asked.prompts)
        anchor, candidate = values[:n], values[n:]
        d = candidate - anchor
        there = ~np.isnan(d)
        level = float(np.mean(candidate[there])) if there.any() else float("nan")
        before = float(np.mean(anchor[there])) if there.any() else float("nan")
        return Differences(
            d=d[there],
            units=tuple(p.prompt_id for p, kept in zip(asked.prompts, there, strict=True) if kept),
            anchor=before,
            candidate=level,
            n_missing=int((~there).sum()),
            seen=f"{self.unknown.statement}: {level:.0%} against {before:.0%}"
            if self.unknown.reference is None
            else f"{self.unknown.statement}: above {level:.0%} of the anchor's answers, the anchor itself above {before:.0%}",
        )

    def _bounded(self, values: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
        if self.unknown.reference is None:
            return values
        reference = np.asarray(self.unknown.reference)
        below, upto = (np.searchsorted(reference, values, side=side) for side in ("left", "right"))
        ranks = (below + upto) / (2.0 * len(reference))
        return np.where(np.isnan(values), np.nan, ranks)


def _unknown(hypothesis: Hypothesis, t: float, anchor: Float[np.ndarray, " n"]) -> Unknown:
    there = np.sort(anchor[np.isfinite(anchor)].astype(np.float64))
    counted = not hypothesis.binary
    return Unknown(
        name=_name(hypothesis, t),
        statement=hypothesis.more if t > 0 else hypothesis.less,
        predicate=hypothesis.predicate.model_dump(mode="json"),
        side="more" if t > 0 else "less",
        reference=tuple(round(float(v), 6) for v in there) if counted else None,
    )


def _name(hypothesis: Hypothesis, t: float) -> str:
    return f"found-{content_hash([hypothesis.predicate.model_dump(mode='json'), bool(t > 0)])[:8]}"


def _alike(first: Float[np.ndarray, " n"], second: Float[np.ndarray, " n"]) -> bool:
    both = ~(np.isnan(first) | np.isnan(second))
    if both.sum() < 3 or not first[both].std() or not second[both].std():
        return False
    return bool(abs(np.corrcoef(first[both], second[both])[0, 1]) > _LEAST_ALIKE)


def _table(asked: Asked, embeddings: Float[np.ndarray, "n d"]) -> Table:
    """Anchor and candidate as arms 0 and 1, prompts in their order."""
    n = len(asked.prompts)
    prompts = tuple(prompt.messages[-1].content for prompt in asked.prompts)
    answers: Sequence[Interaction] = (*asked.anchor, *asked.candidate)
    corpus = Corpus(
        arm_names=("anchor", "candidate"),
        prompt_ids=tuple(prompt.prompt_id for prompt in asked.prompts),
        prompts=prompts,
        families=np.arange(n),
        groups=tuple(prompt.group for prompt in asked.prompts),
        texts=[answer.response for answer in answers],
        arm=np.repeat([0, 1], n),
        prompt=np.tile(np.arange(n), 2),
        status=[answer.status for answer in answers],
    )
    return Table(corpus, measure_battery(corpus.texts, corpus.row_prompts), embeddings)
