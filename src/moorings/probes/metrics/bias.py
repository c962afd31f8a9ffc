"""What a subject prefers whatever is asked: a place, a length, a yes, a symbol; and gaps between twin items.

Source: the design of the probes (counterbalancing); Zhao et al. 2021 (arXiv:2102.09690) for contextual calibration.
Position bias is P(choose first) - 1/m, length bias P(choose longest) less the share expected, acquiescence half of P(yes |
yes is key) - P(no | no is key). An option that stands first may also be right; with skill, P(choose first) depends on how
often it is. So both are standardised to a key that stands there by chance: `c P(choose | key there) + (1 - c) P(choose |
key elsewhere) - 1/m`, which is the plain difference wherever the design is balanced.

Left out: interactions of the biases. Must show: a responder with a planted logit gets softmax(logit) - 1/m.
"""

from __future__ import annotations

import string
from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from moorings.probes.metrics.cluster_bootstrap import ClusterBootstrap, Figure
from moorings.probes.metrics.table import Table, tops
from moorings.probes.show import symbols_of
from moorings.records import Record

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int

__all__ = ["Biases", "biases", "marked_bias"]

_FIXED = 5
_YES = {"yes": "no", "true": "false", "agree": "disagree"}


class Biases(Record):
    """Preferences and gaps; None where the items do not tell."""

    position: Figure | None
    """Chance of choosing the option shown first, above 1/m, for a key that stands first by chance."""
    places: tuple[float | None, ...]
    """The same for each place."""
    balanced: float
    """Share of answered items whose options each stood first equally often."""
    length: Figure | None
    """Chance of choosing the longest option above 1/m, for a key that is longest by chance; items whose options are the
    same texts in 5 or more clusters are left out, as there length is content."""
    acquiescence: Figure | None
    """Half of P(yes | yes is right) - P(no | no is right)."""
    constant: dict[str, Figure]
    """For options that stand in 5 or more clusters with the same alternatives, such as `more`: share of answers that
    choose it less share of items whose key it is."""
    self_other_gap: Figure | None
    """Accuracy on items about oneself less that on items about others, mean over clusters that have both."""
    valence_gap: Figure | None
    """Accuracy on `up` items less that on `down` items."""
    symbol_prior: dict[str, float] | None
    """Mean logit of each symbol on content-free prompts, less the mean over symbols."""
    without_prior: Figure | None
    """Accuracy once those logits are subtracted from each answer."""


def biases(table: Table, bootstrap: ClusterBootstrap, *, symbol_prior: Mapping[str, float] | None = None) -> Biases:
    """Read the bias terms from the design.

    Args:
        table: Answers of one framing.
        bootstrap: Over its clusters.
        symbol_prior: Log-probability of each symbol on content-free prompts, in nats.
    """
    m = table.keys.shape[1]
    fixed = _fixed(table)
    places = [marked_bias(table, bootstrap, (table.place == at) & (table.place >= 0)) for at in range(m)]
    prior = None
    if symbol_prior:
        middle = float(np.mean(list(symbol_prior.values())))
        prior = {symbol: nats - middle for symbol, nats in sorted(symbol_prior.items())}
    return Biases(
        position=places[0] if places else None,
        places=tuple(None if figure is None else figure.value for figure in places),
        balanced=_balanced(table),
        length=marked_bias(table, bootstrap, _longest(table, fixed)[table.item]),
        acquiescence=_acquiescence(table, bootstrap),
        constant=_constant(table, bootstrap, fixed),
        self_other_gap=_twin_gap(table, bootstrap),
        valence_gap=_valence_gap(table, bootstrap),
        symbol_prior=prior,
        without_prior=None if prior is None else _without_prior(table, bootstrap, prior),
    )


