"""A map over partitions, here or on a cluster; the code above it does not know which."""

from moorings.execution.executor import Executor, Outcome, open_executor

__all__ = ["Executor", "Outcome", "open_executor"]
