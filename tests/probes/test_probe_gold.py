"""Gold clusters have keys that both routines confirm, and pairs that differ in one cause."""

from __future__ import annotations

from collections import Counter

import pytest

from moorings.errors import ConfigError
from moorings.probes.build import STRUCTURES, SUBTASKS
from moorings.probes.gold import gold_items
from moorings.probes.world.keys import key_by_forward, key_by_paths


@pytest.mark.parametrize("subtask", SUBTASKS)
def test_gold_keys_are_confirmed_and_pairs_hold(subtask: str) -> None:
    items = gold_items(subtask).items
    clusters = Counter(item.cluster_id for item in items)
    assert len(clusters) >= 20
    assert set(clusters.values()) == {2}
    known = {item.item_id: item for item in items}
    for item in items:
        assert item.key_at == key_by_paths(item) == key_by_forward(item)
        assert item.options[item.key_at].symbol == item.key
        other = known[item.pair or ""]
        assert other.pair == item.item_id
        assert other.texts == item.texts
        assert other.key_at != item.key_at
        assert item.prompt != other.prompt or item.system != other.system
        assert item.structure in STRUCTURES[subtask]
    assert len({item.structure for item in items}) >= min(len(STRUCTURES[subtask]) - 1, 8)
    assert {item.factors.person for item in items} == {"self", "other"}
    assert {item.factors.polarity for item in items} == {"affirm", "negate"}
    assert max(Counter(item.key_at for item in items).values()) <= 0.5 * len(items)


def test_gold_of_something_else_is_refused() -> None:
    with pytest.raises(ConfigError, match="no gold clusters for subtask 'S7'"):
        gold_items("S7")
