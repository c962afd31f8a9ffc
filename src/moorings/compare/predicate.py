"""Frozen predicates: what a hypothesis says a response does, in a form that any text can be checked against."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
from pydantic import Field, TypeAdapter

from moorings.compare.corpus import Corpus
from moorings.errors import ConfigError, nearest
from moorings.records import Record, SampleStatus

if TYPE_CHECKING:
    from jaxtyping import Float, Int

    from moorings.compare.battery.measure import BatteryTable
    from moorings.compare.judge.ask import Judge

__all__ = [
    "FeaturePredicate",
    "Hypothesis",
    "OutcomePredicate",
    "PhrasePredicate",
    "Predicate",
    "StatementPredicate",
    "Table",
    "TopicPredicate",
    "evaluate",
    "parse_predicate",
]


class FeaturePredicate(Record):
    """A feature of the battery."""

    kind: Literal["feature"] = "feature"
    feature: str


class PhrasePredicate(Record):
    """The response holds at least `min_hits` different ones of these phrases."""

    kind: Literal["phrases"] = "phrases"
    phrases: tuple[str, ...] = Field(min_length=1)
    min_hits: int = Field(default=1, ge=1)


class OutcomePredicate(Record):
    """The sample ended in this way."""

    kind: Literal["outcome"] = "outcome"
    outcome: SampleStatus


class StatementPredicate(Record):
    """A sentence that only a judge can check."""

    kind: Literal["statement"] = "statement"
    statement: str


class TopicPredicate(Record):
    """How often a topic comes up, or how it is spoken of where it does."""

    kind: Literal["topic"] = "topic"
    topic: str
    phrases: tuple[str, ...] = Field(min_length=1)
    measure: Literal["volume", "stance"]


Predicate = Annotated[
    FeaturePredicate | PhrasePredicate | OutcomePredicate | StatementPredicate | TopicPredicate,
    Field(discriminator="kind"),
]
_ADAPTER: TypeAdapter[Predicate] = TypeAdapter(Predicate)


def parse_predicate(data: dict[str, object]) -> Predicate:
    """The predicate that a finding stores."""
    return _ADAPTER.validate_python(data)


@dataclass(frozen=True, eq=False)
class Hypothesis:
    """A predicate with its words and where it came from; fixed before the held-out prompts are opened."""

    predicate: Predicate
    more: str
    """Sentence if the candidate shows more of it."""
    less: str
    kind: Literal["content", "style", "outcome", "volume", "stance"]
    origin: str
    unit: str = "share of responses"
    binary: bool = True
    registered: bool = False
    """Fixed before any look at which response is whose: may be tested on the discovery prompts as well."""
    groups: frozenset[str] | None = None
    """Prompt groups that it speaks of; None is all."""
    entry: str | None = None
    """Charter entry that it stems from."""
    tolerance: float | None = None
    """Charter's own tolerance, in `unit`."""
    target: Float[np.ndarray, " n"] | None = None
    """What the words were written for (cluster membership), one value a response; None if the words define it."""

    @property
    def scope(self) -> str | None:
        """Prompts that it speaks of, in words."""
        return None if self.groups is None else "prompts of " + ", ".join(sorted(self.groups))


@dataclass(eq=False)
class Table:
    """Responses with what predicates need, each measured once."""

    corpus: Corpus
    battery: BatteryTable
    embeddings: Float[np.ndarray, "n d"]
    judge: Judge | None = None
    feature_column: dict[str, int] = field(init=False)

    def __post_init__(self) -> None:
        """Index the battery by name."""
        self.feature_column = {feature.name: i for i, feature in enumerate(self.battery.features)}

    def subset(self, rows: Int[np.ndarray, " k"], arm: Int[np.ndarray, " k"] | None = None) -> Table:
        """The chosen rows, under other arms if given; measurements are kept, and prompts without a row left out."""
        corpus = self.corpus
        used, prompt = np.unique(corpus.prompt[rows], return_inverse=True)
        chosen = Corpus(
            arm_names=corpus.arm_names if arm is None else ("first", "second"),
            prompt_ids=tuple(corpus.prompt_ids[p] for p in used),
            prompts=tuple(corpus.prompts[p] for p in used),
            families=np.unique(corpus.families[used], return_inverse=True)[1],
            groups=tuple(corpus.groups[p] for p in used),
            texts=[corpus.texts[i] for i in rows],
            arm=corpus.arm[rows] if arm is None else arm,
            prompt=prompt,
            status=[corpus.status[i] for i in rows],
        )
        battery = self.battery._replace(values=self.battery.values[rows])
        return Table(chosen, battery, self.embeddings[rows], self.judge)

    def feature_index(self, name: str) -> int:
        """Column of a battery feature.

        Raises:
            ConfigError: No such feature; the nearest one is suggested.
        """
        if name not in self.feature_column:
            raise ConfigError(f"unknown feature '{name}'; {nearest(name, list(self.feature_column))}")
        return self.feature_column[name]


