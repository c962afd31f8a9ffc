"""Keep a share of the data written by people.

A model trained on its own text alone loses the tails of what people write (Shumailov et al. 2023, arXiv:2305.17493);
with real data kept beside it the loss stays bounded (Gerstgrasser et al. 2024, arXiv:2404.01413). Human rows come from
a file, or from rows of origin human that earlier rounds were trained on. To reach share s with h human rows among n,
ceil((s n - h) / (1 - s)) are added; where there are not enough of them, other rows are dropped at random until the
share holds. What it must show: human_share >= s in every round, and slower loss of diversity than without.
"""

from __future__ import annotations

import math
from collections import Counter
from typing import Literal

from pydantic import Field

from moorings.errors import InputError
from moorings.improve.asking import draw, share_of
from moorings.improve.data import DataMethod, DataRow, DataStep, Workbench, data_methods
from moorings.improve.file import Reading, read_rows

__all__ = ["HumanMixConfig", "human_mix"]


class HumanMixConfig(Reading):
    """Settings of `human_mix`."""

    share: float = Field(default=0.1, gt=0.0, lt=1.0)
    """Least share of rows of origin human; Shumailov et al. kept 10 % of the original data."""
    path: str | None = None
    """File of human-written rows, relative to the charter's folder; None takes them from earlier rounds' rows."""
    when_short: Literal["drop", "keep"] = "drop"
    """Where there are too few human rows: `drop` others at random until the share holds, or `keep` them and log the
    lower share."""


@data_methods.register("human_mix", HumanMixConfig)
def human_mix(config: HumanMixConfig) -> DataMethod:
    """Add human-written rows, or drop others, until their share is as set."""

    def method(rows: list[DataRow], workbench: Workbench) -> DataStep:
        dropped: Counter[str] = Counter()
        n_bad = 0
        if config.path is not None:
            found = list(read_rows(workbench.folder / config.path, config, "human", "human_mix", dropped))
            n_bad = dropped.total()
        else:
            found = [row for past in workbench.history for row in past if row.origin == "human"]
        present = {row.row_id for row in rows}
        pool = list({row.row_id: row for row in reversed(found) if row.row_id not in present}.values())[::-1]
        n_human = sum(row.origin == "human" for row in rows)
        if not pool and not n_human:
            where = config.path or "the rows so far or of earlier rounds"
            raise InputError(f"human_mix found no human-written row in {where}; name a file of them with `path`")
        missing = (config.share * len(rows) - n_human) / (1.0 - config.share)
        rng = workbench.rng
        added = draw(pool, max(0, math.ceil(missing - 1e-9)), rng)
        added = [row.model_copy(update={"method": "human_mix"}) for row in added]
        kept = list(rows)
        if config.when_short == "drop":
            n_other = math.floor((n_human + len(added)) * (1.0 - config.share) / config.share + 1e-9)
            others = [at for at, row in enumerate(rows) if row.origin != "human"]
            chosen = set(draw(others, n_other, rng))
            kept = [row for at, row in enumerate(rows) if row.origin == "human" or at in chosen]
            dropped["over the share not written by people"] += len(rows) - len(kept)
        human = n_human + len(added)
        metrics = {
            "candidates": float(len(added) + n_bad),
            "human_rows_added": float(len(added)),
            "human_rows_left": float(len(pool) - len(added)),
            "human_share": share_of(human, len(kept) + len(added)),
        }
        return DataStep([*kept, *added], dict(dropped), metrics)

    return method