def marked_bias(table: Table, bootstrap: ClusterBootstrap, marked: Bool[np.ndarray, "a m"]) -> Figure | None:
    """Chance of choosing the marked option above 1/m, standardised to a key that is marked by chance.

    Args:
        table: Answers.
        bootstrap: Over their clusters.
        marked: At most one option an answer; answers without one, without a key or without a choice are left out.

    Returns:
        None where the key is always or never marked: preference and skill cannot be told apart then.
    """
    keyed = table.keyed[table.item]
    used = marked.any(axis=1) & keyed & ~table.missing
    chose = np.where(used, (np.nan_to_num(table.picked) * marked).sum(axis=1), 0.0)
    on_key = used & (marked & table.keys[table.item]).any(axis=1)
    off_key = used & ~on_key
    columns = np.stack(
        [
            on_key * chose,
            on_key,
            off_key * chose,
            off_key,
            used * np.nan_to_num(table.chance)[table.item],
            used / table.n_options[table.item],
            used,
        ],
        axis=1,
    )

    def f(s: Float[np.ndarray, "*b 7"]) -> Float[np.ndarray, "*b"]:
        c = s[..., 4] / s[..., 6]
        return np.asarray(c * s[..., 0] / s[..., 1] + (1.0 - c) * s[..., 2] / s[..., 3] - s[..., 5] / s[..., 6])

    share = float(columns[:, 5].sum() / max(used.sum(), 1))
    items = np.unique(table.item[used])
    return bootstrap.of_sums(
        _sums(columns, bootstrap.index[table.item], bootstrap.n_clusters),
        f,
        n_items=len(items),
        n_clusters=len(np.unique(bootstrap.index[items])),
        bounds=(-share, 1.0 - share),
    )


def _sums(columns: Float[np.ndarray, "a k"], clusters: Int[np.ndarray, " a"], g: int) -> Float[np.ndarray, "g k"]:
    out = np.zeros((g, columns.shape[1]))
    np.add.at(out, clusters, columns)
    return out


def _balanced(table: Table) -> float:
    firsts = np.zeros(table.keys.shape)
    used = ~table.missing
    np.add.at(firsts, table.item[used], (table.place == 0)[used])
    options = np.arange(table.keys.shape[1]) < table.n_options[:, None]
    answered = firsts.sum(axis=1) > 0
    alike = np.where(options, firsts, firsts.max(axis=1, keepdims=True, initial=0)) == firsts.max(
        axis=1, keepdims=True, initial=0
    )
    return float(alike.all(axis=1)[answered].mean()) if answered.any() else 0.0


def _fixed(table: Table) -> Bool[np.ndarray, " n"]:
    """Items whose option texts recur, as a set, in several clusters."""
    sets = [tuple(sorted(item.texts)) for item in table.items]
    found = Counter(texts for texts, _ in set(zip(sets, table.clusters.tolist(), strict=True)))
    return np.array([found[texts] >= _FIXED for texts in sets], dtype=bool)


def _longest(table: Table, fixed: Bool[np.ndarray, " n"]) -> Bool[np.ndarray, "n m"]:
    """The longest option of each item, none where several are or where option texts are fixed."""
    lengths = np.full(table.keys.shape, -1)
    for row, item in enumerate(table.items):
        lengths[row, : len(item.options)] = [len(text) for text in item.texts]
    longest = lengths == lengths.max(axis=1, keepdims=True, initial=0)
    return np.asarray(longest & (longest.sum(axis=1, keepdims=True) == 1) & ~fixed[:, None])


def _plain(text: str) -> str:
    return text.strip(string.punctuation + string.whitespace).casefold()


def _acquiescence(table: Table, bootstrap: ClusterBootstrap) -> Figure | None:
    """Of items whose two options are yes and no, or true and false, or agree and disagree."""
    yes = np.full(len(table.items), -1)
    for row, item in enumerate(table.items):
        words = [_plain(text) for text in item.texts]
        if len(words) == 2:
            yes[row] = next((at for at in (0, 1) if _YES.get(words[at]) == words[1 - at]), -1)
    used = (yes >= 0) & (table.keys.sum(axis=1) == 1) & ~np.isnan(table.right)
    is_yes = used & table.keys[np.arange(len(yes)), np.maximum(yes, 0)]
    is_no = used & ~is_yes
    return _difference(table, bootstrap, is_yes, is_no, scale=0.5)


