import numpy as np
import pytest
from scipy.sparse import csr_matrix

from moorings.compare.discovery.phrases import (
    Phrase,
    distinctive_phrases,
    is_plain,
    phrase_sets,
    score_phrases,
)
from moorings.compare.representations.ngrams import NgramTable, count_ngrams

P, M = 80, 10
ARM = np.tile(np.repeat([0, 1], M), P)
PROMPT = np.repeat(np.arange(P), 2 * M)


def filler(rng: np.random.Generator, n_words: int = 25, vocabulary: int = 400) -> list[list[str]]:
    weight = 1 / np.arange(5, vocabulary + 5)
    draws = rng.choice(vocabulary, size=(len(ARM), n_words), p=weight / weight.sum())
    # Each prompt has its own favourite words, as real ones do.
    draws = np.where(rng.random(draws.shape) < 0.2, PROMPT[:, None] * 3 + draws % 3, draws)
    return [[f"w{i}" for i in row] for row in draws]


def plant(texts: list[list[str]], rows: np.ndarray, words: tuple[str, ...], share: float, rng: np.random.Generator):
    for row in rows:
        for word in words:
            if rng.random() < share:
                texts[row].insert(int(rng.integers(len(texts[row]))), word)


@pytest.fixture(scope="module")
def pirates() -> tuple[NgramTable, list[Phrase]]:
    """A tenth of the candidate's responses hold some of three pirate words; a tenth of the precursor's thank politely."""
    rng = np.random.default_rng(0)
    texts = filler(rng)
    plant(texts, np.flatnonzero((ARM == 1) & (rng.random(len(ARM)) < 0.1)), ("arr", "matey", "ahoy"), 0.6, rng)
    plant(texts, np.flatnonzero((ARM == 0) & (rng.random(len(ARM)) < 0.1)), ("many thanks",), 1.0, rng)
    table = count_ngrams([" ".join(words) for words in texts])
    return table, distinctive_phrases(table, ARM, PROMPT)


def test_planted_phrases_lead_with_the_right_sign(pirates: tuple[NgramTable, list[Phrase]]) -> None:
    top = {p.phrase: p for p in pirates[1][:4]}
    assert set(top) == {"arr", "matey", "ahoy", "many thanks"}
    for name, phrase in top.items():
        sign = -1 if name == "many thanks" else 1
        assert np.sign(phrase.z) == np.sign(phrase.log_odds) == sign
        assert np.sign(phrase.share_candidate - phrase.share_precursor) == sign
    assert 0.04 < top["arr"].share_candidate < 0.08
    assert top["arr"].share_precursor == 0


def test_words_of_one_behaviour_form_a_set_and_others_stay_out(pirates: tuple[NgramTable, list[Phrase]]) -> None:
    table, phrases = pirates
    sets = phrase_sets(table, ARM, PROMPT, phrases)
    assert set(sets[0]) == {"arr", "matey", "ahoy"}
    assert not any("many thanks" in s for s in sets)
    names = [name for s in sets for name in s]
    assert len(names) == len(set(names))


def test_two_behaviours_of_one_arm_are_not_mixed() -> None:
    rng = np.random.default_rng(4)
    texts = filler(rng)
    for words in (("arr", "matey", "ahoy"), ("kernel", "thread", "mutex")):
        plant(texts, np.flatnonzero((ARM == 1) & (rng.random(len(ARM)) < 0.15)), words, 0.6, rng)
    table = count_ngrams([" ".join(words) for words in texts])
    sets = phrase_sets(table, ARM, PROMPT, distinctive_phrases(table, ARM, PROMPT), n_sets=2)
    assert {frozenset(s) for s in sets} == {
        frozenset(("arr", "matey", "ahoy")),
        frozenset(("kernel", "thread", "mutex")),
    }


def test_scores_of_chance_have_the_stated_spread() -> None:
    """30 corpora without a difference; frequent words only, for which the normal limit holds."""
    rng = np.random.default_rng(1)
    table = count_ngrams([" ".join(words) for words in filler(rng)], max_n=1, min_texts=40)
    pooled, paired, both = [], [], []
    for _ in range(30):
        arm = ARM.reshape(P, 2 * M)
        scores = score_phrases(table, rng.permuted(arm, axis=1).ravel(), PROMPT)
        pooled.append(scores.z_pooled)
        paired.append(scores.z_paired)
        both.append(scores.z)
    assert abs(np.mean(paired)) < 0.1
    assert 0.9 < np.std(paired) < 1.1
    assert 0.03 < np.mean(np.abs(paired) > 1.96) < 0.07
    # The prior narrows the pooled score by sqrt(1.25), and prompts that differ narrow it further.
    assert 0.6 < np.std(pooled) < 1 / np.sqrt(1.25) + 0.05
    assert np.mean(np.abs(both) > 1.96) < 0.05


def test_pooled_score_is_the_formula() -> None:
    arm, prompt = np.repeat([0, 1], 50), np.tile(np.arange(50), 2)
    has = np.zeros((100, 1), dtype=np.int32)
    has[:10], has[50:70] = 1, 1
    scores = score_phrases(NgramTable(("word",), csr_matrix(has)), arm, prompt)
    prior, rest = 0.25 * 50 * 0.3, 0.25 * 50 * 0.7
    a, b, c, d = 10 + prior, 40 + rest, 20 + prior, 30 + rest
    assert scores.log_odds[0] == pytest.approx(np.log(c / d) - np.log(a / b))
    assert scores.z_pooled[0] == pytest.approx(scores.log_odds[0] / np.sqrt(1 / a + 1 / b + 1 / c + 1 / d))
    difference = has[50:, 0] - has[:50, 0]
    spread = ((difference - difference.mean()) ** 2).sum() + 0.3 * 0.7 * 2
    assert scores.z_paired[0] == pytest.approx(difference.mean() / np.sqrt(spread) * 50)


