"""A judge: any subject that is asked fixed questions about texts."""

from __future__ import annotations

import json
from collections.abc import Iterator, MutableMapping, Sequence
from typing import NamedTuple

import numpy as np

from moorings.compare.judge.prompts import Item, Task, draw_tags, render
from moorings.compare.judge.reply import Answer, parse_reply
from moorings.errors import ConfigError
from moorings.records import Decoding, Generation, Request, canonical_json, content_hash
from moorings.subjects.protocol import Subject

__all__ = ["Judge"]

_CHUNK = 256
"""Requests handed to the subject at a time; what is answered is kept when a later chunk fails."""


class _Call(NamedTuple):
    """One request and the items it asks about."""

    items: tuple[int, ...]
    tags: tuple[str, ...]
    request: Request


class Judge:
    """Asks a subject at temperature 0 and reads its answers strictly.

    With one item a request, which is the default, a text that takes over the judge reaches its own verdict and no
    other. Several items a request are cheaper; items left unanswered are then asked again one at a time.

    Args:
        subject: Any subject, such as an endpoint.
        name: For reports and judgements.
        rng: Draws the tags that fence data; None takes fresh entropy, which nothing under test can foresee.
        cache: Answers by content hash; pass one to keep them over several judges or runs. None keeps them in memory.
        items_per_request: >= 1.
        n_tries: How often an item is asked before it is missing, >= 1.
        max_chars: Longer texts are shown without their middle, >= 100.
        max_new_tokens: Room for one reply, >= 8.

    Raises:
        ConfigError: A number out of range.
    """

    def __init__(
        self,
        subject: Subject,
        name: str,
        *,
        rng: np.random.Generator | None = None,
        cache: MutableMapping[str, str] | None = None,
        items_per_request: int = 1,
        n_tries: int = 2,
        max_chars: int = 8000,
        max_new_tokens: int = 512,
    ) -> None:
        for what, value, least in (
            ("items_per_request", items_per_request, 1),
            ("n_tries", n_tries, 1),
            ("max_chars", max_chars, 100),
            ("max_new_tokens", max_new_tokens, 8),
        ):
            if value < least:
                raise ConfigError(f"{what} of judge '{name}' is {value}; allowed: {least} or more")
        self.name = name
        self.n_asked = 0
        """Items sent to the subject, retries included."""
        self.n_missing = 0
        """Items that stayed without a readable answer."""
        self._subject = subject
        self._rng = rng or np.random.default_rng()
        self._cache: MutableMapping[str, str] = {} if cache is None else cache
        self._per_request = items_per_request
        self._n_tries = n_tries
        self._max_chars = max_chars
        self._decoding = Decoding(max_new_tokens=max_new_tokens, temperature=0.0)
        self._fingerprint: str | None = None

    def ask(self, task: Task, items: Sequence[Item]) -> list[Answer | None]:
        """Ask one question of many items; items of equal content are asked once.

        The order in which items are asked is drawn at random, so no arm comes first.

        Args:
            task: The question.
            items: What it is asked about.

        Returns:
            One answer an item, in the order given; None is missing.

        Raises:
            BackendError: The subject fails as a whole. Answers read until then are in the cache.
        """
        keys = [self._key(task, item) for item in items]
        first = {key: i for i, key in reversed(list(enumerate(keys)))}
        for attempt in range(self._n_tries):
            open_items = [i for key, i in first.items() if key not in self._cache]
            if not open_items:
                break
            size = self._per_request if attempt == 0 else 1
            order = [open_items[k] for k in self._rng.permutation(len(open_items))]
            self._round(task, items, keys, [order[at : at + size] for at in range(0, len(order), size)], attempt)
        self.n_missing += sum(key not in self._cache for key in first)
        return [_load(self._cache.get(key)) for key in keys]

    def _round(
        self, task: Task, items: Sequence[Item], keys: Sequence[str], groups: list[list[int]], attempt: int
    ) -> None:
        """Ask groups of items and store what can be read."""
        for start in range(0, len(groups), _CHUNK):
            calls = [self._call(task, items, group, attempt) for group in groups[start : start + _CHUNK]]
            for call, generation in self._generate(calls):
                cut = generation.finish_reason == "length"
                for item, answer in zip(
                    call.items, parse_reply(generation.text, task, call.tags, cut=cut), strict=True
                ):
                    if answer is not None:
                        self._cache[keys[item]] = canonical_json(answer)

    def _generate(self, calls: Sequence[_Call]) -> Iterator[tuple[_Call, Generation]]:
        by_id = {call.request.request_id: call for call in calls}
        self.n_asked += sum(len(call.items) for call in calls)
        for generation in self._subject.generate([call.request for call in calls], self._decoding):
            call = by_id.get(generation.request_id)
            if call is not None and generation.finish_reason in ("stop", "length", "unknown"):
                yield call, generation

    def _call(self, task: Task, items: Sequence[Item], group: Sequence[int], attempt: int) -> _Call:
        asked = [items[i] for i in group]
        texts = [task.instruction, *(part.text for item in asked for part in item)]
        tags = draw_tags(len(group), texts, self._rng)
        messages = render(task, asked, tags, max_chars=self._max_chars)
        return _Call(tuple(group), tags, Request(request_id=tags[0], messages=messages, seed=attempt))

    def _key(self, task: Task, item: Item) -> str:
        if self._fingerprint is None:
            self._fingerprint = self._subject.describe().fingerprint(self._decoding)
        return content_hash([self._fingerprint, self._max_chars, task, item])


def _load(text: str | None) -> Answer | None:
    if text is None:
        return None
    lines, reason = json.loads(text)
    return Answer(tuple(lines), reason)
