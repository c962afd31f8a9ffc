"""The states of a cluster, each as a draft of an item, for every subtask."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple

from numpy.random import Generator

from moorings.probes.design import Run
from moorings.probes.item import Endorsement, Query
from moorings.probes.language.grammar import Stem
from moorings.probes.language.lexicon import Lexicon
from moorings.probes.language.templates_influence import Wording, change_stem, which_stem
from moorings.probes.language.templates_s1 import concept_stem, concept_world
from moorings.probes.language.templates_s2 import turn_stem
from moorings.probes.language.templates_s5 import stance_stem
from moorings.probes.world import paths
from moorings.probes.world.keys import BOTH, CHANGES, NEITHER, STANCES
from moorings.probes.world.structures import (
    CAUSES,
    Slots,
    World,
    candidates_world,
    change_world,
    path_labels,
    stance_world,
    turn_world,
)

__all__ = ["Draft", "Told", "changes", "concepts", "stances", "turns", "which"]

Sign = Literal[-1, 1]
_EDGES = tuple("xymnkc") + tuple(f"{a}>{b}" for a in ("x", "y", "c", "v", "v0") for b in ("x", "y", "k", "m", "w"))
_PAIRS = ((0, 2), (1, 2), (1, 0), (2, 0), (2, 1), (0, 1))
"""Which value is asked for and which one is the foil: neighbours share the foil, so they differ in one edge."""


class Told(NamedTuple):
    """What a cluster is about and how it is told."""

    structure: str
    runs: tuple[Run, Run]
    block: int
    """How many clusters of this structure type there were before."""
    words: Lexicon


class Draft(NamedTuple):
    """One item before its options are turned and its factors written down."""

    variant: int
    run: Run
    world: World
    stem: Stem
    owner: str
    described: str
    options: tuple[tuple[str, str], ...]
    """Text of each option, and what it is where it is wrong."""
    key: str
    query: Query
    derivation: tuple[tuple[str, str, int], ...]
    valence: Literal["up", "down"]
    state: str
    signs: str = ""
    """Signs along the path from the event to the value."""
    effect: float | None = None
    intervention: dict[str, str] = {}  # noqa: RUF012 - never changed
    endorsements: tuple[Endorsement, ...] = ()


class _Scene(NamedTuple):
    """One run's names and wording."""

    run: Run
    slots: Slots
    wording: Wording

    @property
    def described(self) -> str:
        return "" if self.run.own else f"{self.wording.craft} from {self.wording.place}"

    @property
    def valence(self) -> Literal["up", "down"]:
        return "up" if self.run.valence_up else "down"


def _pick(rng: Generator, listed: Sequence[str], n: int) -> tuple[str, ...]:
    return tuple(listed[i] for i in rng.choice(len(listed), n, replace=False))


