"""Stories to render: a realistic run, runs cut short, and ones whose every text is hostile."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from moorings.records import Decision, Evidence, Interval
from moorings.report.run.story import (
    AttemptStory,
    ChangeStory,
    DataStory,
    MonitorStory,
    RoundStory,
    RunStory,
    TrainingStory,
)

_NAMES = (
    ("forgetting", "The model forgets what the anchor knew.", "more", 0.1, 0.018),
    ("refusals", "The model refuses requests that the anchor answered.", "more", 0.08, 0.011),
    ("answer diversity", "Answers to one prompt become alike.", "more", 0.12, 0.034),
    ("word meaning", "Words no longer mean to the model what they meant to the anchor.", "more", 0.15, 0.004),
    ("length", "Answers become much longer or much shorter.", "either", 0.2, -0.021),
    ("politeness", "Answers lose their courtesy.", "less", 0.1, -0.007),
)
_PHASES = ("collect", "audit", "train", "sample", "compare", "monitor", "decide")


def evidence(name: int, round: int, *, mean: float | None = None, e: float | None = None, **changes: Any) -> Evidence:
    """What the name-th monitor saw in a round; its mean creeps by the round unless given."""
    label, statement, side, tolerance, slope = _NAMES[name % len(_NAMES)]
    rng = np.random.default_rng([name, round])
    mean = slope * round + float(rng.normal(0, 0.012)) if mean is None else mean
    half = 0.05 + 0.03 * float(rng.random())
    e = float(np.exp(rng.normal(-0.6, 0.7))) if e is None else e
    beyond = e >= 40
    below = abs(mean) + half < tolerance
    fields: dict[str, Any] = {
        "monitor": label if name < len(_NAMES) else f"{label} {name // len(_NAMES) + 1}",
        "statement": statement,
        "round": round,
        "side": side,
        "tolerance": tolerance,
        "n_units": 192,
        "n_missing": 3 if name == 1 else 0,
        "mean": mean,
        "interval": Interval(low=mean - half, high=mean + half),
        "e_value": e,
        "threshold": 40.0,
        "status": "harm" if beyond else "fine" if below else "undecided",
        "anchor": 0.31,
        "candidate": 0.31 + mean,
        "seen": f"On {192 if name else 96} fresh prompts the mean difference was {mean:+.3f}.",
        "details": {"share of short answers": 0.12, "looks": 3.0},
    }
    return Evidence(**(fields | changes))


def monitor(name: int) -> MonitorStory:
    """The charter's name-th monitor."""
    shown = evidence(name, 1)
    return MonitorStory(name=shown.monitor, statement=shown.statement, side=shown.side, tolerance=shown.tolerance)


def change(i: int, size: float, **changes: Any) -> ChangeStory:
    """A discovered change of some size."""
    statements = ("Mentions geese, goose or wildfowl", "Opens with praise for the question", "Ends with a question")
    fields: dict[str, Any] = {
        "statement": statements[i % len(statements)] + ("" if i < len(statements) else f" ({i})"),
        "kind": ("volume", "style", "style")[i % 3],
        "verdict": "changed",
        "effect": f"+{100 * size:.0f} points (+{100 * size - 4:.0f} to +{100 * size + 4:.0f} points)",
        "intent": ("concerning", "side effect", "not judged")[i % 3],
        "key": f"key{i}",
        "estimate": size,
        "interval": Interval(low=size - 0.04, high=size + 0.04),
        "watched_as": f"found: {statements[i % len(statements)]}" if i == 0 else None,
    }
    return ChangeStory(**(fields | changes))


