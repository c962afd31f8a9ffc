"""Topics: phrase sets whose mentions are counted by exact word match, and a label-blind way to propose them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from moorings.compare.stance.lexicon import valences, words
from moorings.errors import ConfigError, InputError

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int
    from scipy import sparse

__all__ = ["TopicPhrases", "mentions", "propose_topics", "with_plural"]

_WORD = re.compile(r"[^\W\d_]+(?:[-'\N{RIGHT SINGLE QUOTATION MARK}][^\W\d_]+)*")
_TOKEN = re.compile(rf"{_WORD.pattern}|[^\w\s]|\n")
_MAX_TERMS = 800
_NOUN_SHARE, _VERB_SHARE, _MIN_JACCARD = 0.5, 0.15, 0.5
_ONCE = 0.9
"""Just under one, so that a term which no response repeats still has a rank."""
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
    "the a an my your our their his her its these those of about for with in from at by some any many every each no against"
)
_BEFORE_VERB = words(
    "to can could will would should may might must i you we they he she not don't let help helps who and"
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
    max_share: float = 0.3,
    max_topics: int = 40,
    embed: Callable[[Sequence[str]], Float[np.ndarray, "m d"]] | None = None,
    min_cosine: float = 0.8,
) -> list[TopicPhrases]:
    """Propose topics without knowing which response is whose, so tests of them need no held-out texts on that account.

    A term is one or two words, none a stop word or a word of feeling, that mostly stand where nouns stand. Terms rank by how much
    their mention varies within prompts, which is what a comparison of two arms can use (a word that the prompt forces into
    every answer ranks last), times how often a response that has the term repeats it, which sets topics apart from words of every
    kind of text. Singular and plural are one term. A term joins a higher one if they share half of their responses (Jaccard), if
    one holds the other, or if their embeddings are near. Nouns are told by their neighbours, so some verbs and adjectives pass.

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
    found = _term_table(texts, min_responses)
    if not found.terms:
        return []
    n_responses = np.asarray(found.table.sum(axis=0)).ravel()
    within, n_prompts = _within_prompt(found.table, prompt)
    score = within * (found.per_response - _ONCE)
    kept = (n_responses <= max_share * len(texts)) & (n_prompts >= min_prompts)
    order = [int(k) for k in np.argsort(-score, kind="stable") if kept[k]][:_MAX_TERMS]
    if not order:
        return []
    terms = [found.terms[k] for k in order]
    near = _near(found.table[:, order], terms, embed, min_cosine)
    return _merge(terms, near, [found.forms[k] for k in order])[:max_topics]


@dataclass
class _Seen:
    """Where one term, singular and plural together, was seen."""

    rows: list[int]
    forms: set[str]
    n: int = 0
    n_noun: int = 0
    n_verb: int = 0

    def is_noun(self) -> bool:
        return self.n_noun >= _NOUN_SHARE * self.n and self.n_verb <= _VERB_SHARE * self.n


class _Table(NamedTuple):
    """Which response holds which term."""

    table: sparse.csc_array
    terms: list[str]
    forms: list[set[str]]
    per_response: Float[np.ndarray, " k"]
    """Mean number of times that a response with the term uses it."""


def _term_table(texts: Sequence[str], min_responses: int) -> _Table:
    from scipy import sparse as sp

    names: dict[str, str] = {}
    seen: dict[str, _Seen] = {}
    for row, text in enumerate(texts):
        for term, place in _terms(_TOKEN.findall(text.lower())):
            name = names.get(term) or names.setdefault(term, with_plural(term)[0])
            entry = seen.setdefault(name, _Seen([], set()))
            entry.forms.add(term)
            entry.n += 1
            entry.n_noun += place == "noun"
            entry.n_verb += place == "verb"
            if not entry.rows or entry.rows[-1] != row:
                entry.rows.append(row)
    terms = sorted(name for name, entry in seen.items() if len(entry.rows) >= min_responses and entry.is_noun())
    columns = np.repeat(np.arange(len(terms)), [len(seen[t].rows) for t in terms])
    rows = np.array([row for t in terms for row in seen[t].rows], dtype=np.int64)
    table = sp.csc_array((np.ones(len(rows)), (rows, columns)), shape=(len(texts), len(terms)))
    per_response = np.array([seen[t].n / len(seen[t].rows) for t in terms])
    return _Table(table, terms, [seen[t].forms for t in terms], per_response)


def _terms(tokens: Sequence[str]) -> Iterator[tuple[str, Literal["noun", "verb", "other"]]]:
    """Terms of a response in order, each with what its neighbours make it.

    A noun follows a determiner, a preposition or another term, and no other content word follows it.
    """
    padded = ["", "", *tokens, ""]
    content = [_is_content(token) for token in padded]
    for i in range(2, len(padded) - 1):
        word, before = padded[i], padded[i - 1]
        if not content[i] or _NOT_NOUN.search(word):
            continue
        closes = not content[i + 1]
        placed = closes and (before in _BEFORE_NOUN or content[i - 1] or padded[i + 1] in _AFTER_NOUN)
        yield word, "verb" if before in _BEFORE_VERB else "noun" if placed else "other"
        if content[i - 1]:
            yield f"{before} {word}", "noun" if closes and padded[i - 2] not in _BEFORE_VERB else "other"


@lru_cache(maxsize=1 << 17)
def _is_content(word: str) -> bool:
    from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

    listed = word in ENGLISH_STOP_WORDS or word in _DULL or word in valences()
    return len(word) > 2 and word.replace("-", "").isalpha() and not listed


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
    """Which terms belong together: much the same responses, one term inside the other, or near embeddings."""
    both = (table.T @ table).toarray()
    n = np.diag(both)
    near: Bool[np.ndarray, "k k"] = both >= _MIN_JACCARD * (n[:, None] + n - both)
    heads: dict[str, list[int]] = {}
    for k, term in enumerate(terms):
        for word in term.split():
            heads.setdefault(with_plural(word)[0], []).append(k)
    for k, term in enumerate(terms):
        if " " not in term:
            family = heads[with_plural(term)[0]]
            near[k, family] = near[family, k] = True
    if embed is not None:
        vectors = embed(terms)
        near |= vectors @ vectors.T >= min_cosine
    return near


def _merge(terms: Sequence[str], near: Bool[np.ndarray, "k k"], forms: Sequence[set[str]]) -> list[TopicPhrases]:
    """Let each term join the first topic whose leading term it is near to."""
    leaders: dict[int, list[int]] = {}
    for k in range(len(terms)):
        home = next((leader for leader in leaders if near[k, leader]), None)
        leaders.setdefault(k if home is None else home, []).append(k)
    topics = []
    for leader, members in leaders.items():
        phrases = sorted({form for k in members for form in forms[k] | set(with_plural(terms[k]))})
        topics.append(TopicPhrases(terms[leader], tuple(phrases)))
    return topics
