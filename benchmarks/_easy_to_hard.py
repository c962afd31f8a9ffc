"""An evaluator that learned on short lists picks among answers about longer ones (easy to hard, Sun et al. 2024).

The embedded model is asked for the last word of a list several times; lists of two or three words are easy, of five or six
hard. (Sums would be the usual choice, but it gets next to none of them right.) Evaluators are heads on its own hidden states;
which layer they read is chosen on easy lists that were kept apart, so that no hard list is looked at. The ceiling is the same
evaluator after as many hard lists. Answers are kept in the user's cache.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from _common import mean_low_high

from moorings import __version__
from moorings.feedback.easy_to_hard import RULES, picked, right_over_wrong
from moorings.feedback.reward import Graded
from moorings.feedback.reward_inputs import InputEncoder, RewardInput
from moorings.feedback.reward_model import RewardModel, train_reward_model
from moorings.feedback.reward_training import HeadSettings
from moorings.feedback.weak_to_strong import performance_gap_recovered
from moorings.improve.train.rl_rewards import RewardTools
from moorings.monitors.questions.words import THINGS
from moorings.records import Decoding, Message, Prompt, content_hash
from moorings.sampling.bench import Bench
from moorings.subjects.model_cache import cache_dir
from moorings.subjects.spec import SubjectSpec

__all__ = ["easy_to_hard", "told_easy_to_hard"]

MODEL = "bundled:smollm2-135m"
N_EASY, N_APART, N_HARD, N_TEST, N_ANSWERS = 150, 60, 150, 200, 6
LAYERS = (10, 20, 30)
DECODING = Decoding(max_new_tokens=14, temperature=0.5)
SEED = 24


class Answered(NamedTuple):
    """Questions with the model's answers."""

    items: list[list[Graded]]
    finals: list[list[str]]
    right: np.ndarray
    """[questions, answers]"""

    def part(self, start: int, stop: int) -> Answered:
        """Some of the questions."""
        return Answered(self.items[start:stop], self.finals[start:stop], self.right[start:stop])

    @property
    def flat(self) -> list[Graded]:
        """All answers, list by list."""
        return [item for some in self.items for item in some]


def _lists(n_words: tuple[int, int], n: int, rng: np.random.Generator) -> list[Prompt]:
    """Different questions for the last word of a list of so many words, both ends included."""
    words = [word for word in THINGS if word.isalpha()]
    drawn = {
        ", ".join(rng.choice(words, rng.integers(n_words[0], n_words[1] + 1), replace=False)) for _ in range(2 * n)
    }
    return [
        Prompt(
            prompt_id=text,
            messages=(Message(role="user", content=f"What is the last word of this list? {text}"),),
            metadata={"words": text.split(", ")},
        )
        for text in sorted(drawn, key=lambda text: content_hash([SEED, text]))[:n]
    ]


def _final(response: str, words: list[str]) -> str:
    """The word of the list that a response names last; empty if it names none."""
    named = [word for word in re.findall("[a-z]+", response.lower()) if word in words]
    return named[-1] if named else ""


def _answered(prompts: list[Prompt], label: str) -> Answered:
    key = content_hash([[p.prompt_id for p in prompts], DECODING.model_dump(), N_ANSWERS, __version__])[:16]
    bench = Bench(SubjectSpec(uri=MODEL, device="cpu", threads=1), cache_dir() / "easy_to_hard" / key, seed=SEED)
    answers = bench.ask(prompts, label, decoding=DECODING, n_samples=N_ANSWERS)
    bench.close()
    items = [
        [Graded(p.messages, row.response, p.metadata) for row in rows] for p, rows in zip(prompts, answers, strict=True)
    ]
    words = [prompt.metadata["words"] for prompt in prompts]
    finals = [[_final(item.response, own) for item in some] for some, own in zip(items, words, strict=True)]
    return Answered(
        items, finals, np.array([[f == own[-1] for f in some] for some, own in zip(finals, words, strict=True)])
    )


def _evaluator(train: Answered, layer: int) -> RewardModel:
    spec = SubjectSpec(uri=MODEL, engine="transformers", device="cpu", threads=1, precision="fp32")
    pairs = right_over_wrong(train.items, list(train.right), np.random.default_rng(SEED), most=6)
    seen = RewardInput(kind="hidden", subject=spec, layer=layer)
    return train_reward_model(pairs, _TOOLS, input=seen, heads=HeadSettings(hidden=0, epochs=20, weight_decay=0.1))


_TOOLS = RewardTools(Path("."), Path("."))
"""Hidden states need none of them."""


def _scores(evaluators: list[RewardModel], answered: Answered) -> list[np.ndarray]:
    """Of each evaluator, all of which read the same; mean over its members."""
    encoder = InputEncoder(evaluators[0].input)
    rows = encoder.rows(answered.flat, _TOOLS)
    encoder.close()
    return [evaluator.of_rows(rows).mean(axis=0).reshape(answered.right.shape) for evaluator in evaluators]


