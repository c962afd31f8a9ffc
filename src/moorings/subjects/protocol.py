"""What a subject is: anything that answers a batch of requests.

`Subject` is all that sampling needs. The further protocols are abilities that some engines have;
ask with ``isinstance(subject, Scorer)``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, runtime_checkable

from moorings.records import Decoding, Generation, Message, Request, SampleStatus, SubjectInfo

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Float

__all__ = [
    "HiddenStates",
    "Metered",
    "NextTokenLogprobs",
    "NextTokenScorer",
    "Scorer",
    "Subject",
    "TokenLogprobs",
    "Trainable",
    "Usage",
]


class TokenLogprobs(NamedTuple):
    """Log-probabilities of a given continuation, one value a token, in nats."""

    tokens: tuple[str, ...]
    logprobs_nats: tuple[float, ...]


class NextTokenLogprobs(NamedTuple):
    """How likely each of several short continuations is right after a chat's generation prompt."""

    logprobs_nats: tuple[float, ...]
    """One value a continuation, summed over its tokens; NaN where it is not known."""
    status: SampleStatus = SampleStatus.COMPLETED
    """`too_long` or `failed` where the chat could not be asked; all values are NaN then."""
    error: str | None = None
    """The failure in one line."""


class Usage(NamedTuple):
    """Tokens and money spent so far by an endpoint."""

    n_requests: int
    n_prompt_tokens: int
    n_output_tokens: int
    cost_usd: float | None
    """None where no price was given."""


@runtime_checkable
class Subject(Protocol):
    """Anything whose behaviour can be recorded."""

    def describe(self) -> SubjectInfo:
        """Facts that make up the fingerprint; cheap, without loading weights where possible."""
        ...

    def generate(self, requests: Sequence[Request], decoding: Decoding) -> Iterator[Generation]:
        """Answer each request once, in any order.

        A request that fails yields a `Generation` with finish_reason 'error'; a prompt that does not
        fit the context yields 'too_long'. An exception means that the whole batch may be tried again.
        """
        ...

    def close(self) -> None:
        """Free weights and connections; calling twice is allowed."""
        ...


@runtime_checkable
class Scorer(Protocol):
    """A subject that can tell how likely it finds a given continuation."""

    def score(self, items: Sequence[tuple[Sequence[Message], str]]) -> list[TokenLogprobs]:
        """Log-probability of each token of a continuation after a chat (generation prompt added)."""
        ...


@runtime_checkable
class NextTokenScorer(Protocol):
    """A subject that can compare short continuations, such as `A` and `B`, for the price of reading the chat."""

    def next_token_logprobs(self, items: Sequence[tuple[Sequence[Message], Sequence[str]]]) -> list[NextTokenLogprobs]:
        """Log-probability of each continuation after each chat (generation prompt added), in order.

        One forward pass a chat where continuations are single tokens. A chat that cannot be asked is data: see `status`.
        """
        ...


@runtime_checkable
class HiddenStates(Protocol):
    """A subject whose residual stream can be read."""

    def hidden_states(self, texts: Sequence[str], *, layer: int = -1) -> list[Float[np.ndarray, "tokens d"]]:
        """States after a layer, one array a text; layer 0 is the embedding, -1 the last."""
        ...


@runtime_checkable
class Trainable(Protocol):
    """A subject whose weights a trainer may change."""

    def training_parts(self) -> tuple[Any, Any]:
        """The transformers model (PEFT-wrapped if it has an adapter) and its tokenizer."""
        ...


@runtime_checkable
class Metered(Protocol):
    """A subject whose use costs something."""

    @property
    def system_fingerprints(self) -> tuple[str, ...]:
        """Builds that the server said it answered with; more than one means that it changed meanwhile."""
        ...

    def usage(self) -> Usage:
        """Requests, tokens and money since it was opened."""
        ...
