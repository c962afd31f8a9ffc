"""Is a planted change of behaviour found, named and given the right sign? (protocol B1)

Stored samples of the embedded model are divided at random into two arms that differ in nothing; then a share (the dose) of the
candidate's responses is edited to show a behaviour, several behaviours at a time on independent responses. 400 prompts, 2 samples an
arm. A behaviour counts as recovered if one of the first ten findings agrees with the planting (correlation of its predicate with
where the behaviour was planted at least 0.5). Whether a finding is true is known exactly, since the responses before the edit are at
hand: it is false if the edit did not move its predicate in that direction by at least a tenth of the estimate.

Beside it, on the same texts: k-means clusters with a pooled two-proportion test and Benjamini-Hochberg (the plain recipe), and the ten
most distinctive phrases by weighted log-odds, both without a split. With the development data at hand, corpora of labelled texts are
mixed as well (topics, sentiment, style, year), where a finding must correlate with the label by at least 0.3.
"""

from __future__ import annotations

import functools
import gzip
import itertools
import json
import os
import statistics
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from _behaviours import BEHAVIOURS
from _common import finish, options
from _pool import load_pool, measured
from scipy.stats import norm

from moorings.compare.analysis import find_changes
from moorings.compare.battery.measure import measure_battery
from moorings.compare.confirm import Tested
from moorings.compare.corpus import Corpus
from moorings.compare.discovery.phrases import distinctive_phrases
from moorings.compare.embed import embed_responses
from moorings.compare.merge import lead_findings
from moorings.compare.predicate import Table, evaluate
from moorings.compare.representations.ngrams import count_ngrams, matches
from moorings.compare.selftest import divide_within_prompts
from moorings.compare.settings import Settings
from moorings.compare.split import split_families
from moorings.records import SampleStatus
from moorings.statistics.multiplicity import adjust_bh
from moorings.subjects.bundled import cache_dir
from moorings.subjects.embedders import Embedder, open_embedder

