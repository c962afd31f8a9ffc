"""An exported task under the real `inspect eval`: item by item the answers of our runner, from one served model."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import test_transformers_serve as serving

from moorings.probes.exports.inspect_task import export_inspect
from moorings.probes.exports.logs import write_inspect_log
from moorings.probes.exports.rows import row_id
from moorings.probes.files import ItemSet
from moorings.probes.fixed.fixed_set import make_item
from moorings.probes.runner import ask
from moorings.records import Decoding
from moorings.subjects.spec import SubjectSpec

inspect_log = pytest.importorskip("inspect_ai.log", reason="pip install 'moorings[inspect]'")
pytestmark = [pytest.mark.model, pytest.mark.slow, pytest.mark.timeout(600)]

QUESTIONS = (
    ("What is the capital of France?", ("Rome", "Paris", "Oslo"), 1),
    ("Which animal barks?", ("Dog", "Fish"), 0),
    ("Which number is even?", ("Three", "Four"), 1),
    ("Where do fish live?", ("In water", "On the Moon"), 0),
)
SHORT = Decoding(max_new_tokens=8, temperature=0.0)
"""Long enough to name an option."""

served = serving.served
"""The fixture of the endpoint's tests: `transformers serve` with the embedded model."""


def test_the_real_inspect_eval_gives_the_runners_answers(served: serving.Served, tmp_path: Path) -> None:
    made = [make_item("toy", "ability", question, texts, key) for question, texts, key in QUESTIONS]
    items = ItemSet("toy set", tuple(made))
    task = export_inspect(items, tmp_path / "task", orders="balanced", decoding=SHORT)
    spec = SubjectSpec(uri=served.uri, options={"concurrency": 2})
    sheet = ask(spec, items, tmp_path / "ours", orders="balanced", mode="text", decoding=SHORT)
    assert len(sheet.answers) == 9

    kept = {name: os.environ[name] for name in ("PATH", "PYTHONPATH", "LANG") if name in os.environ}
    env = kept | {"HOME": str(tmp_path), "SERVED_BASE_URL": served.url, "SERVED_API_KEY": "none"}
    command = [str(Path(sys.executable).parent / "inspect"), "eval", str(task.relative_to(tmp_path)), "--model"]
    command += [f"openai-api/served/{served.model}", "--log-dir", str(tmp_path / "logs"), "--display", "plain"]
    done = subprocess.run(
        [*command, "--max-connections", "2"], cwd=tmp_path, env=env, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]

    [path] = (tmp_path / "logs").glob("*.eval")
    log = inspect_log.read_eval_log(str(path))
    assert log.status == "success"
    theirs = {sample.id: sample for sample in log.samples}
    options = {item.item_id: item for item in items.items}
    assert len(theirs) == len(sheet.answers)
    for answer in sheet.answers:
        item = options[answer.item_id]
        sample = theirs[row_id(item, answer.order)]
        assert sample.output.completion == answer.text
        place = None if answer.chosen is None else answer.order.index(answer.chosen)
        assert sample.scores["named_option"].answer == ("" if place is None else "ABCD"[place])
        assert (sample.scores["named_option"].value == "C") == (answer.chosen == item.key_at)
    right = sum(answer.chosen == options[answer.item_id].key_at for answer in sheet.answers)
    accuracy = log.results.scores[0].metrics["accuracy"].value
    assert accuracy == pytest.approx(right / len(sheet.answers))
    ours = inspect_log.read_eval_log(str(write_inspect_log(sheet, tmp_path / "ours.eval")))
    assert ours.results.scores[0].metrics["accuracy"].value == pytest.approx(accuracy)
