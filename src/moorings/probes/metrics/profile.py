"""The profile of a subject: every figure of every subtask, with intervals, as one record and as text for terminals."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from moorings.errors import ConfigError
from moorings.probes.answers import Answer, AnswerSheet
from moorings.probes.item import Item, Kind
from moorings.probes.metrics.accuracy import Accuracy, accuracy
from moorings.probes.metrics.bias import Biases, biases
from moorings.probes.metrics.calibration import Calibration, calibration
from moorings.probes.metrics.cluster_bootstrap import ClusterBootstrap, Figure
from moorings.probes.metrics.detectable import said
from moorings.probes.metrics.observation_gap import FramingGap, observation_gap, wordings
from moorings.probes.metrics.stability import Agreement, ability, orders, paraphrases
from moorings.probes.metrics.table import Table
from moorings.records import Record, content_hash

__all__ = ["Profile", "SubtaskProfile", "profile", "render_profile"]


class SubtaskProfile(Record):
    """All figures of one subtask. Abilities and dispositions are never in one record."""

    subtask: str
    kind: Kind
    framing: str
    """Framing that all figures but `framings` and `observation_gap` are about."""
    n_items: int
    n_clusters: int
    n_answers: int
    """Answers that were planned under the framing, orders and repeats counted."""
    n_missing_answers: int
    """Those without a usable choice."""
    accuracy: Accuracy
    bias: Biases
    calibration: Calibration | None
    ability: Figure | None
    """Theta on the scale of the items' parameters; None unless all answered items have `irt` a and b."""
    orders: Agreement | None
    """Agreement over the orders of each item."""
    paraphrases: Agreement | None
    """Agreement over wordings of the same question."""
    framings: dict[str, Figure | None]
    """Accuracy under each framing that was asked."""
    observation_gap: FramingGap | None = None
    """`observed` less `unobserved`; None unless both framings were asked."""
    self_gap: FramingGap | None = None
    """`self` less `other`, where the same items were said to be about the subject and about another; else None."""


class Profile(Record):
    """What a sheet shows of its subject."""

    subject: str
    fingerprint: str
    level: float
    """Confidence of all intervals."""
    n_draws: int
    """Draws of the cluster bootstrap."""
    subtasks: tuple[SubtaskProfile, ...]


def profile(
    sheet: AnswerSheet,
    *,
    framing: str | None = None,
    observed: str = "observed",
    unobserved: str = "unobserved",
    symbol_prior: Mapping[str, float] | None = None,
    seed: int = 0,
    n_draws: int = 2000,
    level: float = 0.95,
) -> Profile:
    """All figures of all subtasks.

    Args:
        sheet: Answers of one subject; items need neither graphs nor clusters of several.
        framing: What the figures are about; None takes `plain` if it was asked, else the first that was.
        observed: Framing that says the answers are watched.
        unobserved: Framing that says they are not.
        symbol_prior: Log-probability of each symbol on content-free prompts; None takes `sheet.about["symbol_prior"]`.
        seed: Of the bootstrap; equal sheets and seeds give equal profiles.
        n_draws: Draws of the bootstrap.
        level: Confidence of the intervals, in (0, 1).

    Raises:
        ConfigError: The framing was not asked, or `n_draws` or `level` is out of range.
        InputError: An answer does not fit its item.
    """
    asked = list(dict.fromkeys(answer.framing for answer in sheet.answers))
    if framing is None:
        framing = "plain" if "plain" in asked or not asked else asked[0]
    elif framing not in asked:
        raise ConfigError(f"framing {framing!a} was not asked; asked were: {', '.join(map(ascii, asked)) or 'none'}")
    prior = sheet.about.get("symbol_prior") if symbol_prior is None else symbol_prior
    subtasks = []
    for (subtask, kind), part in _parts(sheet):
        rng = np.random.default_rng([seed, int(content_hash([subtask, kind])[:8], 16)])
        tables = {name: Table.of(part.of(name)) for name in dict.fromkeys([framing, *asked])}
        bootstrap = ClusterBootstrap(tables[framing].clusters, rng=rng, n_draws=n_draws, level=level)
        figures = _figures(tables[framing], bootstrap, prior, rng)
        means = {name: bootstrap.mean(tables[name].right) for name in asked}
        gaps = {
            name: observation_gap(part, rng=rng, observed=first, unobserved=second, n_bootstrap=n_draws, level=level)
            for name, first, second in (("observation_gap", observed, unobserved), ("self_gap", "self", "other"))
            if wordings(part, first) and wordings(part, second)
        }
        subtasks.append(SubtaskProfile(subtask=subtask, kind=kind, framing=framing, framings=means, **figures, **gaps))
    return Profile(
        subject=sheet.subject, fingerprint=sheet.fingerprint, level=level, n_draws=n_draws, subtasks=tuple(subtasks)
    )