def _valence_gap(table: Table, bootstrap: ClusterBootstrap) -> Figure | None:
    up = np.array([item.factors.valence == "up" for item in table.items], dtype=bool)
    known = ~np.isnan(table.right)
    return _difference(table, bootstrap, up & known, ~up & known)


def _difference(
    table: Table,
    bootstrap: ClusterBootstrap,
    first: Bool[np.ndarray, " n"],
    second: Bool[np.ndarray, " n"],
    *,
    scale: float = 1.0,
) -> Figure | None:
    """Accuracy on some items less that on others; clusters are drawn whole, so that twins stay together."""
    right = np.nan_to_num(table.right)
    columns = np.stack([first * right, first, second * right, second], axis=1)
    return bootstrap.of_sums(
        bootstrap.sums(columns),
        lambda s: scale * (s[..., 0] / s[..., 1] - s[..., 2] / s[..., 3]),
        n_items=int((first | second).sum()),
        n_clusters=bootstrap.n_used(first | second),
        bounds=(-scale, scale),
    )


def _twin_gap(table: Table, bootstrap: ClusterBootstrap) -> Figure | None:
    own = np.array([item.factors.person == "self" for item in table.items], dtype=bool)
    known = ~np.isnan(table.right)
    right = np.nan_to_num(table.right)
    sums = bootstrap.sums(np.stack([(own & known) * right, own & known, (~own & known) * right, ~own & known], axis=1))
    both = (sums[:, 1] > 0) & (sums[:, 3] > 0)
    if not both.any():
        return None
    gaps = np.zeros(len(sums))
    gaps[both] = sums[both, 0] / sums[both, 1] - sums[both, 2] / sums[both, 3]
    return bootstrap.of_sums(
        np.stack([gaps, both], axis=1),
        lambda s: s[..., 0] / s[..., 1],
        n_items=int(sums[both][:, [1, 3]].sum()),
        n_clusters=int(both.sum()),
        bounds=(-1.0, 1.0),
    )


def _constant(table: Table, bootstrap: ClusterBootstrap, fixed: Bool[np.ndarray, " n"]) -> dict[str, Figure]:
    """Per fixed option text: chosen less key, over the items that have it."""
    known = fixed & ~np.isnan(table.right)
    excess: dict[str, Float[np.ndarray, " n"]] = {}
    for row in np.flatnonzero(known):
        n_keys = table.keys[row].sum()
        for at, text in enumerate(table.items[row].texts):
            column = excess.setdefault(text, np.full(len(known), np.nan))
            column[row] = table.chosen[row, at] - table.keys[row, at] / n_keys
    figures = {text: bootstrap.mean(column, bounds=(-1.0, 1.0)) for text, column in sorted(excess.items())}
    return {text: figure for text, figure in figures.items() if figure is not None}


def _without_prior(table: Table, bootstrap: ClusterBootstrap, prior: Mapping[str, float]) -> Figure | None:
    """Subtract the logit of the symbol that stood before each option; symbols that are not known keep theirs."""
    nats = np.zeros(table.keys.shape)
    for row, item in enumerate(table.items):
        nats[row, : len(item.options)] = [prior.get(symbol, 0.0) for symbol in symbols_of(item)]
    there = table.place >= 0
    at_place = np.take_along_axis(nats[table.item], np.maximum(table.place, 0), axis=1)
    usable = table.scored & ~table.missing
    weights = np.where(there, table.shares * np.exp(-at_place), 0.0)[usable]
    totals, n = np.zeros(table.keys.shape), np.bincount(table.item[usable], minlength=len(table.items))
    np.add.at(totals, table.item[usable], weights / weights.sum(axis=1, keepdims=True))
    with np.errstate(invalid="ignore", divide="ignore"):
        return bootstrap.mean(table.judge(tops(totals / n[:, None])))