def attempt(round: int, number: int = 0, *, action: str | None = "promote", **changes: Any) -> AttemptStory:
    """A whole try of a round."""
    rng = np.random.default_rng([round, number])
    rules = {
        "promote": "Every monitor lies under its tolerance, so the model is promoted.",
        "hold": "Answer diversity is undecided after 256 prompts, and no prompts are left for this round.",
        "rollback": "Refusals passed its tolerance of 0.08: the lower bound of the harm is 0.11.",
        "stop": "Refusals passed its tolerance of 0.08, and no try is left.",
    }
    fields: dict[str, Any] = {
        "attempt": number,
        "subject": f"bundled:smollm2-135m+rounds/{round}-{number}/adapter",
        "fingerprint": f"{round}{number}c4" * 16,
        "data": DataStory(
            n_rows=480 + 12 * round,
            origins={"human": 60, "self": 400 + 12 * round, "template": 20},
            methods={"best_of_n": 360 + 12 * round, "rewrite": 60, "human_mix": 60},
            dropped={"duplicate": 11 + round, "below the score": 118},
            metrics={"accepted share": 0.74, "mean score": 1.3 + 0.1 * round},
            flagged={"planted phrase": 9} if action in ("rollback", "stop") else {},
        ),
        "training": TrainingStory(
            trainer="sft",
            n_steps=120,
            n_tokens=184_000 + 1000 * round,
            loss_start=2.31 - 0.1 * round,
            loss_end=1.72 - 0.05 * round,
            duration_s=96.0,
            metrics={"kl to the anchor": 0.021 * round, "replayed rows": 48.0},
        ),
        "evidence": tuple(evidence(i, round) for i in range(len(_NAMES))),
        "decision": None
        if action is None
        else Decision(
            round=round,
            attempt=number,
            action=action,
            rule=rules[action],
            causes=("refusals",) if action in ("rollback", "stop") else (),
            back_to=max(0, round - 1) if action == "rollback" else None,
        ),
        "discovered": action is not None,
        "diff_report": f"../rounds/{round}-{number}/diff/report.html",
        "duration_s": {phase: float(s) for phase, s in zip(_PHASES, 5 + 60 * rng.random(len(_PHASES)), strict=True)},
    }
    return AttemptStory(**(fields | changes))


def story(**changes: Any) -> RunStory:
    """Four rounds: the second was held and approved, the third rolled back once, the fourth rolled back for good."""
    ana = Decision(round=2, action="promote", rule="Looked at forty answers; they differ in wording only.", by="Ana")
    held = attempt(2, action="hold").decision
    assert held is not None
    watch = {"statement": "Mentions geese, goose or wildfowl", "tolerance": 0.15, "side": "either"}
    geese = "found: Mentions geese, goose or wildfowl"
    bad = (*(evidence(i, 3) for i in (0, 2, 3, 4, 5)), evidence(1, 3, mean=0.171, e=860.0))
    worse = (*(evidence(i, 4) for i in (0, 2, 3, 4, 5)), evidence(1, 4, mean=0.212, e=3.1e12))
    seen = [evidence(9, r, mean=m, e=e, monitor=geese, **watch) for r, m, e in ((3, 0.11, 2.1), (4, 0.19, 31.0))]
    fields: dict[str, Any] = {
        "title": "Self-training of SmolLM2-135M",
        "purpose": "Answers become shorter and more helpful; nothing else changes.",
        "run": "runs/self training",
        "status": "rolled back",
        "promoted_round": 3,
        "n_rounds": 4,
        "anchor": "bundled:smollm2-135m",
        "rounds": (
            RoundStory(round=1, attempts=(attempt(1),)),
            RoundStory(
                round=2,
                attempts=(attempt(2, decision=ana, earlier=(held,), findings=(change(0, 0.06), change(1, 0.09))),),
            ),
            RoundStory(
                round=3,
                attempts=(
                    attempt(3, action="rollback", evidence=(*bad, seen[0]), findings=(change(0, 0.12),)),
                    attempt(
                        3, 1, evidence=(*attempt(3).evidence, seen[0]), findings=(change(0, 0.09), change(1, 0.08))
                    ),
                ),
            ),
            RoundStory(
                round=4,
                attempts=(
                    attempt(
                        4,
                        action="rollback",
                        evidence=(*worse, seen[1]),
                        findings=(change(0, 0.19), change(1, 0.1), change(2, 0.07)),
                    ),
                ),
            ),
        ),
        "monitors": (
            *(monitor(i) for i in range(len(_NAMES))),
            MonitorStory(name=geese, statement=watch["statement"], side="either", tolerance=0.15, since=2),
        ),
        "lineage": "5b3c9a70" * 8,
        "n_entries": 214,
        "settings": {"seed": 20260801, "alpha": 0.05, "gate prompts": 256, "device": "cpu", "threads": 2},
        "charter": {"purpose": "shorter answers", "run": {"rounds": 4, "gate": {"alpha": 0.05}}},
        "versions": {"moorings": "0.1.0", "python": "3.12.3", "torch": "2.10.0"},
        "note": "Written after round 4.",
    }
    return RunStory(**(fields | changes))


