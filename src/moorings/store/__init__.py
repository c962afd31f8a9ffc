"""The run directory: an append-only journal, Parquet parts, artifacts, and views over them."""

from moorings.store.cache import SampleCache
from moorings.store.notes import BatchNote, PartNote, batch_note
from moorings.store.query import query
from moorings.store.repair import repair
from moorings.store.run import Run
from moorings.store.verify import Report, verify

__all__ = ["BatchNote", "PartNote", "Report", "Run", "SampleCache", "batch_note", "query", "repair", "verify"]
