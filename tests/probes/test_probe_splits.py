"""Forms share their anchors and nothing else; clusters are never cut."""

from __future__ import annotations

import pytest

from moorings.errors import ConfigError
from moorings.probes.build import SUBTASKS, build
from moorings.probes.splits import lexical_overlap, linked_form, split_by_cluster


@pytest.mark.parametrize("subtask", SUBTASKS)
def test_splits_and_forms_share_no_words(subtask: str) -> None:
    sets = [build(subtask, 120, 1, split=split) for split in ("test", "dev", "anchor", "canary")]
    sets += [build(subtask, 120, 1, form=form) for form in (1, 7)]
    for at, one in enumerate(sets):
        assert all(not lexical_overlap(one, other) for other in sets[at + 1 :])
        assert lexical_overlap(one, one)


def test_linked_forms_share_their_anchors_only() -> None:
    one, two = (linked_form("S3", 60, seed, form) for seed, form in ((1, 0), (2, 1)))
    assert len(one.items) == len(two.items) == 60
    shared = {item.item_id for item in one.items} & {item.item_id for item in two.items}
    assert shared == {item.item_id for item in one.items if item.split == "anchor"}
    assert len(shared) == one.about["n_anchors"] == 12
    assert one.items[:12] == two.items[:12]
    with pytest.raises(ConfigError, match="anchor_share is 1"):
        linked_form("S3", 60, 1, 0, anchor_share=1)


def test_clusters_are_never_cut() -> None:
    items = build("S1", 600, 1)
    first, second = split_by_cluster(items, 0.3, 5)
    clusters = [{item.cluster_id for item in part.items} for part in (first, second)]
    assert not clusters[0] & clusters[1]
    assert len(first.items) + len(second.items) == 600
    # 100 clusters: four standard errors.
    assert abs(len(clusters[0]) - 30) < 19
    assert split_by_cluster(items, 0.3, 5) == (first, second)
    assert split_by_cluster(items, 0.3, 6)[0] != first
