"""Answers a batch side by side, and decides whether failures are the requests' or the server's."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from moorings.errors import EndpointError
from moorings.records import Decoding, Generation, Request
from moorings.subjects.endpoint_client import Connection, EndpointClient, TopTokens

__all__ = ["answer_batch"]

_GIVE_UP = 8
"""Fewest failures without any answer after which the server is blamed before the batch is through."""


async def answer_batch(
    connection: Connection,
    requests: Sequence[Request],
    decoding: Decoding,
    emit: Callable[[Generation], None],
    top: TopTokens | None = None,
) -> None:
    """Ask for every answer, at most `concurrency` at once, and hand each out when it has come.

    With `top` the likeliest first tokens are asked for too and put there.

    Raises:
        EndpointError: No request can succeed, or none did.
    """
    todo = iter(requests)
    async with EndpointClient(connection, top) as client:
        gate = _Gate(client, emit)

        async def work() -> None:
            for request in todo:
                gate.settle(await client.complete(request, decoding))

        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(min(connection.config.concurrency, len(requests))):
                    group.create_task(work())
        except BaseExceptionGroup as errors:
            raise errors.exceptions[0] from None
        gate.close()


class _Gate:
    """Keeps failures back until some answer shows that the server works."""

    def __init__(self, client: EndpointClient, emit: Callable[[Generation], None]) -> None:
        self._client = client
        self._emit = emit
        self._held: list[Generation] = []

    def settle(self, generation: Generation) -> None:
        if self._client.n_answers:
            self._release()
            self._emit(generation)
            return
        self._held.append(generation)
        if len(self._held) >= max(_GIVE_UP, self._client.connection.config.concurrency):
            self.close()

    def close(self) -> None:
        """Blame the server if no answer ever came."""
        if self._client.n_answers:
            self._release()
        elif self._held:
            target = self._client.connection.target
            raise EndpointError(
                f"{target.url} answered none of {len(self._held)} requests, last with: {self._held[-1].error}; see that it "
                f"serves model '{target.model}' as chat completions, then run the same command again: what was stored is kept"
            )

    def _release(self) -> None:
        for generation in self._held:
            self._emit(generation)
        self._held.clear()