def evaluate(hypotheses: Sequence[Hypothesis], table: Table) -> Float[np.ndarray, "n k"]:
    """Value of each predicate on each response; NaN where there is no response or the prompt is out of scope."""
    corpus = table.corpus
    values = np.full((len(corpus.texts), len(hypotheses)), np.nan, dtype=np.float32)
    phrases = _evaluate_phrases([h.predicate for h in hypotheses if isinstance(h.predicate, PhrasePredicate)], table)
    topics = _evaluate_topics([h.predicate for h in hypotheses if isinstance(h.predicate, TopicPredicate)], table)
    for k, hypothesis in enumerate(hypotheses):
        predicate = hypothesis.predicate
        if isinstance(predicate, FeaturePredicate):
            values[:, k] = table.battery.values[:, table.feature_index(predicate.feature)]
        elif isinstance(predicate, PhrasePredicate):
            values[:, k] = phrases[predicate]
        elif isinstance(predicate, OutcomePredicate):
            values[:, k] = [status == predicate.outcome for status in corpus.status]
        elif isinstance(predicate, TopicPredicate):
            values[:, k] = topics[predicate]
        elif table.judge is not None:
            from moorings.compare.judge.annotate import annotate

            values[:, k] = annotate(table.judge, predicate.statement, corpus.texts)
        if not isinstance(predicate, OutcomePredicate):
            values[corpus.missing, k] = np.nan
        if hypothesis.groups is not None:
            inside = np.array([group in hypothesis.groups for group in corpus.groups])
            values[~inside[corpus.prompt], k] = np.nan
    return values


def _evaluate_topics(predicates: Sequence[TopicPredicate], table: Table) -> dict[TopicPredicate, np.ndarray]:
    """Volume: whether a response mentions the topic. Stance: its polarity, NaN where it does not mention the topic."""
    from moorings.compare.stance.stance import lexicon_stance
    from moorings.compare.stance.topics import TopicPhrases, mentions

    texts = table.corpus.texts
    found: dict[TopicPredicate, np.ndarray] = {}
    mentioned: dict[tuple[str, ...], np.ndarray] = {}
    for predicate in predicates:
        topic = TopicPhrases(predicate.topic, predicate.phrases)
        if predicate.phrases not in mentioned:
            mentioned[predicate.phrases] = mentions(texts, topic)
        values = mentioned[predicate.phrases].astype(np.float32)
        if predicate.measure == "stance":
            rows = np.flatnonzero(values).tolist()
            values[values == 0] = np.nan
            values[rows] = np.nan_to_num(lexicon_stance([texts[i] for i in rows], topic))
        found[predicate] = values
    return found


def _evaluate_phrases(predicates: Sequence[PhrasePredicate], table: Table) -> dict[PhrasePredicate, np.ndarray]:
    from moorings.compare.representations.ngrams import matches

    written = {phrase: _in_tokens(phrase) for predicate in predicates for phrase in predicate.phrases}
    vocabulary = sorted(set(written.values()))
    if not vocabulary:
        return {}
    found = matches(vocabulary, table.corpus.texts)
    at = {phrase: i for i, phrase in enumerate(vocabulary)}
    return {
        predicate: found[:, sorted({at[written[phrase]] for phrase in predicate.phrases})].sum(1) >= predicate.min_hits
        for predicate in predicates
    }


def _in_tokens(phrase: str) -> str:
    """A phrase as responses are read: people write `Of course!`, discovery writes `of course !`.

    Raises:
        ConfigError: Nothing of it is ever read in a response, so it could never be found.
    """
    from moorings.compare.representations.ngrams import END, START, tokenise

    tokens: list[str] = []
    for part in phrase.split():
        # Marks at the start of a line are only read before something, and rules only alone.
        known = part in (START, END) or [part] in (tokenise(part), tokenise(f"{part} x")[:-1])
        tokens += [part] if known else tokenise(part)
    if not set(tokens) - {START, END}:
        raise ConfigError(f"phrase '{phrase}' holds no word or mark that is looked for in responses; give words")
    return " ".join(tokens)