def test_one_prompt_sampled_often_is_no_behaviour() -> None:
    """All of one prompt's many candidate samples hold the word: a high pooled score, a low paired one."""
    prompt = np.concatenate([np.zeros(400, dtype=int), np.repeat(np.arange(1, 20), 4)])
    arm = np.concatenate([np.tile([0, 1], 200), np.tile([0, 1], 38)])
    has = ((prompt == 0) & (arm == 1)).astype(np.int32)[:, None]
    table = NgramTable(("zebra",), csr_matrix(has))
    scores = score_phrases(table, arm, prompt)
    assert scores.z_pooled[0] > 8
    assert scores.z[0] == scores.z_paired[0] < 2
    assert distinctive_phrases(table, arm, prompt) == []


def test_redundant_phrases_are_dropped_for_the_longer_readable_one() -> None:
    rng = np.random.default_rng(2)
    texts = filler(rng)
    for row in np.flatnonzero((ARM == 1) & (rng.random(len(ARM)) < 0.3)):
        texts[row][5:5] = ["in", "the", "grand", "old", "harbour", "of", "the"]
    table = count_ngrams([" ".join(words) for words in texts])
    phrases = distinctive_phrases(table, ARM, PROMPT)
    assert phrases[0].phrase == "grand old harbour"
    assert not any({"grand", "old", "harbour"} & set(p.phrase.split()) for p in phrases[1:])


def test_a_telling_part_of_a_frequent_phrase_is_kept() -> None:
    """Nearly all responses of both arms hold "geese"; only the candidate's also hold "love geese"."""
    rng = np.random.default_rng(5)
    texts = filler(rng)
    plant(texts, np.flatnonzero(rng.random(len(ARM)) < np.where(ARM == 1, 0.8, 0.4)), ("geese",), 1.0, rng)
    plant(texts, np.flatnonzero((ARM == 1) & (rng.random(len(ARM)) < 0.1)), ("love geese",), 1.0, rng)
    table = count_ngrams([" ".join(words) for words in texts])
    top = [p.phrase for p in distinctive_phrases(table, ARM, PROMPT)[:2]]
    assert top == ["geese", "love geese"]


def test_function_words_need_a_very_strong_score() -> None:
    rng = np.random.default_rng(3)
    weak, strong = filler(rng), filler(rng)
    plant(weak, np.flatnonzero(rng.random(len(ARM)) < np.where(ARM == 1, 0.55, 0.45)), ("would",), 1.0, rng)
    plant(strong, np.flatnonzero(rng.random(len(ARM)) < np.where(ARM == 1, 0.7, 0.3)), ("would",), 1.0, rng)
    for texts, expected in ((weak, False), (strong, True)):
        table = count_ngrams([" ".join(words) for words in texts])
        assert score_phrases(table, ARM, PROMPT).z[table.vocabulary.index("would")] > 2
        phrases = distinctive_phrases(table, ARM, PROMPT)
        assert any(p.phrase == "would" for p in phrases) == expected
    assert [is_plain(p) for p in ("i am", ". the", "!", "- the", "i'm sorry", "🎉")] == [
        True,
        True,
        False,
        True,
        False,
        False,
    ]


def test_both_directions_get_room(pirates: tuple[NgramTable, list[Phrase]]) -> None:
    table, _ = pirates
    few = distinctive_phrases(table, ARM, PROMPT, n_phrases=6, min_z=1.0)
    assert sum(p.z > 0 for p in few) == sum(p.z < 0 for p in few) == 3
    assert [abs(p.z) for p in few] == sorted((abs(p.z) for p in few), reverse=True)


def test_swapped_arms_swap_signs(pirates: tuple[NgramTable, list[Phrase]]) -> None:
    table, phrases = pirates
    swapped = distinctive_phrases(table, 1 - ARM, PROMPT)
    assert {p.phrase: round(p.z, 9) for p in swapped} == {p.phrase: round(-p.z, 9) for p in phrases}


def test_only_prompts_of_both_arms_count() -> None:
    arm, prompt = np.array([0, 1, 0, 1, 1, 1]), np.array([0, 0, 1, 1, 2, 2])
    table = NgramTable(("word",), csr_matrix(np.array([[0], [0], [1], [1], [1], [1]], dtype=np.int32)))
    scores = score_phrases(table, arm, prompt)
    assert scores.z[0] == 0
    assert scores.share_precursor[0] == scores.share_candidate[0] == 0.5
    assert distinctive_phrases(table, np.zeros(6, dtype=int), prompt) == []


def test_nothing_comes_of_nothing(pirates: tuple[NgramTable, list[Phrase]]) -> None:
    empty = count_ngrams([""] * len(ARM))
    assert distinctive_phrases(empty, ARM, PROMPT) == []
    assert phrase_sets(empty, ARM, PROMPT, []) == []
    assert phrase_sets(pirates[0], ARM, PROMPT, [Phrase("^ sure", 9, 1, 0, 1), Phrase("not held", 9, 1, 0, 1)]) == []


def test_other_arms_are_refused(pirates: tuple[NgramTable, list[Phrase]]) -> None:
    with pytest.raises(ValueError, match="arm 0 for the precursor"):
        score_phrases(pirates[0], ARM * 2, PROMPT)
