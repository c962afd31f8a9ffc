import numpy as np
import pytest
from scipy.sparse import csr_matrix

from moorings.compare.discovery.clusters import cluster_hierarchy, label_clusters
from moorings.compare.representations.ngrams import NgramTable, count_ngrams, matches


@pytest.fixture(scope="module")
def blobs() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    truth = rng.integers(8, size=800)
    return rng.standard_normal((8, 16))[truth] * 3 + rng.standard_normal((800, 16)), truth


def test_levels_are_nested_and_complete(blobs: tuple[np.ndarray, np.ndarray]) -> None:
    hierarchy = cluster_hierarchy(blobs[0], seed=0)
    found = hierarchy.assign(blobs[0])
    assert hierarchy.levels == (8, 16, 32, 64)
    assert found.shape == (800, 4)
    for column, level in enumerate(hierarchy.levels):
        assert set(found[:, column]) == set(range(level))
    for coarse in range(3):
        for cluster in np.unique(found[:, coarse + 1]):
            assert len(set(found[found[:, coarse + 1] == cluster, coarse])) == 1


def test_planted_clusters_are_found(blobs: tuple[np.ndarray, np.ndarray]) -> None:
    from sklearn.metrics import adjusted_rand_score

    x, truth = blobs
    assert adjusted_rand_score(cluster_hierarchy(x, seed=0).assign(x)[:, 0], truth) > 0.95


def test_new_texts_go_to_the_nearest_micro_cluster(blobs: tuple[np.ndarray, np.ndarray]) -> None:
    hierarchy = cluster_hierarchy(blobs[0], seed=0)
    new = np.random.default_rng(1).standard_normal((50, 16)) * 3
    distance = ((new[:, None] - hierarchy.centroids[None]) ** 2).sum(2)
    assert np.array_equal(hierarchy.assign(new), hierarchy.parents[distance.argmin(1)])


def test_same_seed_same_clusters(blobs: tuple[np.ndarray, np.ndarray]) -> None:
    first, second = (cluster_hierarchy(blobs[0], seed=3) for _ in range(2))
    assert np.array_equal(first.centroids, second.centroids)
    assert np.array_equal(first.parents, second.parents)


@pytest.mark.parametrize(("n", "levels"), [(0, ()), (5, ()), (79, ()), (80, (8,)), (200, (8, 16))])
def test_levels_too_fine_for_the_texts_are_left_out(n: int, levels: tuple[int, ...]) -> None:
    x = np.random.default_rng(0).standard_normal((n, 4))
    hierarchy = cluster_hierarchy(x)
    assert hierarchy.levels == levels
    assert hierarchy.assign(x).shape == (n, len(levels))


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_identical_texts_do_not_break_it() -> None:
    same = np.ones((200, 4))
    assert cluster_hierarchy(same).assign(same).shape == (200, 0)
    three = np.eye(4)[np.arange(300) % 3]
    found = cluster_hierarchy(three, levels=(2, 3, 8)).assign(three)
    assert found.shape == (300, 2)
    assert len({tuple(row) for row in np.column_stack([np.arange(300) % 3, found])}) == 3


def test_a_level_below_two_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 2"):
        cluster_hierarchy(np.zeros((50, 2)), levels=(1, 4))


def corpus(rng: np.random.Generator, n: int = 600) -> tuple[list[str], np.ndarray]:
    """A sixth of the texts is about harbours: each holds three of five words, of which others hold at most one."""
    members = rng.random(n) < 1 / 6
    topic = np.array(["harbour", "rope", "anchor", "sail", "tide"])
    texts = []
    for inside in members:
        words = [f"w{i}" for i in rng.integers(80, size=20)] + ["the", "of", "."]
        words += list(rng.choice(topic, size=3 if inside else int(rng.random() < 0.6), replace=False))
        texts.append(" ".join(rng.permutation(words)))
    return texts, members


def test_a_label_is_its_own_classifier_on_new_texts() -> None:
    rng = np.random.default_rng(0)
    texts, members = corpus(rng)
    label = label_clusters(count_ngrams(texts), members)
    assert len(label.phrases) >= 4
    assert set(label.phrases) <= {"harbour", "rope", "anchor", "sail", "tide"}
    assert label.min_hits == 2
    new_texts, new_members = corpus(rng)
    belongs = matches(label.phrases, new_texts).sum(1) >= label.min_hits
    assert (belongs == new_members).all()
    own = matches(label.phrases, texts).sum(1) >= label.min_hits
    assert label.auc == pytest.approx((own[members].mean() + 1 - own[~members].mean()) / 2)


def test_one_word_is_enough_where_others_do_not_hold_it() -> None:
    texts = ["we sail at dawn", "they sail home", "you sail on"] * 10 + ["we sit at home", "they eat at dawn"] * 20
    label = label_clusters(count_ngrams(texts), np.arange(70) < 30)
    assert label == (("sail",), 1, 1.0)


def test_chance_members_get_a_label_that_says_so() -> None:
    rng = np.random.default_rng(0)
    texts, _ = corpus(rng)
    label = label_clusters(count_ngrams(texts), rng.random(600) < 0.3)
    assert label.phrases
    assert 0.5 <= label.auc < 0.65


def test_labels_are_bound_to_no_place_and_hold_more_than_function_words() -> None:
    texts = ["Well, it is the harbour"] * 20 + ["So, this is a desk of the town"] * 20
    label = label_clusters(count_ngrams(texts), np.arange(40) < 20)
    assert not any(token in phrase.split() for phrase in label.phrases for token in ("^", "$"))
    assert "harbour" in label.phrases[0] or "well" in label.phrases[0]


@pytest.mark.parametrize("members", [np.zeros(6, bool), np.ones(6, bool)])
def test_no_members_no_label(members: np.ndarray) -> None:
    assert label_clusters(count_ngrams(["a harbour"] * 6), members) == ((), 1, 0.5)


def test_empty_table_and_wrong_length() -> None:
    empty = NgramTable((), csr_matrix((6, 0), dtype=np.int32))
    assert label_clusters(empty, np.arange(6) < 3) == ((), 1, 0.5)
    with pytest.raises(ValueError, match="5 members given for 6 texts"):
        label_clusters(empty, np.ones(5, bool))
