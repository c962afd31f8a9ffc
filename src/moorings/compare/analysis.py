"""The comparison of two arms from start to end, in memory: propose, freeze, check, confirm, merge, judge."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np

from moorings.charter import Charter
from moorings.compare.checks import finding_checks, is_style, label_checks, passes
from moorings.compare.comparison import MissingCount, PairResult, Topic
from moorings.compare.confirm import Tested, confirm
from moorings.compare.corpus import MISSING, Corpus
from moorings.compare.examples import paired_examples
from moorings.compare.intent import charter_results, headline, judge_findings, overall_verdict
from moorings.compare.judge.ask import Judge
from moorings.compare.merge import lead_findings
from moorings.compare.omnibus import omnibus_tests
from moorings.compare.predicate import Hypothesis, Table, evaluate
from moorings.compare.propose import (
    charter_hypotheses,
    discovered_hypotheses,
    registered_hypotheses,
    scoped_hypotheses,
)
from moorings.compare.settings import Settings
from moorings.compare.split import Split, split_families
from moorings.compare.stance.decompose import decompose
from moorings.compare.stance.topics import TopicPhrases
from moorings.records import Check, Effect, Finding, Interval, content_hash
from moorings.statistics.proportions import wilson

__all__ = ["Analysis", "analyse", "find_changes"]

_MOST_DROPPED = 10


class Analysis(NamedTuple):
    """A pair's result with what the report of several pairs shares."""

    result: PairResult
    charter_results: tuple[dict[str, object], ...]
    split: Split
    duration_s: dict[str, float]


class Search(NamedTuple):
    """Hypotheses tested, the checks of their words, and those whose words failed."""

    tested: list[Tested]
    checks: list[tuple[Check, ...]]
    dropped: list[tuple[Hypothesis, tuple[Check, ...]]]


def analyse(
    table: Table,
    settings: Settings | None = None,
    charter: Charter | None = None,
    judges: Sequence[Judge] = (),
) -> Analysis:
    """Compare arm 1 (candidate) with arm 0 (precursor).

    Args:
        table: Responses of two arms with battery and embeddings.
        settings: Error rates and sizes.
        charter: What the change was meant to do.
        judges: Models that are asked whether a change that no rule speaks of was meant; two must agree. The table's own
            judge proposes and checks statements.

    Raises:
        BackendError: A judge cannot be reached.
        ConfigError: The charter names an unknown feature, or there are too few prompts.
    """
    settings, clock = settings or Settings(), Clock()
    corpus = table.corpus
    split = split_families(corpus, settings.split, seed=settings.seed)
    search = find_changes(table, split, settings, charter, clock)
    with clock("test for any difference"):
        omnibus = omnibus_tests(table, split, settings)
    with clock("explain"):
        findings = _findings(search, table, split, settings)
        judged = judge_findings(findings, charter, judges=judges)
        by_verdict = {v: tuple(f for f in judged if f.verdict == v) for v in ("changed", "equivalent", "undecided")}
        topics = _topics(by_verdict["changed"], table, split)
        entries = charter_results(judged, charter) if charter else ()
    origins = [one.hypothesis.origin for one in search.tested]
    precursor, candidate = corpus.arm_names[:2]
    verdict = overall_verdict(by_verdict["changed"], entries)
    result = PairResult(
        precursor=precursor,
        candidate=candidate,
        headline=headline(precursor, candidate, by_verdict["changed"], entries, verdict),
        verdict=verdict,
        findings=by_verdict["changed"],
        equivalent=by_verdict["equivalent"],
        undecided=by_verdict["undecided"],
        dropped=tuple(_dropped(h, c) for h, c in search.dropped[:_MOST_DROPPED]),
        omnibus=omnibus,
        topics=topics,
        missing=missing_counts(corpus),
        n_hypotheses={origin: origins.count(origin) for origin in dict.fromkeys(origins)},
    )
    return Analysis(result, entries, split, clock.spent)


def find_changes(
    table: Table, split: Split, settings: Settings, charter: Charter | None = None, clock: Clock | None = None
) -> Search:
    """Propose hypotheses, drop those whose words do not fit, and test the others on held-out prompts."""
    clock, corpus = clock or Clock(), table.corpus
    with clock("propose"):
        hypotheses = [
            *charter_hypotheses(charter, table),
            *registered_hypotheses(table),
            *scoped_hypotheses(table, split, settings),
            *discovered_hypotheses(table, split, settings),
        ]
    with clock("check labels"):
        values = evaluate(hypotheses, table)
        held_out = (split.confirm | split.reserve)[corpus.prompt]
        rng = np.random.default_rng([settings.seed, 4])
        checks = [label_checks(h, values[:, k], table, held_out, rng) for k, h in enumerate(hypotheses)]
        kept = [k for k in range(len(hypotheses)) if passes(checks[k])]
    with clock("confirm"):
        tested = confirm([hypotheses[k] for k in kept], values[:, kept], corpus, split, settings)
    dropped = [(hypotheses[k], checks[k]) for k in range(len(hypotheses)) if k not in set(kept)]
    return Search(tested, [checks[k] for k in kept], dropped)


