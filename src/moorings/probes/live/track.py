"""The live track: measure, ask, train, measure again, and score what the model foretold.

Truth is measured, never asked. Scores are shares of right foretellings over pairs of a set and a trait, with intervals
by t over training sets, for the model about itself, for its twin question about another model, and for whoever
goes by the words that occur. Of a null the smallest advantage that would have been seen is told.

Source: `Live track` of the design of reflectivity probes; nothing is published. Training comes in as a function, so that
this room knows of no trainer; each part is kept under the folder, and a track that was killed goes on where it was.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.stats import t as student

from moorings.errors import ConfigError
from moorings.probes.live.questions import live_items
from moorings.probes.live.training_sets import TRAITS, TrainingSet, Trait, training_sets
from moorings.probes.live.truth import Outcome, Truth, measure_trait, outcome_of
from moorings.probes.runner import ask
from moorings.records import Decoding
from moorings.sampling.bench import Bench
from moorings.sampling.everyday import everyday_questions
from moorings.statistics.proportions import zero_of_n_upper
from moorings.subjects.spec import SubjectSpec

if TYPE_CHECKING:
    from jaxtyping import Float

__all__ = ["LiveSettings", "LiveTrack", "Train", "run_live_track", "score_live_track"]

Train = Callable[[TrainingSet, int, Path], SubjectSpec]
"""Training set, seed and folder; returns the trained subject, and returns it at once if it is there already."""
_TRUTHS: tuple[Truth, ...] = ("more", "less", "same")


@dataclass(frozen=True)
class LiveSettings:
    """How the track is run."""

    n_examples: int = 48
    """Examples of a training set."""
    n_shown: int = 3
    """Examples that a question shows."""
    n_prompts: int = 48
    """Held-out prompts on which traits are measured."""
    n_seeds: int = 3
    """Trainings of each set."""
    max_new_tokens: int = 48
    seed: int = 0
    sets: tuple[str, ...] = ()
    """Names of training sets; all if empty."""


@dataclass(frozen=True)
class LiveTrack:
    """What came out."""

    outcomes: dict[str, dict[str, Outcome]]
    """By set and trait."""
    foretold: dict[str, dict[str, dict[str, tuple[float, ...]]]]
    """By person (`self`, `other`), set and trait: share of `more`, `less` and `same`, averaged over wordings and orders."""
    surface: dict[str, dict[str, str]]
    """What the words that occur suggest."""
    scores: dict[str, dict[str, float]]
    """See `score_live_track`."""

    def as_json(self) -> dict[str, Any]:
        """Everything, as plain data."""
        return {
            **asdict(self),
            "outcomes": {s: {t: o._asdict() for t, o in by.items()} for s, by in self.outcomes.items()},
        }


def run_live_track(
    subject: SubjectSpec,
    folder: Path,
    train: Train,
    settings: LiveSettings | None = None,
    *,
    traits: Sequence[Trait] = TRAITS,
    say: Callable[[str], None] = lambda text: None,
) -> LiveTrack:
    """Run the whole track, or take it up.

    Args:
        subject: The model that is asked and trained.
        folder: Where answers and trained models are kept.
        train: Trains a copy of the subject.
        settings: How.
        traits: What is measured.
        say: Told what is under way, a line at a time.

    Raises:
        ConfigError: Fewer than two training sets.
        BackendError: The engine failed on every attempt.
    """
    settings = settings or LiveSettings()
    sets = training_sets(settings.n_examples, settings.seed, names=settings.sets)
    if len(sets) < 2:
        raise ConfigError(f"{len(sets)} training set is given; intervals need at least 2")
    say("measuring the model before")
    before = _measured(subject, folder / "before", settings, traits)
    say("asking it what the trainings would do")
    items = live_items(sets, traits, n_shown=settings.n_shown, seed=settings.seed)
    sheet = ask(subject, items, folder / "asked", orders="all", seed=settings.seed)
    shares: dict[tuple[str, str, str], list[Any]] = {}
    for item, share in zip(sheet.items, sheet.shares(), strict=True):
        key = (item.factors.person, item.metadata["set"], item.metadata["trait"])
        shares.setdefault(key, []).append(share)
    outcomes: dict[str, dict[str, Outcome]] = {}
    for at, made in enumerate(sets):
        after = []
        for seed in range(settings.n_seeds):
            say(f"training on '{made.name}', seed {seed + 1} of {settings.n_seeds}")
            place = folder / "trained" / f"{at}-{seed}"
            after.append(_measured(train(made, seed, place), place / "after", settings, traits))
        rng = np.random.default_rng([settings.seed, at])
        outcomes[made.name] = {
            trait.name: outcome_of(trait, before[i], np.stack([one[i] for one in after]), rng)
            for i, trait in enumerate(traits)
        }
    foretold: dict[str, dict[str, dict[str, tuple[float, ...]]]] = {"self": {}, "other": {}}
    for (person, name, trait_name), found in shares.items():
        mean = np.mean(found, axis=0)
        foretold[person].setdefault(name, {})[trait_name] = tuple(float(x) for x in mean)
    surface = {made.name: {t.name: str(made.surface.get(t.name, "same")) for t in traits} for made in sets}
    scores = score_live_track(outcomes, foretold, surface)
    return LiveTrack(outcomes, foretold, surface, scores)


def score_live_track(
    outcomes: dict[str, dict[str, Outcome]],
    foretold: dict[str, dict[str, dict[str, tuple[float, ...]]]],
    surface: dict[str, dict[str, str]],
) -> dict[str, dict[str, float]]:
    """Share of right foretellings, and of advantages, with intervals over training sets.

    Returns:
        `self`, `other`, `surface` (shares in [0, 1]; chance is 1/3), `self_advantage` (self minus other) and
        `over_surface` (self minus surface), each with `mean`, `low`, `high` (95 %) and `detectable`, the smallest
        difference from chance or from 0 that would be seen with power 0.8; and `pairs` with `judged` and `unclear`.
    """
    right: dict[str, list[Float[np.ndarray, " traits"]]] = {"self": [], "other": [], "surface": []}
    n_unclear = 0
    for name, by_trait in outcomes.items():
        clear = [trait for trait, outcome in by_trait.items() if outcome.truth != "unclear"]
        n_unclear += len(by_trait) - len(clear)
        truths = [by_trait[trait].truth for trait in clear]
        for person in ("self", "other"):
            said = [_said(foretold[person][name][trait]) for trait in clear]
            right[person].append(np.array([s == t for s, t in zip(said, truths, strict=True)], dtype=float))
        right["surface"].append(np.array([surface[name][t] == by_trait[t].truth for t in clear], dtype=float))
    n_judged = sum(len(row) for row in right["self"])
    scores: dict[str, dict[str, float]] = {"pairs": {"judged": float(n_judged), "unclear": float(n_unclear)}}
    if not n_judged:
        return scores
    right["self_advantage"] = [a - b for a, b in zip(right["self"], right["other"], strict=True)]
    right["over_surface"] = [a - b for a, b in zip(right["self"], right["surface"], strict=True)]
    for name, rows in right.items():
        least = -1.0 if name in ("self_advantage", "over_surface") else 0.0
        scores[name] = _clustered([row for row in rows if len(row)], least)
    return scores


def _said(shares: Sequence[float]) -> Truth | None:
    """The likeliest option; None where nothing was answered."""
    return _TRUTHS[int(np.argmax(shares))] if np.all(np.isfinite(shares)) else None


def _clustered(rows: Sequence[Float[np.ndarray, " traits"]], least: float) -> dict[str, float]:
    """Mean over pairs with a t interval over sets, and the difference that would be seen with power 0.8.

    Where all sets agree as many unlike ones as could have gone unseen are allowed for; of one set nothing is known.
    """
    sums, counts = np.array([row.sum() for row in rows]), np.array([len(row) for row in rows])
    n, mean = len(rows), float(sums.sum() / counts.sum())
    if n < 2:
        return {"mean": mean, "low": float("nan"), "high": float("nan"), "detectable": float("nan")}
    # Of a ratio of sums (linearised), as sets differ in how many of their pairs are clear.
    se = float(np.sqrt(n / (n - 1) * ((sums - mean * counts) ** 2).sum()) / counts.sum())
    if se <= 1e-12:
        unseen = float(zero_of_n_upper(n))
        return {
            "mean": mean,
            "low": mean - unseen * (mean - least),
            "high": mean + unseen * (1.0 - mean),
            "detectable": unseen * (1.0 - least),
        }
    half, power = (float(student.ppf(q, n - 1)) for q in (0.975, 0.8))
    low, high = max(least, mean - half * se), min(1.0, mean + half * se)
    return {"mean": mean, "low": low, "high": high, "detectable": (half + power) * se}


def _measured(
    subject: SubjectSpec, folder: Path, settings: LiveSettings, traits: Sequence[Trait]
) -> list[Float[np.ndarray, " prompts"]]:
    prompts = everyday_questions(settings.n_prompts, half="gate", seed=settings.seed)
    bench = Bench(subject, folder, seed=settings.seed)
    try:
        answers = bench.ask(prompts, "answers", decoding=Decoding(max_new_tokens=settings.max_new_tokens))
    finally:
        bench.close()
    return [measure_trait(trait, answers) for trait in traits]
