"""Responders whose ability and biases are known, to prove the metrics, and items for them.

A responder believes one option of each item. The belief is right with probability P = c + (1 - c) sigmoid(a (theta - b) +
g), the model of `metrics.irt`, and the responder gives it the share P (before biases), so that a `sharpness` of 1 is
calibrated and above 1 overconfident. The belief is kept over orders and framings unless the responder is forgetful.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np
from scipy import special

from moorings.probes.answers import Answer, AnswerSheet, Mode
from moorings.probes.files import ItemSet
from moorings.probes.item import Factors, Item, Option

if TYPE_CHECKING:
    from jaxtyping import Float, Int

__all__ = ["Responder", "orders_of", "simulated_items"]

Orders = Literal["all", "rotations", "stored"]
_ALL_WRONG = -40.0


@dataclass(frozen=True)
class Responder:
    """Somebody who answers in a known way."""

    name: str = "simulated"
    theta: float = 0.0
    """Ability; 0 is the middle of the scale, -inf guesses."""
    position: float = 0.0
    """Logits that the option shown first gets."""
    length: float = 0.0
    """Logits that the longest option gets."""
    symbols: Mapping[str, float] = field(default_factory=dict)
    """Logits by the symbol that stands before an option."""
    sharpness: float = 1.0
    """Factor on the logits of what is believed: 1 is calibrated, above 1 overconfident."""
    heeds: Mapping[str, float] = field(default_factory=dict)
    """Change of ability by framing; other framings are ignored."""
    forgetful: float = 0.0
    """Chance that a showing is judged anew instead of as before."""
    testlet_sd: float = 0.0
    """Spread of the ability over clusters."""
    silent: float = 0.0
    """Chance that a showing gets no answer."""
    mode: Mode = "logprobs"
    temperature: float = 0.0
    """Of the choice, for `text`: 0 takes the likeliest option, 1 draws by the shares."""

    def answer(
        self,
        items: ItemSet | Sequence[Item],
        *,
        rng: np.random.Generator,
        orders: Orders = "rotations",
        framings: Sequence[str] = ("plain",),
    ) -> AnswerSheet:
        """Answer each item, in each order and framing. Equal generators give equal sheets."""
        rows = tuple(items.items if isinstance(items, ItemSet) else items)
        effects = self._cluster_effects(rows, rng)
        answers: list[Answer] = []
        for item, g in zip(rows, effects, strict=True):
            luck, pick = rng.random(2)
            for framing, order in itertools.product(framings, orders_of(len(item.options), orders)):
                silent, anew, new_luck, new_pick = rng.random(4)
                draw = (new_luck, new_pick) if anew < self.forgetful else (luck, pick)
                p = self._p_right(item, g, framing)
                logits = self._logits(item, order, p, *draw)
                answers.append(self._say(item, order, framing, logits, silent < self.silent, rng))
        about = {"orders": orders, "framings": list(framings), "mode": self.mode}
        return AnswerSheet(f"simulated:{self.name}", self.name, rows, tuple(answers), about)

    def _cluster_effects(self, items: Sequence[Item], rng: np.random.Generator) -> list[float]:
        drawn: dict[str, float] = {}
        for item in items:
            if item.cluster_id not in drawn:
                drawn[item.cluster_id] = self.testlet_sd * float(rng.standard_normal())
        return [drawn[item.cluster_id] for item in items]

    def _p_right(self, item: Item, g: float, framing: str) -> float:
        theta = self.theta + self.heeds.get(framing, 0.0)
        a, b = item.irt.get("a"), item.irt.get("b")
        eta = (1.0 if a is None else a) * (theta - (0.0 if b is None else b)) + g
        chance = 1.0 / len(item.options)
        return chance + (1.0 - chance) * float(special.expit(eta))

    def _logits(
        self, item: Item, order: tuple[int, ...], p: float, luck: float, pick: float
    ) -> Float[np.ndarray, " m"]:
        m, key = len(item.options), item.key_at
        wrong = [at for at in range(m) if at != key]
        believed = key if luck < p else wrong[int(pick * len(wrong))]
        logits = np.full(m, _log((1.0 - p) / (m - 1.0)))
        logits[believed] = _log(p)
        logits *= self.sharpness
        logits[order[0]] += self.position
        lengths = [len(text) for text in item.texts]
        logits[int(np.argmax(lengths))] += self.length
        for place, option in enumerate(order):
            logits[option] += self.symbols.get(item.options[place].symbol, 0.0)
        return logits

    def _say(
        self,
        item: Item,
        order: tuple[int, ...],
        framing: str,
        logits: Float[np.ndarray, " m"],
        silent: bool,
        rng: np.random.Generator,
    ) -> Answer:
        noise = rng.gumbel(size=len(logits))
        if silent:
            return Answer(item.item_id, order, framing, self.mode, None, status="failed")
        if self.mode == "logprobs":
            nats = special.log_softmax(logits)
            return Answer(item.item_id, order, framing, "logprobs", int(np.argmax(nats)), tuple(map(float, nats)))
        chosen = int(np.argmax(logits + self.temperature * noise))
        said = item.options[order.index(chosen)].symbol
        return Answer(item.item_id, order, framing, "text", chosen, (), said)


def _log(p: float) -> float:
    return float(np.log(p)) if p > 0 else _ALL_WRONG


def orders_of(m: int, orders: Orders) -> list[tuple[int, ...]]:
    """The orders in which m options are shown.

    >>> orders_of(3, "rotations")
    [(0, 1, 2), (1, 2, 0), (2, 0, 1)]
    """
    stored = tuple(range(m))
    if orders == "stored":
        return [stored]
    if orders == "all":
        return list(itertools.permutations(stored))
    return [stored[at:] + stored[:at] for at in range(m)]


def simulated_items(
    n_clusters: int,
    *,
    rng: np.random.Generator,
    variants: int = 4,
    n_options: int = 4,
    subtask: str = "S4",
    structures: Sequence[str] = ("direct_pos", "direct_neg", "chain2_neg", "blocked"),
    dev: float = 0.0,
) -> ItemSet:
    """Items with known difficulty, in clusters of variants that hold minimal pairs.

    Args:
        n_clusters: Clusters; structure types go round.
        rng: Source of keys, difficulties (`b ~ N(0, 1)`, `log a ~ N(0, 0.3)`) and lengths.
        variants: Items a cluster; the 1st and 2nd are a minimal pair, the 3rd and 4th, and so on.
        n_options: Options an item, >= 2.
        subtask: Of all items.
        structures: Structure types.
        dev: Share of clusters in the dev split.
    """
    n = n_clusters * variants
    a, b = np.exp(0.3 * rng.standard_normal(n)), rng.standard_normal(n)
    keys, lengths = rng.integers(0, n_options, n), rng.integers(3, 40, (n, n_options))
    dev_clusters = rng.random(n_clusters) < dev
    items = []
    for at in range(n):
        cluster, variant = divmod(at, variants)
        stem = f"{subtask}-{cluster:06d}"
        twin = variant ^ 1
        items.append(
            Item(
                item_id=f"{stem}-v{variant}",
                cluster_id=stem,
                subtask=subtask,
                split="dev" if dev_clusters[cluster] else "test",
                prompt=f"Case {cluster}, wording {variant}?",
                options=_options(int(keys[at]), lengths[at], at),
                key=chr(ord("A") + int(keys[at])),
                structure=structures[cluster % len(structures)],
                pair=f"{stem}-v{twin}" if twin < variants else None,
                factors=Factors(
                    paraphrase=variant // 4,
                    person="self" if variant % 2 else "other",
                    valence="up" if variant % 4 < 2 else "down",
                ),
                irt={"a": float(a[at]), "b": float(b[at]), "c": 1.0 / n_options, "n": 0.0},
            )
        )
    return ItemSet(f"simulated {subtask}", tuple(items), {"generator": "simulated"})


def _options(key: int, lengths: Int[np.ndarray, " m"], number: int) -> tuple[Option, ...]:
    return tuple(
        Option(
            symbol=chr(ord("A") + at),
            text=f"{number}.{at} " + "x" * int(length),
            key=at == key,
            distractor=None if at == key else "no_effect",
        )
        for at, length in enumerate(lengths)
    )
