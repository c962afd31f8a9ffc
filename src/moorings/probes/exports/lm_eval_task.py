"""An item set as a task of the lm-evaluation-harness: `NAME.yaml`, `NAME.jsonl`, and `NAME_data.py`, which finds it.

`lm_eval --include_path FOLDER --tasks NAME --apply_chat_template` compares the log-probabilities of the options'
symbols after the words that the runner sends. The harness has no system prompt of an item's own, so that stands before
the question; one row for each order of the options, and `acc` is the share of rows whose key is likeliest.
It must show: the real harness loads the task and gives, for the same log-probabilities, the runner's choices.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from moorings.probes.exports.rows import ShownItem, file_name, shown_items, write_file
from moorings.probes.files import ItemSet
from moorings.probes.framing import PLAIN, Framing
from moorings.probes.orders import Orders
from moorings.records import Message, canonical_json

__all__ = ["doc_of", "export_lm_eval"]

_YAML = """# {n} rows of {items} multiple-choice items (sha256 {sha256}). Not for training.
task: {name}
custom_dataset: !function {name}_data.load
test_split: test
output_type: multiple_choice
doc_to_text: query
doc_to_choice: symbols
doc_to_target: gold
metric_list:
  - metric: acc
    aggregation: mean
    higher_is_better: true
metadata:
  version: 1.0
"""
_LOADER = '''"""Where the rows of {name} lie."""

from pathlib import Path

import datasets


def load(**_):
    """The rows beside this file."""
    return datasets.load_dataset("json", data_files={{"test": str(Path(__file__).with_name("{name}.jsonl"))}})
'''


def export_lm_eval(
    items: ItemSet, folder: Path | str, *, orders: Orders = "stored", framing: Framing = PLAIN, seed: int = 0
) -> Path:
    """Write the task.

    Args:
        items: What is asked.
        folder: Where the files go; files of these names are replaced.
        orders: One row for each order of the options, as in the runner.
        framing: What is said before each question.
        seed: See `plan_orders`.

    Returns:
        The path of the YAML file.

    Raises:
        ConfigError: No items, or one without exactly one key.
    """
    folder, name = Path(folder), file_name(items.name)
    rows = [doc_of(one) for one in shown_items(items, orders=orders, framing=framing, seed=seed)]
    write_file(folder / f"{name}.jsonl", "".join(canonical_json(row) + "\n" for row in rows))
    write_file(folder / f"{name}_data.py", _LOADER.format(name=name))
    text = _YAML.format(name=name, n=len(rows), items=len(items.items), sha256=items.sha256)
    return write_file(folder / f"{name}.yaml", text)


def doc_of(one: ShownItem) -> dict[str, Any]:
    """A row as the harness gets it; all rows have the same columns."""
    return {
        "id": one.row_id,
        "query": query_of(one.messages),
        "choices": one.texts,
        "symbols": list(one.symbols),
        "gold": one.key_at,
        "item_id": one.item.item_id,
        "cluster_id": one.item.cluster_id,
        "subtask": one.item.subtask,
        "kind": one.item.kind,
        "structure": one.item.structure or "",
        "order": list(one.order),
        "stem": one.item.prompt,
    }


def query_of(messages: tuple[Message, ...]) -> str:
    """A chat as one text: the system prompt, if there is one, and the question."""
    return "\n\n".join(message.content for message in messages)
