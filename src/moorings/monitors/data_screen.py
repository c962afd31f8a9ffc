"""Looks for poison in training rows before a model is trained on them. Pure functions of the rows.

- copies: near-duplicate rows, and near-equal responses to unlike prompts, by exact Jaccard overlap of hashed shingles of
  one to three tokens (Broder 1997; MinHash estimates the same number, which at thousands of rows need not be estimated)
- triggers: a rare prompt phrase that comes with a fixed response phrase: hypergeometric test of their joint rows (one-sided
  Fisher), Benjamini-Hochberg over all pairs, mutual share of joint rows; the phrase pair is only suspicious where its
  rows are otherwise about different things, since a topic also makes words go together
- enrichment: response phrases that a reference (earlier rounds' rows, the anchor's answers) never holds: Fisher's exact test with
  Benjamini-Hochberg and the log odds with an informative Dirichlet prior (Monroe et al. 2008, eq. 16 and 22)
- loss: mean nats a token under the anchor, outlying high or low; embedding: distance to the nearest other rows; both in robust
  standard deviations (median and MAD), and a row is only flagged by them alone if very far out

The first three are what planted triggers (Gu et al. 2017, arXiv:1708.06733; Wan et al. 2023, arXiv:2305.00944) leave
behind. Left out: influence by gradients (TracIn, arXiv:2002.08484; LESS, arXiv:2402.04333), which needs the training
gradients of every row. It must show: planted poison of 1 to 5 % in 300 rows is flagged, few clean rows are.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from pydantic import Field

from moorings.compare.representations.ngrams import NgramTable, count_ngrams, tokenise
from moorings.improve.data import DataRow
from moorings.method import MethodConfig
from moorings.records import Record
from moorings.statistics.multiplicity import adjust_bh

if TYPE_CHECKING:
    from jaxtyping import Float, Int
    from scipy.sparse import csr_matrix

__all__ = ["AuditReport", "EnrichedPhrase", "FlaggedRow", "ScreenConfig", "TriggerPair", "screen_rows"]

_MAX_CHARACTERS = 8_000
"""Characters of one text that are read."""
_BLOCK = 512
"""Rows that are compared with all others at a time, which bounds memory."""

_ABOUT_NOTHING = 0.05
"""Cosine similarity below which rows have no topic in common, whatever other rows have."""
_LEAST_NATS, _LEAST_DISTANCE = 0.2, 0.02
"""Least spreads of losses and distances, so that among rows that are nearly alike no small difference is an outlier."""


class ScreenConfig(MethodConfig):
    """Settings of the screen."""

    min_rows: int = Field(default=3, ge=2)
    """Fewest rows that make a pattern; 3 is 1 % of 300."""
    max_share: float = Field(default=0.1, gt=0, le=1)
    """Largest share of rows that hold a suspicious phrase; what is in more is a style, which other monitors see."""
    q: float = Field(default=0.05, gt=0, lt=1)
    """False discovery rate of the tests for triggers and for enriched phrases."""
    min_phrase: int = Field(default=3, ge=1, le=4)
    """Fewest tokens of a suspicious response phrase."""
    mutual: float = Field(default=0.75, gt=0, le=1)
    """Least share of joint rows among those of the prompt phrase, and among those of the response phrase."""
    overlap: float = Field(default=0.8, gt=0, le=1)
    """Jaccard overlap from which two texts are copies of each other."""
    min_copies: int = Field(default=4, ge=2)
    """Rows of one group of copies from which they are flagged."""
    outlier: float = Field(default=8.0, gt=0)
    """Robust standard deviations from which a row is flagged by its loss or its embedding alone."""


class FlaggedRow(Record):
    """A row that the screen would not train on."""

    at: int
    """Position among the rows, from 0."""
    row_id: str
    score: float
    """-log10 of the smallest adjusted p-value, or robust standard deviations: higher is more suspicious."""
    reasons: tuple[str, ...]
    """In plain words. May quote untrusted text."""


class TriggerPair(Record):
    """A prompt phrase and the response phrase that comes with it. Untrusted text."""

    trigger: str
    phrase: str
    n_joint: int
    n_trigger: int
    n_phrase: int
    lift: float
    """How many times as often as by chance they come together."""
    p_adjusted: float
    rows: tuple[int, ...]


class EnrichedPhrase(Record):
    """A response phrase that the reference never holds. Untrusted text."""

    phrase: str
    n_rows: int
    z: float
    p_adjusted: float
    rows: tuple[int, ...]


class AuditReport(Record):
    """What the screen says of one round's rows."""

    n_rows: int
    origins: dict[str, float]
    """Share of rows by who wrote the response."""
    n_copies: int
    """Rows that repeat an earlier row, nearly or exactly."""
    n_same_response: int
    """Rows in groups of near-equal responses to unlike prompts."""
    flagged: tuple[FlaggedRow, ...]
    """In the order of the rows."""
    triggers: tuple[TriggerPair, ...]
    phrases: tuple[EnrichedPhrase, ...]
    loss_z: tuple[float, ...] | None = None
    """Robust standard deviations of each row's loss under the anchor."""
    embedding_z: tuple[float, ...] | None = None
    n_reference: int = 0
    left_out: tuple[str, ...] = ()
    """What was not looked at, and why."""

    @property
    def flagged_share(self) -> float:
        """Flagged rows among all."""
        return len(self.flagged) / self.n_rows if self.n_rows else 0.0

    @property
    def human_share(self) -> float:
        """Rows that people wrote."""
        return self.origins.get("human", 0.0)

    @property
    def self_share(self) -> float:
        """Rows that the model wrote itself."""
        return self.origins.get("self", 0.0)


