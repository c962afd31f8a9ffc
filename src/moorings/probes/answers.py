"""What a subject answered: one answer for each item, order of its options and framing, never averaged away."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from moorings.probes.item import Item

if TYPE_CHECKING:
    from jaxtyping import Float

__all__ = ["Answer", "AnswerSheet", "Mode"]

Mode = Literal["logprobs", "text"]
"""`logprobs`: the symbols' log-probabilities were read; `text`: an answer was drawn and read."""


class Answer(NamedTuple):
    """One answer to one item as it was shown once."""

    item_id: str
    order: tuple[int, ...]
    """Option index that stood at each place: `order[0]` is the option that was shown first."""
    framing: str
    """Name of the prefix under which it was asked, such as `plain`, `observed` or a persona; `plain` if none."""
    mode: Mode
    chosen: int | None
    """Index in `Item.options` of the option that was chosen; None where the answer names none, or there is none."""
    logprobs: tuple[float, ...] = ()
    """Log-probability in nats of each option's symbol, by index in `Item.options`; empty for `text`."""
    text: str = ""
    """What was said, for `text`."""
    status: str = "completed"
    """A `SampleStatus`."""


@dataclass(frozen=True)
class AnswerSheet:
    """All answers of one subject to one set."""

    subject: str
    """URI."""
    fingerprint: str
    items: tuple[Item, ...]
    answers: tuple[Answer, ...]
    """In the order of the items; every planned one is there, failed ones with `chosen` None."""
    about: dict[str, Any] = field(default_factory=dict)
    """Orders, framings, mode, seed, hash of the set, log-probability of each symbol on content-free prompts."""

    def of(self, framing: str) -> AnswerSheet:
        """The answers under one framing."""
        return AnswerSheet(
            self.subject,
            self.fingerprint,
            self.items,
            tuple(a for a in self.answers if a.framing == framing),
            self.about,
        )

    def shares(self) -> list[Float[np.ndarray, " options"]]:
        """Share of each option of each item, averaged over the orders and framings in which it was asked.

        Of log-probabilities: the softmax over the options; of texts: the frequencies among answers that name an option.
        All NaN where there is no such answer. An option whose log-probability is not known, as with endpoints that tell
        only the likeliest tokens, counts as 0 beside those that are.
        """
        found: dict[str, list[Float[np.ndarray, " options"]]] = {item.item_id: [] for item in self.items}
        sizes = {item.item_id: len(item.options) for item in self.items}
        for answer in self.answers:
            if answer.logprobs and answer.chosen is not None:
                nats = np.nan_to_num(np.array(answer.logprobs), nan=-np.inf, neginf=-np.inf)
                shares = np.exp(nats - nats.max())
                found[answer.item_id].append(shares / shares.sum())
            elif not answer.logprobs and answer.chosen is not None:
                found[answer.item_id].append(np.eye(sizes[answer.item_id])[answer.chosen])
        return [
            np.mean(shares, axis=0) if shares else np.full(sizes[item_id], np.nan) for item_id, shares in found.items()
        ]
