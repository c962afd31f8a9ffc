"""SQL over a run: all rows are there, and nothing else is within reach."""

from __future__ import annotations

from pathlib import Path

import pytest
from store_kit import ALL_ROWS, BATCH, CONFIG, QuickDisk, make_row, make_rows

from moorings.errors import InputError, StorageError
from moorings.store import Run, query


def test_views_hold_sealed_and_unsealed_rows(finished: Path) -> None:
    with Run.open(finished, write=True) as run:
        run.add_interactions(make_rows(300, 302), BATCH)
        keys = query(run, "SELECT key FROM samples ORDER BY key").column(0).to_pylist()
        assert keys == sorted(row.key for row in ALL_ROWS + make_rows(300, 302))
        (row,) = query(run, "SELECT * FROM samples WHERE \"index\" = 1 AND prompt_id = 'p301'").to_pylist()
        assert row["logprobs_nats"] == [-0.1 * 301, -1e-17]
        assert row["messages"][0] == {"role": "user", "content": "question 301"}
        events = query(run, "SELECT type, count(*) n FROM events GROUP BY 1").to_pylist()
        counts = {event["type"]: event["n"] for event in events}
        assert counts["created"] == 1
        assert counts["session"] == 2
        assert counts["samples"] == 6
        batches = query(run, "SELECT sum(rows)::INT AS n, count(*) AS b FROM batches").to_pylist()
        assert batches == [{"n": len(ALL_ROWS) + 2, "b": 7}]
        assert query(run, "SELECT * FROM prompts").to_pylist() == [{"prompt_id": "p1"}]
        seqs = query(run, "SELECT seq FROM events ORDER BY seq").column(0).to_pylist()
        assert seqs == list(range(len(seqs)))


def test_empty_run(tmp_path: Path) -> None:
    with Run.create(tmp_path / "r", CONFIG, disk=QuickDisk()) as run:
        assert query(run, "SELECT count(*) n FROM samples").to_pylist() == [{"n": 0}]
        assert query(run, "SELECT * FROM prompts").num_rows == 0


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM read_csv('/etc/passwd')",
        "SELECT * FROM '/etc/passwd'",
        "SELECT * FROM read_text('/etc/hostname')",
        "SELECT * FROM read_blob('{run}/run.json')",
        "SELECT * FROM glob('/*')",
        "SELECT * FROM sniff_csv('/etc/passwd')",
        "SELECT * FROM parquet_metadata('{run}/parts/x.parquet')",
        "SELECT * FROM read_csv('https://127.0.0.1:9/x')",
        "SELECT * FROM read_parquet('s3://bucket/x')",
        "COPY (SELECT 1) TO '{run}/out.csv'",
        "COPY samples TO '{run}/out.parquet'",
        "EXPORT DATABASE '{run}/out'",
        "IMPORT DATABASE '{run}/out'",
        "ATTACH '{run}/out.db'",
        "ATTACH 'https://127.0.0.1:9/x.db'",
        "INSTALL httpfs",
        "LOAD httpfs",
        "SET enable_external_access = true",
        "SET lock_configuration = false",
        "SET temp_directory = '{run}'",
        "PRAGMA temp_directory='{run}'",
        "SELECT 1; COPY (SELECT 1) TO '{run}/out.csv'",
        "SELECT getenv('HOME')",
        "SELECT * FROM secret_of_the_caller",
        "SELECT nonsense FROM samples",
        "SELECT * FORM samples",
        "",
        "-- nothing",
        ";",
        "SELECT '\x00",
    ],
)
def test_nothing_outside_the_run_is_within_reach(finished: Path, sql: str) -> None:
    secret_of_the_caller = query(Run.open(finished), "SELECT 1 AS a")
    assert secret_of_the_caller.num_rows == 1
    before = sorted(finished.rglob("*"))
    with Run.open(finished) as run, pytest.raises(InputError, match="views: samples, batches, prompts, events"):
        query(run, sql.replace("{run}", str(finished)))
    assert sorted(finished.rglob("*")) == before


def test_a_result_too_large_for_memory_spills_nowhere(finished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(finished)
    with Run.open(finished) as run:
        query(run, "SELECT * FROM (SELECT unnest(range(200000)) AS x) ORDER BY hash(x) LIMIT 1")
        assert query(run, "SELECT current_setting('temp_directory') AS d").to_pylist() == [{"d": ""}]
    assert not (finished / ".tmp").exists()


def test_damaged_prompts_are_a_storage_error(tmp_path: Path) -> None:
    with Run.create(tmp_path / "r", CONFIG, disk=QuickDisk()) as run:
        run.add_interactions([make_row(1)], BATCH)
        digest = run.put_artifact("prompts.jsonl", b"{no json")
        with pytest.raises(StorageError, match="rows that Moorings does not write"):
            query(run, "SELECT 1")
        (tmp_path / "r" / "artifacts" / digest[:2] / digest).write_bytes(b"{}")
        with pytest.raises(StorageError, match="is damaged; restore it"):
            query(run, "SELECT 1")


def test_journaled_rows_that_fit_no_column_are_a_storage_error(tmp_path: Path) -> None:
    with Run.create(tmp_path / "r", CONFIG, disk=QuickDisk()) as run:
        run._append("samples", '{"batch":null,"rows":[{"key":"aa","index":"x","metadata":{}}]}')
        with pytest.raises(StorageError, match="rows that Moorings does not write"):
            query(run, "SELECT 1")
        with pytest.raises(StorageError, match="is no interaction"):
            run.unsealed()
        with pytest.raises(StorageError, match="cannot be sealed"):
            run._seal(1)
