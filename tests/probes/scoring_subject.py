"""A subject that compares symbols by a rule, for the tests of the runner; run as a script it is killed on the way."""

from __future__ import annotations

import math
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from moorings.probes.files import ItemSet
from moorings.probes.item import Item, Option
from moorings.records import Message, SampleStatus
from moorings.subjects.protocol import NextTokenLogprobs
from moorings.subjects.scripted import ScriptedSubject


def made(n: int, m: int = 2, per_cluster: int = 2) -> ItemSet:
    """Items whose key is the option `yes`, at varying places."""
    items = []
    for number in range(n):
        key = number % m
        options = tuple(
            Option(symbol="ABCD"[at], text="yes" if at == key else f"no {at}", key=at == key) for at in range(m)
        )
        items.append(
            Item(
                item_id=f"i{number}",
                cluster_id=f"c{number // per_cluster}",
                subtask="S1",
                prompt=f"Question {number}?",
                options=options,
                key="ABCD"[key],
            )
        )
    return ItemSet("made", tuple(items))


class Scoring(ScriptedSubject):
    """Likes the option `yes` by 1 nat and the first place by `position` nats; fails where the question says so."""

    def __init__(self, position: float = 0.0, kill_at: int | None = None) -> None:
        super().__init__(lambda chat, seed: "Answer: A", name="scoring", version=str(position))
        self.position, self.kill_at = position, kill_at
        self.n_calls = self.n_chats = 0

    def next_token_logprobs(self, items: Sequence[tuple[Sequence[Message], Sequence[str]]]) -> list[NextTokenLogprobs]:
        self.n_calls += 1
        if self.n_calls == self.kill_at:
            os.kill(os.getpid(), signal.SIGKILL)
        self.n_chats += len(items)
        return [self._one(chat[-1].content, texts) for chat, texts in items]

    def _one(self, asked: str, texts: Sequence[str]) -> NextTokenLogprobs:
        nothing = (math.nan,) * len(texts)
        if "too long" in asked:
            return NextTokenLogprobs(nothing, SampleStatus.TOO_LONG, "9 tokens exceed a context of 8")
        if "unknown" in asked:
            return NextTokenLogprobs(nothing)
        symbols = [text.strip() for text in texts]
        lines = dict(line.split(") ", 1) for line in asked.splitlines() if ") " in line)
        nats = [
            -3.0 + (lines[symbol] == "yes") + self.position * (symbol == symbols[0]) - 5.0 * text.startswith(" ")
            for symbol, text in zip(symbols, texts, strict=True)
        ]
        return NextTokenLogprobs(tuple(nats))


if __name__ == "__main__":
    from moorings.probes.runner import ask

    ask(Scoring(0.5, kill_at=int(sys.argv[2])), made(300), Path(sys.argv[1]))
