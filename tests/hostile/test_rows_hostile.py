"""R13: each hostile line is either parsed unchanged or reported with its number, and none is lost."""

from __future__ import annotations

import importlib.util
import json
import os
import pickle
import subprocess
import sys
import tracemalloc
from codecs import BOM_UTF16_BE, BOM_UTF16_LE, BOM_UTF32_BE, BOM_UTF32_LE
from pathlib import Path

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from moorings.errors import InputError
from moorings.sampling.prompts import load_prompts
from moorings.subjects.recorded import RecordedSubject
from moorings.subjects.spec import open_subject
from moorings.subjects.strict_json import fault_of_value, parse_json
from moorings.subjects.tables import RowReader

FUZZER = Path(__file__).parents[1] / "fuzz" / "fuzz_rows.py"

BAD_LINES = {
    "nan": (b'{"a": NaN}', "NaN is not JSON"),
    "minus infinity": (b'{"a": -Infinity}', "-Infinity is not JSON"),
    "1e999": (b'{"a": [1, 1e999]}', "1e999 is too large"),
    "equal keys": (b'{"a": {"b": 1, "b": 1}}', "key 'b' occurs twice"),
    "deep lists": (b'{"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "nested deeper than 100"),
    "deep objects": (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, "nested deeper than 100"),
    "rather deep": (b'{"a": ' + b"[" * 150 + b"]" * 150 + b"}", "nested deeper than 100"),
    "deep and unclosed": (b"[" * 100_000, "nested deeper than 100"),
    "beyond 64 bits": (b'{"a": 9223372036854775808}', "does not fit 64 bits"),
    "5,000 digits": (b'{"a": ' + b"9" * 5000 + b"}", "does not fit 64 bits"),
    "half a pair": (b'{"a": "\\ud800"}', "surrogate"),
    "half a pair as key": (b'{"\\uDFFF": 1}', "surrogate"),
    "latin-1": ('{"a": "größer"}'.encode("latin-1"), "not UTF-8 at byte 10"),
    "encoded surrogate": (b'{"a": "\xed\xa0\x80"}', "not UTF-8"),
    "utf-16": ('{"a": 1}'.encode("utf-16-le"), "not JSON"),
    "control character": (b'{"a": "\x01"}', "not JSON"),
    "two values": (b'{"a": 1}{"a": 2}', "more text after the value"),
    "a list": (b'["a"]', "holds a list"),
    "a text": (b'"a"', "holds a text"),
    "a number": (b"1", "holds a number"),
    "null": (b"null", "holds null"),
    "true": (b"true", "holds true or false"),
    "second bom": (b'\xef\xbb\xbf{"a": 1}', "not JSON"),
    "half a line": (b'{"a": "tex', "not JSON"),
}

GOOD_LINES = {
    "a whole pair": (b'{"a": "\\ud83d\\ude42"}', {"a": "\U0001f642"}),
    "nul, escape, bidi": (b'{"a": "\\u0000\\u001b[31m\\u202e"}', {"a": "\x00\x1b[31m\u202e"}),
    "an escaped backslash before u": (b'{"a": "\\\\ud800"}', {"a": "\\ud800"}),
    "the largest integer": (b'{"a": 9223372036854775807}', {"a": 2**63 - 1}),
    "the smallest number": (b'{"a": 1e-400}', {"a": 0.0}),
    "line separator": ('{"a": "\u2028\u0085"}'.encode(), {"a": "\u2028\u0085"}),
    "ten megabytes": (b'{"a": "' + b"x" * 10**7 + b'"}', {"a": "x" * 10**7}),
    "wide": (b'{"a": [' + b"[]," * 500 + b"[]]}", {"a": [[]] * 501}),
}


@pytest.mark.parametrize(("line", "said"), BAD_LINES.values(), ids=BAD_LINES)
def test_a_bad_line_is_named_or_kept_verbatim(tmp_path: Path, line: bytes, said: str) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b'{"a": 0}\n' + line + b'\n{"a": 2}\n')
    with pytest.raises(InputError) as caught:
        list(RowReader(path))
    assert f"{path}, line 2: " in str(caught.value)
    assert said in str(caught.value)
    assert len(str(caught.value)) < 600
    reader = RowReader(path, skip_bad=True)
    assert list(reader) == [(1, {"a": 0}), (3, {"a": 2})]
    assert reader.n_bad == 1
    assert reader.quarantine.read_bytes() == line + b"\n"


