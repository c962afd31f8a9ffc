"""Gold reward against KL while a policy is optimised against learned rewards: one, the mean of five, and conservative aggregates.

Set-up of reward ensembles (Coste et al. 2023, arXiv:2310.02743) at small scale, on stored answers of the embedded model to
everyday questions. Gold is synthetic: a fixed random network of MiniLM embeddings of question and answer, plus their cosine, plus
sentiment, plus closeness to plain readability; no proxy sees more of an answer than 64 numbers. Proxies are small networks trained
on 600 labelled pairs of answers to half of the questions, five members by seed on one projection (`seed`, as in the paper) or each
on a projection of its own (`projection`); a quarter of the labels is turned round, or none. The policy answers the other questions;
it is optimised exactly, by natural policy gradients (`gradient BETA`), or by best of n. Its answers to a question are those that the
model gave (`own`), and, with 1 % of the start policy's probability in all, answers that it gave to other questions: they stand for
what a policy can say but hardly ever does, of which the proxies saw no labels. Members are standardised on the model's own answers.
Drop is the highest gold reward on the way less the last one, in standard deviations of the gold reward within a question; that of
`single` is the mean over members. Intervals are over retrainings of everything but gold: questions, pairs, labels, seeds.

How smooth gold is, its cosine term, and the answers to other questions were settled in trial runs on the first half of the answers: a
rougher gold could not be learned, and without such answers no reward fell. About 20 settings were looked at, on the same retraining
seeds; the number of answers to other questions (512), the epochs (5, the package's default and the paper's) and the lambda of
the bar (0.1, the paper's for policy gradients) were fixed after such looks, so the intervals are narrower than they should be. A bar on
an ordering holds by the mean over retrainings; the interval of each difference is printed and stored beside it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from _common import finish, options

from moorings.charter_run import Use
from moorings.compare.battery import Text, features
from moorings.feedback import aggregate
from moorings.feedback.reward_inputs import projection_matrix
from moorings.feedback.reward_training import HeadSettings, fit_heads
from moorings.feedback.standardise import fit_scales
from moorings.feedback.stored_answers import StoredAnswers, read_answers
from moorings.improve.best_of_n import kl_of_best
from moorings.improve.exact.best_of_n import best_of_n_policy, best_of_n_value
from moorings.improve.exact.optimise import Trace, optimise
from moorings.improve.exact.policy import SoftmaxPolicy
from moorings.improve.exact.scaling import fit_law, mean_interval
from moorings.improve.objectives.objective import objectives

ANSWERS = Path(__file__).parent / "data" / "answers.parquet"
K, D, N_PAIRS = 5, 64, 600
FOREIGN_MASS = 0.01
"""Probability at the start of all answers to other questions in a question's space together."""
STEPS, RATE = 40, 0.5
"""After them the policy is the start policy times exp(20 R), if nothing holds it back."""
LAMBDAS = (0.05, 0.1, 0.5, 1.0)
PAPER_LAMBDA = 0.1
"""The paper's for policy gradients; for best of n it takes 0.5."""
ARMS: dict[str, Use] = {
    "mean": Use(use="weighted"),
    "worst case": Use(use="worst_case"),
    **{f"uncertainty {lam}": Use(use="uncertainty", lam=lam) for lam in LAMBDAS},
}
UWO = f"uncertainty {PAPER_LAMBDA}"
WITH_KL = ("member 0", "member 1", "mean", "worst case", UWO)
"""Arms that are also run with a KL penalty."""


class Size(NamedTuple):
    """How much is run."""

    prompts: int
    answers: int
    foreign: int
    """Answers to other questions in each question's space."""
    retrainings: int
    noises: tuple[float, ...]
    betas: tuple[float, ...]


FULL = Size(60, 128, 512, 10, (0.25, 0.0), (0.01, 0.05, 0.2))
QUICK = Size(30, 32, 128, 3, (0.25,), ())


class Space(NamedTuple):
    """Answers that a policy can give to some questions: which question each was given to, and its number there."""

    prompts: np.ndarray
    given_to: np.ndarray
    number: np.ndarray
    log_base: np.ndarray


