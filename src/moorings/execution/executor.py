"""What an executor is, and how a name becomes one.

An executor may run a task more than once (a worker died after it had finished, an answer got lost), so its
promise is at-least-once: whoever stores results must accept each key once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Generic, NamedTuple, Protocol, TypeVar

from moorings.errors import BackendError, ConfigError, EndpointError, MooringsError
from moorings.registry import Registry

__all__ = ["Executor", "Outcome", "executors", "open_executor"]

P = TypeVar("P")
R = TypeVar("R")


class Outcome(NamedTuple, Generic[P, R]):
    """What became of one partition."""

    item: P
    result: R | None
    error: Exception | None
    """The last failure if every attempt failed, else None."""
    attempts: int


class Executor(Protocol):
    """Runs a task on each item, with retries."""

    name: str
    workers: int
    """Tasks that run side by side."""
    in_process: bool
    """Whether tasks see this process's objects; otherwise task and items must be picklable."""

    def map(self, task: Callable[[P], R], items: Sequence[P], *, retries: int) -> Iterator[Outcome[P, R]]:
        """Yield one outcome an item as it is ready, in any order.

        An error of `moorings.errors` other than a backend's is not retried: trying again would not cure it.
        """
        ...

    def close(self) -> None:
        """Stop the workers."""
        ...


executors: Registry[Callable[[str], Executor]] = Registry(
    "executor",
    builtin={
        "local": "moorings.execution.local",
        "threads": "moorings.execution.local",
        "processes": "moorings.execution.local",
        "ray": "moorings.execution.ray_cluster",
    },
)


def open_executor(name: str | Executor) -> Executor:
    """Open `local`, `threads:N`, `processes:N` or `ray[:ADDRESS]`, or pass an executor through.

    Raises:
        ConfigError: Unknown name or a bad number.
        MissingExtraError: Ray is asked for and not installed.
    """
    if not isinstance(name, str):
        return name
    kind, _, rest = name.partition(":")
    return executors.get(kind)(rest)


def worker_count(text: str, default: int) -> int:
    """Parse the N of `threads:N`."""
    if not text:
        return default
    if not text.isdigit() or int(text) < 1:
        raise ConfigError(f"'{text}' is not a number of workers; write a whole number from 1, for example processes:2")
    return int(text)


def is_final(error: Exception) -> bool:
    """Whether trying again cannot help."""
    return isinstance(error, MooringsError) and (
        not isinstance(error, BackendError) or isinstance(error, EndpointError)
    )
