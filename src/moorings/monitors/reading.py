"""Reading one behaviour of a charter from recorded answers, without measuring what is not asked for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from moorings.errors import ConfigError, nearest
from moorings.monitors.asking import MISSING
from moorings.records import Interaction, Message, Prompt, SampleStatus

if TYPE_CHECKING:
    from jaxtyping import Float

    from moorings.compare.battery import Measured
    from moorings.compare.predicate import Predicate

__all__ = ["Behaviour", "battery_feature", "make_behaviour", "read_behaviour", "read_texts"]


class Behaviour(NamedTuple):
    """What is read from an answer."""

    predicate: Predicate
    words: str
    """For people, without a full stop."""
    unit: str
    binary: bool


def battery_feature(name: str) -> Measured:
    """A feature of the battery by name.

    Raises:
        ConfigError: No such feature; the nearest one is suggested.
    """
    from moorings.compare.battery import features

    if name not in features.names():
        raise ConfigError(f"unknown feature {name!a}; {nearest(name, features.names())}")
    return features.get(name)


def make_behaviour(
    *,
    feature: str | None = None,
    phrases: Sequence[str] | None = None,
    min_hits: int = 1,
    outcome: str | None = None,
    statement: str | None = None,
) -> Behaviour:
    """The behaviour that exactly one of these says.

    Raises:
        ConfigError: None or several are given, a feature is unknown, more hits than phrases are wanted, a phrase holds
            nothing that is looked for, or a judge would be needed.
    """
    from moorings.compare.predicate import FeaturePredicate, OutcomePredicate, PhrasePredicate

    given = {"feature": feature, "phrases": phrases, "outcome": outcome, "statement": statement}
    named = [name for name, value in given.items() if value is not None]
    if len(named) != 1:
        raise ConfigError(
            f"a behaviour is said by {' and '.join(named) or 'nothing'}; give exactly one of {', '.join(given)}"
        )
    if statement is not None:
        raise ConfigError(
            f"statement {statement!a:.60} needs a judge model, which a gate has not; "
            "write it as phrases or a feature, or leave it to `moorings diff --judge`"
        )
    if feature is not None:
        said = battery_feature(feature).feature
        return Behaviour(FeaturePredicate(feature=feature), f"feature {feature}", said.unit, said.binary)
    share = "share of responses"
    if outcome is not None:
        return Behaviour(OutcomePredicate(outcome=SampleStatus(outcome)), f"{outcome} answers", share, True)
    phrases = tuple(phrases or ())
    if min_hits > len(phrases):
        raise ConfigError(f"min_hits is {min_hits} with {len(phrases)} phrases; lower it")
    shown = ", ".join(f'"{phrase}"' for phrase in phrases[:3]) + (" ..." if len(phrases) > 3 else "")
    least = f"at least {min_hits} of {shown}" if min_hits > 1 else shown
    behaviour = Behaviour(PhrasePredicate(phrases=phrases, min_hits=min_hits), f"answers with {least}", share, True)
    read_texts(behaviour, ["x"], ["x"])
    return behaviour


def read_behaviour(
    behaviour: Behaviour, prompts: Sequence[Prompt], answers: Sequence[Interaction]
) -> Float[np.ndarray, " n"]:
    """Value in each answer; NaN where there is no answer or it cannot be measured. Outcomes are always known."""
    from moorings.compare.predicate import OutcomePredicate

    if isinstance(behaviour.predicate, OutcomePredicate):
        wanted = behaviour.predicate.outcome
        return np.array([float(answer.status == wanted) for answer in answers])
    texts = [answer.response for answer in answers]
    values = read_texts(behaviour, texts, [_asked(prompt.messages) for prompt in prompts])
    values[[answer.status in MISSING for answer in answers]] = np.nan
    return values


def read_texts(behaviour: Behaviour, texts: Sequence[str], prompts: Sequence[str]) -> Float[np.ndarray, " n"]:
    """Value of a feature or of phrases in plain texts; NaN where it cannot be measured.

    Raises:
        ConfigError: The behaviour is an outcome, which a text alone does not show.
    """
    from moorings.compare.battery import BatteryTable, Text
    from moorings.compare.corpus import Corpus
    from moorings.compare.predicate import FeaturePredicate, Hypothesis, OutcomePredicate, Table, evaluate

    if isinstance(behaviour.predicate, OutcomePredicate):
        raise ConfigError(f"{behaviour.words} cannot be told from a text alone; give a feature or phrases")
    if not texts:
        return np.zeros(0)
    if isinstance(behaviour.predicate, FeaturePredicate):
        measured = battery_feature(behaviour.predicate.feature)
        return np.array([measured(Text(t, p)) for t, p in zip(texts, prompts, strict=True)], dtype=np.float64)
    n = len(texts)
    corpus = Corpus(
        arm_names=("answers",),
        prompt_ids=tuple(map(str, range(n))),
        prompts=tuple(prompts),
        families=np.arange(n),
        groups=(None,) * n,
        texts=list(texts),
        arm=np.zeros(n, dtype=np.intp),
        prompt=np.arange(n),
        status=[SampleStatus.COMPLETED] * n,
    )
    table = Table(corpus, BatteryTable((), np.zeros((n, 0), dtype=np.float32)), np.zeros((n, 0)))
    found = evaluate([Hypothesis(behaviour.predicate, "", "", "content", "charter")], table)
    return np.asarray(found[:, 0], dtype=np.float64)


def _asked(messages: Sequence[Message]) -> str:
    return "\n\n".join(message.content for message in messages)