@pytest.mark.parametrize(("line", "row"), GOOD_LINES.values(), ids=GOOD_LINES)
def test_an_odd_but_sound_line_is_read_unchanged(tmp_path: Path, line: bytes, row: dict[str, object]) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(line)
    assert list(RowReader(path)) == [(1, row)]


def test_half_a_line_at_the_end_is_told_apart(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b'{"a": 0}\n{"a": 1, "b"')
    with pytest.raises(InputError, match=r"line 2: .*last line; the file may be cut short"):
        list(RowReader(path))


@given(st.lists(st.binary(max_size=60).map(lambda line: line.replace(b"\n", b"")), max_size=6))
@settings(max_examples=150, deadline=None)
def test_no_line_is_lost(tmp_path_factory: pytest.TempPathFactory, lines: list[bytes]) -> None:
    assume(not lines or not lines[0].startswith((BOM_UTF16_LE, BOM_UTF16_BE, BOM_UTF32_LE, BOM_UTF32_BE)))
    path = tmp_path_factory.mktemp("rows") / "rows.jsonl"
    path.write_bytes(b"\n".join(lines))
    reader = RowReader(path, skip_bad=True)
    n_good = len(list(reader))
    n_told = sum(1 for line in lines if line and not line.isspace())
    assert n_good + reader.n_bad == n_told


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.integers() | st.text(st.characters(codec=None)),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    )
)
@settings(max_examples=200, deadline=None)
def test_what_passes_can_be_stored_and_is_unchanged(value: object) -> None:
    item = parse_json(json.dumps(value))
    if item.fault is None:
        assert item.value == value
        assert fault_of_value(item.value) is None
    else:
        assert any(word in item.fault for word in ("not JSON", "64 bits", "surrogate"))


def test_pickles_are_never_opened(tmp_path: Path) -> None:
    canary = tmp_path / "canary"

    class Payload:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.mkdir, (str(canary),)

    payload = pickle.dumps(Payload())
    for suffix in ("bin", "pt", "pkl", "npy", "joblib", "jsonl", "json", "csv", "txt", "parquet", "eval", "jsonl.gz"):
        path = tmp_path / f"file.{suffix}"
        path.write_bytes(payload)
        with pytest.raises(InputError):
            load_prompts(path)
        with pytest.raises(InputError):
            list(RecordedSubject(path).rows())
        with pytest.raises(InputError):
            list(open_subject(f"recorded:{path}", options={"format": "parquet"}).rows())
    assert not canary.exists()


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    def peak_of(n_rows: int) -> int:
        path = tmp_path / f"{n_rows}.jsonl"
        answer = "word " * 400
        with path.open("w") as file:
            for at in range(n_rows):
                file.write(json.dumps({"prompt": f"p{at % 50}", "response": f"{at} {answer}"}) + "\n")
        subject = RecordedSubject(path)
        tracemalloc.start()
        n_read = sum(1 for _ in subject.rows())
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert n_read == n_rows
        return peak

    peak_of(100)
    assert peak_of(6000) < peak_of(1000) + 500_000


@pytest.mark.slow
def test_the_fuzzer_finds_nothing(tmp_path: Path) -> None:
    if importlib.util.find_spec("atheris") is None:
        pytest.skip("atheris is not installed")
    seconds = os.environ.get("MOORINGS_FUZZ_S", "15")
    limits = ["-rss_limit_mb=0", "-malloc_limit_mb=512"]  # the peak counts this process's own, from before the exec
    command = [sys.executable, str(FUZZER), f"-max_total_time={seconds}", f"-artifact_prefix={tmp_path}/", *limits]
    env = {**os.environ, "TMPDIR": str(tmp_path)}
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=env, timeout=280, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "Done" in done.stderr
