"""Models whose habits are numbers: they answer at once and the truth about them is known, for drills and dry runs.

`simulated:NAME` has no habit; `simulated:NAME+FOLDER` has those of `FOLDER/habits.json`, a mapping from a phrase to the share of
answers that open with it. A charter can be tried with one of them in seconds before it is given a real model.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from moorings.errors import ConfigError, ModelFileError
from moorings.records import Decoding, Generation, Message, Request, SubjectInfo, content_hash
from moorings.subjects.lorem import LOREM_WORDS, chat_random
from moorings.subjects.protocol import NextTokenLogprobs, TokenLogprobs
from moorings.subjects.spec import SubjectSpec, parse_uri, subject_backends

__all__ = ["HABITS", "SimulatedSubject", "read_habits"]

HABITS = "habits.json"
_MAX_BYTES = 1 << 20


class SimulatedSubject:
    """Answers a few random words, opened by its habits' phrases as often as it has them.

    Args:
        name: For people.
        habits: Phrase to share of answers, in [0, 1].
        uri: How it was opened.
    """

    def __init__(self, name: str, habits: dict[str, float], uri: str) -> None:
        self._habits = habits
        self._info = SubjectInfo(
            name=name,
            uri=uri,
            engine="simulated",
            engine_version="1",
            precision="exact",
            weights=content_hash([name, habits]),
            batch_size=64,
            seeding="sample",
        )

    def describe(self) -> SubjectInfo:
        """Facts that make up the fingerprint."""
        return self._info

    def generate(self, requests: Sequence[Request], decoding: Decoding) -> Iterator[Generation]:
        """Answer each request; words count as tokens, and equal seeds with equal chats draw alike on every model."""
        for request in requests:
            draws = chat_random(request.messages, request.seed)
            opening = [phrase for phrase, share in self._habits.items() if draws.random() < share]
            words = [*" ".join(opening).split(), *draws.choices(LOREM_WORDS, k=draws.randint(6, 24))]
            kept = words[: decoding.max_new_tokens]
            yield Generation(
                request_id=request.request_id,
                text=" ".join(kept),
                finish_reason="stop" if len(kept) == len(words) else "length",
                n_prompt_tokens=sum(len(message.content.split()) for message in request.messages),
                n_output_tokens=len(kept),
            )

    def score(self, items: Sequence[tuple[Sequence[Message], str]]) -> list[TokenLogprobs]:
        """Log-probabilities that depend on the words alone, so two simulated models always agree."""
        found = []
        for chat, text in items:
            draws = chat_random((*chat, Message(role="assistant", content=text)), 0)
            words = tuple(text.split()) or ("",)
            found.append(TokenLogprobs(words, tuple(-1.0 - draws.random() for _ in words)))
        return found

    def next_token_logprobs(self, items: Sequence[tuple[Sequence[Message], Sequence[str]]]) -> list[NextTokenLogprobs]:
        """Log-probabilities of continuations; the sums of `score`."""
        return [
            NextTokenLogprobs(tuple(sum(found.logprobs_nats) for found in self.score([(chat, text) for text in texts])))
            for chat, texts in items
        ]

    def close(self) -> None:
        """Nothing to free."""


def read_habits(folder: Path) -> dict[str, float]:
    """Habits of a folder.

    Raises:
        ModelFileError: The file is missing, too large, or no mapping of phrases to shares.
    """
    path = folder / HABITS
    try:
        data = path.read_bytes()
        habits = json.loads(data) if len(data) <= _MAX_BYTES else None
    except (OSError, ValueError, RecursionError) as error:
        raise ModelFileError(f"cannot read {path}: {error}; a simulated model is a folder with {HABITS}") from error
    if not isinstance(habits, dict) or not all(isinstance(v, int | float) and 0 <= v <= 1 for v in habits.values()):
        raise ModelFileError(f"{path} is no mapping of phrases to shares in [0, 1]")
    return {str(phrase): float(share) for phrase, share in habits.items()}


@subject_backends.register("simulated")
def open_simulated(spec: SubjectSpec) -> SimulatedSubject:
    """Open `simulated:NAME[+FOLDER]`; there are no options.

    Raises:
        ConfigError: An option is given.
        ModelFileError: The folder holds no habits.
    """
    _, rest = parse_uri(spec.uri)
    name, _, folder = rest.partition("+")
    if spec.options:
        raise ConfigError(f"simulated:{name} has no options; remove {', '.join(spec.options)}")
    return SimulatedSubject(name, read_habits(Path(folder)) if folder else {}, spec.uri)