@dataclass(frozen=True)
class World:
    """Embedded answers and the gold reward."""

    questions: np.ndarray
    answers: np.ndarray
    n_foreign: int
    surface: np.ndarray
    """Sentiment, closeness to plain readability, and words: [3, prompts, answers]."""

    def pairs(self, space: Space) -> np.ndarray:
        """Embedding of each answer and its product with the question's, [prompts, answers, 2 d]."""
        answer = self.answers[space.given_to, space.number]
        product = answer * self.questions[space.prompts][:, None] * np.sqrt(answer.shape[2])
        return np.concatenate([answer, product], axis=2)

    def own(self, prompts: np.ndarray) -> Space:
        """The model's own answers alone, equally likely."""
        n = self.answers.shape[1]
        shape = len(prompts), n
        return Space(
            prompts, np.repeat(prompts[:, None], n, 1), np.tile(np.arange(n), (len(prompts), 1)), np.zeros(shape)
        )

    def wide(self, prompts: np.ndarray, rng: np.random.Generator) -> Space:
        """Own answers first, then some that were given to other questions."""
        own = self.own(prompts)
        shape = len(prompts), self.n_foreign
        others = np.stack([rng.choice(prompts[prompts != prompt], self.n_foreign) for prompt in prompts])
        n = own.number.shape[1]
        base = [
            np.full(own.number.shape, np.log((1 - FOREIGN_MASS) / n)),
            np.full(shape, np.log(FOREIGN_MASS / self.n_foreign)),
        ]
        return Space(
            prompts,
            np.hstack([own.given_to, others]),
            np.hstack([own.number, rng.integers(0, n, shape)]),
            np.hstack(base),
        )


class Gold:
    """The synthetic gold reward, on the scale of the model's own answers."""

    def __init__(self, world: World) -> None:
        rng = np.random.default_rng(7)
        d, width = 2 * world.answers.shape[2], 256
        self.inner = 0.4 * rng.standard_normal((d, width))
        self.phase = rng.uniform(0, 2 * np.pi, width)
        self.outer = rng.standard_normal(width) / np.sqrt(width)
        self.world = world
        parts = self._parts(world.own(np.arange(len(world.questions))))
        self.centre = parts.mean(axis=2, keepdims=True)
        self.spread = (parts - self.centre).std(axis=(1, 2))[:, None, None]
        self.scale = ((parts - self.centre) / self.spread).sum(axis=0).std()

    def __call__(self, space: Space) -> np.ndarray:
        parts = (self._parts(space) - self.centre[:, space.prompts]) / self.spread
        return parts.sum(axis=0) / self.scale

    def _parts(self, space: Space) -> np.ndarray:
        seen = self.world.pairs(space)
        d = self.world.answers.shape[2]
        network = np.cos(seen @ self.inner + self.phase) @ self.outer
        cosine = seen[..., d:].sum(axis=2) / np.sqrt(d)
        sentiment, plain = self.world.surface[:2, space.given_to, space.number]
        return np.stack([network, cosine, sentiment, plain])


class Proxies(NamedTuple):
    """Standardised scores of the members on a space, and how often each orders two own answers as gold does."""

    scores: np.ndarray
    accuracy: float


def build(answers: StoredAnswers, n_foreign: int) -> World:
    """Embed questions and answers."""
    from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

    from moorings.subjects.embedders import open_embedder

    n_prompts, n_answers = answers.shape
    texts = [text for some in answers.responses for text in some]
    rows = open_embedder().embed_texts([*texts, *(p.messages[-1].content for p in answers.prompts)]).astype(np.float64)
    vader, ease = SentimentIntensityAnalyzer(), features.get("reading_ease")
    sentiment = [vader.polarity_scores(text)["compound"] for text in texts]
    plain = [-abs(np.nan_to_num(ease(Text(text, ""))) - 65.0) for text in texts]
    words = [len(text.split()) for text in texts]
    return World(
        questions=rows[len(texts) :],
        answers=rows[: len(texts)].reshape(n_prompts, n_answers, -1),
        n_foreign=n_foreign,
        surface=np.array([sentiment, plain, words], dtype=np.float64).reshape(3, n_prompts, n_answers),
    )


def shortened(answers: StoredAnswers, n_prompts: int, n_answers: int) -> StoredAnswers:
    """The first prompts and answers."""
    return StoredAnswers(
        answers.prompts[:n_prompts],
        tuple(some[:n_answers] for some in answers.responses[:n_prompts]),
        answers.logprobs_nats[:n_prompts, :n_answers],
        answers.n_tokens[:n_prompts, :n_answers],
    )


