"""What a probe asks: multiple-choice items, with the world that their key was computed from.

One type serves both the items that `probes.build` makes, which carry their causal graph, and items of any other
multiple-choice set, which have none. Structure is not validated beyond types: finding faulty items is what
`probes.filters` is for, so a faulty item must be representable.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import ConfigDict, Field

from moorings.records import Record

__all__ = ["Edge", "Endorsement", "Factors", "Graph", "Item", "Moment", "Node", "Option", "Owner", "Query", "Value"]

Kind = Literal["ability", "disposition"]
NodeKind = Literal["event", "mechanism", "value", "belief", "decoy"]
Sign = Literal[-1, 1]


class _Part(Record):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True, allow_inf_nan=False)


class Option(_Part):
    """One answer that may be chosen."""

    symbol: str
    """What stands before it where the item is shown as it is stored; the runner may show another."""
    text: str
    key: bool
    """Whether it is right; for a disposition, whether it shows the disposition."""
    distractor: str | None = None
    """Why it is there, where it is wrong: `sign_flip`, `wrong_owner`, `wrong_time`, `reversed_cause`, `confounder`,
    `no_effect`, `over_effect`."""


class Owner(_Part):
    """Whose values an item is about."""

    role: Literal["self", "other"]
    name: str
    description: str = ""


class Value(_Part):
    """A value that somebody holds."""

    owner: str
    name: str
    kind: Literal["terminal", "instrumental", "social"] = "terminal"
    level_now: float | None = None
    level_later: float | None = None


class Moment(_Part):
    """What the text says of one node."""

    t: int
    node: str
    text: str


class Node(_Part):
    """One node of the world: an event, a mechanism, a value or belief of somebody at a time, or a decoy."""

    id: str
    kind: NodeKind
    name: str = ""
    owner: str | None = None
    """Who holds it, for values and beliefs."""
    about: str | None = None
    """Whom a belief is about."""
    t: int = 0


class Edge(_Part):
    """One cause: a change of `from` changes `to` by sign times weight, `delay` steps later, while the gate is on."""

    source: str = Field(alias="from")
    to: str
    sign: Sign
    w: float = 1.0
    delay: int = 0
    gate: str | None = None
    """Node that must be on for the cause to work."""


class Graph(_Part):
    """A signed causal graph over time steps."""

    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]
    off: tuple[str, ...] = ()
    """Gates that are off; all others are on."""


class Query(_Part):
    """What is asked: a value of an owner at a time."""

    value: str
    """Id of the value's node."""
    owner: str
    t: int


class Endorsement(_Part):
    """What somebody wants of their own values, by their present lights."""

    owner: str
    value: str
    """Name of the value."""
    direction: Literal["up", "down"]
    """Direction that is endorsed."""
    process: tuple[str, ...] = ()
    """Processes that the owner holds legitimate."""


class Factors(_Part):
    """Levels of the counterbalancing design."""

    order: int = 0
    """Rotation of the options."""
    symbols: str = "AB"
    polarity: Literal["affirm", "negate"] = "affirm"
    person: Literal["self", "other"] = "other"
    valence: Literal["up", "down"] = "up"
    paraphrase: int = 0
    name_set: int = 0


class Item(_Part):
    """One multiple-choice question, schema 2."""

    item_id: str
    cluster_id: str
    """Items of one cluster are variants of each other, and are resampled together."""
    subtask: str
    """`S1` to `S5`, or the name of another set."""
    schema_version: int = Field(default=2, alias="schema")
    kind: Kind = "ability"
    """An ability has right answers; a disposition has answers that show it. The two are never averaged."""
    split: Literal["dev", "test", "anchor", "canary"] = "test"
    system: str | None = None
    """System prompt that belongs to the item, such as the values of the one who is asked."""
    prompt: str
    """The stem, without the options."""
    options: tuple[Option, ...]
    key: str = ""
    """Symbol of the right option."""
    owner: Owner | None = None
    values: tuple[Value, ...] = ()
    timeline: tuple[Moment, ...] = ()
    graph: Graph | None = None
    endorsements: tuple[Endorsement, ...] = ()
    structure: str | None = None
    """Structure type, such as `chain2_neg`."""
    intervention: dict[str, str] = Field(default_factory=dict)
    """`do`, `from` and `to`: what is switched."""
    query: Query | None = None
    key_derivation: tuple[tuple[str, str, int], ...] = ()
    """The edges that the key follows from: source, target, sign."""
    effect: float | None = None
    """Effect of the intervention on the value that is asked for."""
    pair: str | None = None
    """`item_id` of its minimal pair: the same words but for one edge flipped or cut, with another key."""
    factors: Factors = Factors()
    provenance: dict[str, Any] = Field(default_factory=dict)
    """`generator`, `generator_version`, `seed`, `form` and the like."""
    filters: dict[str, Any] = Field(default_factory=dict)
    """What the filters said."""
    irt: dict[str, float | None] = Field(default_factory=dict)
    """`a`, `b`, `c` and `n` once it was calibrated."""
    metadata: dict[str, Any] = Field(default_factory=dict)
    """Further columns of its source, kept as they were."""

    @property
    def key_at(self) -> int:
        """Position of the right option. Raises ValueError unless exactly one is right."""
        right = [at for at, option in enumerate(self.options) if option.key]
        if len(right) != 1:
            raise ValueError(f"{self.item_id} has {len(right)} right options")
        return right[0]

    @property
    def texts(self) -> tuple[str, ...]:
        """Texts of the options, in the order in which they are stored."""
        return tuple(option.text for option in self.options)
