"""The charter: what a change is for, what must stay, and what must not happen.

A person writes it before the change is looked at. It is plain data in YAML, read with the safe loader;
whatever is unknown, repeated or unclear is refused with its line, because a misspelt limit is no limit.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, NamedTuple

import yaml
from pydantic import BeforeValidator, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from moorings.charter_run import GatePlan, MonitorUse, Otherwise, RoundChange, RunSection, Use
from moorings.errors import ConfigError, InputError, nearest
from moorings.records import Decoding, Record, content_hash

__all__ = [
    "MAX_CHARTER_BYTES",
    "Charter",
    "Defaults",
    "Entry",
    "Forbidden",
    "Intended",
    "Scope",
    "Size",
    "Tolerance",
    "Unchanged",
    "load_charter",
]

MAX_CHARTER_BYTES = 64 * 1024
_MAX_DEPTH = 12
_WHAT = ("feature", "phrases", "outcome", "statement")

Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=2000)]
Direction = Literal["more", "less", "any"]
Section = Literal["intended", "unchanged", "forbidden"]
_EMPTY = BeforeValidator(lambda value: () if value is None else value)
"""A heading with nothing below it is an empty list."""


class _Part(Record):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class Size(_Part):
    """How large a change is meant to be, counted in the intended direction."""

    min: float | None = Field(default=None, ge=0)
    """A smaller change leaves the entry not met."""
    max: float | None = Field(default=None, gt=0)
    """A larger change is concerning."""
    scale: Literal["unit", "sd", "relative"] = "unit"
    """`unit`: what is counted (share of responses, words); `sd`: standard deviations of one response;
    `relative`: share of the precursor's mean, 0.3 is 30 % of it."""

    @model_validator(mode="after")
    def _ordered(self) -> Size:
        if self.min is None and self.max is None:
            raise ValueError("needs min, max or both")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"has min {self.min:g} above max {self.max:g}; swap them")
        return self


class Scope(_Part):
    """The prompts that an entry speaks of."""

    groups: Annotated[tuple[Text, ...], Field(min_length=1, strict=False)]
    """Prompt groups, as in the prompt file's group column."""


class Entry(_Part):
    """One behaviour that the charter speaks of; exactly one of feature, phrases, outcome, statement says which."""

    section: ClassVar[Section]
    """The charter's list that it is in."""

    name: Text
    """Unique in the charter; used in reports."""
    feature: Text | None = None
    """A feature of the battery, such as `words`."""
    phrases: Annotated[tuple[Text, ...], Field(min_length=1, max_length=500, strict=False)] | None = None
    """Words or phrases of which a response holds at least `min_hits` different ones."""
    min_hits: int = Field(default=1, ge=1)
    """Only with phrases."""
    outcome: Literal["refused", "empty", "truncated", "failed"] | None = None
    """How a response ended."""
    statement: Text | None = None
    """A sentence that is true or false of one response; only a judge model can measure it."""
    scope: Scope | None = None
    """None is all prompts."""
    tolerance: float | None = Field(default=None, gt=0)
    """Largest change that does not matter, in what is counted; None takes the charter's."""
    direction: Direction = "any"
    """More or less of it in the candidate."""

    @model_validator(mode="after")
    def _one_behaviour(self) -> Entry:
        given = [name for name in _WHAT if getattr(self, name) is not None]
        if len(given) != 1:
            said = f"has {' and '.join(given)}" if given else "says no behaviour"
            raise ValueError(f"{said}; give exactly one of {', '.join(_WHAT)}")
        if self.phrases is None and self.min_hits > 1:
            raise ValueError("has min_hits without phrases; remove it")
        if self.phrases is not None and self.min_hits > len(self.phrases):
            raise ValueError(f"has min_hits {self.min_hits} but {len(self.phrases)} phrases; lower it")
        return self

    @property
    def predicate(self) -> dict[str, Any]:
        """The behaviour in the form that a finding stores.

        >>> Unchanged(name="length", feature="words").predicate
        {'kind': 'feature', 'feature': 'words'}
        """
        if self.phrases is not None:
            return {"kind": "phrases", "phrases": list(self.phrases), "min_hits": self.min_hits}
        kind = next(name for name in _WHAT if getattr(self, name) is not None)
        return {"kind": kind, kind: getattr(self, kind)}

    @property
    def groups(self) -> frozenset[str] | None:
        """Prompt groups that it speaks of; None is all."""
        return None if self.scope is None else frozenset(self.scope.groups)