def train(world: World, gold: Gold, space: Space, taught: np.ndarray, seed: int, noise: float, differ: str) -> Proxies:
    """Train members on pairs of answers to `taught` questions and score a space of other ones."""
    rng = np.random.default_rng([seed, 2])
    n = world.answers.shape[1]
    own = world.own(taught)
    prompt, first = rng.integers(0, len(taught), N_PAIRS), rng.integers(0, n, N_PAIRS)
    second = (first + rng.integers(1, n, N_PAIRS)) % n
    value = gold(own)
    turned = value[prompt, first] < value[prompt, second]
    # All members share the flips.
    turned[rng.permutation(N_PAIRS)[: round(noise * N_PAIRS)]] ^= True
    chosen, rejected = np.where(turned, second, first), np.where(turned, first, second)
    seen, asked = world.pairs(own), world.pairs(space)
    if differ == "seed":
        poorer = projection_matrix(seen.shape[2], D, np.random.default_rng([seed, 3]))
        seen, asked = seen @ poorer, asked @ poorer
    settings = HeadSettings(members=K, differ=differ, projected_d=D, seed=seed)
    heads = fit_heads(seen[prompt, chosen], seen[prompt, rejected], settings)
    raw = heads.scores(asked.reshape(-1, asked.shape[2])).reshape(K, *space.number.shape)
    raw = raw - raw[:, :, :n].mean(axis=2, keepdims=True)
    scales = fit_scales(raw[:, :, :n].reshape(K, -1), [f"m{k}" for k in range(K)])
    scores = scales.apply(raw)
    rows, pair = rng.integers(0, len(space.prompts), 4000), rng.integers(0, n, (2, 4000))
    truth = gold(space)
    agrees = (scores[:, rows, pair[0]] > scores[:, rows, pair[1]]) == (truth[rows, pair[0]] > truth[rows, pair[1]])
    return Proxies(scores, float(agrees.mean()))


def aggregated(scores: np.ndarray) -> dict[str, np.ndarray]:
    """One score an answer for each way of joining members."""
    joined = {"mean": aggregate.mean(scores), "worst case": aggregate.worst_case(scores)}
    return joined | {f"uncertainty {lam}": aggregate.uncertainty_weighted(scores, lam) for lam in LAMBDAS}


def ascent(space: Space, scores: np.ndarray, use: Use, gold: np.ndarray, beta: float, watched: dict) -> Trace:
    """Exact natural policy gradient."""
    rewards = {f"m{k}": some for k, some in enumerate(scores)}
    start = SoftmaxPolicy(np.zeros(gold.shape), base=space.log_base)
    return optimise(
        start,
        rewards,
        objectives.make(use),
        STEPS,
        RATE,
        gold=gold,
        watched=watched,
        kl_weight=beta,
        natural=True,
    )


def summary(kl: np.ndarray, gold: np.ndarray, law: str, watched: dict[str, np.ndarray]) -> dict[str, Any]:
    """Of one curve."""
    top = int(gold.argmax())
    fit = fit_law(kl, gold - gold[0], law)
    return {
        "peak": float(gold[top]),
        "end": float(gold[-1]),
        "drop": float(gold[top] - gold[-1]),
        "kl_at_peak": float(kl[top]),
        "kl_at_end": float(kl[-1]),
        "alpha": fit.alpha,
        "beta": fit.beta,
        "r_squared": fit.r_squared,
        **{
            f"{name}_at_{when}": float(some[at])
            for name, some in watched.items()
            for when, at in (("start", 0), ("end", -1))
        },
        "curve": {"kl": kl.tolist(), "gold": gold.tolist(), **{k: v.tolist() for k, v in watched.items()}},
    }


def retrain(world: World, gold: Gold, seed: int, noise: float, differ: str, betas: tuple[float, ...]) -> dict[str, Any]:
    """One retraining: every arm's curves."""
    rng = np.random.default_rng([seed, 1])
    order = rng.permutation(len(world.questions))
    half = len(order) // 2
    space = world.wide(np.sort(order[half:]), rng)
    truth, n = gold(space), world.answers.shape[1]
    made = train(world, gold, space, np.sort(order[:half]), seed, noise, differ)
    foreign = np.zeros(truth.shape)
    foreign[:, n:] = 1.0
    watched = {
        "disagreement": made.scores.std(axis=0),
        "words": world.surface[2][space.given_to, space.number],
        "foreign": foreign,
    }
    out: dict[str, Any] = {"accuracy": made.accuracy}
    singles = {f"member {k}": Use(use="weighted", weights={f"m{k}": 1.0}) for k in range(K)}
    for name, use in {**singles, **ARMS}.items():
        for beta in (0.0, *(betas if name in WITH_KL else ())):
            trace = ascent(space, made.scores, use, truth, beta, watched)
            out[f"gradient {beta}|{name}"] = summary(trace.kl, trace.gold, "policy_gradient", trace.watched)
    joined = {f"member {k}": some for k, some in enumerate(made.scores)} | aggregated(made.scores)
    for name, scores in joined.items():
        out[f"best of n, own answers|{name}"] = best_own(
            scores[:, :n], truth[:, :n], {k: v[:, :n] for k, v in watched.items()}
        )
        out[f"best of n, all answers|{name}"] = best_all(space, scores, truth, watched)
    return averaged(out)


