"""How an analysis is done; everything that can change its result."""

from __future__ import annotations

from pydantic import Field

from moorings.records import Record

__all__ = ["Settings"]


class Settings(Record):
    """Error rates, tolerances and sizes of an analysis."""

    q: float = Field(default=0.1, gt=0.0, lt=1.0)
    """False discovery rate among reported findings; with no true change, the chance of any finding."""
    alpha: float = Field(default=0.05, gt=0.0, lt=1.0)
    """Chance of any false result among the charter's own hypotheses."""
    power: float = Field(default=0.8, gt=0.0, lt=1.0)
    """Chance of finding an effect of the size that is printed as the least detectable."""
    tolerance_share: float = Field(default=0.02, ge=0.0)
    """Changes of a share within this are of no consequence."""
    tolerance_sd: float = Field(default=0.1, ge=0.0)
    """The same for counts and scores, in standard deviations of a response."""
    split: tuple[float, float, float] = (0.4, 0.4, 0.2)
    """Shares of prompts for discovery, confirmation and reserve."""
    seed: int = 0
    n_draws: int = Field(default=20_000, ge=1000)
    """Random sign flips and permutations of each test."""
    n_phrases: int = Field(default=40, ge=0)
    """Phrases taken from discovery."""
    n_phrase_sets: int = Field(default=12, ge=0)
    n_clusters: int = Field(default=20, ge=0)
    """Clusters taken from discovery, over all resolutions."""
    n_latents: int = Field(default=12, ge=0)
    """Sparse latents taken from discovery."""
    n_scoped: int = Field(default=20, ge=0)
    """Battery features tested within one prompt group."""
    n_topics: int = Field(default=12, ge=0)
    """Topics whose volume and stance are measured."""
    n_contrasts: int = Field(default=40, ge=0)
    """Pairs of responses that a judge reads for differences, where there is a judge."""
    n_statements: int = Field(default=8, ge=0)
    """Statements of the judge that are tested; it then reads every held-out response for each of them."""
    n_examples: int = Field(default=3, ge=0)
    """Paired examples shown for a finding."""
    map_points: int = Field(default=1000, ge=0)
    """Most responses on the map."""
    jobs: int = Field(default=1, ge=1)
    """Processes that measure the battery."""