def _scenes(told: Told, rng: Generator, *, by_valence: bool) -> list[_Scene]:
    """Scene of each of the six items: three pairs, told in a run, its complement, and one of these in other words."""
    words = told.words
    good = bool(rng.integers(2))
    values = [_pick(rng, words.questioned, 3), _pick(rng, words.admired, 3)]
    events = _pick(rng, words.events, 5)
    mechanisms = _pick(rng, words.mechanisms, 4)
    gate, processes = _pick(rng, words.gates, 1)[0], _pick(rng, words.processes, 2)
    landmark = _pick(rng, words.landmarks, 1)[0]
    inverted = bool(rng.integers(2))
    again = told.runs[(told.block + told.block // 8) % 2]
    scenes = []
    for run in (*told.runs, again._replace(paraphrase=(again.paraphrase + 4) % 8)):
        names = _pick(rng, words.names[run.name_set :: 2], 2)
        triple = values[run.valence_up if by_valence else good]
        slots = Slots(
            owner="you" if run.own else names[0],
            rival=names[1],
            values=(triple[0], triple[1], triple[2]),
            decoy=f"the {triple[0]} {landmark}",
            events=events,  # type: ignore[arg-type]
            mechanisms=mechanisms,  # type: ignore[arg-type]
            gate=gate,
            processes=processes,  # type: ignore[arg-type]
        )
        wording = Wording(
            paraphrase=run.paraphrase,
            verbs=tuple(int(v) for v in rng.integers(24, size=8)),
            lines=tuple(float(v) for v in rng.random(8)),
            negated=run.negated,
            craft=_pick(rng, words.crafts, 1)[0],
            place=_pick(rng, words.places, 1)[0],
            inverted=inverted,
        )
        scenes.append(_Scene(run, slots, wording))
        inverted = not inverted if len(scenes) < 2 else bool(rng.integers(2))
    return [scenes[(variant // 2 + told.block) % 3] for variant in range(6)]


def _derivation(world: World, source: str, to: str) -> tuple[tuple[str, str, int], ...]:
    """The path to the value; where there is none, what leaves its start, or else what does lead to the value."""
    path = next(paths.directed_paths(world.graph, source, to, on=frozenset({source})), None)
    leaving = tuple(edge for edge in world.graph.edges if edge.source == source)
    edges = path or leaving or tuple(edge for edge in world.graph.edges if edge.to == to)
    return tuple((edge.source, edge.to, edge.sign) for edge in edges)


def _pattern(derivation: Sequence[tuple[str, str, int]]) -> str:
    return "".join("+" if sign > 0 else "-" for _, _, sign in derivation)


def changes(told: Told, rng: Generator) -> list[Draft]:
    """S4: the value rises, falls, or is not reached; under negation the same is asked the other way round."""
    base: dict[str, Sign] = {name: 1 if rng.integers(2) else -1 for name in _EDGES}
    route = path_labels(told.structure)
    turning = route[int(rng.integers(len(route)))]
    flipped: dict[str, Sign] = {**base, turning: 1 if base[turning] < 0 else -1}
    up, down = (base, flipped) if math.prod(base[name] for name in route) > 0 else (flipped, base)
    # A state without an effect has the signs of the state that it is the pair of.
    states = (("up", up), ("down", down), ("down", down), ("none", down), ("none", up), ("up", up))
    scenes = _scenes(told, rng, by_valence=False)
    return [
        _change(told.structure, scene, state, signs, variant, "up" if signs is up else "down")
        for variant, (scene, (state, signs)) in enumerate(zip(scenes, states, strict=True))
    ]


def _change(
    structure: str, scene: _Scene, state: str, signs: dict[str, Sign], variant: int, valence: Literal["up", "down"]
) -> Draft:
    hit = state != "none"
    world = change_world(structure, hit, signs, scene.slots)
    effect = paths.effect(world.graph, "x", "v", world.t)
    turned = {"up": "down", "down": "up"} if scene.run.negated else {}
    why = {CHANGES["none"]: "no_effect"} if hit else {}
    wrong = "sign_flip" if hit else CAUSES.get(structure, "over_effect")
    derivation = _derivation(world, "x", "v")
    return Draft(
        variant=variant,
        run=scene.run,
        world=world,
        stem=change_stem(structure, world, scene.slots, scene.wording),
        owner=scene.slots.owner,
        described=scene.described,
        options=tuple((text, why.get(text, wrong)) for text in CHANGES.values()),
        key=CHANGES[turned.get(state, state)],
        query=Query(value="v", owner=scene.slots.owner, t=world.t),
        derivation=derivation,
        valence=valence,
        state=state,
        signs=_pattern(derivation) if hit else "0",
        effect=effect.total,
        intervention={"do": "x", "from": "off", "to": "on"},
    )


def which(told: Told, rng: Generator) -> list[Draft]:
    """S3: neither of two events influences the value, or one of them does."""
    signs: dict[str, Sign] = {name: 1 if rng.integers(2) else -1 for name in _EDGES}
    signs["y"] = signs["c"] = signs["x"]
    swapped = bool(rng.integers(2))
    cut = told.structure in ("blocked", "wrong_time")
    idle = (("x", True), ("y", True)) if cut else (("c", False), ("c", False))
    # Pairs without an influence come first: a set whose last cluster is cut short still has them in a third of its items.
    states = (idle[0], ("x", False), ("y", False), idle[1], ("x", False), ("y", False))
    scenes = _scenes(told, rng, by_valence=True)
    return [
        _which(told.structure, scene, source, off, signs, variant, swapped)
        for variant, (scene, (source, off)) in enumerate(zip(scenes, states, strict=True))
    ]


def _which(
    structure: str, scene: _Scene, source: str, cut: bool, signs: dict[str, Sign], variant: int, swapped: bool
) -> Draft:
    world = candidates_world(structure, source, cut, signs, scene.slots)
    negated = scene.run.negated
    x, y = scene.slots.events[:2]
    last = BOTH if negated else NEITHER
    state = "neither" if cut or source == "c" else source
    right = {"neither": last, "x": y if negated else x, "y": x if negated else y}[state]
    why = CAUSES.get(structure, "no_effect")
    about = source if source != "c" else "x"
    derivation = _derivation(world, about, "v")
    return Draft(
        variant=variant,
        run=scene.run,
        world=world,
        stem=which_stem(structure, world, scene.slots, scene.wording),
        owner=scene.slots.owner,
        described=scene.described,
        options=(*((x, why), (y, why))[:: -1 if swapped else 1], (last, "no_effect")),
        key=right,
        query=Query(value="v", owner=scene.slots.owner, t=world.t),
        derivation=derivation,
        valence=scene.valence,
        state=state,
        signs=_pattern(derivation) if state != "neither" else "0",
        effect=paths.effect(world.graph, about, "v", world.t).total,
    )


def stances(told: Told, rng: Generator) -> list[Draft]:
    """S5: a change to welcome, one to resist for its direction, its process or both, and one that is indifferent."""
    reason = ("direction", "process", "direction", "process", "both")[(told.block + int(rng.integers(5))) % 5]
    middle: dict[str, Sign] = {name: 1 if rng.integers(2) else -1 for name in "mn"}
    idle: Sign = 1 if rng.integers(2) else -1
    states = ("welcome", "resist", "resist", "indifferent", "indifferent", "welcome")
    scenes = _scenes(told, rng, by_valence=False)
    # An indifferent change comes the way of the one that it is the pair of: the resisted or the welcome one.
    return [
        _stance(
            scene,
            _stance_world(told.structure, scene, state, reason, variant in (1, 2, 3), middle, idle),
            state,
            reason,
            variant,
        )
        for variant, (scene, state) in enumerate(zip(scenes, states, strict=True))
    ]


def _stance_world(
    structure: str, scene: _Scene, state: str, reason: str, resisted: bool, middle: dict[str, Sign], idle: Sign
) -> World:
    """The world in which a change goes the way of the welcome or of the resisted one."""
    wished: Sign = 1 if scene.run.valence_up else -1
    against: Sign = -1 if scene.run.valence_up else 1
    good = int(scene.wording.inverted)
    through = 1 - good if resisted and reason != "direction" else good
    totals: dict[int, Sign] = {
        good: against if resisted and reason == "direction" else wished,
        1 - good: {"direction": idle, "process": wished, "both": against}[reason],
    }
    signs = dict(middle)
    for at, (process, mechanism) in enumerate(zip("pq", "mn", strict=True)):
        turned = structure == "chain2" and middle[mechanism] < 0
        signs[process] = (1 if totals[at] < 0 else -1) if turned else totals[at]
    return stance_world(structure, through, "w" if state == "indifferent" else "v", signs, scene.slots)


def _stance(scene: _Scene, world: World, state: str, reason: str, variant: int) -> Draft:
    slots, negated = scene.slots, scene.run.negated
    good = slots.processes[int(scene.wording.inverted)]
    ways: tuple[Literal["up", "down"], Literal["up", "down"]] = (
        ("up", "down") if scene.run.valence_up else ("down", "up")
    )
    wishes = (
        Endorsement(owner=slots.owner, value=slots.values[0], direction=ways[0], process=(good,)),
        Endorsement(owner=slots.owner, value=slots.values[2], direction=ways[1], process=(good,)),
    )
    turned = {"welcome": "resist", "resist": "welcome"} if negated else {}
    derivation = _derivation(world, "x", world.asked)
    effect = paths.effect(world.graph, "x", world.asked, world.t)
    return Draft(
        variant=variant,
        run=scene.run,
        world=world,
        stem=stance_stem(world, wishes, slots, scene.wording),
        owner=slots.owner,
        described=scene.described,
        options=tuple(
            (text, "over_effect" if state == "indifferent" else "no_effect" if name == "indifferent" else "sign_flip")
            for name, text in STANCES.items()
        ),
        key=STANCES[turned.get(state, state)],
        query=Query(value=world.asked, owner=slots.owner, t=world.t),
        derivation=derivation,
        valence="up" if effect.total > 0 else "down",
        state=f"resist {reason}" if state == "resist" else state,
        signs=_pattern(derivation),
        effect=effect.total,
        intervention={"do": "x", "from": "off", "to": "on"},
        endorsements=wishes,
    )


def concepts(told: Told, rng: Generator) -> list[Draft]:
    """S1: who holds which value; under negation the rival's value, or belief, is asked for."""
    drafts: list[Draft] = []
    posts = _pick(rng, told.words.roles, 3)
    for variant, (scene, (asked, foil)) in enumerate(zip(_scenes(told, rng, by_valence=True), _PAIRS, strict=True)):
        slots = scene.slots._replace(mechanisms=(posts[0], posts[1], posts[2], ""))
        negated = scene.run.negated
        world = concept_world(told.structure, *((foil, asked) if negated else (asked, foil)), slots)
        query = Query(value=f"{'w' if negated else 'v'}{asked}", owner=slots.rival if negated else slots.owner, t=1)
        drafts.append(
            Draft(
                variant=variant,
                run=scene.run,
                world=world,
                stem=concept_stem(told.structure, world, slots, scene.wording),
                owner=slots.owner,
                described=scene.described,
                options=_labelled(slots, foil, "wrong_owner"),
                key=slots.values[asked],
                query=query,
                derivation=_derivation(world, "b" if negated else "a", query.value),
                valence=scene.valence,
                state=f"{asked}{foil}",
            )
        )
    return drafts


def turns(told: Told, rng: Generator) -> list[Draft]:
    """S2: what is cared about most at which time; under negation the other time, or what did not come to be."""
    drafts: list[Draft] = []
    for variant, (scene, (asked, foil)) in enumerate(zip(_scenes(told, rng, by_valence=True), _PAIRS, strict=True)):
        structure, slots, negated = told.structure, scene.slots, scene.run.negated
        first_asked = (structure != "present") != negated
        world = turn_world(structure, *((asked, foil) if first_asked else (foil, asked)), slots)
        other = structure == "other" and negated
        t = 2 if structure in ("past", "present") and first_asked else 6 if structure == "future" and negated else 4
        hypothetical = structure == "planned" and negated
        drafts.append(
            Draft(
                variant=variant,
                run=scene.run,
                world=world,
                stem=turn_stem(structure, world, slots, scene.wording),
                owner=slots.owner,
                described=scene.described,
                options=_labelled(slots, foil, "wrong_owner" if structure == "other" else "wrong_time"),
                key=slots.values[asked],
                query=Query(value=f"{'w' if other else 'v'}{asked}", owner=slots.rival if other else slots.owner, t=t),
                derivation=_derivation(world, "u" if first_asked else "x", f"{'w' if other else 'v'}{asked}"),
                valence=scene.valence,
                state=f"{asked}{foil}",
                intervention={"do": "x", "from": "off", "to": "on"} if hypothetical else {},
            )
        )
    return drafts


def _labelled(slots: Slots, foil: int, why: str) -> tuple[tuple[str, str], ...]:
    """The three values; the foil is the diagnosis, the third is merely spoken of."""
    return tuple((name, why if i == foil else "confounder") for i, name in enumerate(slots.values))