def best_own(scores: np.ndarray, truth: np.ndarray, watched: dict[str, np.ndarray]) -> dict[str, Any]:
    """Best of n from the stored answers, by the unbiased estimator."""
    ns = [2**k for k in range(int(np.log2(scores.shape[1])))]
    kl = np.array([kl_of_best(n) for n in ns])

    def curve(values: np.ndarray) -> np.ndarray:
        return np.array([best_of_n_value(scores, values, n).mean() for n in ns])

    return summary(kl, curve(truth), "best_of_n", {name: curve(values) for name, values in watched.items()})


def best_all(space: Space, scores: np.ndarray, truth: np.ndarray, watched: dict[str, np.ndarray]) -> dict[str, Any]:
    """Best of n from the start policy over the whole space, exactly, up to 16,384."""
    start = SoftmaxPolicy(np.zeros(truth.shape), base=space.log_base)
    base = start.log_p
    columns = {"gold": truth, **watched}
    found: dict[str, list[float]] = {name: [] for name in ("kl", *columns)}
    for k in range(15):
        log_p = best_of_n_policy(start, scores, 2**k).log_p
        share = np.exp(log_p) / len(log_p)
        found["kl"].append(float((share * (log_p - base)).sum()))
        for name, values in columns.items():
            found[name].append(float((share * values).sum()))
    made = {name: np.array(some) for name, some in found.items()}
    return summary(made["kl"], made["gold"], "best_of_n", {name: made[name] for name in watched})


def averaged(out: dict[str, Any]) -> dict[str, Any]:
    """Numbers of single members as one arm: the mean of what each gives."""
    grouped: dict[str, list[dict[str, Any]]] = {}
    for key in [key for key in out if "|member" in key]:
        grouped.setdefault(key.split("|")[0], []).append(out.pop(key))
    for how, some in grouped.items():
        joined = {k: float(np.mean([one[k] for one in some])) for k in some[0] if k != "curve"}
        joined["curve"] = {k: np.mean([one["curve"][k] for one in some], axis=0).tolist() for k in some[0]["curve"]}
        out[f"{how}|single" + ("" if len(some) == K else f", first {len(some)}")] = joined
    return out


def table(runs: list[dict[str, Any]], noise: float, differ: str) -> list[dict[str, Any]]:
    """A row an arm."""
    rows = []
    for key in [key for key in runs[0] if "|" in key]:
        how, arm = key.split("|")
        some = {name: np.array([run[key][name] for run in runs]) for name in runs[0][key] if name != "curve"}
        drop, end = mean_interval(some["drop"]), mean_interval(some["end"])
        alpha, beta = mean_interval(some["alpha"]), mean_interval(some["beta"])
        row: dict[str, Any] = {"noise": noise, "members differ by": differ, "optimiser": how, "reward": arm}
        row |= {name: float(some[name].mean()) for name in ("peak", "end", "drop")}
        row |= {"drop from": drop.low, "drop to": drop.high, "KL at peak": float(some["kl_at_peak"].mean())}
        row |= {
            "KL at end": float(some["kl_at_end"].mean()),
            "disagreement grows by": float((some["disagreement_at_end"] / some["disagreement_at_start"]).mean()),
            "words at end": float(some["words_at_end"].mean()),
            "foreign at end": float(some["foreign_at_end"].mean()),
        }
        row["interval of the end"] = [end.low, end.high]
        row["law"] = {
            "alpha": [float(some["alpha"].mean()), alpha.low, alpha.high],
            "beta": [float(some["beta"].mean()), beta.low, beta.high],
            "r_squared": float(some["r_squared"].mean()),
        }
        row["curve"] = {
            name: np.mean([run[key]["curve"][name] for run in runs], axis=0).round(3).tolist()
            for name in ("kl", "gold", "disagreement")
        }
        rows.append(row)
    return rows


def shown(row: dict[str, Any]) -> bool:
    """Whether a row is in the page's table; the others are only stored."""
    return row["noise"] == 0.25 and row["optimiser"] in ("gradient 0.0", "gradient 0.2", "best of n, all answers")