class Intended(Entry):
    """A change that is wanted."""

    section = "intended"

    direction: Direction
    """Must be said: a wish without a direction would excuse its opposite."""
    size: Size | None = None
    """None accepts every size."""


class Unchanged(Entry):
    """A behaviour that must stay within tolerance."""

    section = "unchanged"

    direction: Direction = "any"
    """`more` or `less` guards one side only."""


class Forbidden(Entry):
    """A change that must not happen."""

    section = "forbidden"

    direction: Direction = "more"
    """`more`: the candidate must not show more of it."""


class Tolerance(_Part):
    """Changes too small to matter."""

    share: float = Field(default=0.02, gt=0, lt=1)
    """For behaviours that a response has or has not: difference in the share of responses."""
    sd: float = Field(default=0.1, gt=0)
    """For counted behaviours: standard deviations of one response."""


class Defaults(_Part):
    """What holds where the charter says nothing."""

    unlisted: Literal["side effect", "concerning", "not judged"] = "side effect"
    """What a confirmed change counts as that no entry speaks of."""


class Charter(_Part):
    """What a change is for and what it must leave alone."""

    title: Text
    purpose: Text
    """What the change is for, in a sentence or two; a judge model reads it too."""
    intended: Annotated[tuple[Intended, ...], Field(strict=False), _EMPTY] = ()
    unchanged: Annotated[tuple[Unchanged, ...], Field(strict=False), _EMPTY] = ()
    forbidden: Annotated[tuple[Forbidden, ...], Field(strict=False), _EMPTY] = ()
    tolerance: Tolerance = Tolerance()
    q: float = Field(default=0.1, gt=0, lt=1)
    """False discovery rate of the changes that nobody listed."""
    alpha: float = Field(default=0.05, gt=0, lt=1)
    """Error rate of the charter's own entries, over all of them together (Holm)."""
    power: float = Field(default=0.8, gt=0, lt=1)
    """Chance of finding a change of the size that is called detectable."""
    defaults: Defaults = Defaults()
    run: RunSection | None = None
    """How the model improves itself, and its gate; only `moorings run` and its kin need it."""

    @model_validator(mode="after")
    def _consistent(self) -> Charter:
        seen: dict[str, str] = {}
        for entries in (self.intended, self.unchanged, self.forbidden):
            for i, entry in enumerate(entries):
                at = f"{entry.section}[{i}]"
                if entry.name in seen:
                    raise ValueError(f"{seen[entry.name]} and {at} are both named {entry.name!a}; rename one")
                seen[entry.name] = at
        for wish in self.intended:
            for limit in (*self.unchanged, *self.forbidden):
                if _contradict(wish, limit):
                    raise ValueError(
                        f"{seen[wish.name]} wants what {seen[limit.name]} rules out; narrow one by direction or scope"
                    )
        return self

    def entries(self) -> Iterator[Entry]:
        """All entries: intended, unchanged, forbidden."""
        yield from (*self.intended, *self.unchanged, *self.forbidden)

    def check_features(self, known: Iterable[str]) -> None:
        """Make sure that every feature exists, before hours are spent on samples.

        Args:
            known: Names of the battery's features.

        Raises:
            ConfigError: An entry names another; the nearest one is suggested.
        """
        names = set(known)
        for entry in self.entries():
            if entry.feature is not None and entry.feature not in names:
                raise ConfigError(
                    f"charter entry {entry.name!a} ({entry.section}): unknown feature {entry.feature!a}; "
                    f"{nearest(entry.feature, names)}"
                )

    def fingerprint(self) -> str:
        """Content hash (64 hex digits) of all that the charter says, defaults filled in."""
        return content_hash(self.model_dump(mode="json"))


def _contradict(wish: Entry, limit: Entry) -> bool:
    """Whether one change would both be wanted and ruled out, whatever its size."""
    directions = {wish.direction, limit.direction}
    return wish.predicate == limit.predicate and wish.groups == limit.groups and directions != {"more", "less"}


