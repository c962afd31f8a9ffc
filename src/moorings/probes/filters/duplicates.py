"""Are items different from each other: exact stems, near ones by Jaccard of word shingles, and by embedding if wanted.

Only items of different clusters count: variants of one cluster are alike on purpose. Of two that are alike the later
one is flagged. MinHash (Broder 1997, "On the resemblance and containment of documents") finds the candidates; see
`text_features`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from pydantic import Field

from moorings.probes.filters.by_subtask import MAX_EXAMPLES, each_subtask
from moorings.probes.filters.filter import Challenge, FilterConfig, FilterReport, Flag, filters
from moorings.probes.filters.text_features import near_pairs, normal, shingles
from moorings.probes.item import Item

__all__ = ["Config", "Duplicates"]


class Config(FilterConfig):
    """Settings of `duplicates`."""

    jaccard: float = Field(default=0.8, ge=0.7, le=1)
    """Similarity from which two stems count as near duplicates; the design's value."""
    shingle: int = Field(default=3, ge=1)
    """Words in a run that is compared."""
    embedder: str | None = None
    """Embedder whose cosine is looked at as well, such as `bundled:minilm`; None is none. Items from a grammar with a
    lexicon differ in few words that carry the key, which embeddings hardly see, so it is for free texts."""
    cosine: float = Field(default=0.95, gt=0, le=1)
    """Cosine from which two stems count as near duplicates; the design's value."""
    tolerated: float = Field(default=0.02, ge=0, le=1)
    """Largest share of duplicates in a set that passes."""


class Duplicates:
    """Repeated and nearly repeated stems across clusters."""

    challenge: Challenge = "C2"
    statement = "No two items of different clusters ask the same in the same or nearly the same words."

    def __init__(self, config: Config) -> None:
        self.config = config

    def look(self, items: Sequence[Item]) -> FilterReport:
        """See `Filter`."""
        return each_subtask(items, self._look)

    def _look(self, items: list[Item], _: int) -> FilterReport:
        stems = [_stem(item) for item in items]
        n_repeated = len(items) - len(set(stems))
        # A short stem that many items share, such as "Which would you choose?", asks nothing by itself.
        common = {stem for stem, count in Counter(stems).items() if count > len(items) / 2}
        pairs: dict[int, tuple[int, str]] = {}
        first: dict[tuple[str, ...], int] = {}
        whole = [
            (stem, *sorted(map(normal, item.texts))) if stem in common else (stem,)
            for stem, item in zip(stems, items, strict=True)
        ]
        for j, one in enumerate(whole):
            i = first.setdefault(one, j)
            if i != j and items[i].cluster_id != items[j].cluster_id:
                pairs[j] = (i, "the stem is the same as that of")
        texts = [" ".join(one) for one in whole]
        for i, j, similarity in near_pairs(
            [shingles(text, self.config.shingle) for text in texts], self.config.jaccard
        ):
            if items[i].cluster_id != items[j].cluster_id:
                pairs.setdefault(j, (i, f"the stem has Jaccard similarity {similarity:.2f} with that of"))
        for i, j, similarity in self._near_by_embedding(texts):
            if items[i].cluster_id != items[j].cluster_id:
                pairs.setdefault(j, (i, f"the stem has cosine {similarity:.2f} with that of"))
        share = len(pairs) / max(1, len(items))
        return FilterReport(
            n_in=len(items),
            flags=tuple(Flag(items[j].item_id, f"{why} {items[i].item_id}") for j, (i, why) in sorted(pairs.items())),
            verdict="fail" if share > self.config.tolerated else "pass",
            said=f"{len(pairs)} of {len(items)} items nearly repeat another cluster's.",
            figures={"repeated stems": float(n_repeated), "near duplicates": float(len(pairs)), "share": share},
            examples=tuple(_example(items[i], items[j]) for j, (i, _) in sorted(pairs.items())[:MAX_EXAMPLES]),
        )

    def _near_by_embedding(self, texts: Sequence[str]) -> list[tuple[int, int, float]]:
        if self.config.embedder is None:
            return []
        import numpy as np

        from moorings.subjects.embedders import open_embedder

        vectors = open_embedder(self.config.embedder).embed_texts(list(texts))
        found = []
        for start in range(0, len(texts), 500):
            near = vectors[start : start + 500] @ vectors.T
            for a, j in zip(*np.nonzero(near >= self.config.cosine), strict=True):
                if start + a < j:
                    found.append((start + int(a), int(j), float(near[a, j])))
        return found


def _stem(item: Item) -> str:
    return normal(f"{item.system or ''} {item.prompt}")


def _example(first: Item, second: Item) -> dict[str, Any]:
    return {
        "item_id": second.item_id,
        "stem": second.prompt[:400],
        "like": first.item_id,
        "stem of that": first.prompt[:400],
    }


@filters.register("duplicates", config=Config)
def duplicates(config: Config) -> Duplicates:
    """Find stems that repeat those of another cluster."""
    return Duplicates(config)
