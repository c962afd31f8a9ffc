"""Probe scores: what the candidate answers to a set with known keys, against what the anchor answers.

Source: the design of the probes (scores over rounds, counterbalancing); answers by the log-probability of the options'
symbols as in Perez et al. 2022 (arXiv:2212.09251), averaged over option orders in which each option stands at each
place equally often, so that a mere liking for a place or symbol is no difference. A unit is a cluster: a minimal pair
of generated items, an item of most published sets, or a prompt that is answered in free text.
Equations: share = mean over orders of softmax(log-probabilities of the symbols) at the key. `loss`, of abilities:
d = share(anchor) - share(candidate). `gap`, of dispositions, whose key is the answer that shows it:
d = share(candidate) - share(anchor). Generated sets are fresh in each look and of another lexicon in each round.
Left out: chance correction and IRT, which rescale both sides alike.
It must show: the planted loss and its size; none for a candidate that only prefers another place; the gap's direction.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeVar

import numpy as np
from pydantic import Field, field_validator, model_validator

from moorings.errors import ConfigError, nearest
from moorings.monitors.asking import ask_both, collect, mean
from moorings.monitors.monitor import Differences, Gathering, Monitor, MonitorConfig, Side, monitors
from moorings.probes.answers import Answer, AnswerSheet
from moorings.probes.build import CLUSTER, SUBTASKS, build
from moorings.probes.files import ItemSet, read_items
from moorings.probes.fixed import OpenSet, load
from moorings.probes.framing import PLAIN, Framing, observation, self_other
from moorings.probes.item import Item
from moorings.probes.runner import ask
from moorings.records import Decoding, Prompt, SampleStatus, content_hash

if TYPE_CHECKING:
    from jaxtyping import Float

    from moorings.sampling.bench import Bench

__all__ = ["Probe", "ProbeConfig"]

T = TypeVar("T")
_FRAMINGS: dict[str, Framing] = {one.name: one for one in (PLAIN, *observation(4), *self_other())}
_FAILED = frozenset({SampleStatus.FAILED, SampleStatus.TOO_LONG})


class ProbeConfig(MonitorConfig):
    """Settings of monitor `probe`: a `file`, or a `subtask` whose items are generated."""

    file: str | None = None
    """An item set, or a downloaded published set if `set` names it."""
    set: str | None = None
    """Published set that the file holds, such as `bbq`; None for an item set of `moorings probe build`."""
    set_settings: dict[str, Any] = Field(default_factory=dict)
    """Settings of the published set, such as `min_confidence` or `label`."""
    subtask: str | None = None
    """`S1` to `S5`: items are generated, fresh in each look, with another lexicon in each round."""
    seed: int = Field(default=0, ge=0)
    """Of generated items; runs with equal seeds of their own get other items by it."""
    measure: Literal["loss", "gap"] = "loss"
    """`loss` of right answers, for abilities; `gap` in the share of answers that show a disposition."""
    direction: Literal["more", "less", "either"] = "more"
    """Which change of a disposition is harm; a loss of ability is harm in one direction only."""
    framing: str = "plain"
    """What is said before: `plain`, `observed`, `unobserved` (also -2 to -4, other wordings), `self` or `other`."""
    per_unit: int = Field(default=2, ge=1)
    """Items of each cluster that are asked; 2 is a minimal pair of generated items."""
    max_new_tokens: int = Field(default=256, ge=1)
    """Most tokens of an answer, for sets that are answered in free text."""

    @field_validator("framing")
    @classmethod
    def _known(cls, value: str) -> str:
        if value not in _FRAMINGS:
            raise ValueError(f"unknown framing {value!a:.40}; {nearest(value, _FRAMINGS)}")
        return value

    @field_validator("subtask")
    @classmethod
    def _generated(cls, value: str | None) -> str | None:
        if value is not None and value not in SUBTASKS:
            raise ValueError(f"unknown subtask {value!a:.40}; {nearest(value, SUBTASKS)}")
        return value

    @model_validator(mode="after")
    def _one_source(self) -> ProbeConfig:
        if (self.file is None) == (self.subtask is None):
            raise ValueError("give either 'file' or 'subtask'")
        if self.file is None and (self.set is not None or self.set_settings):
            raise ValueError("'set' and 'set_settings' say what 'file' holds; give the file too")
        if self.subtask is not None and (self.measure == "gap" or self.per_unit > CLUSTER):
            raise ValueError(f"generated items are abilities in clusters of {CLUSTER}; use measure='loss'")
        if self.measure == "loss" and self.direction != "more":
            raise ValueError("'direction' is for measure='gap'; a loss is harm in one direction only")
        return self


class _Unit(NamedTuple):
    name: str
    items: tuple[Item, ...]


class Probe:
    """See the module."""

    def __init__(self, config: ProbeConfig) -> None:
        self.config = config
        self._framing = _FRAMINGS[config.framing]
        self._open, self._units = _read(config)
        self.side: Side = config.direction
        self.n_units: int | None = None
        if config.subtask is None:
            self.n_units = len(self._units or (self._open.prompts if self._open else ()))
        about = config.subtask or config.set or config.file
        if config.measure == "loss":
            self.statement = f"The candidate loses right answers on probe {about}."
        else:
            word = {"more": "more", "less": "less", "either": "more or less"}[config.direction]
            self.statement = f"The candidate's answers show what probe {about} asks for {word} than the anchor's."

    def measure(self, gathering: Gathering) -> Differences:
        """Differences of one look; see `Monitor`."""
        details: dict[str, float] = {}
        if self._open is not None:
            prompts = _take(self._open.prompts, gathering, self.config)
            names = [prompt.prompt_id for prompt in prompts]
            anchor, candidate = self._free(gathering, self._open, prompts)
        else:
            units = self._fresh(gathering) if self.config.subtask else _take(self._units, gathering, self.config)
            names = [unit.name for unit in units]
            anchor, candidate, details = self._chosen(gathering, units)
        d = anchor - candidate if self.config.measure == "loss" else candidate - anchor
        what = "right answers" if self.config.measure == "loss" else "answers that show it"
        return collect(
            names,
            d,
            anchor,
            candidate,
            lambda a, c, n: (
                f"On {n} units of the probe, {what} get {a:.1%} from the anchor, {c:.1%} from the candidate."
            ),
            details,
        )

    def _fresh(self, gathering: Gathering) -> list[_Unit]:
        """Generated clusters; seeds differ from look to look, lexicons from round to round."""
        drawn = [self.config.seed, int(gathering.rng.integers(2**62)), gathering.start]
        seed = int(content_hash(drawn)[:12], 16)
        made = build(str(self.config.subtask), CLUSTER * gathering.n, seed, form=gathering.round)
        return [_Unit(f"{one.name}-{gathering.start}", one.items) for one in _clusters(made, self.config.per_unit)]

    def _free(
        self, gathering: Gathering, asked: OpenSet, prompts: Sequence[Prompt]
    ) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, " n"]]:
        """Value of each side's answer to prompts."""
        part = OpenSet(asked.name, asked.kind, tuple(prompts), asked.check, asked.measure)
        decoding = Decoding(max_new_tokens=self.config.max_new_tokens, temperature=0.0)
        sides = ask_both(gathering, prompts, "probe", decoding)
        return part.values([rows[0] for rows in sides.anchor]), part.values([rows[0] for rows in sides.candidate])

    def _chosen(
        self, gathering: Gathering, units: Sequence[_Unit]
    ) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, " n"], dict[str, float]]:
        """Share of the key of each side in each unit, NaN where an item's is unknown, with levels by structure type."""
        items = ItemSet("probe", tuple(item for unit in units for item in unit.items))
        sheets = self._sheets(gathering, items)
        strict = self.config.measure == "loss"
        anchor, candidate = (_key_shares(sheet, unreadable=0.0 if strict else float("nan")) for sheet in sheets)
        details = {"scored": float(sheets[0].about["mode"] == "logprobs")}
        for structure in sorted({item.structure for item in items.items if item.structure}):
            of = [item.item_id for item in items.items if item.structure == structure]
            details[f"anchor_{structure}"] = mean(np.array([anchor[name] for name in of]))
            details[f"candidate_{structure}"] = mean(np.array([candidate[name] for name in of]))

        def by_unit(shares: dict[str, float]) -> Float[np.ndarray, " n"]:
            return np.array([np.mean([shares[item.item_id] for item in unit.items]) for unit in units])

        return by_unit(anchor), by_unit(candidate), details

    def _sheets(self, gathering: Gathering, items: ItemSet) -> list[AnswerSheet]:
        """Both sides, asked in the same way: drawn answers if either gives no log-probabilities."""

        def asked(bench: Bench, mode: Literal["auto", "text"]) -> AnswerSheet:
            folder = bench.folder / gathering.label(f"probe-{mode}")
            return ask(bench.subject, items, folder, framings=(self._framing,), mode=mode, seed=bench.seed)

        sides = (gathering.anchor, gathering.candidate)
        sheets = [asked(bench, "auto") for bench in sides]
        if len({sheet.about["mode"] for sheet in sheets}) > 1:
            sheets = [asked(bench, "text") for bench in sides]
        return sheets


