"""What a reward model sees of an answer: a vector from embeddings, counted words, or a subject's hidden states.

| kind | vector | use |
|---|---|---|
| `embedding` | the tools' sentence embedding | the trunk that all members share |
| `words` | hashed bag of words, unit length | a poorer proxy: no order, collisions |
| `projection` | the embedding, projected at random to `d` numbers | a poorer proxy |
| `hidden` | residual stream of a subject after a layer, pooled | a trunk as large as the subject |

With `question` the vector of the question and, for embeddings, the product of both stand beside the answer's: a linear
head can then tell a fitting answer from one that would fit any question.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import Field, model_validator

from moorings.errors import ConfigError, InputError
from moorings.feedback.reward import Graded, Tools
from moorings.method import MethodConfig
from moorings.subjects.protocol import HiddenStates, Subject
from moorings.subjects.spec import SubjectSpec, open_subject

if TYPE_CHECKING:
    from jaxtyping import Float

__all__ = ["InputEncoder", "RewardInput", "projection_matrix"]


class RewardInput(MethodConfig):
    """What the heads are given."""

    kind: Literal["embedding", "words", "projection", "hidden"] = "embedding"
    """See the module."""
    question: bool = True
    """Show the question too."""
    d: int = Field(default=64, ge=1)
    """For `words` and `projection`: numbers a text; 64 is the reward-ensembles set-up at small scale."""
    seed: int = Field(default=0, ge=0)
    """For `projection`: which one."""
    subject: SubjectSpec | None = None
    """For `hidden`: the subject that is read; it must be a local one on the transformers engine."""
    layer: int = -1
    """For `hidden`: 0 is the embedding, n the n-th block, -1 the last one."""
    pooling: Literal["last", "mean"] = "last"
    """For `hidden`: state of the last token, or the mean over tokens."""

    @model_validator(mode="after")
    def _names_a_subject(self) -> RewardInput:
        if (self.kind == "hidden") != (self.subject is not None):
            raise ConfigError(
                f"reward input '{self.kind}' {'has a' if self.subject else 'lacks a'} subject; "
                "give one for hidden and for nothing else"
            )
        return self


def projection_matrix(d_in: int, d_out: int, rng: np.random.Generator) -> Float[np.ndarray, "d_in d_out"]:
    """Gaussian entries of variance 1 / d_out, so that lengths are kept on average."""
    return np.asarray(rng.standard_normal((d_in, d_out)) / np.sqrt(d_out))


class InputEncoder:
    """Turns answers into rows; a subject is opened at first use and stays open.

    Args:
        settings: What is wanted.
        subject: An opened subject to read instead of the settings' one; the caller closes it.
    """

    def __init__(self, settings: RewardInput, subject: Subject | None = None) -> None:
        self.settings = settings
        self._given, self._opened = subject, subject

    def rows(self, items: Sequence[Graded], tools: Tools) -> Float[np.ndarray, "n d"]:
        """One row an answer; a row of NaN where it cannot be read, such as a text beyond the subject's context.

        Raises:
            ConfigError: The subject has no hidden states to read.
        """
        # Each different answer once: rounding depends on an item's place in a matrix, and equal items are equal.
        keys = {(item.question, item.response): at for at, item in reversed(list(enumerate(items)))}
        first = sorted(keys.values())
        place = {(items[at].question, items[at].response): n for n, at in enumerate(first)}
        rows = self._of_different([items[at] for at in first], tools)
        return rows[[place[item.question, item.response] for item in items]]

    def close(self) -> None:
        """Free a subject that was opened here; a later use opens it again."""
        if self._opened is not None and self._opened is not self._given:
            self._opened.close()
        self._opened = self._given

    def _of_different(self, items: Sequence[Graded], tools: Tools) -> Float[np.ndarray, "n d"]:
        questions, answers = [item.question for item in items], [item.response for item in items]
        if self.settings.kind == "hidden":
            return self._hidden(questions, answers)
        if self.settings.kind == "words":
            counted = [self._words(texts) for texts in ([questions, answers] if self.settings.question else [answers])]
            return np.hstack(counted)
        rows = np.asarray(tools.embed([*answers, *questions] if self.settings.question else answers), dtype=np.float64)
        if self.settings.kind == "projection":
            rng = np.random.default_rng(self.settings.seed)
            rows = rows @ projection_matrix(rows.shape[1], self.settings.d, rng)
        if not self.settings.question:
            return rows
        answer, question = rows[: len(items)], rows[len(items) :]
        # Entries of unit rows are near d^-1/2; so are those of the product after this factor.
        return np.hstack([answer, question, answer * question * np.sqrt(rows.shape[1])])

    def _words(self, texts: Sequence[str]) -> Float[np.ndarray, "n d"]:
        from sklearn.feature_extraction.text import HashingVectorizer

        clean = [text.encode("utf-8", "replace").decode() for text in texts]
        return np.asarray(HashingVectorizer(n_features=self.settings.d).transform(clean).toarray())

    def _hidden(self, questions: Sequence[str], answers: Sequence[str]) -> Float[np.ndarray, "n d"]:
        if self._opened is None:
            assert self.settings.subject is not None
            self._opened = open_subject(self.settings.subject)
        if not isinstance(self._opened, HiddenStates):
            raise ConfigError(
                f"{self._opened.describe().uri} shows no hidden states; use a local model with engine: transformers"
            )
        pairs = zip(questions, answers, strict=True)
        texts = [f"{question}\n\n{answer}" if self.settings.question else answer for question, answer in pairs]
        states = _states(self._opened, texts, self.settings.layer)
        known = [state for state in states if state is not None]
        d = known[0].shape[1] if known else 1
        pooled = [np.full(d, np.nan) if state is None else self._pooled(state) for state in states]
        return np.stack(pooled).astype(np.float64)

    def _pooled(self, state: Float[np.ndarray, "tokens d"]) -> Float[np.ndarray, " d"]:
        return np.asarray(state[-1] if self.settings.pooling == "last" else state.mean(axis=0))


def _states(subject: HiddenStates, texts: Sequence[str], layer: int) -> list[Float[np.ndarray, "tokens d"] | None]:
    """States of each text; a text that cannot be read does not take the others with it."""
    try:
        return [*subject.hidden_states(texts, layer=layer)]
    except InputError:
        if len(texts) == 1:
            return [None]
    return [state for text in texts for state in _states(subject, [text], layer)]
