"""Counts what an endpoint has answered: tokens, money and the builds that answered."""

from __future__ import annotations

import threading

from moorings.subjects.endpoint_config import EndpointConfig
from moorings.subjects.endpoint_wire import Completion
from moorings.subjects.protocol import Usage

__all__ = ["EndpointMeter"]

_MAX_FINGERPRINTS = 64


class EndpointMeter:
    """Running totals of one subject, fed from event loops and read from any thread."""

    def __init__(self, config: EndpointConfig) -> None:
        self._prices = (config.price_input_usd_per_mtok, config.price_output_usd_per_mtok)
        self._lock = threading.Lock()
        self._n_requests = self._n_prompt_tokens = self._n_output_tokens = self._n_uncounted = 0
        self._fingerprints: dict[str, None] = {}

    def add(self, answer: Completion) -> None:
        """Count one answer."""
        prompt, output = answer.generation.n_prompt_tokens, answer.generation.n_output_tokens
        with self._lock:
            self._n_requests += 1
            self._n_uncounted += prompt is None or output is None
            self._n_prompt_tokens += prompt or 0
            self._n_output_tokens += output or 0
            if answer.system_fingerprint and len(self._fingerprints) < _MAX_FINGERPRINTS:
                self._fingerprints[answer.system_fingerprint] = None

    def usage(self) -> Usage:
        """Totals so far; the cost is None without prices, and where an answer came without token counts."""
        price_in, price_out = self._prices
        with self._lock:
            cost = None
            if price_in is not None and price_out is not None and not self._n_uncounted:
                cost = (self._n_prompt_tokens * price_in + self._n_output_tokens * price_out) / 1e6
            return Usage(self._n_requests, self._n_prompt_tokens, self._n_output_tokens, cost)

    def fingerprints(self) -> tuple[str, ...]:
        """The `system_fingerprint` values seen, in order of appearance."""
        with self._lock:
            return tuple(self._fingerprints)