def _figures(
    table: Table, bootstrap: ClusterBootstrap, prior: Mapping[str, float] | None, rng: np.random.Generator
) -> dict[str, Any]:
    """What one framing alone shows."""
    return {
        "n_items": len(table.items),
        "n_clusters": bootstrap.n_clusters,
        "n_answers": len(table.item),
        "n_missing_answers": int(table.missing.sum()),
        "accuracy": accuracy(table, bootstrap),
        "bias": biases(table, bootstrap, symbol_prior=prior),
        "calibration": calibration(table, rng=rng, n_draws=bootstrap.n_draws, level=bootstrap.level),
        "ability": _ability(table, bootstrap),
        "orders": orders(table, bootstrap),
        "paraphrases": paraphrases(table, bootstrap),
    }


def _parts(sheet: AnswerSheet) -> list[tuple[tuple[str, Kind], AnswerSheet]]:
    """The sheet of each subtask and kind, in alphabetical sequence."""
    items: dict[tuple[str, Kind], list[Item]] = {}
    for item in sheet.items:
        items.setdefault((item.subtask, item.kind), []).append(item)
    where = {item.item_id: (item.subtask, item.kind) for item in sheet.items}
    answers: dict[tuple[str, Kind], list[Answer]] = {part: [] for part in items}
    for answer in sheet.answers:
        # An answer to an unknown item goes to the first part, whose table refuses it by name.
        answers[where.get(answer.item_id, next(iter(items)))].append(answer)
    return [(part, replace(sheet, items=tuple(items[part]), answers=tuple(answers[part]))) for part in sorted(items)]


def _ability(table: Table, bootstrap: ClusterBootstrap) -> Figure | None:
    """Ability on the scale of the items' own parameters; None unless all answered items have them."""
    used = ~np.isnan(table.right)
    parameters = [(item.irt.get("a"), item.irt.get("b")) for item in table.items]
    if not used.any() or any(None in pair for pair, use in zip(parameters, used, strict=True) if use):
        return None
    a, b = np.array([pair if use else (1.0, 0.0) for pair, use in zip(parameters, used, strict=True)], dtype=float).T
    return ability(table.right, a, b, np.nan_to_num(table.chance), bootstrap)


def render_profile(profile: Profile) -> str:
    """The profile as plain text for terminals; names from the item set are escaped where they are not plain."""
    head = [f"Profile of {_name(profile.subject)}; intervals of {profile.level:.0%} by clusters of items"]
    return "\n\n".join(head + ["\n".join(_subtask(one)) for one in profile.subtasks]) + "\n"