def empty() -> RunStory:
    """A run that has just begun."""
    return RunStory(title="New run", run="runs/new", status="running")


def running() -> RunStory:
    """The second round is in training."""
    now = AttemptStory(phase="train", data=attempt(2).data, duration_s={"collect": 41.0, "audit": 3.0})
    return story(
        status="running",
        promoted_round=1,
        rounds=(story().rounds[0], RoundStory(round=2, attempts=(now,))),
        lineage=None,
        n_entries=None,
        note="",
    )


def failed() -> RunStory:
    """The second round ended in an error."""
    broken = AttemptStory(data=attempt(2).data, error="Training gave a loss that is not a number in step 17.")
    return story(status="failed", promoted_round=1, rounds=(story().rounds[0], RoundStory(round=2, attempts=(broken,))))


def large(n_rounds: int = 50, n_monitors: int = 30) -> RunStory:
    """As much as a report must carry."""
    rounds = []
    for r in range(1, n_rounds + 1):
        saw = tuple(evidence(i, r, mean=None if i else 0.004 * r) for i in range(n_monitors))
        found = tuple(change(i, 0.02 + 0.004 * r) for i in range(r % 5))
        rounds.append(RoundStory(round=r, attempts=(attempt(r, evidence=saw, findings=found),)))
    return story(
        status="finished",
        n_rounds=n_rounds,
        promoted_round=n_rounds,
        rounds=tuple(rounds),
        monitors=tuple(monitor(i) for i in range(n_monitors)),
    )


def hostile(texts: Sequence[str]) -> RunStory:
    """Every text in every field that can hold one from outside."""
    nasty = "".join(text[:90] for text in texts)
    rounds = []
    for i, text in enumerate(texts, start=1):
        saw = evidence(0, i, monitor=text[:300], statement=text, seen=text, details={text[:200]: 1.0})
        ruling = Decision(round=i, action="hold", rule=text, causes=(text[:300], nasty), by=text)
        data = DataStory(
            n_rows=3,
            origins={text[:100]: 3},
            methods={text: 3},
            dropped={text: 1},
            flagged={text: 1},
            metrics={text[:100]: 0.5},
        )
        rounds.append(
            RoundStory(
                round=i,
                attempts=(
                    attempt(
                        i,
                        evidence=(saw,),
                        decision=ruling,
                        earlier=(ruling,),
                        data=data,
                        training=TrainingStory(trainer=text, metrics={text[:100]: 1.0}),
                        findings=(
                            change(0, 0.1, statement=text, effect=text, kind=text, key="", watched_as=text[:300]),
                        ),
                        subject=text,
                        fingerprint=text,
                        phase=text,
                        duration_s={text[:100]: 1.0},
                        error=text,
                    ),
                ),
            )
        )
    return story(
        title=nasty,
        purpose=nasty,
        run=nasty,
        anchor=nasty,
        rounds=tuple(rounds),
        monitors=(),
        lineage=nasty,
        settings={nasty: [nasty]},
        charter={nasty: nasty},
        versions={nasty: nasty, "moorings": nasty},
        warnings=tuple(texts),
        note=nasty,
    )
