"""Make items: worlds of every structure type in equal shares, in all states, put into words by a balanced design.

Source: the design of the probes (world model, templates, counterbalancing). A cluster is one world in three states (or
three pairs of states), told twice with all factors of the design turned over; items of a pair share all words but those of
one edge, gate or date. Keys are computed by two routines that must agree. Left out: weights other than 1, which no text
tells. Must show: keys equally often in every place, structure type and wording; every item's graph can be read back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.random import Generator

from moorings.errors import ConfigError, nearest
from moorings.probes.clusters import Draft, Told, changes, concepts, stances, turns, which
from moorings.probes.design import pair_of_runs
from moorings.probes.files import ItemSet
from moorings.probes.item import Factors, Item, Moment, Option, Owner, Value
from moorings.probes.language import lexicon, templates_s1, templates_s2, templates_s5
from moorings.probes.world.keys import key_by_forward, key_by_paths
from moorings.probes.world.structures import INFLUENCES

__all__ = ["GENERATOR_VERSION", "STRUCTURES", "SUBTASKS", "build", "build_all"]

GENERATOR_VERSION = 1
CLUSTER = 6
"""Items of a whole cluster."""
STRUCTURES: dict[str, tuple[str, ...]] = {
    "S1": templates_s1.STRUCTURES,
    "S2": templates_s2.STRUCTURES,
    "S3": INFLUENCES,
    "S4": INFLUENCES,
    "S5": templates_s5.STRUCTURES,
}
"""Structure types of each subtask, which take turns."""
SUBTASKS = tuple(STRUCTURES)
_MAKE: dict[str, Callable[[Told, Generator], list[Draft]]] = {
    "S1": concepts,
    "S2": turns,
    "S3": which,
    "S4": changes,
    "S5": stances,
}
_SYMBOLS = ("ABC", "123", "XYZ")


def build(subtask: str, n: int, seed: int, *, form: int = 0, split: str = "test") -> ItemSet:
    """Make items of one subtask. Equal arguments give equal items.

    Args:
        subtask: `S1` to `S5`.
        n: How many; even, since items come in minimal pairs.
        seed: 0 or more.
        form: Which lexicon test items use: another one for each round. Others have one of their own.
        split: `test`, `dev`, `anchor` or `canary`. Anchors are the same for all seeds and forms.

    Raises:
        ConfigError: No such subtask or split, or n, seed or form out of range.
    """
    if subtask not in STRUCTURES:
        raise ConfigError(f"subtask {subtask!a} is unknown; {nearest(subtask, STRUCTURES)}")
    if n < 2 or n % 2:
        raise ConfigError(f"n is {n}; items come in minimal pairs, so give an even number of at least 2")
    if seed < 0:
        raise ConfigError(f"seed is {seed}; it must be 0 or more")
    part = lexicon.part_of(split, form)
    if split == "anchor":
        seed = form = 0
    items: list[Item] = []
    number = 0
    while len(items) < n:
        size = min(CLUSTER, n - len(items))
        items += _cluster(subtask, number, size, seed, form, split, part)
        number += 1
    about = {"generator": "moorings grammar", "generator_version": GENERATOR_VERSION, "seed": seed, "form": form}
    return ItemSet(f"{subtask}-{split}-f{form}-s{seed}", tuple(items), {**about, "split": split, "subtask": subtask})


def build_all(n: int, seed: int, *, form: int = 0, split: str = "test") -> dict[str, ItemSet]:
    """`build` for all five subtasks, n items each."""
    return {subtask: build(subtask, n, seed, form=form, split=split) for subtask in SUBTASKS}


def _cluster(subtask: str, number: int, size: int, seed: int, form: int, split: str, part: int) -> Iterator[Item]:
    rng = np.random.default_rng([SUBTASKS.index(subtask), part, seed, form, number])
    kinds = STRUCTURES[subtask]
    block, at = divmod(number, len(kinds))
    told = Told(kinds[at], pair_of_runs(at + 3 * block), block, lexicon.lexicon(part))
    cluster_id = f"{subtask}-{split}{form}-s{seed}-{number:05d}"
    # Drawn, not rotated: a rotation would go round in step with which pair is told in which run.
    order = int(rng.integers(3))
    for draft in _MAKE[subtask](told, rng)[:size]:
        yield _item(subtask, told, draft, order, cluster_id, split, {"seed": seed, "form": form})


def _item(
    subtask: str, told: Told, draft: Draft, order: int, cluster_id: str, split: str, made: dict[str, int]
) -> Item:
    run = draft.run
    symbols = _SYMBOLS[(1 + told.block % 2) * run.other_symbols]
    turned = [draft.options[(i + order) % len(draft.options)] for i in range(len(draft.options))]
    options = tuple(
        Option(symbol=symbol, text=text, key=text == draft.key, distractor=None if text == draft.key else why)
        for symbol, (text, why) in zip(symbols, turned, strict=True)
    )
    graph, stem = draft.world.graph, draft.stem
    held = {(node.owner, node.name): node for node in graph.nodes if node.kind == "value" and node.owner}
    item = Item(
        item_id=f"{cluster_id}-v{draft.variant}",
        cluster_id=cluster_id,
        subtask=subtask,
        split=split,
        system=stem.system,
        prompt=stem.prompt,
        options=options,
        key=next(option.symbol for option in options if option.key),
        owner=Owner(role="self" if run.own else "other", name=draft.owner, description=draft.described),
        values=tuple(Value(owner=owner or "", name=name) for owner, name in held),
        timeline=tuple(
            Moment(t=node.t, node=node.id, text=stem.texts[name])
            for name in stem.texts
            for node in graph.nodes
            if node.id == name.split(">")[0]
        ),
        graph=graph,
        endorsements=draft.endorsements,
        structure=told.structure,
        intervention=draft.intervention,
        query=draft.query,
        key_derivation=draft.derivation,
        effect=draft.effect,
        pair=f"{cluster_id}-v{draft.variant ^ 1}",
        factors=Factors(
            order=order,
            symbols=symbols,
            polarity="negate" if run.negated else "affirm",
            person="self" if run.own else "other",
            valence=draft.valence,
            paraphrase=run.paraphrase,
            name_set=run.name_set,
        ),
        provenance={"generator": "moorings grammar", "generator_version": GENERATOR_VERSION, **made},
        metadata={"decisive": stem.decisive, "signs": draft.signs, "state": draft.state},
    )
    by_paths, by_forward = key_by_paths(item), key_by_forward(item)
    if not item.key_at == by_paths == by_forward:
        raise AssertionError(f"{item.item_id}: key {item.key_at}, by paths {by_paths}, forward {by_forward}")
    return item
