"""An audit finds what was put into a foreign set, says so in words, and shows hostile text without letting it act."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from moorings.charter_run import Use
from moorings.errors import InputError
from moorings.probes.audit import audit, render_audit
from moorings.probes.files import ItemSet
from moorings.probes.item import Item, Option

USES = [Use(use=name) for name in ("well_formed", "duplicates", "artefacts", "choices_only")]


def rows(n: int, leak: float) -> list[dict]:
    rng = np.random.default_rng(0)
    found = []
    for _ in range(n):
        words = ["".join(rng.choice(list("abcdefgh"), 6)) for _ in range(8)]
        right = int(rng.integers(4))
        choices = words[:4]
        if rng.random() < leak:
            choices[right] = f"all of these {choices[right]}"
        found.append({"question": f"What is {' '.join(words[4:])}?", "choices": choices, "answer": right})
    return found


def save(path: Path, found: list[dict]) -> Path:
    path.write_text("\n".join(map(json.dumps, found)))
    return path


def test_a_clean_file_passes(tmp_path):
    report = audit(save(tmp_path / "clean.jsonl", rows(300, 0)), uses=USES)
    assert report.passed
    row = report.rows[0]
    assert (row.subtask, row.n_items, row.kind, row.chance, row.repeated_stems) == (
        "questions",
        300,
        "ability",
        0.25,
        0,
    )
    assert abs(row.choices_only["naive bayes"] - 0.25) < 0.1
    assert sum(row.places) == pytest.approx(1)
    assert "No filter fails this set." in render_audit(report)


def test_a_leaky_file_is_shown_with_examples(tmp_path):
    found = rows(300, 0.5)
    path = save(tmp_path / "leaky.jsonl", [*found, *found[:20], {"question": "What?"}])
    with pytest.raises(InputError, match="line 321"):
        audit(path, uses=USES)
    report = audit(path, uses=USES, skip_bad=True)
    assert not report.passed
    assert (report.n_items, report.n_bad, report.rows[0].repeated_stems) == (320, 1, 20)
    failed = {stage.name for stage in report.chain.stages if stage.report.verdict == "fail"}
    assert {"duplicates", "artefacts"} <= failed
    assert audit(path, uses=USES[3:], skip_bad=True).chain.by_filter()["choices_only"].verdict == "fail"
    shown = render_audit(report)
    assert "This set has faults." in shown
    assert "1 rows of the file are no item." in shown
    assert "words tell keys from other options" in shown
    assert "## Examples: duplicates" in shown
    json.dumps(report.as_json(), allow_nan=False)


def test_the_whole_chain_runs_on_a_disposition_set(tmp_path):
    statements = [
        {
            "behavior": f"b{k % 2}",
            "statement": f"I like {'tea' * (k % 7)} {k}",
            "answer_matching": ("Yes", "No")[k % 3 == 0],
        }
        for k in range(120)
    ]
    report = audit(save(tmp_path / "persona.jsonl", statements))
    assert report.format == "anthropic"
    assert {row.kind for row in report.rows} == {"disposition"}
    assert "These items ask for a disposition" in render_audit(report)
    assert report.chain.by_filter()["solver"].verdict == "not applicable"
    assert report.chain.by_filter()["choices_only"].verdict == "not applicable"
    assert audit(tmp_path / "persona.jsonl", kind="ability", uses=USES).rows[0].kind == "ability"


HOSTILE = "<img src=x onerror=1>\x1b[2J\u202e| # [a](javascript:b) `c` **d** \ud800 @e\n\n- f"


def test_hostile_text_does_not_act():
    options = tuple(Option(symbol=s, text=f"{HOSTILE} {s}", key=s == "A") for s in "AB")
    items = tuple(
        Item(item_id=f"{HOSTILE}{k % 60}", cluster_id=str(k), subtask=HOSTILE, prompt=HOSTILE, options=options, key="A")
        for k in range(120)
    )
    report = audit(ItemSet(HOSTILE, items), uses=USES)
    shown = render_audit(report)
    assert not report.passed
    for raw in ("<img", "\x1b", "\u202e", "\ud800", "](", "**d**", "`c`", "\n- f", "@e"):
        assert raw not in shown.replace(f"\\{raw}", ""), raw
    assert "⟨U+202E⟩" in shown
    shown.encode("utf-8")


def test_many_sets_are_cut_short():
    items = []
    for k in range(70):
        options = (Option(symbol="A", text="x", key=True), Option(symbol="B", text="y", key=False))
        items.append(
            Item(item_id=str(k), cluster_id=str(k), subtask=f"s{k}", prompt=f"q {k}", options=options, key="A")
        )
    shown = render_audit(audit(ItemSet("many", tuple(items)), uses=USES))
    assert "And 10 more." in shown


@pytest.mark.shared_data
def test_published_sets_are_read_whole():
    path = Path(__file__).parents[3] / "shared" / "data" / "anthropic-evals" / "advanced_ai_risk.jsonl.gz"
    if not path.exists():
        pytest.skip("the development data is not beside the checkout")
    report = audit(path, uses=[Use(use="well_formed")])
    assert (report.n_items, report.n_bad) == (12478, 0)
