"""Orders are Latin squares, alike within a cluster, and all that there are where that is asked."""

from __future__ import annotations

import itertools
from collections import Counter

import pytest

from moorings.errors import ConfigError
from moorings.probes.item import Item, Option
from moorings.probes.orders import plan_orders


def item(number: int, m: int, cluster: str | None = None) -> Item:
    options = tuple(Option(symbol="ABCDEF"[at], text=f"option {at}", key=at == 0) for at in range(m))
    return Item(item_id=f"i{number}", cluster_id=cluster or f"c{number}", subtask="S1", prompt="?", options=options)


@pytest.mark.parametrize("m", range(1, 7))
@pytest.mark.parametrize("orders", ["all", "balanced"])
def test_each_option_stands_at_each_place_equally_often(m: int, orders) -> None:
    for found in plan_orders([item(number, m) for number in range(5)], orders):
        assert len(set(found)) == len(found)
        assert all(sorted(order) == list(range(m)) for order in found)
        counts = Counter((place, option) for order in found for place, option in enumerate(order))
        assert len(counts) == m * m
        assert len(set(counts.values())) == 1


@pytest.mark.parametrize(("m", "n"), [(1, 1), (2, 2), (3, 6), (4, 4), (5, 5)])
def test_all_are_permutations_up_to_three_options_and_rotations_above(m: int, n: int) -> None:
    (found,) = plan_orders([item(0, m)], "all")
    assert len(found) == n
    if m <= 3:
        assert set(found) == set(itertools.permutations(range(m)))
    assert found[0] == tuple(range(m))


def test_stored_is_as_written() -> None:
    assert plan_orders([item(0, 4), item(1, 2)], "stored") == [((0, 1, 2, 3),), ((0, 1),)]


@pytest.mark.parametrize("m", [3, 4])
def test_half_of_the_clusters_go_round_the_other_way(m: int) -> None:
    items = [item(number, m, f"c{number // 2}") for number in range(40)]
    found = plan_orders(items, "balanced", seed=3)
    assert all(found[at] == found[at + 1] for at in range(0, 40, 2))
    before = Counter(
        (order[place], order[(place + 1) % m]) for orders in found for order in orders for place in range(m)
    )
    neighbours = [before[a, b] for a, b in itertools.permutations(range(m), 2) if (a - b) % m in (1, m - 1)]
    assert len(set(neighbours)) == 1
    assert plan_orders(items, "balanced", seed=3) == found
    assert plan_orders(items, "balanced", seed=4) != found


def test_an_unknown_plan_is_refused() -> None:
    with pytest.raises(ConfigError, match="did you mean 'balanced'"):
        plan_orders([item(0, 2)], "balance")  # type: ignore[arg-type]
