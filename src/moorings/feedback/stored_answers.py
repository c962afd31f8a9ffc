"""Sampled answers with their rewards in one file, so that many methods and seeds can be compared on the same answers.

One Parquet row an answer; what holds for the file as a whole lies in its metadata under the key `moorings`.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from moorings.errors import InputError
from moorings.feedback.reward import Graded
from moorings.records import Prompt, canonical_json
from moorings.store.disk import Disk, write_atomic

if TYPE_CHECKING:
    from jaxtyping import Float, Int

__all__ = ["StoredAnswers", "read_answers", "write_answers"]

_KEY = b"moorings"
_REWARD = "reward:"


@dataclass(frozen=True)
class StoredAnswers:
    """Answers of one policy to prompts, equally many each."""

    prompts: tuple[Prompt, ...]
    responses: tuple[tuple[str, ...], ...]
    """One tuple a prompt, in the order in which they were drawn."""
    logprobs_nats: Float[np.ndarray, "prompts answers"]
    """Log-probability of each answer under the policy that drew it; NaN where it is not known."""
    n_tokens: Int[np.ndarray, "prompts answers"]
    rewards: Mapping[str, Float[np.ndarray, "prompts answers"]] = field(default_factory=dict)
    """Raw values by name, in the reward's own unit and direction."""
    about: dict[str, Any] = field(default_factory=dict)
    """Subject, decoding, seed, and unit and direction of each reward."""

    @property
    def shape(self) -> tuple[int, int]:
        """Prompts and answers a prompt."""
        return len(self.prompts), len(self.responses[0]) if self.responses else 0

    def graded(self) -> list[Graded]:
        """All answers, prompt by prompt."""
        return [
            Graded(prompt.messages, response, prompt.metadata)
            for prompt, responses in zip(self.prompts, self.responses, strict=True)
            for response in responses
        ]

    def with_reward(
        self, name: str, values: Float[np.ndarray, " n"], *, unit: str = "", direction: str = "higher"
    ) -> StoredAnswers:
        """These answers with one more reward, whose values come in the order of `graded`."""
        rewards = {**self.rewards, name: np.asarray(values, dtype=np.float64).reshape(self.shape)}
        kinds = {**self.about.get("rewards", {}), name: {"unit": unit, "direction": direction}}
        about = {**self.about, "rewards": kinds}
        return StoredAnswers(self.prompts, self.responses, self.logprobs_nats, self.n_tokens, rewards, about)

    def repeats(self) -> Int[np.ndarray, "prompts answers"]:
        """Index of the first answer of the same text to the same prompt: its own, unless it repeats another."""
        return np.array([[texts.index(text) for text in texts] for texts in self.responses], dtype=np.int64)


def write_answers(answers: StoredAnswers, path: Path | str) -> Path:
    """Write a file; an existing one is replaced in one step."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    n_prompts, n_answers = answers.shape
    head = {"about": answers.about, "prompts": [p.model_dump(mode="json") for p in answers.prompts]}
    table = pa.table(
        {
            "prompt_id": [prompt.prompt_id for prompt in answers.prompts for _ in range(n_answers)],
            "index": np.tile(np.arange(n_answers), n_prompts),
            "response": [text.encode("utf-8", "replace").decode() for texts in answers.responses for text in texts],
            "logprob_nats": np.asarray(answers.logprobs_nats, dtype=np.float64).ravel(),
            "n_tokens": np.asarray(answers.n_tokens, dtype=np.int64).ravel(),
            **{
                _REWARD + name: np.asarray(values, dtype=np.float64).ravel() for name, values in answers.rewards.items()
            },
        }
    ).replace_schema_metadata({_KEY: canonical_json(head).encode("utf-8", "replace")})
    sink = io.BytesIO()
    pq.write_table(table, sink, compression="zstd")
    write_atomic(Path(path), sink.getvalue(), Disk())
    return Path(path)


def read_answers(path: Path | str) -> StoredAnswers:
    """Read what `write_answers` wrote.

    Raises:
        InputError: No such file, or no file of stored answers.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path)
    except (OSError, pa.ArrowInvalid) as error:
        said = str(error).splitlines()[0]
        raise InputError(f"{path} cannot be read as Parquet ({said}); give a file that write_answers wrote") from None
    head = (table.schema.metadata or {}).get(_KEY)
    if head is None:
        raise InputError(f"{path} holds no stored answers: its metadata lacks 'moorings'; make it with write_answers")
    facts = json.loads(head)
    prompts = tuple(Prompt.model_validate(prompt) for prompt in facts["prompts"])
    shape = len(prompts), table.num_rows // max(1, len(prompts))
    if shape[0] * shape[1] != table.num_rows:
        raise InputError(f"{path} holds {table.num_rows} answers to {len(prompts)} prompts, not equally many to each")

    def column(name: str) -> Float[np.ndarray, "prompts answers"]:
        return np.asarray(table.column(name).to_numpy()).reshape(shape)

    texts: Sequence[str] = table.column("response").to_pylist()
    names = [name.removeprefix(_REWARD) for name in table.column_names if name.startswith(_REWARD)]
    return StoredAnswers(
        prompts=prompts,
        responses=tuple(tuple(texts[at * shape[1] : (at + 1) * shape[1]]) for at in range(shape[0])),
        logprobs_nats=column("logprob_nats"),
        n_tokens=column("n_tokens"),
        rewards={name: column(_REWARD + name) for name in names},
        about=facts["about"],
    )
