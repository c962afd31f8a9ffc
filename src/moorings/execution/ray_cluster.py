"""An executor on a Ray cluster, or on a Ray started here for the occasion.

Ray's control ports have no authentication: a cluster started here binds to loopback. Retries are ours, because a
Ray task may raise although it ran; results are accepted once by their key.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from moorings.errors import BackendError, MissingExtraError
from moorings.execution.executor import Executor, Outcome, executors, is_final

__all__ = ["RayExecutor"]

P = TypeVar("P")
R = TypeVar("R")


class RayExecutor:
    """Tasks as Ray tasks of one CPU each.

    Args:
        address: `HOST:PORT` or `auto` of a running cluster; empty starts one on this machine.

    Raises:
        MissingExtraError: Ray is not installed.
        BackendError: The cluster does not answer.
    """

    in_process = False

    def __init__(self, address: str = "") -> None:
        try:
            import ray
        except ImportError as error:
            raise MissingExtraError("the Ray executor", "ray") from error
        self._ray = ray
        self._started = not ray.is_initialized()
        if self._started:
            here: dict[str, Any] = {} if address else {"include_dashboard": False, "_node_ip_address": "127.0.0.1"}
            try:
                ray.init(address=address or "local", log_to_driver=False, logging_level="error", **here)
            except ConnectionError as error:
                raise BackendError(
                    f"no Ray cluster answers at '{address}' ({error}); start one or use --executor ray"
                ) from error
        self.name = f"ray:{address}" if address else "ray"
        self.workers = max(1, int(ray.cluster_resources().get("CPU", 1)))

    def map(self, task: Callable[[P], R], items: Sequence[P], *, retries: int) -> Iterator[Outcome[P, R]]:
        """See `Executor.map`; a task whose node died is handed out again."""
        remote = self._ray.remote(num_cpus=1, max_retries=0)(task)
        queue = [(item, 1) for item in reversed(items)]
        running: dict[Any, tuple[P, int]] = {}
        while queue or running:
            while queue and len(running) < 2 * self.workers:
                item, attempt = queue.pop()
                running[remote.remote(item)] = (item, attempt)
            done, _ = self._ray.wait(list(running), num_returns=1)
            for reference in done:
                item, attempt = running.pop(reference)
                try:
                    yield Outcome(item, self._ray.get(reference), None, attempt)
                except self._ray.exceptions.RayError as error:
                    cause = getattr(error, "cause", None)
                    failure = cause if isinstance(cause, Exception) else error
                    if attempt > retries or is_final(failure):
                        yield Outcome(item, None, failure, attempt)
                    else:
                        queue.append((item, attempt + 1))

    def close(self) -> None:
        """Leave the cluster; stops it if it was started here."""
        if self._started and self._ray.is_initialized():
            self._ray.shutdown()


@executors.register("ray")
def _ray(rest: str) -> Executor:
    return RayExecutor(rest)