def _pair_accuracy(scores: np.ndarray, right: np.ndarray) -> tuple[float, int]:
    """Share of pairs of a right and a wrong answer to one question that are in order, each question alike; and how many have pairs."""
    of = []
    for row, flags in zip(scores, right, strict=True):
        if 0 < flags.sum() < len(flags):
            margins = row[flags][:, None] - row[~flags]
            of.append(float(np.mean((np.sign(margins) + 1) / 2)))
    return (float(np.mean(of)) if of else float("nan")), len(of)


def easy_to_hard() -> dict[str, Any]:
    """Shares of test lists that each rule gets right, with an evaluator from easy lists, and with one from hard lists."""
    rng = np.random.default_rng(SEED)
    easy = _answered(_lists((2, 3), N_EASY + N_APART, rng), "easy")
    hard = _answered(_lists((5, 6), N_HARD + N_TEST, rng), "hard")
    train, apart = easy.part(0, N_EASY), easy.part(N_EASY, N_EASY + N_APART)
    tried = {layer: _evaluator(train, layer) for layer in LAYERS}
    told = {layer: _pair_accuracy(_scores([evaluator], apart)[0], apart.right)[0] for layer, evaluator in tried.items()}
    layer = max(LAYERS, key=lambda one: told[one])
    test = hard.part(N_HARD, N_HARD + N_TEST)
    evaluators = {"easy": tried[layer], "hard": _evaluator(hard.part(0, N_HARD), layer)}
    scores = dict(zip(evaluators, _scores(list(evaluators.values()), test), strict=True))
    at = np.arange(len(test.right))
    rows, by = [], {}
    for name, values in scores.items():
        for rule in RULES:
            by[name, rule] = test.right[at, picked(test.finals, values, rule)]
            if name == "easy" or rule in ("best", "weighted"):
                learned = f"{name} lists" if rule in ("best", "weighted") else ""
                rows.append({"rule": rule, "evaluator learned on": learned, **_share(by[name, rule])})
    rows.append({"rule": "any of them", "evaluator learned on": "", **_share(test.right.any(axis=1))})
    gains = {
        f"{rule} less {base}": _interval(by["easy", rule].astype(float) - by["easy", base])
        for rule in ("best", "weighted")
        for base in ("first", "majority")
    }
    recovered = {
        rule: performance_gap_recovered(by["easy", "majority"], by["easy", rule], by["hard", rule], rng)._asdict()
        for rule in ("best", "weighted")
    }
    return {
        "rows": rows,
        "gains": gains,
        "share of the gap from majority to the hard evaluator": {
            rule: {name: value if np.isfinite(value) else None for name, value in of.items()}
            for rule, of in recovered.items()
        },
        "layer": layer,
        "pairs in order, easy lists kept apart": {str(one): told[one] for one in LAYERS},
        "pairs in order, hard lists": {name: _pair_accuracy(values, test.right) for name, values in scores.items()},
        "right, easy lists": float(easy.right.mean()),
        "n_pairs": {name: evaluator.n_pairs for name, evaluator in evaluators.items()},
        "n_test": N_TEST,
    }


def _interval(values: np.ndarray) -> dict[str, float]:
    return dict(zip(("mean", "low", "high"), mean_low_high(values), strict=True))


def _share(right: np.ndarray) -> dict[str, float]:
    return {name: round(value, 3) for name, value in _interval(right.astype(float)).items()}


def told_easy_to_hard(found: dict[str, Any]) -> None:
    """Print the table."""
    print(
        f"easy to hard: {found['right, easy lists']:.2f} of answers to easy lists are right; evaluators read layer {found['layer']}"
    )
    for row in found["rows"]:
        learned = f" by an evaluator of {row['evaluator learned on']}" if row["evaluator learned on"] else ""
        print(f"  {row['rule']}{learned}: {row['mean']:.3f} [{row['low']:.3f}, {row['high']:.3f}] of hard lists")
    for name, of in found["gains"].items():
        print(f"  evaluator of easy lists, {name}: {of['mean']:+.3f} [{of['low']:+.3f}, {of['high']:+.3f}]")
    for rule, of in found["share of the gap from majority to the hard evaluator"].items():
        if of["low"] is None:
            print(f"  {rule}: the gap to the evaluator of hard lists may be 0, so no share of it is given")
        else:
            print(f"  {rule}: share of the gap recovered {of['pgr']:+.2f} [{of['low']:+.2f}, {of['high']:+.2f}]")
    for name, (share, n) in found["pairs in order, hard lists"].items():
        print(
            f"  evaluator of {name} lists puts {share:.2f} of right over wrong answers, in {n} hard lists with both",
            flush=True,
        )