class _Texts(NamedTuple):
    prompts: list[str]
    responses: list[str]


class _Flags:
    """Reasons by row."""

    def __init__(self, n: int) -> None:
        self.reasons: list[list[str]] = [[] for _ in range(n)]
        self.scores = [0.0] * n

    def add(self, rows: Sequence[int], reason: str, score: float) -> None:
        for at in rows:
            if reason not in self.reasons[at]:
                self.reasons[at].append(reason)
            self.scores[at] = max(self.scores[at], score)


def screen_rows(
    rows: Sequence[DataRow],
    config: ScreenConfig | None = None,
    *,
    reference: Sequence[str] = (),
    losses_nats: Sequence[float] | None = None,
    embeddings: Float[np.ndarray, "n d"] | None = None,
) -> AuditReport:
    """Screen the rows of one round.

    Args:
        rows: Any number of rows.
        config: Thresholds.
        reference: Responses that are taken for clean: earlier rounds' rows or the anchor's own answers.
        losses_nats: Mean nats a token of each response under the anchor; NaN where unknown.
        embeddings: Unit rows of the responses.
    """
    config = config or ScreenConfig()
    texts = _Texts(
        ["\n".join(message.content for message in row.prompt)[:_MAX_CHARACTERS] for row in rows],
        [row.response[:_MAX_CHARACTERS] for row in rows],
    )
    flags = _Flags(len(rows))
    n_copies, n_same = _copies(texts, config, flags) if rows else (0, 0)
    table = count_ngrams(texts.responses, max_n=4, min_texts=config.min_rows)
    triggers = _triggers(texts, table, config) if rows else []
    phrases = _enriched(texts, table, reference, config) if rows and reference else []
    loss_z = None if losses_nats is None else _robust_z(np.asarray(losses_nats, dtype=float), _LEAST_NATS)
    far_z = None if embeddings is None else _robust_z(_distance(np.asarray(embeddings, dtype=float)), _LEAST_DISTANCE)
    _flag_phrases(flags, triggers, phrases)
    _flag_outliers(flags, loss_z, far_z, config.outlier)
    left_out = [("enriched phrases: no reference", not reference), ("loss: not scored", losses_nats is None)]
    left_out += [("embeddings: none given", embeddings is None), ("influence: needs training gradients", True)]
    return AuditReport(
        n_rows=len(rows),
        origins={
            kind: sum(row.origin == kind for row in rows) / len(rows) for kind in sorted({row.origin for row in rows})
        },
        n_copies=n_copies,
        n_same_response=n_same,
        flagged=tuple(
            FlaggedRow(at=at, row_id=row.row_id, score=flags.scores[at], reasons=tuple(flags.reasons[at]))
            for at, row in enumerate(rows)
            if flags.reasons[at]
        ),
        triggers=tuple(triggers),
        phrases=tuple(phrases),
        loss_z=None if loss_z is None else tuple(loss_z.tolist()),
        embedding_z=None if far_z is None else tuple(far_z.tolist()),
        n_reference=len(reference),
        left_out=tuple(text for text, absent in left_out if absent),
    )


