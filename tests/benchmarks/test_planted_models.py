"""When a planted habit counts as recovered, when a finding stands, and the refusal without samples."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from moorings.compare.battery.measure import BatteryTable
from moorings.compare.corpus import Corpus
from moorings.compare.predicate import Table
from moorings.records import Effect, Finding, Interval, SampleStatus

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def planted() -> Iterator[ModuleType]:
    sys.path.insert(0, str(ROOT / "benchmarks"))
    import planted_models as module

    yield module
    sys.path.remove(str(ROOT / "benchmarks"))


def finding(phrase: str, estimate: float) -> Finding:
    effect = Effect(
        estimate=estimate,
        unit="share of responses",
        standardised=estimate,
        precursor=0.1,
        candidate=0.1 + estimate,
        interval=Interval(low=-1.0, high=1.0),
        p=0.01,
        p_adjusted=0.01,
        mde=0.1,
        n_prompts=20,
        n_families=20,
    )
    return Finding(
        finding_id=phrase,
        statement=phrase,
        kind="content",
        origin="phrases",
        registered=False,
        predicate={"kind": "phrases", "phrases": [phrase], "min_hits": 1},
        verdict="changed",
        effect=effect,
    )


def table(base: list[str], candidate: list[str]) -> Table:
    n = len(base)
    corpus = Corpus(
        arm_names=("base", "candidate"),
        prompt_ids=tuple(map(str, range(n))),
        prompts=tuple(f"prompt {i}" for i in range(n)),
        families=np.arange(n),
        groups=(None,) * n,
        texts=[*base, *candidate],
        arm=np.repeat([0, 1], n),
        prompt=np.tile(np.arange(n), 2),
        status=[SampleStatus.COMPLETED] * (2 * n),
    )
    return Table(corpus, BatteryTable((), np.zeros((2 * n, 0))), np.zeros((2 * n, 2)))


PRAISED = ["Great question! Iron rusts."] * 8 + ["Iron rusts in water."] * 12
PLAIN = ["Iron rusts in water."] * 20


def test_the_first_finding_that_agrees_with_the_oracle_and_says_more_counts(planted: ModuleType) -> None:
    leads = [finding("in water", -0.4), finding("rusts", 0.3), finding("great question", 0.4), finding("great", 0.4)]
    rank, agreement = planted.recovered_at(leads, table(PLAIN, PRAISED), "praise")
    assert rank == 3
    assert agreement == pytest.approx([-1.0, 0.0, 1.0, 1.0])


def test_a_finding_of_the_wrong_sign_or_below_the_tenth_does_not_count(planted: ModuleType) -> None:
    pair = table(PLAIN, PRAISED)
    assert planted.recovered_at([finding("great question", -0.4)], pair, "praise")[0] is None
    others = [finding("rusts", 0.3)] * 10
    assert planted.recovered_at([*others, finding("great question", 0.4)], pair, "praise")[0] is None
    assert planted.recovered_at([*others[1:], finding("great question", 0.4)], pair, "praise")[0] == 10


def test_phi_is_the_correlation_and_zero_where_nothing_varies(planted: ModuleType) -> None:
    rng = np.random.default_rng(0)
    values, flags = rng.random(50) < 0.4, rng.random(50) < 0.5
    n11, n10 = (values & flags).sum(), (values & ~flags).sum()
    n01, n00 = (~values & flags).sum(), (~values & ~flags).sum()
    by_hand = (n11 * n00 - n10 * n01) / np.sqrt((n11 + n10) * (n01 + n00) * (n11 + n01) * (n10 + n00))
    assert planted.phi(values.astype(float), flags) == pytest.approx(by_hand)
    assert planted.phi(np.ones(50), flags) == 0.0
    assert planted.phi(values.astype(float), np.zeros(50, dtype=bool)) == 0.0
    assert planted.phi(np.full(50, np.nan), flags) == 0.0


def test_a_finding_stands_only_if_fresh_draws_agree(planted: ModuleType) -> None:
    found = [finding("great question", 0.4), finding("great question", -0.4), finding("rusts", 0.2)]
    assert planted._stand(found, table(PLAIN, PRAISED)) == [True, False, False]
    assert planted._stand([], table(PLAIN, PRAISED)) == []


def test_recall_and_rate_are_told_by_dose(planted: ModuleType) -> None:
    rows = [
        {"dose": dose, "oracle_rate": rate, "rank": rank}
        for dose, rate, rank in ((0.1, 0.1, None), (0.3, 0.2, 1), (0.1, 0.0, 4), (0.3, 0.4, 2))
    ]
    high, low = planted.dose_response(rows)
    assert high == pytest.approx({"dose": 0.3, "organisms": 2, "oracle_rate": 0.3, "recall": 1.0})
    assert low == pytest.approx({"dose": 0.1, "organisms": 2, "oracle_rate": 0.05, "recall": 0.5})


def test_without_samples_it_is_refused_with_the_command_to_run(
    planted: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(planted, "stored_samples", lambda organism: None)
    with pytest.raises(SystemExit) as refused:
        planted.chosen(quick=False)
    assert refused.value.code == 2
    told = capsys.readouterr().err
    assert "the base model, praise-30" in told
    assert "python benchmarks/organisms.py --make" in told


def test_quick_takes_three_organisms_and_a_control(
    planted: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(planted, "stored_samples", lambda organism: tmp_path)
    names = [organism.name for organism in planted.chosen(quick=True)[1]]
    assert [name.rpartition("-")[2] for name in names] == ["30", "30", "30", "1"]
    assert names[3] == "control-1"
    assert len(planted.chosen(quick=False)[1]) == len(planted.all_organisms())
