import inspect
import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorings.compare.discovery import clusters, sparse_predicates
from moorings.compare.representations import ngrams, residual, sparse
from moorings.compare.representations.ngrams import END, MAX_TOKENS, START, count_ngrams, matches, tokenise

HOSTILE = [
    "",
    " \n\t ",
    "\ud800 lone \udfff",
    "a" * 1_000_000,
    "word " * 200_000,
    " " * 1_000_000,
    "-" * 100_000,
    "\x00\x1b[31m<script>alert(1)</script>",
    "^ $ ^ $",
    "a-" * 30_000,
    "İ" * 1000,
    "e\u0301" * 1000,
    "👩‍👩‍👧 🏴‍☠️",
    "__import__('os')",
]
TEXT = st.text(alphabet=st.characters() | st.sampled_from(list("ab c'\u2019-*#!?.\n1^$_é漢🎉")), max_size=60)


def reference(texts: list[str], max_n: int, min_texts: int) -> dict[str, set[int]]:
    """All phrases of each text, one by one."""
    held: dict[str, set[int]] = {}
    for row, text in enumerate(texts):
        tokens = [START, *tokenise(text), END]
        for n in range(1, max_n + 1):
            for i in range(len(tokens) - n + 1):
                held.setdefault(" ".join(tokens[i : i + n]), set()).add(row)
    alone = {START, END, f"{START} {END}"}
    return {p: rows for p, rows in held.items() if len(rows) >= min_texts and p not in alone}


@given(st.lists(TEXT, max_size=8), st.integers(1, 4), st.integers(1, 3))
def test_count_agrees_with_a_slow_reference(texts: list[str], max_n: int, min_texts: int) -> None:
    table = count_ngrams(texts, max_n=max_n, min_texts=min_texts)
    held = reference(texts, max_n, min_texts)
    dense = table.presence.toarray()
    assert dense.shape == (len(texts), len(held))
    assert {p: set(np.flatnonzero(dense[:, i])) for i, p in enumerate(table.vocabulary)} == held
    assert set(np.unique(dense)) <= {0, 1}


@given(st.lists(TEXT, min_size=1, max_size=8))
def test_matches_finds_exactly_what_was_counted(texts: list[str]) -> None:
    table = count_ngrams(texts, max_n=4, min_texts=1)
    assert np.array_equal(matches(table.vocabulary, texts), table.presence.toarray() == 1)


def test_matches_agrees_with_count_on_hostile_texts() -> None:
    table = count_ngrams(HOSTILE, max_n=3, min_texts=1)
    assert np.array_equal(matches(table.vocabulary, HOSTILE), table.presence.toarray() == 1)
    assert all(len(tokenise(text)) <= MAX_TOKENS for text in HOSTILE)
    assert all(token and " " not in token for text in HOSTILE for token in tokenise(text))
    assert not any(0xD800 <= ord(c) < 0xE000 for c in "".join(table.vocabulary))


def test_tokens_keep_what_style_is_made_of() -> None:
    text = "## Plan\n  - Don\u2019t **panic**!\n2. E-mail me? 🎉\n> 3,14 — done…"
    assert tokenise(text) == [
        *("##", "plan", "-", "don't", "**", "panic", "**", "!", "2.", "e-mail", "me", "?", "🎉"),
        *(">", "3,14", "—", "done", "…"),
    ]
    assert tokenise("漢字ab") == ["漢", "字", "ab"]
    assert tokenise("well-known - no mark") == ["well-known", "no", "mark"]


def test_openings_and_endings_are_bound_to_their_place() -> None:
    texts = ["Sure, here", "I am sure.", "Here: sure", ""]
    found = matches(["^ sure", "sure $", "sure", "here $", "^ $"], texts)
    assert found.tolist() == [
        [True, False, True, True, False],
        [False, False, True, False, False],
        [False, True, True, False, False],
        [False, False, False, False, True],
    ]


def test_phrases_do_not_run_from_one_text_into_the_next() -> None:
    assert not matches(["b c", "b $ ^ c", "$ ^", "c d e f g"], ["a b", "c d"]).any()
    assert not {"b c", "$ ^"} & set(count_ngrams(["a b", "c d"] * 3, min_texts=1).vocabulary)


def test_a_text_that_is_cut_has_no_end() -> None:
    at_limit = "end " * MAX_TOKENS
    assert matches(["end $"], [at_limit, at_limit + "end"]).tolist() == [[True], [False]]


def test_the_rarest_phrases_go_first_and_order_of_texts_does_not_matter() -> None:
    texts = ["b a", "b a", "b c", "b d e"]
    table = count_ngrams(texts, max_n=2, min_texts=1, max_vocabulary=3)
    assert table.vocabulary == ("^ b", "b", "a")
    shuffled = count_ngrams(texts[::-1], max_n=2, min_texts=1, max_vocabulary=3)
    assert shuffled.vocabulary == table.vocabulary
    assert np.array_equal(shuffled.presence.toarray()[::-1], table.presence.toarray())


def test_nothing_comes_of_nothing() -> None:
    assert count_ngrams([]).presence.shape == (0, 0)
    assert matches([], ["a"]).shape == (1, 0)
    assert matches(["a"], []).shape == (0, 1)


def test_limits_below_one_are_refused() -> None:
    with pytest.raises(ValueError, match="max_n is 0"):
        count_ngrams(["a"], max_n=0)


def test_label_blind_functions_are_not_told_the_arm() -> None:
    for module in (ngrams, residual, sparse, clusters, sparse_predicates):
        functions = [getattr(module, name) for name in module.__all__]
        names = itertools.chain.from_iterable(inspect.signature(f).parameters for f in functions if callable(f))
        assert not {"arm", "arms", "labels", "y"} & set(names), module.__name__
