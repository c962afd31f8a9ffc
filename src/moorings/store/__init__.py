"""The run directory: an append-only journal, Parquet parts, artifacts, and views over them."""

from moorings.store.cache import SampleCache
from moorings.store.query import query
from moorings.store.run import BatchNote, Run, batch_note
from moorings.store.verify import Report, repair, verify

__all__ = ["BatchNote", "Report", "Run", "SampleCache", "batch_note", "query", "repair", "verify"]
