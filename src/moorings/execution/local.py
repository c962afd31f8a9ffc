"""Executors on this machine: in this thread, in threads, or in processes of their own."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, ThreadPoolExecutor, wait
from concurrent.futures import Executor as Pool
from concurrent.futures.process import BrokenProcessPool
from typing import Any, TypeVar

from moorings.execution.executor import Outcome, executors, is_final, worker_count

__all__ = ["LocalExecutor", "PoolExecutor"]

P = TypeVar("P")
R = TypeVar("R")

_THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "RAYON_NUM_THREADS")


class LocalExecutor:
    """One task after the other in this thread; the engine uses the cores itself."""

    name, workers, in_process = "local", 1, True

    def map(self, task: Callable[[P], R], items: Sequence[P], *, retries: int) -> Iterator[Outcome[P, R]]:
        """See `Executor.map`."""
        for item in items:
            for attempt in range(1, retries + 2):
                try:
                    outcome: Outcome[P, R] = Outcome(item, task(item), None, attempt)
                    break
                except Exception as error:  # noqa: BLE001 - the failure becomes an outcome that the caller must look at
                    outcome = Outcome(item, None, error, attempt)
                    if is_final(error):
                        break
            yield outcome

    def close(self) -> None:
        """Nothing to stop."""


class PoolExecutor:
    """Tasks side by side in a pool; a pool that broke because a worker died is made anew.

    Args:
        name: `threads` or `processes`.
        workers: Tasks side by side. Each process gets its share of the cores as BLAS and OpenMP threads.
    """

    def __init__(self, name: str, workers: int) -> None:
        self.name, self.workers, self.in_process = f"{name}:{workers}", workers, name == "threads"
        self._pool: Pool | None = None

    def map(self, task: Callable[[P], R], items: Sequence[P], *, retries: int) -> Iterator[Outcome[P, R]]:
        """See `Executor.map`; at most two tasks a worker are handed out ahead."""
        queue = [(item, 1) for item in reversed(items)]
        running: dict[Future[R], tuple[P, int]] = {}
        while queue or running:
            while queue and len(running) < 2 * self.workers:
                item, attempt = queue.pop()
                running[self._submit(task, item)] = (item, attempt)
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                item, attempt = running.pop(future)
                error = future.exception()
                if error is None:
                    yield Outcome(item, future.result(), None, attempt)
                elif not isinstance(error, Exception):
                    raise error
                else:
                    if isinstance(error, BrokenProcessPool):
                        self.close()
                    if attempt > retries or is_final(error):
                        yield Outcome(item, None, error, attempt)
                    else:
                        queue.append((item, attempt + 1))

    def close(self) -> None:
        """Stop the workers without waiting for tasks not yet begun."""
        if self._pool:
            self._pool.shutdown(wait=False, cancel_futures=True)
            self._pool = None

    def _submit(self, task: Callable[[P], R], item: P) -> Future[R]:
        if self._pool is None:
            self._pool = self._new_pool()
        try:
            return self._pool.submit(task, item)
        except BrokenProcessPool:
            self._pool = self._new_pool()
            return self._pool.submit(task, item)

    def _new_pool(self) -> Pool:
        if self.in_process:
            return ThreadPoolExecutor(self.workers)
        share = max(1, len(os.sched_getaffinity(0)) // self.workers)
        return ProcessPoolExecutor(
            self.workers, multiprocessing.get_context("spawn"), initializer=_limit_threads, initargs=(share,)
        )


def _limit_threads(n_threads: int) -> None:
    """Give a worker its share of the cores before any numerical library is imported in it."""
    for name in _THREAD_VARIABLES:
        os.environ[name] = str(n_threads)


@executors.register("local")
def _local(rest: str) -> Any:
    return LocalExecutor() if worker_count(rest, 1) == 1 else PoolExecutor("processes", worker_count(rest, 1))


@executors.register("threads")
def _threads(rest: str) -> Any:
    return PoolExecutor("threads", worker_count(rest, 2))


@executors.register("processes")
def _processes(rest: str) -> Any:
    return PoolExecutor("processes", worker_count(rest, len(os.sched_getaffinity(0))))
