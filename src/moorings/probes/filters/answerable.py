"""Does the text hold the answer, in the line that is meant to hold it: a rule reader answers with and without that line.

With the whole text it must find the key; without the decisive line (`metadata["decisive"]`) it must not. The reader is
`probes.language.parse`, which never looks at the graph. Left out: a strong model as reader, for texts that no grammar
reads; `ratings` has the part of it that compares a second subject's answers with the keys.
"""

from __future__ import annotations

from collections.abc import Sequence

from moorings.probes.filters.by_item import ItemFilterConfig, each_item
from moorings.probes.filters.filter import Challenge, FilterReport, filters
from moorings.probes.item import Item
from moorings.probes.language.parse import answer

__all__ = ["Answerable"]


class Answerable:
    """Answers from the text alone."""

    challenge: Challenge = "C1"
    statement = "The text alone gives the key, and gives it no longer without its decisive line."

    def __init__(self, config: ItemFilterConfig) -> None:
        self.config = config

    def look(self, items: Sequence[Item]) -> FilterReport:
        """See `Filter`."""
        readable = [item for item in items if item.graph is not None]
        if not readable:
            return FilterReport(0, (), "not applicable", "No item comes from a grammar that could be read.")
        report = each_item(readable, _fault, self.config, "items are not answered as they should be")
        unnamed = float(sum("decisive" not in item.metadata for item in readable))
        return report._replace(figures={**report.figures, "without a named decisive line": unnamed})


def _fault(item: Item) -> str | None:
    right = [at for at, option in enumerate(item.options) if option.key]
    chosen = answer(item)
    if chosen is None:
        return "the text gives no answer, or more than one option fits"
    if right != [chosen]:
        return "the text gives another answer than the key"
    line = item.metadata.get("decisive")
    if not isinstance(line, str):
        return None
    if line not in item.prompt and line not in (item.system or ""):
        return "the decisive line is not in the text"
    if answer(_without(item, line)) == chosen:
        return "the text gives the key without its decisive line"
    return None


def _without(item: Item, line: str) -> Item:
    if line in item.prompt:
        return item.model_copy(update={"prompt": " ".join(item.prompt.replace(line, "", 1).split())})
    return item.model_copy(update={"system": " ".join((item.system or "").replace(line, "", 1).split())})


@filters.register("answerable", config=ItemFilterConfig)
def answerable(config: ItemFilterConfig) -> Answerable:
    """Answer from the text alone, with and without the decisive line."""
    return Answerable(config)
