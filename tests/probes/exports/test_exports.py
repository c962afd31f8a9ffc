"""Item sets and answer sheets in the formats of other tools."""

from __future__ import annotations

import builtins
import hashlib
import importlib.util
import json
import math
import sys
from pathlib import Path
from types import ModuleType

import pytest
import yaml

from moorings.errors import ConfigError, InputError, MissingExtraError
from moorings.probes.answers import Answer, AnswerSheet
from moorings.probes.exports.croissant import card, write_card
from moorings.probes.exports.inspect_task import export_inspect
from moorings.probes.exports.lm_eval_task import export_lm_eval
from moorings.probes.exports.logs import write_inspect_log, write_lm_eval_samples
from moorings.probes.exports.rows import file_name, shown_items
from moorings.probes.files import CANARY, ItemSet, write_items
from moorings.probes.fixed.fixed_set import make_item
from moorings.probes.framing import PLAIN, observation
from moorings.probes.orders import plan_orders
from moorings.probes.read_answer import read_answer
from moorings.probes.runner import ask
from moorings.probes.show import show
from moorings.records import Decoding
from moorings.sampling.status import opens_with_refusal
from moorings.subjects.inspect_logs import sample_rows
from moorings.subjects.scripted import ScriptedSubject

HOSTILE = 'Is {{ 7 * 7 }} or {question} a\u202e <b>?\n%s "quoted" \\n'


def toy() -> ItemSet:
    made = [
        make_item("toy", "ability", HOSTILE, ("More {x}", "Less"), 1, cluster="c1", structure="s1"),
        make_item("toy", "ability", "Which?", ("One", "Two", "Three"), 0, cluster="c2"),
    ]
    made[1] = made[1].model_copy(update={"system": "You are Ann."})
    return ItemSet("toy set, 1", tuple(made), {"seed": 3})