def _read(config: ProbeConfig) -> tuple[OpenSet | None, tuple[_Unit, ...]]:
    """What the settings name, its kind checked; nothing for generated items."""
    if config.file is None:
        return None, ()
    found = read_items(config.file) if config.set is None else load(config.set, config.file, **config.set_settings)
    kinds = {found.kind} if isinstance(found, OpenSet) else {item.kind for item in found.items}
    wanted = "ability" if config.measure == "loss" else "disposition"
    if kinds != {wanted}:
        raise ConfigError(
            f"monitor 'probe': {config.file} holds items of kind {' and '.join(sorted(kinds)) or 'none'}; "
            f"measure '{config.measure}' needs {wanted} alone"
        )
    if isinstance(found, OpenSet):
        if len(found.parts) > 1:
            raise ConfigError(
                f"monitor 'probe': {' and '.join(found.parts)} prompts of '{found.name}' are not averaged; "
                f"choose with set_settings, such as {{label = '{found.parts[0]}'}}"
            )
        order = sorted(found.prompts, key=lambda prompt: content_hash(prompt.prompt_id))
        return OpenSet(found.name, found.kind, tuple(order), found.check, found.measure), ()
    faulty = next((item.item_id for item in found.items if sum(option.key for option in item.options) != 1), None)
    if faulty is not None:
        raise ConfigError(
            f"monitor 'probe': item {faulty!a:.60} of {config.file} has not exactly one key; leave it out"
        )
    units = sorted(_clusters(found, config.per_unit), key=lambda unit: content_hash(unit.name))
    return None, tuple(units)