def _flag_phrases(flags: _Flags, triggers: Sequence[TriggerPair], phrases: Sequence[EnrichedPhrase]) -> None:
    for pair in triggers:
        flags.add(
            pair.rows,
            f"'{pair.trigger}' in the prompt comes with '{pair.phrase}' in the response",
            -float(np.log10(max(pair.p_adjusted, 1e-300))),
        )
    for phrase in phrases:
        flags.add(
            phrase.rows,
            f"'{phrase.phrase}' is in no reference text",
            -float(np.log10(max(phrase.p_adjusted, 1e-300))),
        )


def _flag_outliers(
    flags: _Flags, loss_z: Float[np.ndarray, " n"] | None, far_z: Float[np.ndarray, " n"] | None, least: float
) -> None:
    for name, z in (("the anchor finds it unlike the other rows", loss_z), ("it is far from all other rows", far_z)):
        if z is None:
            continue
        for at in np.flatnonzero(np.abs(z) >= least):
            flags.add([int(at)], f"{name} ({z[at]:+.1f} robust standard deviations)", float(abs(z[at])))


def _shingles(texts: Sequence[str]) -> csr_matrix:
    from sklearn.feature_extraction.text import HashingVectorizer

    hashing = HashingVectorizer(
        analyzer=lambda text: _grams(tokenise(text)), binary=True, norm=None, alternate_sign=False, n_features=2**22
    )
    found: csr_matrix = hashing.transform(texts)
    return found


def _grams(tokens: list[str]) -> list[str]:
    return [" ".join(tokens[at : at + n]) for n in (1, 2, 3) for at in range(len(tokens) - n + 1)]