class Clock:
    """Seconds spent by phase."""

    def __init__(self) -> None:
        self.spent: dict[str, float] = {}

    @contextmanager
    def __call__(self, phase: str) -> Iterator[None]:
        """Time a block."""
        start = time.monotonic()
        yield
        self.spent[phase] = self.spent.get(phase, 0.0) + time.monotonic() - start


def missing_counts(corpus: Corpus) -> tuple[MissingCount, ...]:
    """How many samples of each arm hold no response, by status."""
    found = []
    for arm, name in enumerate(corpus.arm_names):
        statuses = [corpus.status[i] for i in np.flatnonzero(corpus.arm == arm).tolist()]
        for status in sorted(MISSING):
            n = statuses.count(status)
            if n:
                low, high = wilson(n, len(statuses), 0.95)
                found.append(MissingCount(arm=name, status=status.value, n=n, share=Interval(low=low, high=high)))
    return tuple(found)


def _findings(search: Search, table: Table, split: Split, settings: Settings) -> list[Finding]:
    """Findings in the order to be shown: those that lead, then those they explain, then the rest."""
    tested = search.tested
    corpus, rng = table.corpus, np.random.default_rng([settings.seed, 5])
    changed = [i for i, t in enumerate(tested) if t.verdict == "changed"]
    part_of = lead_findings([tested[i] for i in changed], corpus, split.confirm)
    explained = {i: changed[lead] for i, lead in zip(changed, part_of, strict=True) if lead is not None}
    log_words = np.log1p([len(text.split()) for text in corpus.texts])
    found = []
    for i, one in enumerate(tested):
        more = search.checks[i]
        if one.verdict == "changed":
            more += finding_checks(one, corpus, split, log_words, rng)
        shown = paired_examples(one, corpus, split.confirm, settings.n_examples) if one.verdict == "changed" else ()
        lead = explained.get(i)
        found.append(
            _finding(one, more).model_copy(
                update={"examples": shown, "part_of": None if lead is None else _id(tested[lead].hypothesis)}
            )
        )
    return sorted(found, key=lambda f: (f.part_of is not None, -abs(f.effect.standardised), f.finding_id))


def _topics(changed: tuple[Finding, ...], table: Table, split: Split) -> tuple[Topic, ...]:
    """Volume and stance side by side, on the held-out prompts, of topics on which either changed."""
    corpus = table.corpus
    rows = np.flatnonzero(split.confirm[corpus.prompt] & ~corpus.missing)
    texts = [corpus.texts[i] for i in rows.tolist()]
    names = {
        (str(f.predicate["topic"]), tuple(f.predicate["phrases"])) for f in changed if f.predicate["kind"] == "topic"
    }
    measured = [
        decompose(texts, corpus.arm[rows], corpus.prompt[rows], corpus.families, TopicPhrases(name, phrases)).record()
        for name, phrases in sorted(names)
    ]
    return tuple(topic for topic in measured if topic is not None)


def _finding(tested: Tested, checks: tuple[Check, ...]) -> Finding:
    hypothesis = tested.hypothesis
    membership = next((c.value for c in checks if c.name == "L1 membership"), None)
    kind = "style" if hypothesis.kind == "content" and is_style(checks) else hypothesis.kind
    return Finding(
        finding_id=_id(hypothesis),
        statement=hypothesis.more if tested.effect.estimate >= 0 else hypothesis.less,
        kind=kind,
        origin=hypothesis.origin,
        registered=hypothesis.registered,
        predicate=hypothesis.predicate.model_dump(mode="json"),
        scope=hypothesis.scope,
        verdict=tested.verdict,
        guaranteed=tested.guaranteed and tested.selected,
        exceeds_tolerance=tested.exceeds_tolerance,
        effect=tested.effect,
        fidelity=membership,
        checks=checks,
    )


def _dropped(hypothesis: Hypothesis, checks: tuple[Check, ...]) -> Finding:
    """A label that failed; it was not tested, so nothing about its effect is said."""
    nothing = Effect(
        estimate=0.0,
        unit="not tested",
        standardised=0.0,
        precursor=0.0,
        candidate=0.0,
        interval=Interval(low=0.0, high=0.0),
        p=1.0,
        p_adjusted=1.0,
        mde=0.0,
        n_prompts=0,
        n_families=0,
    )
    return Finding(
        finding_id=_id(hypothesis),
        statement=hypothesis.more,
        kind=hypothesis.kind,
        origin=hypothesis.origin,
        registered=hypothesis.registered,
        predicate=hypothesis.predicate.model_dump(mode="json"),
        verdict="undecided",
        effect=nothing,
        checks=checks,
    )


def _id(hypothesis: Hypothesis) -> str:
    """The same predicate, scope and family have the same id in every comparison."""
    groups = sorted(hypothesis.groups) if hypothesis.groups else None
    facts = [hypothesis.predicate.model_dump(mode="json"), groups, hypothesis.entry]
    return content_hash(facts)[:10]
