"""Profiles, sheets and live tracks to render: simulated ones, thin ones, and ones whose every text is hostile."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np

from moorings.probes.answers import Answer, AnswerSheet
from moorings.probes.item import Item, Option
from moorings.probes.live.track import LiveTrack, score_live_track
from moorings.probes.live.truth import Outcome
from moorings.probes.metrics.profile import Profile, profile
from moorings.probes.simulated import Responder, simulated_items

GUESSES = float("-inf")
FRAMINGS = ("plain", "observed", "unobserved")


def items(subtask: str, n_clusters: int = 12, **changes: Any) -> list[Item]:
    """Items of one subtask, the same at every call."""
    rng = np.random.default_rng([ord(letter) for letter in subtask])
    return list(simulated_items(n_clusters, rng=rng, subtask=subtask, **changes).items)


def sheet(
    abilities: Mapping[str, float],
    *,
    seed: int = 0,
    n_clusters: int = 12,
    framings: Sequence[str] = ("plain",),
    dispositions: Mapping[str, float] | None = None,
    name: str = "model",
    **biases: Any,
) -> AnswerSheet:
    """Answers of a responder of these abilities by subtask."""
    rows, answers = [], []
    for kind, found in (("ability", abilities), ("disposition", dispositions or {})):
        for subtask, theta in found.items():
            asked = [item.model_copy(update={"kind": kind}) for item in items(subtask, n_clusters)]
            rng = np.random.default_rng([seed, len(rows)])
            said = Responder(theta=theta, **biases).answer(asked, rng=rng, framings=framings)
            rows += asked
            answers += said.answers
    about = {"orders": "rotations", "mode": "logprobs", "seed": seed}
    return AnswerSheet(f"simulated:{name}", f"print-{name}-{seed}", tuple(rows), tuple(answers), about)


def told(one: AnswerSheet) -> Profile:
    """Its profile from few draws."""
    return profile(one, n_draws=100)


@cache
def realistic() -> tuple[AnswerSheet, Profile]:
    """One subject: able, unable and guessing, with a bias, missing answers, an observation gap and a disposition."""
    one = sheet(
        {"S1": 2.5, "S4": -0.2, "S5": GUESSES},
        n_clusters=16,
        framings=FRAMINGS,
        dispositions={"power": 0.5},
        position=0.3,
        silent=0.01,
        heeds={"observed": 1.5},
    )
    return one, told(one)


@cache
def rounds() -> tuple[tuple[AnswerSheet, ...], tuple[Profile, ...]]:
    """Six rounds in which S1 rises, S4 falls and S5 stays at chance; the third was not asked S4."""
    sheets = []
    for at in range(6):
        able = {"S1": -1.0 + 0.7 * at, "S4": 2.0 - 0.7 * at, "S5": GUESSES}
        if at == 2:
            del able["S4"]
        sheets.append(sheet(able, seed=at, dispositions={"power": 0.3 * at}))
    return tuple(sheets), tuple(told(one) for one in sheets)


def plain_item(subtask: str, at: int, prompt: str, texts: Sequence[str], *, key: int | None = 0, **more: Any) -> Item:
    """An item with a cluster of its own."""
    options = tuple(Option(symbol="ABCD"[i], text=text, key=i == key) for i, text in enumerate(texts))
    names = {"item_id": f"{subtask}-{at}", "cluster_id": f"{subtask}-c{at}"}
    return Item(subtask=subtask, prompt=prompt, options=options, **(names | more))


def by_choice(rows: Sequence[Item], chosen: Sequence[int | None], *, framing: str = "plain") -> AnswerSheet:
    """A sheet of drawn answers in stored order."""
    answers = tuple(
        Answer(item.item_id, tuple(range(len(item.options))), framing, "text", at, (), "")
        for item, at in zip(rows, chosen, strict=True)
    )
    return AnswerSheet("scripted:x", "0", tuple(rows), answers)


def hostile(texts: Sequence[str], end: str = "") -> tuple[AnswerSheet, Profile]:
    """Every text that an item set, an answer or a subject can bring in, five clusters for each five texts."""
    rows, answers = [], []
    for at, text in enumerate(texts):
        subtask = f"{at // 5:02d}{texts[at // 5][:60]}{end}"
        for variant in range(2):
            item = plain_item(
                subtask,
                at,
                text + end,
                [f"{text[:200]}{end}", f"other {text[:200]}{end}"],
                key=1,
                item_id=f"{at}-{variant}{text[:50]}{end}",
                cluster_id=f"{at}{text[:50]}{end}",
                structure=f"{variant}{text[:60]}{end}",
                system=f"{text[:300]}{end}",
                kind="ability" if at % 10 < 5 else "disposition",
            )
            rows.append(item)
            for framing in ("plain", f"observed{end}", f"un{text[:40]}{end}"):
                answers += [
                    Answer(item.item_id, order, framing, "logprobs", 0, (-0.1, -2.4), text[:50])
                    for order in ((0, 1), (1, 0))
                ]
    # Options that recur in many clusters are named in the report.
    rows += [
        plain_item(f"fixed{end}", at, f"{texts[1]}{end}", [f"{texts[0][:90]}{end}", "b"], key=at % 2) for at in range(9)
    ]
    answers += [Answer(item.item_id, (0, 1), "plain", "text", 0, (), "") for item in rows[-9:]]
    one = AnswerSheet(
        f"{texts[0][:200]}{end}", f"{texts[0][:60]}{end}", tuple(rows), tuple(answers), {"mode": texts[0] + end}
    )
    return one, profile(one, n_draws=20, observed=f"observed{end}", unobserved=f"un{texts[0][:40]}{end}")


def live(names: Sequence[str] = ("praises", "asks back", "plain"), trait: str = "length") -> LiveTrack:
    """Three sets and two traits: one foretold rightly for itself, one unclear, and one that could not be measured."""
    nan = float("nan")
    outcomes = {
        names[0]: {trait: Outcome("more", 3.0, 2.0, 4.0, 40, (2.5, 3.5)), "praise": Outcome("more", 0.5, 0.4, 0.6, 40, (0.5,))},
        names[1]: {trait: Outcome("less", -6.5, -8.0, -5.0, 40, (-6.5,)), "praise": Outcome("same", 0.0, -0.02, 0.02, 40, (0.0,))},
        names[2]: {trait: Outcome("unclear", 1.0, -1.0, 3.0, 40, (1.0,)), "praise": Outcome("unclear", nan, nan, nan, 1, (nan,))},
    }  # fmt: skip
    own = {name: {trait: (0.7, 0.2, 0.1), "praise": (0.6, 0.2, 0.2)} for name in names}
    other = {name: {trait: (0.1, 0.2, 0.7), "praise": (nan, nan, nan)} for name in names}
    surface = {name: {trait: "same", "praise": "more"} for name in names}
    foretold = {"self": own, "other": other}
    scores = score_live_track(outcomes, foretold, surface)
    return LiveTrack(outcomes, foretold, surface, scores)