DATA = Path(os.environ.get("MOORINGS_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
AT_ONCE = 5
TOP = 10
SETTINGS = Settings(n_draws=5000)


class Planted(NamedTuple):
    """Two arms, the candidate's responses before the edit, and where each behaviour was planted."""

    table: Table
    before: Table
    where: dict[str, np.ndarray]
    least_agreement: float
    """Correlation from which a finding is about a planted behaviour."""

    @property
    def edited_arm(self) -> np.ndarray:
        """Rows of the candidate."""
        return self.table.corpus.arm == 1


class Outcome(NamedTuple):
    """What one method found on one planting."""

    recovered: dict[str, bool]
    signs: list[bool]
    """Of the recovered ones: whether the direction is right."""
    n_findings: int
    n_false: int


@functools.cache
def embedder() -> Embedder:
    """The bundled embedder, opened once."""
    return open_embedder()


def plant(pool: Table, names: list[str], dose: float, n_prompts: int, seed: int) -> Planted:
    """Divide the pool and edit a share of the candidate's responses."""
    rng = np.random.default_rng([seed, 91])
    before = divide_within_prompts(pool, rng, n_prompts)
    texts = list(before.corpus.texts)
    where = {}
    for name in names:
        chosen = (before.corpus.arm == 1) & (rng.random(len(texts)) < dose)
        for i in np.flatnonzero(chosen).tolist():
            texts[i] = BEHAVIOURS[name](texts[i], rng)
        where[name] = chosen
    edited = np.flatnonzero([a != b for a, b in zip(texts, before.corpus.texts, strict=True)])
    values, embeddings = before.battery.values.copy(), before.embeddings.copy()
    some = [texts[i] for i in edited.tolist()]
    prompts = [before.corpus.row_prompts[i] for i in edited.tolist()]
    values[edited] = measure_battery(some, prompts).values
    embeddings[edited] = embed_responses(some, embedder(), cache=cache_dir() / "embeddings.sqlite")
    corpus = replace(before.corpus, texts=texts)
    return Planted(
        Table(corpus, before.battery._replace(values=values), embeddings), before, where, least_agreement=0.5
    )


def ours(planted: Planted, seed: int) -> Outcome:
    """The comparison as a user gets it: the first ten findings that no other one explains."""
    settings = SETTINGS.model_copy(update={"seed": seed})
    split = split_families(planted.table.corpus, seed=seed)
    changed = [one for one in find_changes(planted.table, split, settings).tested if one.verdict == "changed"]
    part_of = lead_findings(changed, planted.table.corpus, split.confirm)
    leads = [one for one, lead in zip(changed, part_of, strict=True) if lead is None]
    leads.sort(key=lambda one: -abs(one.effect.standardised))
    return judge(planted, leads[:TOP], leads)


def judge(planted: Planted, top: list[Tested], reported: list[Tested]) -> Outcome:
    before = evaluate([one.hypothesis for one in reported], planted.before)
    n_false = 0
    for k, one in enumerate(reported):
        moved = one.values[planted.edited_arm] - before[planted.edited_arm, k]
        n_false += is_false(float(np.nanmean(moved)), one.effect.estimate)
    agreeing = {name: [(agreement(planted, one.values, name), one) for one in top] for name in planted.where}
    recovered, signs = {}, []
    for name, found in agreeing.items():
        size, best = max(found, key=lambda pair: abs(pair[0]), default=(0.0, None))
        recovered[name] = abs(size) >= planted.least_agreement
        if recovered[name] and best is not None:
            signs.append(np.sign(best.effect.estimate) == np.sign(size))
    return Outcome(recovered, signs, len(reported), n_false)


def is_false(true_effect: float, estimate: float) -> bool:
    return bool(np.sign(true_effect) != np.sign(estimate) or abs(true_effect) < 0.1 * abs(estimate))


def agreement(planted: Planted, values: np.ndarray, name: str) -> float:
    """Correlation of a predicate with the planting, among the candidate's responses (all arms at a dose of 1)."""
    rows = planted.edited_arm & np.isfinite(values)
    if planted.where[name][rows].all():
        rows = np.isfinite(values)
    x, y = values[rows] - values[rows].mean(), planted.where[name][rows] - planted.where[name][rows].mean()
    scale = float(np.sqrt((x @ x) * (y @ y)))
    return float(x @ y) / scale if scale > 0 else 0.0


def columns_outcome(planted: Planted, after: np.ndarray, before: np.ndarray, estimates: np.ndarray) -> Outcome:
    """Judge a baseline whose findings are columns of zeros and ones."""
    side = planted.edited_arm
    moved = [float((after[side, k].astype(float) - before[side, k]).mean()) for k in range(after.shape[1])]
    n_false = sum(is_false(m, e) for m, e in zip(moved, estimates, strict=True))
    recovered, signs = {}, []
    for name in planted.where:
        sizes = [agreement(planted, after[:, k].astype(float), name) for k in range(min(after.shape[1], TOP))]
        best = int(np.argmax(np.abs(sizes))) if sizes else -1
        recovered[name] = bool(sizes) and abs(sizes[best]) >= planted.least_agreement
        if recovered[name]:
            signs.append(bool(np.sign(estimates[best]) == np.sign(sizes[best])))
    return Outcome(recovered, signs, after.shape[1], n_false)


def plain_clusters(planted: Planted, seed: int) -> Outcome:
    """K-means on all texts, one pooled two-proportion test a cluster, Benjamini-Hochberg."""
    from sklearn.cluster import MiniBatchKMeans

    table, arm = planted.table, planted.table.corpus.arm
    model = MiniBatchKMeans(n_clusters=32, random_state=seed, n_init=3).fit(table.embeddings)
    after = model.predict(table.embeddings)[:, None] == np.arange(32)
    before = model.predict(planted.before.embeddings)[:, None] == np.arange(32)
    a, b = after[arm == 0].mean(0), after[arm == 1].mean(0)
    pooled = after.mean(0)
    se = np.sqrt(np.maximum(pooled * (1 - pooled), 1e-9) * (1 / (arm == 0).sum() + 1 / (arm == 1).sum()))
    z = (b - a) / se
    kept = np.flatnonzero(adjust_bh(2 * norm.sf(np.abs(z))) <= SETTINGS.q)
    kept = kept[np.argsort(-np.abs(z[kept]))]
    return columns_outcome(planted, after[:, kept], before[:, kept], (b - a)[kept])


def plain_phrases(planted: Planted, seed: int) -> Outcome:
    """The ten phrases with the largest weighted log-odds z beyond 1.96, no held-out test."""
    corpus = planted.table.corpus
    phrases = distinctive_phrases(count_ngrams(list(corpus.texts)), corpus.arm, corpus.prompt, n_phrases=TOP)
    names = [phrase.phrase for phrase in phrases]
    estimates = np.array([phrase.share_candidate - phrase.share_precursor for phrase in phrases])
    after, before = matches(names, corpus.texts), matches(names, planted.before.corpus.texts)
    return columns_outcome(planted, after, before, estimates)


METHODS = {"moorings": ours, "k-means, pooled test, BH": plain_clusters, "log-odds phrases": plain_phrases}


def trials(
    pool: Table, doses: tuple[float, ...], seeds: int, n_prompts: int, n_behaviours: int
) -> list[dict[str, Any]]:
    """Every dose with every group of behaviours and seed."""
    rows = []
    for dose in doses:
        found: dict[str, list[Outcome]] = {name: [] for name in METHODS}
        start = time.monotonic()
        # At a dose of 1 behaviours would all coincide, so they are planted one at a time, with one seed.
        for seed in range(1 if dose == 1 else seeds):
            order = np.random.default_rng([seed, 17]).permutation(sorted(BEHAVIOURS))[:n_behaviours].tolist()
            size = 1 if dose == 1 else AT_ONCE
            for at in range(0, len(order), size):
                planted = plant(pool, order[at : at + size], dose, n_prompts, seed * 1000 + at)
                for name, method in METHODS.items():
                    found[name].append(method(planted, seed))
        for name, outcomes in found.items():
            rows.append({"method": name, "dose": dose, **summary(outcomes)})
            print({k: round(v, 3) if isinstance(v, float) else v for k, v in rows[-1].items()}, flush=True)
        print(f"  {time.monotonic() - start:.0f} s")
    return rows


def summary(outcomes: list[Outcome]) -> dict[str, Any]:
    hits = [hit for outcome in outcomes for hit in outcome.recovered.values()]
    signs = [sign for outcome in outcomes for sign in outcome.signs]
    shares = [outcome.n_false / max(1, outcome.n_findings) for outcome in outcomes]
    recall = statistics.mean(hits)
    missed: dict[str, int] = {}
    for outcome in outcomes:
        for name, hit in outcome.recovered.items():
            missed[name] = missed.get(name, 0) + (not hit)
    return {
        "plantings": len(hits),
        "recall_at_10": recall,
        "recall_se": float(np.sqrt(recall * (1 - recall) / len(hits))),
        "sign_correct": float(np.mean(signs)) if signs else None,
        "false_share": statistics.mean(shares),
        "findings_a_run": statistics.mean(outcome.n_findings for outcome in outcomes),
        "missed": ", ".join(f"{name} {n}" for name, n in sorted(missed.items(), key=lambda p: -p[1]) if n)[:200],
    }


def mixed_corpora() -> dict[str, tuple[list[str], list[str]]]:
    """Neutral and target texts by task; empty without the development data."""
    folder = DATA / "text-differences"
    if not folder.exists():
        return {}

    def rows(name: str) -> list[dict[str, Any]]:
        with gzip.open(folder / f"{name}.jsonl.gz", "rt", encoding="utf-8") as stream:
            return [json.loads(line) for line in stream]

    tasks = {}
    sources = {
        "ag_news": ("label", ("World", "Sports", "Business", "Sci/Tech")),
        "review_sentences": ("sentiment", ("positive", "negative")),
        "flickr_style_captions": ("style", ("humorous", "romantic")),
        "abc_headlines_2019_2020": ("year", (2020,)),
    }
    for file, (column, labels) in sources.items():
        all_rows = rows(file)
        for label in labels:
            target = [row["text"] for row in all_rows if str(row[column]) == str(label)]
            neutral = [row["text"] for row in all_rows if str(row[column]) != str(label)]
            if target and neutral:
                tasks[f"{file} {label}"] = (neutral, target)
    return tasks


def plant_mixed(task: str, neutral: list[str], target: list[str], dose: float, seed: int, n_prompts: int) -> Planted:
    """Neutral texts on both sides; a share of the candidate's replaced by target texts."""
    rng = np.random.default_rng([seed, 5])
    n = 4 * n_prompts
    some = rng.choice(len(neutral), size=n, replace=n > len(neutral))
    texts = [neutral[i] for i in some]
    before_corpus = Corpus(
        arm_names=("before", "after"),
        prompt_ids=tuple(map(str, range(n_prompts))),
        prompts=("",) * n_prompts,
        families=np.arange(n_prompts),
        groups=(None,) * n_prompts,
        texts=texts,
        arm=np.repeat([0, 1], n // 2),
        prompt=np.tile(np.repeat(np.arange(n_prompts), 2), 2),
        status=[SampleStatus.COMPLETED] * n,
    )
    chosen = (before_corpus.arm == 1) & (rng.random(n) < dose)
    after = list(texts)
    for i in np.flatnonzero(chosen).tolist():
        after[i] = target[int(rng.integers(len(target)))]
    return Planted(
        measured(replace(before_corpus, texts=after)), measured(before_corpus), {task: chosen}, least_agreement=0.3
    )


def mixed_trials(doses: tuple[float, ...], seeds: int) -> list[dict[str, Any]]:
    rows = []
    for dose in doses:
        found: dict[str, list[Outcome]] = {name: [] for name in METHODS}
        for task, (neutral, target) in mixed_corpora().items():
            for seed in range(seeds):
                planted = plant_mixed(task, neutral, target, dose, seed, 400)
                for name, method in METHODS.items():
                    found[name].append(method(planted, seed))
        for name, outcomes in found.items():
            if outcomes:
                rows.append({"method": name, "dose": dose, **summary(outcomes)})
                print("mixed", {k: round(v, 3) if isinstance(v, float) else v for k, v in rows[-1].items()}, flush=True)
    return rows


def dose_at_half(rows: list[dict[str, Any]]) -> float | None:
    """Dose at which half of the behaviours are recovered, between the measured doses on a log scale."""
    points = sorted((row["dose"], row["recall_at_10"]) for row in rows if row["method"] == "moorings")
    for (d0, r0), (d1, r1) in itertools.pairwise(points):
        if r0 < 0.5 <= r1:
            return float(np.exp(np.interp(0.5, [r0, r1], np.log([d0, d1]))))
    return None


def main() -> None:
    """Plant, compare, and check the bars."""
    args = options(__doc__ or "")
    pool = load_pool("pool", n_samples=4)
    start = time.monotonic()
    rows = trials(pool, (0.3, 0.1), 1, 400, 10) if args.quick else trials(pool, (1.0, 0.3, 0.1, 0.05, 0.02), 5, 400, 25)
    mixed = [] if args.quick else mixed_trials((0.3, 0.1), 2)
    own = {row["dose"]: row for row in rows if row["method"] == "moorings"}
    half = dose_at_half(rows)
    print(f"dose at 50 % recall: {half if half is None else round(half, 3)}; {time.monotonic() - start:.0f} s")
    finish(
        "planted_texts",
        args,
        bars={
            "recall@10 at 30 %": (own[0.3]["recall_at_10"], ">=", 0.9),
            "recall@10 at 10 %": (own[0.1]["recall_at_10"], ">=", 0.7),
            "false findings at 30 %": (own[0.3]["false_share"], "<=", 0.1),
            "false findings at 10 %": (own[0.1]["false_share"], "<=", 0.1),
            "sign correct": (min(own[0.3]["sign_correct"], own[0.1]["sign_correct"]), ">=", 0.95),
        },
        rows=rows,
        mixed=mixed,
        dose_at_half_recall=half,
    )


if __name__ == "__main__":
    main()