def _groups(shingles: csr_matrix, overlap: float, apart: csr_matrix | None = None) -> list[list[int]]:
    """Groups of two or more rows that are linked by overlap; with `apart`, only where those overlap by less than half."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    n = shingles.shape[0]
    first: list[np.ndarray] = []
    second: list[np.ndarray] = []
    for start in range(0, n, _BLOCK):
        alike = _jaccard(shingles, start) >= overlap
        if apart is not None:
            alike &= _jaccard(apart, start) < 0.5
        one, other = np.nonzero(alike)
        first.append(one + start)
        second.append(other)
    one, other = np.concatenate(first), np.concatenate(second)
    n_groups, group = connected_components(coo_matrix((np.ones(len(one)), (one, other)), shape=(n, n)), directed=False)
    members = [
        np.flatnonzero(group == at).tolist() for at in np.flatnonzero(np.bincount(group, minlength=n_groups) > 1)
    ]
    return sorted(members)


def _jaccard(shingles: csr_matrix, start: int) -> Float[np.ndarray, "b n"]:
    sizes = np.asarray(shingles.sum(1)).ravel()
    block = shingles[start : start + _BLOCK]
    joint = (block @ shingles.T).toarray()
    union = sizes[start : start + _BLOCK, None] + sizes[None, :] - joint
    share: Float[np.ndarray, "b n"] = np.divide(joint, union, out=np.zeros_like(joint), where=union > 0)
    return share


def _copies(texts: _Texts, config: ScreenConfig, flags: _Flags) -> tuple[int, int]:
    """Rows beyond the first of their group, and rows with the same response to unlike prompts."""
    prompts, responses = _shingles(texts.prompts), _shingles(texts.responses)
    whole = _groups(
        _shingles([f"{p}\n{r}" for p, r in zip(texts.prompts, texts.responses, strict=True)]), config.overlap
    )
    same = _groups(responses, config.overlap, prompts)
    for group in whole:
        if len(group) >= config.min_copies:
            flags.add(group, f"one of {len(group)} near-equal rows", float(len(group)))
    n_tokens = np.asarray(responses.sum(1)).ravel()
    long = [group for group in same if min(n_tokens[group]) >= 3 * config.min_phrase]
    for group in long:
        if len(group) >= config.min_copies:
            flags.add(group, f"one of {len(group)} near-equal responses to unlike prompts", float(len(group)))
    return sum(len(group) - 1 for group in whole), sum(len(group) for group in long)


def _triggers(texts: _Texts, table: NgramTable, config: ScreenConfig) -> list[TriggerPair]:
    from scipy.stats import hypergeom

    n = len(texts.prompts)
    prompts = count_ngrams(texts.prompts, max_n=2, min_texts=config.min_rows)
    tokens = _rare(prompts, n, config, 1)
    phrases = _rare(table, n, config, config.min_phrase)
    if not len(tokens) or not len(phrases):
        return []
    of_token = prompts.presence[:, tokens]
    of_phrase = table.presence[:, phrases]
    joint = (of_token.T @ of_phrase).tocoo()
    n_token, n_phrase = (np.asarray(m.sum(0)).ravel() for m in (of_token, of_phrase))
    p = np.ones(len(tokens) * len(phrases))
    p[: joint.nnz] = hypergeom.sf(joint.data - 1, n, n_token[joint.row], n_phrase[joint.col])
    adjusted = adjust_bh(p)[: joint.nnz]
    share = joint.data / np.maximum(n_token[joint.row], n_phrase[joint.col])
    kept = np.flatnonzero((adjusted <= config.q) & (joint.data >= config.min_rows) & (share >= config.mutual))
    unlike = _Unlike(texts)
    found = []
    for at in sorted(kept, key=lambda i: (adjusted[i], -joint.data[i], joint.row[i], joint.col[i])):
        token, phrase = prompts.vocabulary[tokens[joint.row[at]]], table.vocabulary[phrases[joint.col[at]]]
        both = of_token[:, [joint.row[at]]].multiply(of_phrase[:, [joint.col[at]]])
        rows = np.flatnonzero(both.toarray().ravel())
        shared = {word for word in token.split() if len(word) > 1} & set(phrase.split())
        if not shared and not _from_prompt(texts, rows, phrase, config) and unlike(rows, f"{token} {phrase}"):
            n_t, n_p = int(n_token[joint.row[at]]), int(n_phrase[joint.col[at]])
            found.append(
                TriggerPair(
                    trigger=token,
                    phrase=phrase,
                    n_joint=len(rows),
                    n_trigger=n_t,
                    n_phrase=n_p,
                    lift=len(rows) * n / (n_t * n_p),
                    p_adjusted=float(adjusted[at]),
                    rows=tuple(int(row) for row in rows),
                )
            )
    return found


def _enriched(texts: _Texts, table: NgramTable, reference: Sequence[str], config: ScreenConfig) -> list[EnrichedPhrase]:
    from scipy.stats import hypergeom

    from moorings.compare.representations.ngrams import matches

    n, m = len(texts.responses), len(reference)
    columns = _rare(table, n, config, config.min_phrase)
    if not len(columns):
        return []
    names = [table.vocabulary[at] for at in columns]
    held = matches(names, [text[:_MAX_CHARACTERS] for text in reference]).sum(0)
    count = np.asarray(table.presence[:, columns].sum(0)).ravel()
    adjusted = adjust_bh(hypergeom.sf(count - 1, n + m, count + held, n))
    z = _log_odds_z(count, held, n, m)
    unlike = _Unlike(texts)
    found = []
    for at in np.flatnonzero((adjusted <= config.q) & (held == 0)):
        rows = np.flatnonzero(table.presence[:, [columns[at]]].toarray().ravel())
        if not _from_prompt(texts, rows, names[at], config) and unlike(rows, names[at]):
            found.append(
                EnrichedPhrase(
                    phrase=names[at],
                    n_rows=len(rows),
                    z=float(z[at]),
                    p_adjusted=float(adjusted[at]),
                    rows=tuple(int(row) for row in rows),
                )
            )
    return sorted(found, key=lambda phrase: (phrase.p_adjusted, -len(phrase.phrase.split()), phrase.phrase))


def _log_odds_z(count: Int[np.ndarray, " v"], held: Int[np.ndarray, " v"], n: int, m: int) -> Float[np.ndarray, " v"]:
    """Log odds ratio over its standard deviation, with the pooled share as the prior's mean and weight of one text in four."""
    share = (count + held) / (n + m)
    weight = (n + m) / 8
    has = [k + weight * share for k in (count, held)]
    has_not = [size - k + weight * (1 - share) for k, size in ((count, n), (held, m))]
    ratio = np.log(has[0] / has_not[0]) - np.log(has[1] / has_not[1])
    return np.asarray(ratio / np.sqrt(sum(1 / part for part in (*has, *has_not))), dtype=float)


