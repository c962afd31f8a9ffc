"""Items survive their file, and answers are averaged over the orders in which an item was shown."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from moorings.errors import InputError
from moorings.probes.answers import Answer, AnswerSheet
from moorings.probes.files import CANARY, ItemSet, read_items, write_items
from moorings.probes.item import Edge, Graph, Item, Node, Option

ITEM = Item(
    item_id="S4-1",
    cluster_id="S4-1",
    subtask="S4",
    prompt="Ada holds thrift. Will she care more?",
    options=(
        Option(symbol="A", text="more", key=True),
        Option(symbol="B", text="less", key=False, distractor="sign_flip"),
    ),
    key="A",
    graph=Graph(
        nodes=(Node(id="e", kind="event"), Node(id="v", kind="value", name="thrift", owner="Ada", t=1)),
        edges=(Edge(source="e", to="v", sign=1, delay=1),),
    ),
)


def test_a_set_survives_its_file(tmp_path: Path) -> None:
    items = ItemSet("test", (ITEM,), {"seed": 7})
    path = write_items(items, tmp_path / "deep" / "items.jsonl")
    head, row = (json.loads(line) for line in path.read_text().splitlines())
    assert head["canary"] == CANARY
    assert row["graph"]["edges"][0]["from"] == "e"
    assert read_items(path) == items
    assert read_items(path).sha256 == items.sha256


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (['{"prompt": "a"}'], "is no item set: its first line lacks"),
        (['{"moorings_probe": 2, "n_items": 1}'], "holds 0 items, its first line says 1"),
        (['{"moorings_probe": 2, "n_items": 1}', '{"item_id": "a"}'], "line 2: 'cluster_id' is not that of an item"),
    ],
)
def test_a_file_that_is_no_set_is_refused(tmp_path: Path, lines: list[str], said: str) -> None:
    path = tmp_path / "items.jsonl"
    path.write_text("\n".join(lines))
    with pytest.raises(InputError, match=said):
        read_items(path)


def test_the_key_is_the_only_right_option() -> None:
    assert ITEM.key_at == 0
    both = ITEM.model_copy(update={"options": (ITEM.options[0], ITEM.options[0])})
    with pytest.raises(ValueError, match="2 right options"):
        _ = both.key_at


def test_shares_average_over_orders() -> None:
    sheet = AnswerSheet(
        "scripted:x",
        "f",
        (ITEM,),
        (
            Answer("S4-1", (0, 1), "plain", "logprobs", 0, (np.log(0.3), np.log(0.1))),
            Answer("S4-1", (1, 0), "plain", "logprobs", 1, (np.log(0.1), np.log(0.1))),
            Answer("S4-1", (1, 0), "watched", "text", 1, (), "B"),
            Answer("S4-1", (1, 0), "watched", "text", None, (), "Hm"),
        ),
    )
    np.testing.assert_allclose(sheet.of("plain").shares()[0], [0.625, 0.375])
    np.testing.assert_allclose(sheet.of("watched").shares()[0], [0, 1])
    assert np.isnan(sheet.of("none").shares()[0]).all()


def test_an_option_of_unknown_likelihood_counts_as_nothing() -> None:
    partly = Answer("S4-1", (0, 1), "plain", "logprobs", 0, (np.log(0.3), float("nan")))
    unread = Answer("S4-1", (1, 0), "plain", "logprobs", None, (float("nan"), float("nan")))
    sheet = AnswerSheet("scripted:x", "f", (ITEM,), (partly, unread))
    np.testing.assert_allclose(sheet.shares()[0], [1, 0])
