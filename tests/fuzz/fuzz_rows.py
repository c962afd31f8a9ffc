"""Fuzz the row readers: python tests/fuzz/fuzz_rows.py [-max_total_time=60] [CORPUS_FOLDER]

The first byte chooses the kind of file, the rest is its content. Found: any exception that is not
InputError, a JSON line that is neither read nor counted, a row that cannot be stored.
"""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["moorings"]):
    from moorings.errors import InputError
    from moorings.records import canonical_json
    from moorings.sampling.prompts import load_prompts
    from moorings.subjects.recorded import RecordedSubject
    from moorings.subjects.tables import RowReader

KINDS = ("jsonl", "json", "csv", "txt", "jsonl.gz", "parquet")
SEEDS = (
    b'\x00{"prompt": "a", "response": "b"}\n{"prompt": "a", "response": "\\ud800"}\n',
    b'\x00{"doc_id": 1, "doc": {}, "arguments": [["a", {}]], "resps": [["b"]]}\n',
    b'\x00{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}\n',
    b'\x01[{"instruction": "a", "input": "c", "output": "b"}, {"a": 1e999}]',
    b'\x02prompt,response\n"a\nb",c\n"d"e,f\n',
    b"\x03one\ntwo\n",
)
FOLDER = Path(tempfile.mkdtemp())


def check(data: bytes) -> None:
    if not data:
        return
    kind = KINDS[data[0] % len(KINDS)]
    path = FOLDER / f"rows.{kind}"
    path.write_bytes(data[1:])
    reader = RowReader(path, skip_bad=True)
    n_good = 0
    try:
        for _, row in reader:
            n_good += 1
            canonical_json(row).encode("utf-8")
    except InputError:
        pass
    else:
        if kind == "jsonl":
            n_lines = sum(1 for line in data[1:].split(b"\n") if line and not line.isspace())
            assert n_good + reader.n_bad == n_lines, "a line was lost"
    with contextlib.suppress(InputError):
        load_prompts(path, skip_bad=True)
    with contextlib.suppress(InputError):
        for answer in RecordedSubject(path, skip_bad=True).rows():
            canonical_json(answer.metadata)
            answer.response.encode("utf-8")


def main() -> None:
    # What survives a power cut is not looked for here, and syncing takes most of the time.
    os.fsync = lambda _: None
    corpus = FOLDER / "corpus"
    corpus.mkdir()
    for number, seed in enumerate(SEEDS):
        (corpus / f"seed{number}").write_bytes(seed)
    atheris.Setup([*sys.argv, str(corpus)], check)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
