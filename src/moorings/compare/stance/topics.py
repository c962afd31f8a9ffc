"""Topics: phrase sets whose mentions are counted by exact word match, and a label-blind way to propose them."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from moorings.compare.stance.lexicon import valences, words
from moorings.errors import ConfigError, InputError

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int
    from scipy import sparse

__all__ = ["TopicPhrases", "mentions", "propose_topics", "with_plural"]

_WORD = re.compile(r"[^\W\d_]+(?:[-'][^\W\d_]+)*")
_MAX_TERMS = 800
_IRREGULAR = {
    "goose": "geese",
    "mouse": "mice",
    "man": "men",
    "woman": "women",
    "child": "children",
    "person": "people",
    "foot": "feet",
    "tooth": "teeth",
    "wolf": "wolves",
    "leaf": "leaves",
    "knife": "knives",
    "life": "lives",
}
_SINGULARS = {plural: singular for singular, plural in _IRREGULAR.items()}
_BEFORE_NOUN = words(
    "the a an my your our their his her its this that these those of about on for with in from to some any many more most "
    "fewer all every each no against like"
)
_AFTER_NOUN = words("is are was were can should will would have has do does")
_DULL = words(
    "thing things lot way ways time times people person someone something anything everything kind sort example question answer use fact "
    "point part number day days year years week sure yes course don doesn didn isn aren couldn wouldn let ll ve im"
)
_NOT_NOUN = re.compile(r"(?:ly|ful|ous|ive|able|ible|ing|ed|ical|less)$")


@dataclass(frozen=True)
class TopicPhrases:
    """A topic and the phrases that count as a mention; give plurals and other forms as phrases of their own."""

    name: str
    phrases: tuple[str, ...]
    """Matched as whole words in any case; any space or hyphen stands for any other."""

    def __post_init__(self) -> None:
        """Check that each phrase holds a word."""
        if not self.phrases or not all(_WORD.search(phrase) for phrase in self.phrases):
            raise ConfigError(f"topic '{self.name}' has no phrase, or one without a word; give phrases such as 'geese'")

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        """Finds a mention."""
        longest_first = sorted(set(self.phrases), key=lambda phrase: (-len(phrase), phrase))
        forms = (r"[\s-]+".join(map(re.escape, re.split(r"[\s-]+", phrase.strip()))) for phrase in longest_first)
        return re.compile(rf"(?<!\w)(?:{'|'.join(forms)})(?!\w)", re.IGNORECASE)


def mentions(texts: Sequence[str], topic: TopicPhrases) -> Bool[np.ndarray, " n"]:
    """Whether each text mentions a topic.

    >>> mentions(["A goose!", "mongoose"], TopicPhrases("geese", ("goose", "geese")))
    array([ True, False])
    """
    return np.array([topic.pattern.search(text) is not None for text in texts], dtype=bool)


def with_plural(word: str) -> tuple[str, ...]:
    """A noun's singular and plural, by rule and a short list of exceptions; either may be given.

    >>> with_plural("geese"), with_plural("city"), with_plural("night trains")
    (('goose', 'geese'), ('city', 'cities'), ('night train', 'night trains'))
    """
    *head, last = word.lower().split()
    if last in _SINGULARS:
        singular = _SINGULARS[last]
    elif last.endswith("ies") and len(last) > 4:
        singular = last[:-3] + "y"
    elif re.search(r"(?:s|x|z|ch|sh)es$", last) and not last.endswith("ses"):
        singular = last[:-2]
    else:
        singular = last[:-1] if re.search(r"[^suis]s$", last) else last
    plural = _IRREGULAR.get(singular) or _regular_plural(singular)
    return tuple(" ".join([*head, form]) for form in (singular, plural))


def _regular_plural(word: str) -> str:
    if re.search(r"[^aeiou]y$", word):
        return word[:-1] + "ies"
    return word + ("es" if re.search(r"(?:s|x|z|ch|sh)$", word) else "s")


def propose_topics(
    texts: Sequence[str],
    prompt: Int[np.ndarray, " n"],
    *,
    min_responses: int = 10,
    min_prompts: int = 5,
    max_share: float = 0.5,
    max_topics: int = 40,
    embed: Callable[[Sequence[str]], Float[np.ndarray, "m d"]] | None = None,
    min_cosine: float = 0.8,
) -> list[TopicPhrases]:
    """Propose topics without knowing which response is whose, so tests of them need no held-out texts on that account.

    A term is one or two words without stop words and words of feeling, that stand where nouns stand in at least three of ten
    places. Terms rank by how much their mention varies within prompts, which is what a comparison of two arms can use; a
    word that the prompt forces into every answer ranks last. Singular and plural are one term. A term that shares at
    least half of its responses with a higher one joins it; so does one whose embedding is near.

    Args:
        texts: Responses of all arms.
        prompt: Index of each response's prompt.
        min_responses: Least responses with the term.
        min_prompts: Least prompts with the term.
        max_share: Largest share of responses with the term.
        max_topics: Most topics returned.
        embed: Phrases to unit rows; None merges by co-occurrence alone.
        min_cosine: Likeness at which `embed` merges.

    Returns:
        Topics, the most informative first; the name is the first term.

    Raises:
        InputError: Columns differ in length.
    """
    if len(texts) != len(prompt):
        raise InputError(f"{len(texts)} texts and {len(prompt)} prompt indices; give one index a text")
    table, terms, forms = _term_table(texts, min_responses)
    if not terms:
        return []
    n_responses = np.asarray(table.sum(axis=0)).ravel()
    within, n_prompts = _within_prompt(table, prompt)
    kept = (n_responses >= min_responses) & (n_responses <= max_share * len(texts)) & (n_prompts >= min_prompts)
    order = [int(k) for k in np.argsort(-within, kind="stable") if kept[k]][:_MAX_TERMS]
    if not order:
        return []
    near = _near(table[:, order], [terms[k] for k in order], embed, min_cosine)
    return _merge([terms[k] for k in order], near, forms)[:max_topics]


def _term_table(texts: Sequence[str], min_responses: int) -> tuple[sparse.csc_array, list[str], dict[str, set[str]]]:
    """Which response holds which term, the terms by name, and the forms in which each was seen."""
    from scipy import sparse as sp

    names: dict[str, str] = {}
    forms: dict[str, set[str]] = {}
    seen: dict[str, list[int]] = {}
    places: dict[str, list[int]] = {}
    for row, text in enumerate(texts):
        for term, as_noun in _terms(_WORD.findall(text.lower())):
            name = names.get(term) or names.setdefault(term, with_plural(term)[0])
            forms.setdefault(name, set()).add(term)
            count = places.setdefault(name, [0, 0])
            count[0] += as_noun
            count[1] += 1
            rows = seen.setdefault(name, [])
            if not rows or rows[-1] != row:
                rows.append(row)
    terms = sorted(t for t, rows in seen.items() if len(rows) >= min_responses and places[t][0] >= 0.3 * places[t][1])
    columns = np.repeat(np.arange(len(terms)), [len(seen[t]) for t in terms])
    rows_of = np.concatenate([np.asarray(seen[t]) for t in terms]) if terms else np.zeros(0, dtype=int)
    table = sp.csc_array((np.ones(len(columns)), (rows_of, columns)), shape=(len(texts), len(terms)))
    return table, terms, forms


def _terms(words: Sequence[str]) -> list[tuple[str, bool]]:
    """Terms of a response in order, each with whether it stands where a noun stands."""
    found = []
    for i, word in enumerate(words):
        if not _is_content(word):
            continue
        before, after = words[i - 1] if i else "", words[i + 1] if i + 1 < len(words) else ""
        if not _NOT_NOUN.search(word):
            pair = bool(before) and _is_content(before)
            placed = before in _BEFORE_NOUN or after in _AFTER_NOUN
            if pair:
                found.append((f"{before} {word}", after in _AFTER_NOUN or (i > 1 and words[i - 2] in _BEFORE_NOUN)))
            found.append((word, placed or pair))
    return found


def _is_content(word: str) -> bool:
    from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

    return len(word) > 2 and word not in ENGLISH_STOP_WORDS and word not in _DULL and word not in valences()


def _within_prompt(
    table: sparse.csc_array, prompt: Int[np.ndarray, " n"]
) -> tuple[Float[np.ndarray, " k"], Int[np.ndarray, " k"]]:
    """Sum over prompts of n p (1 - p), and the number of prompts, of each term."""
    from scipy import sparse as sp

    index = np.unique(prompt, return_inverse=True)[1]
    n = np.bincount(index)
    gather = sp.csr_array((np.ones(len(index)), (index, np.arange(len(index)))), shape=(len(n), len(index)))
    hits = (gather @ table).tocsc()
    squares = hits.multiply(hits).multiply(1.0 / n[:, None])
    total = np.asarray(hits.sum(axis=0)).ravel() - np.asarray(squares.sum(axis=0)).ravel()
    return total, np.diff(hits.indptr)


def _near(
    table: sparse.csc_array,
    terms: Sequence[str],
    embed: Callable[[Sequence[str]], Float[np.ndarray, "m d"]] | None,
    min_cosine: float,
) -> Bool[np.ndarray, "k k"]:
    """Which terms belong together: row's term joins column's."""
    both = (table.T @ table).toarray()
    near: Bool[np.ndarray, "k k"] = both >= 0.5 * np.diag(both)[:, None]
    if embed is not None:
        vectors = embed(terms)
        near |= vectors @ vectors.T >= min_cosine
    return near


def _merge(terms: Sequence[str], near: Bool[np.ndarray, "k k"], forms: dict[str, set[str]]) -> list[TopicPhrases]:
    """Let each term join the first topic whose leading term it is near to."""
    leaders: dict[int, list[int]] = {}
    for k in range(len(terms)):
        home = next((leader for leader in leaders if near[k, leader] or near[leader, k]), None)
        leaders.setdefault(k if home is None else home, []).append(k)
    topics = []
    for leader, members in leaders.items():
        phrases = sorted({form for k in members for form in forms[terms[k]] | set(with_plural(terms[k]))})
        topics.append(TopicPhrases(terms[leader], tuple(phrases)))
    return topics
