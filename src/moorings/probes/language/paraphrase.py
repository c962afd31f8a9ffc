"""Put stems into a chat model's words, and keep only those from which the parser still reads the same world.

Source: the round-trip check of the design. A model's paraphrase is never trusted: it is kept where the text states the
same signed edges and has the same answer, otherwise the grammar's text stays. Left out: paraphrases of options, which
must stay equal over a cluster. Must show: an echo keeps everything, nonsense keeps nothing.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from moorings.probes.files import ItemSet
from moorings.probes.item import Item
from moorings.probes.language.parse import answer, edges_of
from moorings.records import Decoding, Message, Prompt
from moorings.sampling.bench import Bench
from moorings.subjects.protocol import Subject
from moorings.subjects.spec import SubjectSpec

__all__ = ["Paraphrased", "paraphrase"]

_ASKED = (
    "Rewrite the following text in other words. Keep every name, every statement of cause and effect, their order, and the "
    "question at the end. Reply with the rewritten text only.\n\n{text}"
)


class Paraphrased(NamedTuple):
    """Items after a paraphrase."""

    items: ItemSet
    n_kept: int
    """Stems in the model's words."""
    n_refused: int
    """Stems that keep the grammar's words, since the model's said something else."""
    n_failed: int
    """Stems for which the model gave no answer."""


def paraphrase(items: ItemSet, subject: SubjectSpec | Subject, folder: Path, *, seed: int = 0) -> Paraphrased:
    """Ask a chat subject to reword each stem. Answers are kept under the folder, so none is asked for twice.

    Args:
        items: Items of the grammar.
        subject: Any chat subject.
        folder: Where its answers are stored.
        seed: Of its sampling.
    """
    prompts = [
        Prompt(prompt_id=item.item_id, messages=(Message(role="user", content=_ASKED.format(text=item.prompt)),))
        for item in items.items
    ]
    bench = Bench(subject, folder, seed=seed)
    try:
        replies = bench.ask(prompts, f"paraphrase-{items.sha256[:12]}", decoding=Decoding(max_new_tokens=400))
    finally:
        bench.close()
    told: list[Item] = []
    n_kept = n_failed = 0
    for item, (reply,) in zip(items.items, replies, strict=True):
        text = reply.response.strip() if reply.status == "completed" else ""
        new = item.model_copy(update={"prompt": text, "provenance": {**item.provenance, "paraphrased": True}})
        same = bool(text) and edges_of(new) == edges_of(item) and answer(new) == item.key_at
        n_kept += same
        n_failed += not text
        told.append(new if same else item)
    about = {**items.about, "n_paraphrased": n_kept}
    return Paraphrased(ItemSet(items.name, tuple(told), about), n_kept, len(told) - n_kept - n_failed, n_failed)
