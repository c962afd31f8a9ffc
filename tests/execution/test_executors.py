"""Executors: every item once in the outcome, retries, final errors, dead workers."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from moorings.errors import BackendError, ConfigError, InputError
from moorings.execution import open_executor

NAMES = ["local", "threads:3", "processes:2"]


def square(x: int) -> int:
    return x * x


def fail_first(path: Path) -> str:
    """Fail on the first call for a path, succeed on the next."""
    if not path.exists():
        path.touch()
        raise ValueError("first time")
    return path.name


def always(error: Exception) -> None:
    raise error


def die_first(path: Path) -> str:
    if not path.exists():
        path.touch()
        os._exit(9)
    return path.name


@pytest.mark.parametrize("name", NAMES)
def test_every_item_gets_one_outcome(name):
    pool = open_executor(name)
    outcomes = list(pool.map(square, range(20), retries=0))
    pool.close()
    assert sorted((o.item, o.result) for o in outcomes) == [(i, i * i) for i in range(20)]
    assert {o.attempts for o in outcomes} == {1}


@pytest.mark.parametrize("name", NAMES)
def test_a_failing_task_is_tried_again(name, tmp_path):
    pool = open_executor(name)
    outcomes = list(pool.map(fail_first, [tmp_path / str(i) for i in range(4)], retries=1))
    pool.close()
    assert {o.result for o in outcomes} == {"0", "1", "2", "3"}
    assert {o.attempts for o in outcomes} == {2}


@pytest.mark.parametrize("name", NAMES)
def test_the_last_error_becomes_the_outcome(name):
    pool = open_executor(name)
    (outcome,) = pool.map(always, [ValueError("no")], retries=2)
    pool.close()
    assert outcome.attempts == 3
    assert str(outcome.error) == "no"


@pytest.mark.parametrize(("error", "attempts"), [(InputError("x"), 1), (BackendError("x"), 3)])
def test_only_errors_that_a_retry_may_cure_are_retried(error, attempts):
    (outcome,) = open_executor("local").map(always, [error], retries=2)
    assert outcome.attempts == attempts


def test_a_dead_worker_loses_nothing(tmp_path):
    pool = open_executor("processes:2")
    outcomes = list(pool.map(die_first, [tmp_path / str(i) for i in range(3)], retries=6))
    pool.close()
    assert {o.result for o in outcomes} == {"0", "1", "2"}


@pytest.mark.parametrize("name", ["lokal", "threads:zero", "processes:-1", "threads:0"])
def test_a_wrong_name_is_refused_in_one_line(name):
    with pytest.raises(ConfigError, match=r"allowed: .*local|whole number"):
        open_executor(name)


def test_ctrl_c_is_not_swallowed():
    with pytest.raises(KeyboardInterrupt):
        list(open_executor("local").map(always, [KeyboardInterrupt()], retries=5))  # type: ignore[list-item]
