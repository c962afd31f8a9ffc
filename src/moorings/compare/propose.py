"""Hypotheses: registered ones that need no data, and discovered ones from the discovery prompts alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from moorings.charter import Charter, Entry
from moorings.compare.battery.feature import Feature
from moorings.compare.confirm import differences
from moorings.compare.discovery.clusters import ClusterLabel, cluster_hierarchy, label_clusters
from moorings.compare.discovery.phrases import distinctive_phrases, phrase_sets
from moorings.compare.discovery.sparse_predicates import describe_latent
from moorings.compare.predicate import (
    FeaturePredicate,
    Hypothesis,
    OutcomePredicate,
    PhrasePredicate,
    StatementPredicate,
    Table,
    TopicPredicate,
    evaluate,
)
from moorings.compare.representations.ngrams import NgramTable, count_ngrams
from moorings.compare.representations.residual import residualise
from moorings.compare.representations.sparse import fit_sparse
from moorings.compare.settings import Settings
from moorings.compare.split import Split
from moorings.compare.stance.topics import TopicPhrases, propose_topics
from moorings.records import SampleStatus
from moorings.statistics.paired import cluster_robust

if TYPE_CHECKING:
    from jaxtyping import Bool

__all__ = ["charter_hypotheses", "discovered_hypotheses", "registered_hypotheses", "scoped_hypotheses"]

_OUTCOMES = {
    SampleStatus.REFUSED: ("Requests are refused more often", "Requests are refused less often"),
    SampleStatus.EMPTY: ("Responses are empty more often", "Responses are empty less often"),
    SampleStatus.TRUNCATED: (
        "Responses run into the token limit more often",
        "Responses run into the token limit less often",
    ),
    SampleStatus.FAILED: ("No response came back more often", "No response came back less often"),
    SampleStatus.TOO_LONG: (
        "Prompts do not fit the context more often",
        "Prompts do not fit the context less often",
    ),
}
_LEAST_GROUP = 16
"""Discovery prompts that a group needs before anything is looked for within it alone."""
_LEAST_FOR_CODE = 400
"""Discovery responses below which a sparse code of 128 latents has nothing to learn from."""
_SCREEN_T = 1.5
"""Discovered candidates below this paired t on the discovery prompts are not worth a test."""


def registered_hypotheses(table: Table) -> list[Hypothesis]:
    """Outcomes and the battery: fixed in advance, the same for every comparison."""
    present = set(table.corpus.status)
    return [
        *(_of_outcome(status) for status in _OUTCOMES if status in present),
        *(_of_feature(feature) for feature in table.battery.features),
    ]


def charter_hypotheses(charter: Charter | None, table: Table) -> list[Hypothesis]:
    """What the charter names. Entries that only a judge can measure are left out where there is none."""
    entries = charter.entries() if charter else ()
    return [_of_entry(entry, table) for entry in entries if entry.statement is None or table.judge is not None]


def scoped_hypotheses(table: Table, split: Split, settings: Settings) -> list[Hypothesis]:
    """Battery features that differ within one prompt group on the discovery prompts."""
    names = sorted({group for group in table.corpus.groups if group is not None})
    groups = np.array([str(group) for group in table.corpus.groups])
    large = [name for name in names if (split.discover & (groups == name)).sum() >= _LEAST_GROUP]
    if len(names) < 2 or not large:
        return []
    candidates: list[tuple[float, Hypothesis]] = []
    base = [h for h in registered_hypotheses(table) if h.origin == "battery"]
    values = table.battery.values
    for name in large:
        t = np.abs(
            cluster_robust(
                differences(values, table.corpus, split.discover & (groups == name)), table.corpus.families
            ).t
        )
        for k in np.flatnonzero(np.nan_to_num(t) > 2.5):
            scoped = replace(
                base[k],
                more=f"On prompts of '{name}': {_lower_first(base[k].more)}",
                less=f"On prompts of '{name}': {_lower_first(base[k].less)}",
                registered=False,
                groups=frozenset({name}),
            )
            candidates.append((float(t[k]), scoped))
    return [h for _, h in sorted(candidates, key=lambda c: -c[0])[: settings.n_scoped]]


def discovered_hypotheses(table: Table, split: Split, settings: Settings) -> list[Hypothesis]:
    """Phrases, phrase sets, clusters and sparse latents that differ on the discovery prompts."""
    corpus = table.corpus
    rows = split.discover[corpus.prompt] & ~corpus.missing
    ngrams = count_ngrams(
        [corpus.texts[i] for i in np.flatnonzero(rows).tolist()], min_texts=max(3, int(rows.sum() * 0.004))
    )
    arm, prompt = corpus.arm[rows], corpus.prompt[rows]
    found: list[Hypothesis] = []
    if len(ngrams.vocabulary):
        phrases = distinctive_phrases(ngrams, arm, prompt, n_phrases=max(settings.n_phrases, 1) * 2)
        sets = phrase_sets(ngrams, arm, prompt, phrases, n_sets=settings.n_phrase_sets)
        found += _screened([_of_phrases((p.phrase,), 1, "phrases") for p in phrases], table, split, settings.n_phrases)
        found += _screened([_of_phrases(tuple(s), 1, "phrases") for s in sets], table, split, settings.n_phrase_sets)
        found += _cluster_hypotheses(table, split, rows, ngrams, settings)
        found += _latent_hypotheses(table, split, rows, ngrams, settings)
    found += _topic_hypotheses(table, split, rows, settings)
    return _without_doubles([*found, *_judged_hypotheses(table, split, rows, settings)])


def _cluster_hypotheses(
    table: Table, split: Split, rows: Bool[np.ndarray, " n"], ngrams: NgramTable, settings: Settings
) -> list[Hypothesis]:
    """Clusters of what is left of the texts once the prompt is accounted for; clustering and labels do not see the arm."""
    if not settings.n_clusters:
        return []
    left = residualise(table.embeddings, table.corpus.prompt, None)
    hierarchy = cluster_hierarchy(left[rows], seed=settings.seed)
    levels = hierarchy.assign(left)
    targets = [levels[:, level] == c for level in range(levels.shape[1]) for c in np.unique(levels[rows, level])]
    sized = [target for target in targets if 8 <= target[rows].sum() <= 0.7 * rows.sum()]
    chosen = _moving(sized, table, split, settings.n_clusters)
    return [_of_label(label_clusters(ngrams, target[rows]), target, "clusters") for target in chosen]


def _latent_hypotheses(
    table: Table, split: Split, rows: Bool[np.ndarray, " n"], ngrams: NgramTable, settings: Settings
) -> list[Hypothesis]:
    """Latents of a sparse code of the texts; the code and the labels do not see the arm."""
    if not settings.n_latents or rows.sum() < _LEAST_FOR_CODE:
        return []
    left = residualise(table.embeddings, table.corpus.prompt, None)
    coder = fit_sparse(left[rows], n_latents=128, k=8, n_steps=200, seed=settings.seed)
    codes = np.asarray(coder.encode(left))
    active = codes > 0
    n_active = active[rows].sum(0)
    sized = [active[:, j] for j in np.flatnonzero((n_active >= 8) & (n_active <= 0.5 * rows.sum()))]
    found = []
    for target in _moving(sized, table, split, settings.n_latents):
        label = describe_latent(target[rows].astype(np.float32), ngrams)
        if label is not None:
            found.append(_of_label(label, target, "sparse"))
    return found


def _topic_hypotheses(table: Table, split: Split, rows: Bool[np.ndarray, " n"], settings: Settings) -> list[Hypothesis]:
    """Volume and stance of topics that come up in the responses; the topics are chosen without a look at the arm."""
    if not settings.n_topics:
        return []
    some = np.flatnonzero(rows)
    topics = propose_topics([table.corpus.texts[i] for i in some.tolist()], table.corpus.prompt[some])
    candidates = [h for topic in topics for h in _of_topic(topic)]
    return _screened(candidates, table, split, settings.n_topics)


def _judged_hypotheses(
    table: Table, split: Split, rows: Bool[np.ndarray, " n"], settings: Settings
) -> list[Hypothesis]:
    """Statements that a judge wrote after reading pairs of discovery responses in random order, sides not told."""
    if table.judge is None or not settings.n_statements:
        return []
    from moorings.compare.judge.notes import contrast_notes, summarise_notes

    rng, corpus = np.random.default_rng([settings.seed, 6]), table.corpus
    pairs: list[tuple[str, str]] = []
    for prompt in rng.permutation(np.flatnonzero(split.discover)).tolist():
        sides = [np.flatnonzero(rows & (corpus.prompt == prompt) & (corpus.arm == arm)) for arm in (0, 1)]
        if all(len(side) for side in sides) and len(pairs) < settings.n_contrasts:
            first, second = (corpus.texts[int(rng.choice(side))] for side in sides)
            pairs.append((first, second))
    notes = contrast_notes(table.judge, pairs, rng=rng)
    statements = summarise_notes(table.judge, notes, n_predicates=settings.n_statements) if notes else []
    return [_of_statement(text) for text in statements]


def _moving(targets: Sequence[np.ndarray], table: Table, split: Split, n: int) -> list[np.ndarray]:
    """The n memberships with the largest paired t on the discovery prompts: only these are worth a label."""
    if not targets:
        return []
    values = np.stack(targets, axis=1).astype(np.float32)
    t = np.nan_to_num(
        np.abs(cluster_robust(differences(values, table.corpus, split.discover), table.corpus.families).t)
    )
    return [targets[k] for k in np.argsort(-t, kind="stable")[:n] if t[k] > _SCREEN_T]


def _screened(candidates: Sequence[Hypothesis], table: Table, split: Split, n: int) -> list[Hypothesis]:
    """The n candidates with the largest paired t on the discovery prompts."""
    if not candidates or not n:
        return []
    part = table.subset(np.flatnonzero(split.discover[table.corpus.prompt]))
    d = differences(evaluate(candidates, part), part.corpus, np.ones(len(part.corpus.prompts), dtype=bool))
    t = np.nan_to_num(np.abs(cluster_robust(d, part.corpus.families).t))
    kept = [k for k in np.argsort(-t, kind="stable") if t[k] > _SCREEN_T][:n]
    return [candidates[k] for k in kept]


def _of_phrases(phrases: tuple[str, ...], min_hits: int, origin: str, target: np.ndarray | None = None) -> Hypothesis:
    text = _in_words(phrases, min_hits)
    return Hypothesis(
        PhrasePredicate(phrases=phrases, min_hits=min_hits),
        f"More responses {text}",
        f"Fewer responses {text}",
        "content",
        origin,
        target=target,
    )


def _of_statement(text: str) -> Hypothesis:
    predicate = StatementPredicate(statement=text)
    return Hypothesis(predicate, f"More responses: {text}", f"Fewer responses: {text}", "content", "judge")


def _of_topic(topic: TopicPhrases) -> list[Hypothesis]:
    name = f"“{topic.name}”"
    return [
        Hypothesis(
            TopicPredicate(topic=topic.name, phrases=topic.phrases, measure="volume"),
            f"Responses mention {name} more often",
            f"Responses mention {name} less often",
            "volume",
            "topics",
        ),
        Hypothesis(
            TopicPredicate(topic=topic.name, phrases=topic.phrases, measure="stance"),
            f"Responses that mention {name} speak better of it",
            f"Responses that mention {name} speak worse of it",
            "stance",
            "topics",
            unit="polarity (-1 to 1)",
            binary=False,
        ),
    ]


def _of_label(label: ClusterLabel, target: np.ndarray, origin: str) -> Hypothesis:
    return _of_phrases(label.phrases, label.min_hits, origin, target.astype(np.float32))


def _of_entry(entry: Entry, table: Table) -> Hypothesis:
    return replace(
        _behaviour(entry, table),
        origin="charter",
        registered=True,
        groups=entry.groups,
        entry=entry.name,
        tolerance=entry.tolerance,
    )


def _behaviour(entry: Entry, table: Table) -> Hypothesis:
    if entry.feature is not None:
        return _of_feature(table.battery.features[table.feature_index(entry.feature)])
    if entry.phrases:
        return _of_phrases(entry.phrases, entry.min_hits, "charter")
    if entry.outcome is not None:
        return _of_outcome(SampleStatus(entry.outcome))
    return _of_statement(str(entry.statement))


def _of_feature(feature: Feature) -> Hypothesis:
    return Hypothesis(
        FeaturePredicate(feature=feature.name),
        feature.more,
        feature.less,
        "style" if feature.style else "content",
        "battery",
        unit=feature.unit,
        binary=feature.binary,
        registered=True,
    )


def _of_outcome(status: SampleStatus) -> Hypothesis:
    return Hypothesis(OutcomePredicate(outcome=status), *_OUTCOMES[status], "outcome", "outcomes", registered=True)


def _in_words(phrases: Sequence[str], min_hits: int) -> str:
    if len(phrases) == 1:
        phrase = phrases[0]
        if phrase.startswith("^ "):
            return f"open with “{phrase[2:]}”"
        if phrase.endswith(" $"):
            return f"end with “{phrase[:-2]}”"
        return f"say “{phrase}”"
    count = "" if min_hits == 1 else f"at least {min_hits} of "
    return f"say {count}" + (", " if min_hits > 1 else " or ").join(f"“{p.strip('^$ ')}”" for p in phrases)


def _without_doubles(hypotheses: Sequence[Hypothesis]) -> list[Hypothesis]:
    seen: set[object] = set()
    kept = []
    for hypothesis in hypotheses:
        mark = (hypothesis.predicate, hypothesis.groups)
        if mark not in seen:
            seen.add(mark)
            kept.append(hypothesis)
    return kept


def _lower_first(text: str) -> str:
    return text[:1].lower() + text[1:]
