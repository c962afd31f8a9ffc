"""Which samples a run consists of, in which fixed batches, each with its seed and key.

Seeds derive from the run's seed and the sample's content, so results do not depend on scheduling, on a crash or on
the order of the prompt file. A batch is planned once and never recut, because some engines can only repeat
whole batches.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from moorings.records import Decoding, Message, Persona, Prompt, content_hash
from moorings.subjects.spec import SubjectSpec

__all__ = ["Batch", "Item", "UserSimulator", "derive_seed", "make_batches", "make_items"]


@dataclass(frozen=True, slots=True)
class Item:
    """One planned sample."""

    key: str
    prompt: Prompt
    persona: Persona | None
    index: int
    seed: int

    def opening(self) -> tuple[Message, ...]:
        """What the subject sees first: the persona's system prompt, then the prompt."""
        if self.persona is None:
            return self.prompt.messages
        rest = tuple(m for m in self.prompt.messages if m.role != "system")
        return (Message(role="system", content=self.persona.system), *rest)


@dataclass(frozen=True, slots=True)
class UserSimulator:
    """The second subject that plays the user in a multi-turn interaction."""

    subject: SubjectSpec
    fingerprint: str
    n_turns: int
    """Answers of the first subject in one interaction, >= 2."""
    instruction: str
    """System prompt of the user's role."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Samples that are drawn together."""

    batch_id: str
    items: tuple[Item, ...]
    subject: SubjectSpec
    fingerprint: str
    decoding: Decoding
    user: UserSimulator | None


def derive_seed(*parts: object) -> int:
    """A seed in [0, 2**63) from JSON-able parts, equal on every machine.

    >>> derive_seed(0, "a") == derive_seed(0, "a") != derive_seed(1, "a")
    True
    """
    return int(content_hash(list(parts))[:16], 16) >> 1


def make_items(
    prompts: Sequence[Prompt],
    personas: Sequence[Persona],
    n_samples: int,
    *,
    run_seed: int,
    fingerprint: str,
    user: UserSimulator | None,
) -> Iterator[Item]:
    """Plan every sample: prompts x personas x indices. A prompt that occurs again gets samples of its own."""
    about_user = [user.fingerprint, user.n_turns, user.instruction] if user else None
    seen: Counter[str] = Counter()
    for prompt in prompts:
        text = content_hash([m.model_dump() for m in prompt.messages])
        occurrence = seen[text]
        seen[text] += 1
        for persona in personas or (None,):
            system = persona.system if persona else None
            for index in range(n_samples):
                seed = derive_seed(run_seed, text, occurrence, system, index)
                key = content_hash([fingerprint, text, occurrence, system, index, seed, about_user])
                yield Item(key, prompt, persona, index, seed)


def make_batches(
    items: Sequence[Item],
    size: int,
    *,
    subject: SubjectSpec,
    fingerprint: str,
    decoding: Decoding,
    user: UserSimulator | None,
) -> list[Batch]:
    """Cut samples into batches of similar length, longest prompts first, the samples of one prompt together."""
    groups: dict[tuple[str, str | None], list[Item]] = {}
    for item in sorted(items, key=lambda i: i.key):
        groups.setdefault((item.prompt.prompt_id, item.persona.name if item.persona else None), []).append(item)
    ordered = sorted(groups.values(), key=lambda g: (-sum(len(m.content) for m in g[0].opening()), g[0].key))
    cuts: list[list[Item]] = [[]]
    for group in ordered:
        if cuts[-1] and len(cuts[-1]) + len(group) > size:
            cuts.append([])
        for start in range(0, len(group), size):
            if start:
                cuts.append([])
            cuts[-1].extend(group[start : start + size])
    return [
        Batch(content_hash([item.key for item in cut])[:16], tuple(cut), subject, fingerprint, decoding, user)
        for cut in cuts
        if cut
    ]
