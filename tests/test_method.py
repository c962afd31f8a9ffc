"""Components that a charter names: found, checked, made; mistakes are told in one line."""

from __future__ import annotations

import pytest
from pydantic import Field

from moorings.charter_run import Use
from moorings.errors import ConfigError
from moorings.method import MethodConfig, Methods


class Config(MethodConfig):
    """Settings of a drill."""

    n: int = Field(ge=1)
    """How many."""
    rate: float = 0.5
    """How fast."""
    words: tuple[str, ...] = ()
    """Which ones."""


class Empty(MethodConfig):
    """No settings."""


@pytest.fixture
def methods() -> Methods[str]:
    made: Methods[str] = Methods("drill", builtin={"far": "moorings.improve.train.simulated"})

    @made.register("count", Config)
    def count(config: Config) -> str:
        return f"{config.n} at {config.rate}"

    @made.register("nothing", Empty)
    def nothing(config: Empty) -> str:
        return "nothing"

    return made


def test_a_component_is_made_from_its_settings(methods: Methods[str]) -> None:
    assert methods.make(Use(use="count", n=3)) == "3 at 0.5"
    assert methods.make(Use(use="count", n=3, rate=0.25, words=["a"])) == "3 at 0.25"
    assert methods.make(Use(use="nothing")) == "nothing"
    assert methods.config("count") is Config
    assert {"count", "far", "nothing"} <= set(methods.names())
    assert Config.model_fields["n"].description == "How many."


@pytest.mark.parametrize(
    ("use", "words"),
    [
        (Use(use="cuont", n=1), "unknown drill 'cuont'; did you mean 'count'"),
        (Use(use="count"), "drill 'count': setting 'n' is missing; add it"),
        (Use(use="count", n=0), "drill 'count': setting 'n' is 0: Input should be greater than or equal to 1"),
        (Use(use="count", n="many"), "setting 'n' is 'many'"),
        (Use(use="count", n=1, raet=1), "unknown setting 'raet'; did you mean 'rate'? allowed: n, rate, words"),
        (Use(use="count", n=1, words=[1]), "setting 'words.0' is 1"),
        (Use(use="nothing", n=1), "unknown setting 'n'; it has none; remove it"),
        (Use(use="count", n=1, **{"a\x1b[31m\n": 1}), r"unknown setting 'a\x1b[31m\n'"),
    ],
)
def test_a_mistake_is_named(use: Use, words: str, methods: Methods[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        methods.make(use)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_numbers_that_are_none_are_refused(methods: Methods[str]) -> None:
    # `Use` refuses NaN itself, so only code can come this far.
    use = Use.model_construct(use="count")
    object.__setattr__(use, "__pydantic_extra__", {"n": 1, "rate": float("nan")})
    with pytest.raises(ConfigError, match="finite"):
        methods.make(use)


def test_a_name_is_taken_once(methods: Methods[str]) -> None:
    with pytest.raises(ConfigError, match="registered twice"):
        methods.register("count", Config)(lambda config: "")