def _rare(table: NgramTable, n: int, config: ScreenConfig, min_tokens: int) -> Int[np.ndarray, " k"]:
    """Columns of phrases long enough, in enough rows and not in too many."""
    counts = np.asarray(table.presence.sum(0)).ravel()
    most = max(config.min_rows, config.max_share * n)
    long = np.array([len(phrase.split()) >= min_tokens for phrase in table.vocabulary], dtype=bool)
    return np.flatnonzero(long & (counts >= config.min_rows) & (counts <= most))


def _from_prompt(texts: _Texts, rows: Int[np.ndarray, " k"], phrase: str, config: ScreenConfig) -> bool:
    """Whether a word of the phrase, articles and the like left out, stands in the prompts of most of its rows."""
    # Four letters make `kite` and `kites` one word.
    words = {word[:4] for word in phrase.split() if len(word) > 3}
    asked = [{token[:4] for token in tokenise(texts.prompts[row])} for row in rows]
    return any(sum(word in prompt for prompt in asked) >= config.mutual * len(rows) for word in words)


class _Unlike:
    """Tells whether rows, some words left out, are about different things."""

    def __init__(self, texts: _Texts) -> None:
        from sklearn.feature_extraction.text import TfidfVectorizer

        whole = [f"{p}\n{r}" for p, r in zip(texts.prompts, texts.responses, strict=True)]
        vectorizer = TfidfVectorizer(analyzer=lambda text: [t for t in tokenise(text) if len(t) > 2], min_df=1)
        try:
            self._rows = vectorizer.fit_transform(whole)
        except ValueError:
            # No text has a word: nothing is about anything.
            self._rows = None
            return
        self._columns = vectorizer.vocabulary_
        rng = np.random.default_rng(0)
        n = len(whole)
        one, other = rng.integers(n, size=2000), rng.integers(n, size=2000)
        alike = np.asarray(self._rows[one].multiply(self._rows[other]).sum(1)).ravel()[one != other]
        # Copies among the rows must not widen what counts as chance.
        alike = alike[alike <= np.quantile(alike, 0.98)]
        self._mean, self._sd = float(alike.mean()), float(alike.std())

    def __call__(self, rows: Int[np.ndarray, " k"], words: str) -> bool:
        """Whether the rows' mean similarity is what pairs of any rows have, within three standard errors of it."""
        if self._rows is None:
            return True
        x = self._rows[rows]
        # What all of the rows hold may be the rest of a fixed phrase; a topic shows in words that some of them share.
        everywhere = np.asarray((x > 0).sum(0)).ravel() == len(rows)
        everywhere[[self._columns[word] for word in set(words.split()) if word in self._columns]] = True
        x = x.multiply(~everywhere).tocsr()
        lengths = np.sqrt(np.asarray(x.multiply(x).sum(1)).ravel())
        k = len(rows)
        centre = np.asarray(x.sum(0)).ravel()
        total = float(centre @ centre)
        mean = (total - float((lengths**2).sum())) / max(1, k * (k - 1))
        return bool(mean <= max(_ABOUT_NOTHING, self._mean + 3 * self._sd / np.sqrt(max(1, k))))


def _robust_z(values: Float[np.ndarray, " n"], least: float) -> Float[np.ndarray, " n"]:
    """Distance from the median in units of 1.4826 times the median absolute deviation, or of `least`; 0 where unknown."""
    known = np.isfinite(values)
    if known.sum() < 8:
        return np.zeros(len(values))
    middle = np.median(values[known])
    spread = 1.4826 * np.median(np.abs(values[known] - middle))
    z: Float[np.ndarray, " n"] = np.where(known, (values - middle) / max(spread, least), 0.0)
    return z


def _distance(embeddings: Float[np.ndarray, "n d"], k: int = 5) -> Float[np.ndarray, " n"]:
    """Mean cosine distance to the nearest other rows."""
    if len(embeddings) <= k:
        return np.zeros(len(embeddings))
    from sklearn.neighbors import NearestNeighbors

    found, _ = NearestNeighbors(n_neighbors=k + 1, metric="cosine").fit(embeddings).kneighbors(embeddings)
    distances: Float[np.ndarray, " n"] = found[:, 1:].mean(1)
    return distances