def module_of(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"exported_{path.stem}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_exported_rows_are_what_the_runner_sends(tmp_path: Path) -> None:
    items = toy()
    framing = observation(1)[0]
    planned = plan_orders(items.items, "balanced", seed=5)
    expected = [
        (item, order, show(item, order, framing))
        for item, orders in zip(items.items, planned, strict=True)
        for order in orders
    ]
    task = export_inspect(items, tmp_path / "i", orders="balanced", framing=framing, seed=5)
    rows = json.loads((task.parent / "items.json").read_text())
    docs = [
        json.loads(line)
        for line in export_lm_eval(items, tmp_path / "l", orders="balanced", framing=framing, seed=5)
        .with_suffix(".jsonl")
        .read_text()
        .splitlines()
    ]
    assert len(rows) == len(docs) == len(expected) == 5
    assert len({row["id"] for row in rows}) == 5
    for row, doc, (item, order, shown) in zip(rows, docs, expected, strict=True):
        assert row["input"] == [message.model_dump() for message in shown.messages]
        assert row["choices"] == doc["choices"] == [item.options[at].text for at in order]
        assert order["ABC".index(row["target"])] == order[doc["gold"]] == item.key_at
        assert row["metadata"]["cluster_id"] == doc["cluster_id"] == item.cluster_id
        assert doc["symbols"] == list(shown.symbols)
        assert doc["query"] == "\n\n".join(message.content for message in shown.messages)


def test_the_inspect_task_loads_with_inspect_alone(tmp_path: Path) -> None:
    pytest.importorskip("inspect_ai", reason="pip install 'moorings[inspect]'")
    path = export_inspect(toy(), tmp_path, decoding=Decoding(max_new_tokens=9, temperature=0.5, top_p=0.9, top_k=3))
    task = module_of(path).toy_set_1()
    assert [sample.id for sample in task.dataset] == [item.item_id for item in toy().items]
    assert [message.role for message in task.dataset[1].input] == ["system", "user"]
    assert HOSTILE.strip() in task.dataset[0].input[0].text
    config = task.config
    assert (config.temperature, config.max_tokens, config.top_p, config.top_k) == (0.5, 9, 0.9, 3)
    assert "moorings" not in path.read_text(encoding="utf-8").replace("Moorings", "")


@pytest.mark.parametrize(
    "text",
    ["B", "The answer is (a).", "A or B", "I'm sorry, but I can't help: B", "less", "", "B) x", "\u202eB", "a" * 9000],
)
def test_the_exported_reader_reads_as_the_runner_does(tmp_path: Path, text: str) -> None:
    export_inspect(toy(), tmp_path)
    assert "moorings" not in (tmp_path / "reader.py").read_text(encoding="utf-8")
    reader = module_of(tmp_path / "reader.py")
    assert reader.read_answer(text, "AB", ["more", "less"]) == read_answer(text, "AB", ["more", "less"])
    assert reader.opens_with_refusal(text) is opens_with_refusal(text)


def test_the_lm_eval_task_names_columns_that_are_there(tmp_path: Path) -> None:
    path = export_lm_eval(toy(), tmp_path)

    class Loader(yaml.SafeLoader):
        pass

    Loader.add_constructor("!function", lambda loader, node: node.value)
    task = yaml.load(path.read_text(), Loader)
    assert (task["task"], path.name) == ("toy_set_1", "toy_set_1.yaml")
    assert task["custom_dataset"] == "toy_set_1_data.load"
    first = json.loads((tmp_path / "toy_set_1.jsonl").read_text().splitlines()[0])
    assert {task["doc_to_text"], task["doc_to_choice"], task["doc_to_target"]} <= set(first)
    pytest.importorskip("datasets", reason="pip install 'moorings[datasets]'")
    loaded = module_of(tmp_path / "toy_set_1_data.py").load(version=1.0)[task["test_split"]]
    assert loaded[0]["query"] == first["query"]


def test_the_real_harness_scores_the_exported_task(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("lm_eval", reason="pip install lm-eval")
    from lm_eval import simple_evaluate
    from lm_eval.api.model import LM
    from lm_eval.tasks import TaskManager

    class Second(LM):
        """Finds the second symbol likeliest."""

        def loglikelihood(self, requests, disable_tqdm=False):
            return [(0.0 if request.args[1].strip() == "B" else -1.0, False) for request in requests]

        def loglikelihood_rolling(self, requests, disable_tqdm=False):
            raise AssertionError

        def generate_until(self, requests, disable_tqdm=False):
            raise AssertionError

    monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
    export_lm_eval(toy(), tmp_path / "task", orders="balanced")
    manager = TaskManager(include_path=str(tmp_path / "task"), include_defaults=False)
    found = simple_evaluate(Second(), tasks=["toy_set_1"], task_manager=manager, bootstrap_iters=0, log_samples=True)
    rows = found["samples"]["toy_set_1"]
    assert [row["doc"]["query"] for row in rows] == [
        "\n\n".join(message.content for message in one.messages) for one in shown_items(toy(), orders="balanced")
    ]
    assert [row["acc"] for row in rows] == [float(row["doc"]["gold"] == 1) for row in rows]
    assert found["results"]["toy_set_1"]["acc,none"] == pytest.approx(2 / 5)


def test_names_and_faulty_sets(tmp_path: Path) -> None:
    assert [file_name(name) for name in ("S4-test-f0", "../x", "", "2")] == ["S4_test_f0", "x", "set_", "set_2"]
    with pytest.raises(ConfigError, match="no items to export"):
        export_inspect(ItemSet("none", ()), tmp_path)
    keyless = (
        toy()
        .items[0]
        .model_copy(update={"options": tuple(o.model_copy(update={"key": False}) for o in toy().items[0].options)})
    )
    with pytest.raises(ConfigError, match="has 0 right options; leave it out"):
        export_lm_eval(ItemSet("x", (keyless,)), tmp_path)
    many = keyless.model_copy(
        update={"options": tuple(keyless.options[0].model_copy(update={"key": i == 0}) for i in range(27))}
    )
    with pytest.raises(ConfigError, match="has 27 options; Inspect names 26 at most"):
        export_inspect(ItemSet("x", (many,)), tmp_path)


def test_the_card_names_the_file_and_its_columns(tmp_path: Path) -> None:
    items = toy()
    path = write_items(items, tmp_path / "toy.jsonl")
    written = write_card(items, path, licence="CC-BY-4.0", published="2025-12-31")
    assert written.name == "toy.croissant.json"
    made = json.loads(written.read_text(encoding="utf-8"))
    assert made == card(items, path, licence="CC-BY-4.0", version="1.0.0", published="2025-12-31")
    [file] = made["distribution"]
    assert (file["contentUrl"], file["contentSize"]) == ("toy.jsonl", f"{path.stat().st_size} B")
    assert file["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    first = json.loads(path.read_text(encoding="utf-8").splitlines()[1])
    columns = {field["source"]["extract"]["column"] for field in made["recordSet"][0]["field"]}
    assert columns <= set(first)
    assert CANARY in made["rai:dataLimitations"]
    with pytest.raises(InputError, match="write the set with write_items first"):
        write_card(items, tmp_path / "absent.jsonl", licence="x", published="2025-12-31")


def test_the_real_croissant_validates_and_loads(tmp_path: Path) -> None:
    mlcroissant = pytest.importorskip("mlcroissant", reason="pip install mlcroissant")
    items = toy()
    path = write_items(items, tmp_path / "toy.jsonl")
    written = write_card(items, path, licence="CC-BY-4.0", published="2025-12-31")
    data = mlcroissant.Dataset(jsonld=str(written))
    issues = data.metadata.ctx.issues
    assert (issues.errors, issues.warnings) == (set(), set())
    rows = list(data.records("records"))[1:]
    assert [row["records/prompt"].decode() for row in rows] == [item.prompt for item in items.items]
    assert [[text.decode() for text in row["records/option_text"]] for row in rows] == [
        list(item.texts) for item in items.items
    ]
    assert [row["records/option_key"] for row in rows] == [[o.key for o in item.options] for item in items.items]


def asked_sheet(folder: Path, say: str = "B") -> AnswerSheet:
    framings = (PLAIN, *observation(1))
    subject = ScriptedSubject(lambda messages, seed: say)
    return ask(subject, toy(), folder, orders="balanced", framings=framings, mode="text")


def scored_sheet() -> AnswerSheet:
    items = toy().items
    answers = (
        Answer(items[0].item_id, (0, 1), "plain", "logprobs", 1, (-2.0, -0.5)),
        Answer(items[1].item_id, (2, 0, 1), "plain", "logprobs", 2, (-3.0, math.nan, -1.0)),
        Answer(items[1].item_id, (0, 1, 2), "plain", "logprobs", None, (math.nan,) * 3, "out of memory", "failed"),
    )
    return AnswerSheet("scripted:x", "f" * 64, items, answers, {"name": "toy set, 1", "mode": "logprobs"})


def test_drawn_answers_round_trip_through_inspects_log(tmp_path: Path) -> None:
    inspect_log = pytest.importorskip("inspect_ai.log", reason="pip install 'moorings[inspect]'")
    sheet = asked_sheet(tmp_path / "asked")
    log = inspect_log.read_eval_log(str(write_inspect_log(sheet, tmp_path / "deep" / "toy.eval")))
    assert (log.status, log.eval.task, log.eval.model) == ("success", "toy_set_1", sheet.subject)
    assert len(log.samples) == len(sheet.answers) == 15
    items = {item.item_id: item for item in sheet.items}
    by_id = {sample.id: sample for sample in log.samples}
    assert len(by_id) == 15
    right = [answer.chosen == items[answer.item_id].key_at for answer in sheet.answers]
    assert log.results.scores[0].metrics["accuracy"].value == pytest.approx(sum(right) / 15)
    framing = next(sample for sample in log.samples if sample.metadata["framing"] == "observed")
    assert framing.input[0].text.startswith("This is training.")
    assert sorted(sample.scores["named_option"].value == "C" for sample in log.samples) == sorted(right)
    rows = [row.value for row in sample_rows(tmp_path / "deep" / "toy.eval")]
    assert {row["id"] for row in rows} == set(by_id)
    assert all(row["output"]["choices"][0]["message"]["content"] == "B" for row in rows)


def test_log_probabilities_and_failures_in_inspects_log(tmp_path: Path) -> None:
    inspect_log = pytest.importorskip("inspect_ai.log", reason="pip install 'moorings[inspect]'")
    log = inspect_log.read_eval_log(
        str(write_inspect_log(scored_sheet(), tmp_path / "x.json", created="2025-12-31T00:00:00Z"))
    )
    one, two = toy().items
    by_id = {sample.id: sample for sample in log.samples}
    first, second, failed = by_id[one.item_id], by_id[f"{two.item_id} 2.0.1"], by_id[two.item_id]
    tops = first.output.choices[0].logprobs.content[0].top_logprobs
    assert [(top.token, top.logprob) for top in tops] == [("A", -2.0), ("B", -0.5)]
    assert (first.scores["named_option"].value, first.scores["named_option"].answer) == ("C", "B")
    tops = second.output.choices[0].logprobs.content[0].top_logprobs
    assert [(top.token, top.logprob) for top in tops] == [("A", -1.0), ("B", -3.0)]
    assert (second.scores["named_option"].value, second.scores["named_option"].answer) == ("I", "A")
    assert (failed.scores, failed.error.message) == (None, "out of memory")
    score = log.results.scores[0]
    assert (score.metrics["accuracy"].value, score.scored_samples, score.unscored_samples) == (0.5, 2, 1)


def test_sample_files_of_the_harness(tmp_path: Path) -> None:
    path = write_lm_eval_samples(scored_sheet(), tmp_path)
    assert path.name == "samples_toy_set_1_1970-01-01T00-00-00.jsonl"
    first, second = [json.loads(line) for line in path.read_text().splitlines()]
    assert first["filtered_resps"] == [["-2.0", "False"], ["-0.5", "False"]]
    assert first["resps"] == [[["-2.0", "False"]], [["-0.5", "False"]]]
    assert (first["acc"], first["target"], first["doc_id"], first["metrics"]) == (1.0, "1", 0, ["acc"])
    assert first["arguments"]["gen_args_1"]["arg_1"] == " B"
    assert (second["acc"], second["filtered_resps"][0]) == (0.0, ["-1.0", "False"])
    drawn = [
        json.loads(line)
        for line in write_lm_eval_samples(asked_sheet(tmp_path / "a"), tmp_path).read_text().splitlines()
    ]
    assert len(drawn) == 15
    assert all(row["exact_match"] == float(row["target"] == "B") for row in drawn)
    assert drawn[0]["filtered_resps"] == ["B"]


def test_equal_sheets_give_equal_samples_and_unreadable_answers_are_wrong(tmp_path: Path) -> None:
    inspect_log = pytest.importorskip("inspect_ai.log", reason="pip install 'moorings[inspect]'")
    sheet = asked_sheet(tmp_path / "a", say="Hm.")
    one, two = (write_lm_eval_samples(sheet, tmp_path / name).read_bytes() for name in ("1", "2"))
    assert one == two
    log = inspect_log.read_eval_log(str(write_inspect_log(sheet, tmp_path / "x.eval")))
    assert {sample.scores["named_option"].value for sample in log.samples} == {"N"}
    assert log.results.scores[0].metrics["accuracy"].value == 0.0


def test_what_cannot_be_written_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sheet = scored_sheet()
    with pytest.raises(InputError, match=r"allowed for Inspect's logs: \.eval, \.json"):
        write_inspect_log(sheet, tmp_path / "x.log")
    strange = AnswerSheet("s", "f", sheet.items, (sheet.answers[0]._replace(item_id="x"),), {})
    with pytest.raises(InputError, match="answer to 'x' under 'plain' is of another sheet"):
        write_lm_eval_samples(strange, tmp_path)
    with pytest.raises(InputError, match="under 'odd' is of another sheet"):
        write_lm_eval_samples(
            AnswerSheet("s", "f", sheet.items, (sheet.answers[0]._replace(framing="odd"),), {}), tmp_path
        )
    keyless = sheet.items[0].model_copy(
        update={"options": tuple(o.model_copy(update={"key": False}) for o in sheet.items[0].options)}
    )
    with pytest.raises(InputError, match="0 right options; leave the item out"):
        write_lm_eval_samples(AnswerSheet("s", "f", (keyless,), sheet.answers[:1], {}), tmp_path)

    real = builtins.__import__

    def without_inspect(name: str, *args: object, **settings: object) -> ModuleType:
        if name.startswith("inspect_ai"):
            raise ImportError(name)
        return real(name, *args, **settings)

    monkeypatch.delitem(sys.modules, "inspect_ai", raising=False)
    monkeypatch.setattr(builtins, "__import__", without_inspect)
    with pytest.raises(MissingExtraError, match=r"moorings\[inspect\]"):
        write_inspect_log(sheet, tmp_path / "x.eval")