def load_charter(path: Path | str) -> Charter:
    """Read a charter from a YAML file.

    Raises:
        InputError: Unreadable or larger than 64 KiB, no YAML, an alias, a repeated or unknown key, or a
            value that is not allowed; the message names file, line and place.
    """
    path = Path(path)
    text = _read(path)
    try:
        if fault := _fault_of_form(text):
            raise InputError(f"{path} {fault}")
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        if node is not None and (twice := _repeated_key(node)):
            raise InputError(f"{path} line {twice.line}: key {twice.key!a} is given twice; remove one")
        value = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise InputError(f"{path} is not readable YAML: {' '.join(str(error).split())[:300]}") from error
    if not isinstance(value, dict):
        raise InputError(f"{path} holds no charter; write title, purpose and the lists intended, unchanged, forbidden")
    try:
        return Charter.model_validate(value)
    except ValidationError as error:
        raise InputError(f"{path}{_explain(error, node)}") from None


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_CHARTER_BYTES + 1)
    except OSError as error:
        raise InputError(f"cannot read {path} ({error.strerror}); check the path and its permissions") from error
    if len(raw) > MAX_CHARTER_BYTES:
        raise InputError(f"{path} is larger than {MAX_CHARTER_BYTES} bytes; allowed: less")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 at byte {error.start + 1}; convert it to UTF-8") from error


def _fault_of_form(text: str) -> str | None:
    """What makes a text dangerous to load: aliases can grow without bound, nesting takes quadratic time."""
    depth = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        at = f"line {event.start_mark.line + 1}" if event.start_mark else "at its start"
        if isinstance(event, yaml.AliasEvent):
            return f"{at}: aliases (*name) are not allowed in a charter; write the entry out"
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > _MAX_DEPTH:
            return f"{at}: nested deeper than {_MAX_DEPTH} levels; a charter needs 8"
    return None


class _Repeated(NamedTuple):
    line: int
    key: str


def _repeated_key(root: yaml.Node) -> _Repeated | None:
    """The first key that one mapping holds twice; the loader would silently keep the last."""
    waiting = [root]
    while waiting:
        node = waiting.pop()
        if isinstance(node, yaml.MappingNode):
            seen: set[str] = set()
            for key, child in node.value:
                name = str(key.value)
                if name in seen:
                    return _Repeated(key.start_mark.line + 1, name)
                seen.add(name)
                waiting.append(child)
        elif isinstance(node, yaml.SequenceNode):
            waiting.extend(node.value)
    return None


def _explain(error: ValidationError, node: yaml.Node | None) -> str:
    """One fault as ` line N: PLACE what is wrong`; an unknown key first, since it explains what is missing."""
    faults = error.errors(include_url=False)
    fault = next((f for f in faults if f["type"] == "extra_forbidden"), faults[0])
    loc = fault["loc"]
    line = _line_of(node, loc)
    place = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in loc).removeprefix(".")
    at = f" line {line}: {ascii(place)[1:-1]}" if place else ":"
    match fault["type"]:
        case "extra_forbidden":
            said = f"is unknown; {nearest(str(loc[-1]), _allowed(loc))}"
        case "missing":
            said = "is missing; add it"
        case "value_error":
            said = str(fault["ctx"]["error"])
        case kind:
            wanted = _WANTED.get(kind) or fault["msg"].removeprefix("Input ")
            said = f"is {ascii(fault['input'])[:60]}; it {wanted}"
    return f"{at} {said}"


_WANTED = {
    "string_type": "should be a text; put it in quotes",
    "tuple_type": "should be a list; start each item with '- '",
    "model_type": "should be a mapping of names to values",
}
_HOLDS: dict[str, type[Record]] = {
    "intended": Intended,
    "unchanged": Unchanged,
    "forbidden": Forbidden,
    "tolerance": Tolerance,
    "defaults": Defaults,
    "scope": Scope,
    "size": Size,
    "run": RunSection,
    "gate": GatePlan,
    "decoding": Decoding,
    "monitors": MonitorUse,
    "train": Use,
    "changes": RoundChange,
    "retry": Otherwise,
}


def _allowed(loc: tuple[int | str, ...]) -> list[str]:
    """Keys that the mapping around a place may hold."""
    parents = [part for part in loc[:-1] if isinstance(part, str)]
    return list((_HOLDS[parents[-1]] if parents else Charter).model_fields)


def _line_of(node: yaml.Node | None, loc: tuple[int | str, ...]) -> int:
    """1-based line of a place, or of what should hold it where it is missing."""
    line = 1
    for part in loc:
        if isinstance(node, yaml.MappingNode):
            pair = next((pair for pair in node.value if pair[0].value == str(part)), None)
            if pair is None:
                break
            line, node = pair[0].start_mark.line + 1, pair[1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int):
            node = node.value[part]
            line = node.start_mark.line + 1
        else:
            break
    return line
