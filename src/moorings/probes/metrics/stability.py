"""Whether the same question gets the same answer: over paraphrases, orders and checkpoints, and over rounds of training.

Source: the design of the probes (stability). Agreement is the chance that two showings choose the same option. Two kappas
correct it: `kappa` on the option, with chance 1/m (Brennan and Prediger 1981; options of different items share no
categories, so marginal shares mean nothing), and `kappa_right` on right or wrong, with Fleiss' marginal chance (Fleiss
1971). CUSUM (Page 1954): S_t = max(0, S_{t-1} + z_t - k), alarm above h, both sides; h = 5 sigma and k = 0.5 sigma give one
false alarm in about 465 rounds and find a shift of one sigma after about 10.

Left out: intervals for the run length. Must show: kappa of a forgetful responder as computed, run lengths as tabled.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from moorings.errors import ConfigError, InputError
from moorings.probes.answers import AnswerSheet
from moorings.probes.item import Item
from moorings.probes.metrics.cluster_bootstrap import ClusterBootstrap, Figure, cluster_index
from moorings.probes.metrics.irt import Abilities, abilities, scores
from moorings.probes.metrics.table import Table
from moorings.records import Record

if TYPE_CHECKING:
    from jaxtyping import Float, Int

__all__ = [
    "Agreement",
    "Cusum",
    "ThetaDrift",
    "agreement",
    "checkpoints",
    "cusum",
    "orders",
    "paraphrases",
    "theta_drift",
]


class Agreement(Record):
    """How alike two showings of the same question are answered."""

    same: Figure
    """Chance that two showings choose the same option."""
    kappa: Figure | None
    """(same - chance) / (1 - chance) with chance 1/m: 0 for guessing, 1 for always the same."""
    kappa_right: Figure | None
    """As kappa, on right or wrong, with chance from how often showings are right; None if all are alike."""


def agreement(
    chosen: Float[np.ndarray, "r m"],
    right: Float[np.ndarray, " r"],
    n_options: Int[np.ndarray, " r"],
    units: Int[np.ndarray, " r"],
    clusters: Int[np.ndarray, " r"],
    bootstrap: ClusterBootstrap,
) -> Agreement | None:
    """Agreement of ratings of the same units; all pairs of ratings of one unit count as one unit together.

    Args:
        chosen: Choice of each rating, one unit of weight over the options; NaN is missing.
        right: Whether it is right, in [0, 1].
        n_options: Options it had.
        units: What was rated; below the number of ratings.
        clusters: Cluster of each rating, as numbered in `bootstrap`.
        bootstrap: Over clusters.

    Returns:
        None where no unit has two ratings.
    """
    known = ~np.isnan(chosen).any(axis=1)
    chosen, right, n_options, units, clusters = (x[known] for x in (chosen, right, n_options, units, clusters))
    u = int(units.max(initial=-1)) + 1
    several = np.asarray(np.bincount(units, minlength=u) >= 2)
    first = np.zeros(u, dtype=np.int64)
    first[units[::-1]] = np.arange(len(units))[::-1]
    used = clusters[first[several]]
    sums = np.zeros((bootstrap.n_clusters, 6))
    np.add.at(sums, used, _pair_columns(chosen, right, units, 1.0 / n_options[first])[several])

    def figure(f: Callable[[np.ndarray], np.ndarray], low: float) -> Figure | None:
        n_items, n_clusters = int(several.sum()), len(np.unique(used))
        return bootstrap.of_sums(sums, f, n_items=n_items, n_clusters=n_clusters, bounds=(low, 1.0))

    same = figure(lambda s: s[..., 1] / s[..., 0], 0.0)
    if same is None:
        return None
    kappa = figure(lambda s: (s[..., 1] - s[..., 2]) / (s[..., 0] - s[..., 2]), -1.0)
    return Agreement(same=same, kappa=kappa, kappa_right=figure(_kappa_right, -1.0))


def _pair_columns(
    chosen: Float[np.ndarray, "r m"],
    right: Float[np.ndarray, " r"],
    units: Int[np.ndarray, " r"],
    guess: Float[np.ndarray, " u"],
) -> Float[np.ndarray, "u 6"]:
    """Of each unit: 1, chance that two ratings agree, that guesses do; 1 if keyed, chance that they differ in being
    right, and share that is right."""
    u = len(guess)
    n = np.bincount(units, minlength=u).astype(np.float64)
    pairs = np.maximum(n * (n - 1.0), 1.0)
    total = np.zeros((u, chosen.shape[1]))
    np.add.at(total, units, chosen)
    # Shared credits are draws: draws from v and w agree with chance v'w; no rating is paired with itself.
    own = np.bincount(units, weights=(chosen**2).sum(axis=1), minlength=u)
    same = ((total**2).sum(axis=1) - own) / pairs
    keyed = np.bincount(units, weights=np.isnan(right), minlength=u) == 0
    scored = np.nan_to_num(right)
    hits = np.bincount(units, weights=scored, minlength=u)
    both = (hits**2 - np.bincount(units, weights=scored**2, minlength=u)) / pairs
    share = hits / np.maximum(n, 1.0)
    return np.stack([np.ones(u), same, guess, keyed, keyed * 2.0 * (share - both), keyed * share], axis=1)


def _kappa_right(s: Float[np.ndarray, "*b k"]) -> Float[np.ndarray, "*b"]:
    p = s[..., 5] / s[..., 3]
    expected = 2.0 * p * (1.0 - p)
    return np.asarray(np.where(expected > 1e-12, 1.0 - s[..., 4] / s[..., 3] / np.maximum(expected, 1e-12), np.nan))


def orders(table: Table, bootstrap: ClusterBootstrap) -> Agreement | None:
    """Agreement over the orders (and repeats) in which each item was shown; low where place decides."""
    item = table.item
    right = np.where(table.keyed[item], (table.picked * table.keys[item]).sum(axis=1), np.nan)
    return agreement(table.picked, right, table.n_options[item], item, bootstrap.index[item], bootstrap)


def paraphrases(table: Table, bootstrap: ClusterBootstrap) -> Agreement | None:
    """Agreement over items of one cluster that differ in their wording alone.

    Such items share structure, key, option texts and all factors but `paraphrase`, `order` and `symbols`. An option is
    told by its text.
    """
    units = cluster_index([repr(_wording_apart(item)) for item in table.items])
    chosen = np.zeros_like(table.chosen)
    for row, item in enumerate(table.items):
        by_text = np.argsort(np.array(item.texts, dtype=object), kind="stable")
        chosen[row, : len(by_text)] = table.chosen[row, by_text]
    chosen[np.isnan(table.chosen).any(axis=1)] = np.nan
    return agreement(chosen, table.right, table.n_options, units, bootstrap.index, bootstrap)


def _wording_apart(item: Item) -> tuple[object, ...]:
    keys = sorted(option.text for option in item.options if option.key)
    factors = (item.factors.polarity, item.factors.person, item.factors.valence, item.factors.name_set)
    return item.cluster_id, item.structure, factors, sorted(item.texts), keys


def checkpoints(
    first: AnswerSheet, second: AnswerSheet, *, rng: np.random.Generator, n_draws: int = 2000, level: float = 0.95
) -> Agreement | None:
    """Agreement of two checkpoints on the items that both were asked, each averaged over its orders.

    Raises:
        InputError: The sheets hold the same item with different options.
    """
    tables = [Table.of(sheet) for sheet in (first, second)]
    numbers = {item.item_id: number for number, item in enumerate(tables[1].items)}
    mine = np.array([at for at, item in enumerate(tables[0].items) if item.item_id in numbers], dtype=np.int64)
    theirs = np.array([numbers[tables[0].items[at].item_id] for at in mine], dtype=np.int64)
    for at, other in zip(mine, theirs, strict=True):
        if tables[0].items[at].options != tables[1].items[other].options:
            raise InputError(
                f"item {tables[0].items[at].item_id!a:.80} has other options in the second sheet; ask again"
            )
    width = min(table.keys.shape[1] for table in tables)
    chosen = np.concatenate([tables[0].chosen[mine, :width], tables[1].chosen[theirs, :width]])
    right = np.concatenate([tables[0].right[mine], tables[1].right[theirs]])
    n_options = np.tile(tables[0].n_options[mine], 2)
    bootstrap = ClusterBootstrap(tables[0].clusters[mine], rng=rng, n_draws=n_draws, level=level)
    units = np.tile(np.arange(len(mine)), 2)
    return agreement(chosen, right, n_options, units, np.tile(bootstrap.index, 2), bootstrap)


class ThetaDrift(NamedTuple):
    """Abilities of rounds on one scale, and how far each is from the first and from the one before."""

    theta: Abilities
    from_first: tuple[Figure | None, ...]
    """One entry a round after the first."""
    from_last: tuple[Figure | None, ...]


def theta_drift(
    right: Float[np.ndarray, "rounds n"],
    a: Float[np.ndarray, " n"],
    b: Float[np.ndarray, " n"],
    c: Float[np.ndarray, " n"],
    clusters: Int[np.ndarray, " n"],
    *,
    rng: np.random.Generator,
    n_draws: int = 2000,
    level: float = 0.95,
) -> ThetaDrift:
    """Ability by round under items with known parameters, such as linked anchors; intervals pair the rounds by cluster.

    Each draw of clusters moves an ability by one Fisher step from its estimate: sum of scores over sum of information.

    Raises:
        InputError: Shapes that do not fit, or scores out of range.
    """
    theta = abilities(right, a, b, c)
    bootstrap = ClusterBootstrap(clusters, rng=rng, n_draws=n_draws, level=level)

    def change(new: int, old: int) -> Figure | None:
        return _moved(theta, right, (a, b, c), bootstrap, new, old)

    later = range(1, len(right))
    return ThetaDrift(theta, tuple(change(r, 0) for r in later), tuple(change(r, r - 1) for r in later))


def ability(
    right: Float[np.ndarray, " n"],
    a: Float[np.ndarray, " n"],
    b: Float[np.ndarray, " n"],
    c: Float[np.ndarray, " n"],
    bootstrap: ClusterBootstrap,
) -> Figure | None:
    """Ability of one respondent under items with known parameters, with its interval over clusters.

    Raises:
        InputError: Shapes that do not fit, or scores out of range.
    """
    return _moved(abilities(right[None], a, b, c), right[None], (a, b, c), bootstrap, 0, None)


def _moved(
    theta: Abilities,
    right: Float[np.ndarray, "rounds n"],
    items: tuple[np.ndarray, np.ndarray, np.ndarray],
    bootstrap: ClusterBootstrap,
    new: int,
    old: int | None,
) -> Figure | None:
    """Ability of a round, less that of another if one is given."""
    rows = [new] if old is None else [new, old]
    at, y = theta.theta[rows], right[rows]
    seen = ~np.isnan(y)
    slope, info = scores(at, np.where(seen, y, 0.0), seen, *items)
    k = len(rows)

    def f(s: Float[np.ndarray, "*b k"]) -> Float[np.ndarray, "*b"]:
        moved = at + (s[..., :k] - at) / (s[..., k:] + 1.0)
        return np.asarray(moved[..., 0] - (moved[..., 1] if k == 2 else 0.0))

    used = np.asarray(seen.any(axis=0))
    return bootstrap.of_sums(
        bootstrap.sums(np.concatenate([slope, info]).T),
        f,
        n_items=int(used.sum()),
        n_clusters=bootstrap.n_used(used),
        bounds=None,
    )


class Cusum(NamedTuple):
    """Cumulative sums by round."""

    up: Float[np.ndarray, "*shape t"]
    """S+, in sigma."""
    down: Float[np.ndarray, "*shape t"]
    first_alarm: Int[np.ndarray, "*shape"]
    """Index of the first round in which a sum is above h; -1 for none."""
    side: Literal["up", "down", ""]
    """Which sum raised it, for a single series."""


def cusum(
    series: Float[np.ndarray, "*shape t"], target: float, sigma: float, *, h: float = 5.0, k: float = 0.5
) -> Cusum:
    """Watch a series for a lasting shift of its mean.

    Args:
        series: One value a round, such as abilities; leading axes are separate series. NaN counts as the target.
        target: Mean while nothing has changed.
        sigma: Standard deviation of one value while nothing has changed, > 0.
        h: Alarm limit in sigma.
        k: Slack in sigma: half the shift that matters.

    Raises:
        ConfigError: sigma, h or k not positive.
    """
    if min(sigma, h, k) <= 0:
        raise ConfigError(f"sigma {sigma}, h {h} and k {k} are not allowed; give numbers above 0")
    z = np.nan_to_num((np.asarray(series, dtype=np.float64) - target) / sigma, nan=0.0)
    up, down = np.zeros_like(z), np.zeros_like(z)
    high, low = np.zeros(z.shape[:-1]), np.zeros(z.shape[:-1])
    for t in range(z.shape[-1]):
        high = np.maximum(0.0, high + z[..., t] - k)
        low = np.maximum(0.0, low - z[..., t] - k)
        up[..., t], down[..., t] = high, low
    alarm = np.maximum(up, down) > h
    first = np.where(alarm.any(axis=-1), alarm.argmax(axis=-1), -1)
    side: Literal["up", "down", ""] = ""
    if first.ndim == 0 and first >= 0:
        side = "up" if up[int(first)] > h else "down"
    return Cusum(up, down, first, side)