def orderings(runs: list[dict[str, Any]], how: str) -> dict[str, Any]:
    """Drops of one arm against another in the same retraining, with the interval of the difference."""
    drops = {arm: np.array([run[f"{how}|{arm}"]["drop"] for run in runs]) for arm in ("single", *ARMS)}
    pairs = {"mean < single": ("mean", "single"), "worst case < mean": ("worst case", "mean")}
    pairs |= {f"uncertainty {lam} < mean": (f"uncertainty {lam}", "mean") for lam in LAMBDAS}
    out = {}
    for name, (less, more) in pairs.items():
        interval = mean_interval(drops[more] - drops[less])
        out[name] = {
            "ratio": float(drops[less].mean() / max(drops[more].mean(), 1e-9)),
            "less by": float((drops[more] - drops[less]).mean()),
            "interval": [interval.low, interval.high],
        }
    return out


def scoring_cost(answers: StoredAnswers, n_items: int, rounds: int) -> dict[str, Any]:
    """Seconds of scoring answers with five members and with one, on the shared trunk, interleaved."""
    from moorings.feedback.preferences import Preference
    from moorings.feedback.reward_inputs import RewardInput
    from moorings.feedback.reward_model import train_reward_model
    from moorings.subjects.embedders import open_embedder

    class Embedding:
        folder = Path()

        def __init__(self) -> None:
            self.embed = open_embedder().embed_texts

    tools = Embedding()
    items = answers.graded()[:n_items]
    taught = [
        Preference(prompt=one.messages, chosen=one.response, rejected=other.response)
        for one, other in zip(items[:60:2], items[1:60:2], strict=True)
    ]
    models = {k: train_reward_model(taught, tools, input=RewardInput(), heads=HeadSettings(members=k)) for k in (1, K)}
    times: dict[int, list[float]] = {k: [] for k in models}
    for _ in range(rounds):
        for k, model in models.items():
            times[k].append(timed(lambda model=model: model.of_items(items, tools)))
    ratios = [five / one for five, one in zip(times[K], times[1], strict=True)]
    return {"seconds": times, "ratio": float(np.median(ratios)), "n_items": n_items}


def timed(call: Callable[[], object]) -> float:
    start = time.process_time()
    call()
    return time.process_time() - start


def main() -> None:
    args = options(__doc__.splitlines()[0])
    answers = read_answers(ANSWERS)
    size = QUICK if args.quick else FULL
    answers = shortened(answers, size.prompts, size.answers)
    world = build(answers, size.foreign)
    gold = Gold(world)
    rows, compared, accuracy, single = [], {}, {}, {}
    for noise in size.noises:
        for differ in ("seed", "projection"):
            runs = [
                retrain(world, gold, seed, noise, differ, size.betas if noise else ())
                for seed in range(size.retrainings)
            ]
            rows += table(runs, noise, differ)
            name = f"noise {noise}, {differ}"
            accuracy[name] = float(np.mean([run["accuracy"] for run in runs]))
            compared[name] = {
                how: orderings(runs, how)
                for how in ("gradient 0.0", "best of n, own answers", "best of n, all answers")
            }
            single[name] = mean_interval(np.array([run["gradient 0.0|single"]["drop"] for run in runs]))
            print(
                f"{name}: accuracy {accuracy[name]:.3f}, drop of a single member {single[name].low:.3f} to {single[name].high:.3f}"
            )
            for ordering, found in compared[name]["gradient 0.0"].items():
                low, high = found["interval"]
                print(f"  {ordering}: less by {found['less by']:.3f} ({low:.3f} to {high:.3f})", flush=True)
    cost = scoring_cost(answers, 64 if args.quick else 256, 3 if args.quick else 7)
    bars: dict[str, tuple[float, str, float]] = {}
    for differ in ("seed", "projection"):
        found = compared[f"noise 0.25, {differ}"]["gradient 0.0"]
        bars[f"{differ}: drop of a single member, lower end"] = (single[f"noise 0.25, {differ}"].low, ">=", 0.0)
        bars[f"{differ}: drop of the mean / of a single member"] = (found["mean < single"]["ratio"], "<=", 1.0)
        bars[f"{differ}: drop of the worst case / of the mean"] = (found["worst case < mean"]["ratio"], "<=", 1.0)
        bars[f"{differ}: drop of uncertainty {PAPER_LAMBDA} / of the mean"] = (
            found[f"{UWO} < mean"]["ratio"],
            "<=",
            1.0,
        )
    bars["time to score five members / one, shared trunk"] = (cost["ratio"], "<=", 1.3)
    finish(
        "overoptimisation",
        args,
        bars=bars,
        rows=[row for row in rows if shown(row)],
        other_rows=[row for row in rows if not shown(row)],
        orderings=compared,
        proxy_accuracy=accuracy,
        scoring=cost,
        n_retrainings=size.retrainings,
        n_prompts=answers.shape[0],
        n_answers=answers.shape[1],
    )


if __name__ == "__main__":
    main()
