"""An item set as an Inspect AI task: a folder with `task.py`, `reader.py` and `items.json`.

`task.py` needs `inspect_ai` alone, `reader.py` is a copy of this package's own reading of answers, and `items.json`
holds the words that the runner sends, so that `inspect eval FOLDER/task.py --model ...` asks and reads as the runner
does with drawn answers. Accuracy is the share of right answers, or, for dispositions, of answers that show it; an
answer that refuses, or names no option or several, counts as wrong. Standard errors are clustered.
It must show: item by item the same answers as the runner, under the real `inspect eval` at temperature 0.
"""

from __future__ import annotations

import inspect
import json
from pathlib import Path
from string import ascii_uppercase

from moorings.errors import ConfigError
from moorings.probes import read_answer
from moorings.probes.exports.rows import ShownItem, file_name, shown_items, write_file
from moorings.probes.files import ItemSet
from moorings.probes.framing import PLAIN, Framing
from moorings.probes.orders import Orders
from moorings.probes.runner import TEXT
from moorings.records import Decoding
from moorings.sampling import status

__all__ = ["export_inspect"]

_TASK = '''"""Inspect AI task {name}: {n} rows of {items} multiple-choice items (sha256 {sha256}). Not for training."""

import importlib.util
from pathlib import Path

from inspect_ai import Task, task
from inspect_ai.dataset import json_dataset
from inspect_ai.model import GenerateConfig
from inspect_ai.scorer import CORRECT, INCORRECT, NOANSWER, Score, Scorer, Target, accuracy, scorer, stderr
from inspect_ai.solver import TaskState, generate

FOLDER = Path(__file__).resolve().parent
spec = importlib.util.spec_from_file_location("{name}_reader", FOLDER / "reader.py")
reader = importlib.util.module_from_spec(spec)
spec.loader.exec_module(reader)


@scorer(metrics=[accuracy(), stderr(cluster="cluster_id")])
def named_option() -> Scorer:
    """Whether the one option that an answer names is the key."""

    async def score(state: TaskState, target: Target) -> Score:
        said, symbols = state.output.completion, state.metadata["symbols"]
        refused = reader.opens_with_refusal(said)
        place = None if refused else reader.read_answer(said, symbols, [choice.value for choice in state.choices])
        if place is None:
            return Score(value=NOANSWER, answer="", explanation=said)
        right = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"[place] == target.text
        return Score(value=CORRECT if right else INCORRECT, answer=symbols[place], explanation=said)

    return score


@task
def {name}() -> Task:
    """The items, each asked in the words of the set."""
    return Task(
        dataset=json_dataset(str(FOLDER / "items.json"), name="{name}"),
        solver=generate(),
        scorer=named_option(),
        config=GenerateConfig({config}),
    )
'''


def export_inspect(
    items: ItemSet,
    folder: Path | str,
    *,
    orders: Orders = "stored",
    framing: Framing = PLAIN,
    seed: int = 0,
    decoding: Decoding = TEXT,
) -> Path:
    """Write the task.

    Args:
        items: What is asked.
        folder: Where the files go; files of these names are replaced.
        orders: One row for each order of the options, as in the runner.
        framing: What is said before each question.
        seed: See `plan_orders`.
        decoding: How answers are drawn; `inspect eval` can set it otherwise.

    Returns:
        The path of `task.py`.

    Raises:
        ConfigError: No items, one without exactly one key, or one with more options than letters.
    """
    folder, name = Path(folder), file_name(items.name)
    rows = [_row(one) for one in shown_items(items, orders=orders, framing=framing, seed=seed)]
    write_file(folder / "items.json", json.dumps(rows, indent=1, ensure_ascii=True) + "\n")
    write_file(folder / "reader.py", _reader())
    facts = {"n": len(rows), "items": len(items.items), "sha256": items.sha256, "config": _config(decoding)}
    return write_file(folder / "task.py", _TASK.format(name=name, **facts))


def _reader() -> str:
    """The reading of answers as one module: a refusal is none, all else is read by `read_answer`."""
    refusal = inspect.getsource(status.opens_with_refusal)
    constants = f"_OPENING = re.compile({status._OPENING.pattern!r})\n_HEAD_CHARS = {status._HEAD_CHARS}\n"
    return f"{inspect.getsource(read_answer)}\n\n{constants}\n\n{refusal}"


def _config(decoding: Decoding) -> str:
    found = f"temperature={decoding.temperature!r}, max_tokens={decoding.max_new_tokens}"
    if decoding.top_p < 1.0:
        found += f", top_p={decoding.top_p!r}"
    return found + (f", top_k={decoding.top_k}" if decoding.top_k else "")


def _row(one: ShownItem) -> dict[str, object]:
    if len(one.order) > len(ascii_uppercase):
        raise ConfigError(
            f"item {one.item.item_id!a:.60} has {len(one.order)} options; Inspect names {len(ascii_uppercase)} at most"
        )
    return {
        "id": one.row_id,
        "input": [message.model_dump() for message in one.messages],
        "choices": one.texts,
        "target": ascii_uppercase[one.key_at],
        "metadata": one.metadata | {"stem": one.item.prompt},
    }