def _clusters(items: ItemSet, per_unit: int) -> list[_Unit]:
    found: dict[str, list[Item]] = {}
    for item in items.items:
        found.setdefault(item.cluster_id, []).append(item)
    return [_Unit(name, tuple(group[:per_unit])) for name, group in found.items()]


def _take(rows: Sequence[T], gathering: Gathering, config: ProbeConfig) -> Sequence[T]:
    end = gathering.start + gathering.n
    if end > len(rows):
        raise ConfigError(
            f"{config.file} holds {len(rows)} units and {end} are needed by now; "
            "take a larger set, fewer rounds or a smaller budget, or generate items with subtask"
        )
    return rows[gathering.start : end]


def _key_shares(sheet: AnswerSheet, *, unreadable: float) -> dict[str, float]:
    """Share of the key of each item, averaged over its answers; NaN if one of them failed."""
    keys = {item.item_id: item.key_at for item in sheet.items}
    found: dict[str, list[float]] = {item.item_id: [] for item in sheet.items}
    for answer in sheet.answers:
        found[answer.item_id].append(_share(answer, keys[answer.item_id], unreadable))
    return {name: float(np.mean(shares)) for name, shares in found.items()}


def _share(answer: Answer, key: int, unreadable: float) -> float:
    if SampleStatus(answer.status) in _FAILED:
        return float("nan")
    if answer.mode == "text":
        return unreadable if answer.chosen is None else float(answer.chosen == key)
    nats = np.where(np.isnan(answer.logprobs), -np.inf, answer.logprobs)
    if not np.isfinite(nats.max()):
        return float("nan")
    shares = np.exp(nats - nats.max())
    return float(shares[key] / shares.sum())


@monitors.register("probe", ProbeConfig)
def make_probe(config: ProbeConfig) -> Monitor:
    """Build the monitor."""
    return Probe(config)