def _subtask(one: SubtaskProfile) -> list[str]:
    seen, bias = one.accuracy, one.bias
    what = "right" if one.kind == "ability" else "shows the disposition"
    lines = [
        f"{_name(one.subtask)} ({one.kind}): {one.n_items} items in {one.n_clusters} clusters, "
        f"{one.n_answers} answers under {_name(one.framing)}, {one.n_missing_answers} of them missing",
        _line(what, seen.item, _chance(seen.chance)),
        _line("same, one order alone", seen.single_order),
    ]
    if one.kind == "ability":
        lines += [_line("above chance", seen.corrected), _line("same, mean of structure types", seen.macro)]
        lines += [f"    {sentence}" for sentence in _null(seen.corrected)]
    lines += [
        _line("share of the right option", seen.key_share),
        _line("whole clusters", seen.cluster, _chance(seen.cluster_chance)),
        _line("minimal pairs", seen.pair, _chance(seen.pair_chance)),
    ]
    if one.n_missing_answers:
        worst = seen.worst_case
        ends = "" if worst is None else f"between {worst.low:.3f} and {worst.high:.3f} whatever was missing"
        lines += [_line("missing counted as wrong", seen.as_wrong, ends)]
    lines += [
        _line("prefers the first place", bias.position, f"orders balanced for {bias.balanced:.0%} of items"),
        _line("prefers the longest option", bias.length),
        _line("says yes too often", bias.acquiescence),
        *(_line(f"prefers: {_name(text)}", figure) for text, figure in bias.constant.items()),
        _line("self less other", bias.self_other_gap),
        _line("up less down", bias.valence_gap),
        _line("right without symbol prior", bias.without_prior),
        _line("ability (theta)", one.ability),
        _line("same option in other orders", None if one.orders is None else one.orders.same),
        _line("kappa over orders", None if one.orders is None else one.orders.kappa),
        _line("kappa over paraphrases", None if one.paraphrases is None else one.paraphrases.kappa),
        *_calibration(one.calibration),
        *(_line(f"{what}, {_name(name)}", figure) for name, figure in one.framings.items() if name != one.framing),
        *_gap(one.observation_gap),
        *_gap(one.self_gap),
    ]
    if len(seen.structures) > 1:
        lines.append("  by structure type")
        lines += [_line(f"  {_name(s.structure)}", s.item, _chance(s.chance)) for s in seen.structures]
    return [line for line in lines if line]


def _calibration(seen: Calibration | None) -> list[str]:
    if seen is None:
        return []
    band = seen.ece_if_calibrated
    told = "" if band is None else f"{band.low:.3f} to {band.high:.3f} if calibrated"
    dev = "" if seen.temperature is None else f"temperature {seen.temperature:.2f} of {seen.n_dev} dev items"
    return [
        _line("calibration error", seen.ece, told),
        _line("same, scaled", seen.ece_scaled, dev),
        _line("confidence less accuracy", seen.overconfidence),
        _line("Brier score", seen.brier),
        _line("log score (nats)", seen.log_score),
        _line("AUROC of confidence", seen.auroc),
        _line("right on the surest 80 %", seen.selective),
    ]


def _gap(seen: FramingGap | None) -> list[str]:
    if seen is None or seen.right is None:
        return []
    names = f"{_name(seen.first[0])} less {_name(seen.second[0])}"
    missing = f"{seen.n_missing} items missing" if seen.n_missing else ""
    return [_line(names, seen.right.gap, missing), f"    {seen.right.said}"]


def _null(figure: Figure | None) -> list[str]:
    """What could have been found, where nothing was."""
    if figure is None or (figure.interval is not None and not figure.interval.low <= 0.0 <= figure.interval.high):
        return []
    return [f"Not told apart from chance. {said(figure.detectable, 'A true distance')}"]


def _line(name: str, figure: Figure | None, note: str = "") -> str:
    if figure is None:
        return ""
    ends = figure.interval
    between = "[too few clusters]" if ends is None else f"[{ends.low:.3f}, {ends.high:.3f}]"
    return f"  {name:<32} {figure.value:>7.3f} {between:<18} {note}".rstrip()


def _chance(chance: float | None) -> str:
    return "" if chance is None else f"chance {chance:.3f}"


def _name(text: str) -> str:
    cut = text if len(text) <= 40 else text[:39] + "\N{HORIZONTAL ELLIPSIS}"
    return cut if cut.isprintable() else ascii(cut)
