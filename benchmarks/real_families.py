"""Known changes of real models: answers to the 805 AlpacaEval prompts, compared pair by pair.

Needs `alpaca_eval_outputs/*.jsonl.gz` of the development data beside the checkout, or of the folder that MOORINGS_DATA names. The bars:
gpt-3.5-turbo asked to be concise, and to be verbose, must show length or verbosity as the first finding with the right sign; one pair
(1,610 long responses) must take at most 60 s on two cores, battery and embedding included, and 2 GB. Each pair runs in a process of
its own that holds no vector or battery value from before. With `--reports FOLDER` every pair's report is kept there.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from _common import finish

DATA = Path(os.environ.get("MOORINGS_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
PAIRS = {
    "asked to be concise": ("gpt-3.5-turbo-1106", "gpt-3.5-turbo-1106_concise"),
    "asked to be verbose": ("gpt-3.5-turbo-1106", "gpt-3.5-turbo-1106_verbose"),
    "base to SFT": ("phi-2", "phi-2-sft"),
    "SFT to DPO": ("phi-2-sft", "phi-2-dpo"),
    "instruct to self-play": ("Meta-Llama-3-8B-Instruct", "SPPO-Llama-3-Instruct-8B-PairRM"),
    "instruct to SimPO": ("Meta-Llama-3-8B-Instruct", "Llama-3-Instruct-8B-SimPO"),
    "instruct to self-play (Mistral)": ("Mistral-7B-Instruct-v0.2", "SPPO-Mistral7B-PairRM"),
    "a later version": ("vicuna-7b-v1.3", "vicuna-7b-v1.5"),
}
LENGTH = {"words", "characters", "sentences", "paragraphs", "lines", "words_per_sentence"}
EXPECTED = {"asked to be concise": -1, "asked to be verbose": 1}


def child(folder: str, precursor: str, candidate: str) -> None:
    """Compare one pair from its files and print what was found."""
    from moorings.compare.diff import Sampling, diff
    from moorings.compare.settings import Settings
    from moorings.report.write import write_report

    start = time.monotonic()
    uris = [f"recorded:{DATA}/alpaca_eval_outputs/{name}.jsonl.gz" for name in (precursor, candidate)]
    comparison = diff(*uris, out=folder, settings=Settings(jobs=2), sampling=Sampling())
    write_report(comparison, Path(folder))
    seconds = time.monotonic() - start
    peak = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM:"))
    pair = comparison.pairs[0]
    leads = [finding for finding in pair.findings if finding.part_of is None]
    print(
        json.dumps(
            {
                "seconds": seconds,
                "peak_gb": int(peak.split()[1]) / 1024**2,
                "phases": comparison.duration_s,
                "n_findings": len(pair.findings),
                "n_leads": len(leads),
                "first": [
                    {"statement": f.statement, "feature": f.predicate.get("feature"), "size": f.effect.standardised}
                    for f in leads[:5]
                ],
                "omnibus_p": max(test.p for test in pair.omnibus),
            }
        )
    )


def measure(folder: Path, name: str) -> dict[str, Any]:
    precursor, candidate = PAIRS[name]
    home = folder / f"{precursor}--{candidate}"
    with tempfile.TemporaryDirectory() as empty:
        # Only the model itself may come from the cache: no vectors of earlier runs.
        cache = Path(empty) / "cache"
        cache.mkdir()
        real = Path(os.environ.get("MOORINGS_CACHE_DIR", Path.home() / ".cache" / "moorings"))
        for entry in real.iterdir():
            if entry.name not in {"embeddings.sqlite", "samples.sqlite"}:
                (cache / entry.name).symlink_to(entry)
        environment = {**os.environ, "MOORINGS_CACHE_DIR": str(cache)}
        command = [sys.executable, __file__, "--child", str(home), precursor, candidate]
        found = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if found.returncode:
        raise SystemExit(f"{name}: {found.stderr[-2000:]}")
    result = json.loads(found.stdout.splitlines()[-1])
    first = result.pop("first")
    row = {"pair": name, "precursor": precursor, "candidate": candidate, **result}
    row |= {
        "first_finding": first[0]["statement"] if first else "none",
        "first_size": first[0]["size"] if first else 0.0,
    }
    row |= {
        "then": "; ".join(f["statement"] for f in first[1:]),
        "first_feature": first[0]["feature"] if first else None,
    }
    print(
        f"{name}: {row['seconds']:.1f} s, {row['peak_gb']:.2f} GB, {row['n_leads']} findings; first: {row['first_finding']}",
        flush=True,
    )
    return row


def main() -> None:
    """Compare the pairs and check the bars."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="one pair, same bars")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the result as JSON")
    parser.add_argument("--reports", type=Path, metavar="FOLDER", help="keep the reports here")
    args = parser.parse_args()
    if not (DATA / "alpaca_eval_outputs").exists():
        raise SystemExit(f"{DATA}/alpaca_eval_outputs is missing; name the data folder with MOORINGS_DATA")
    with tempfile.TemporaryDirectory() as folder:
        names = ["asked to be concise"] if args.quick else list(PAIRS)
        rows = [measure(args.reports or Path(folder), name) for name in names]
    known = [row for row in rows if row["pair"] in EXPECTED]
    right = sum(row["first_feature"] in LENGTH and row["first_size"] * EXPECTED[row["pair"]] > 0 for row in known)
    finish(
        "real_families",
        args,
        bars={
            "length first with the right sign": (right / len(known), ">=", 1.0),
            "seconds a pair": (max(row["seconds"] for row in rows), "<=", 60.0),
            "peak GB": (max(row["peak_gb"] for row in rows), "<=", 2.0),
        },
        rows=rows,
    )


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        child(*sys.argv[2:5])
    else:
        main()
