"""Exports to other tools, against modules made up in their place."""

from __future__ import annotations

import math
import re
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import make
import pytest

from moorings.errors import ConfigError, MissingExtraError
from moorings.records import content_hash
from moorings.report.exporters import Exporters, exporters, open_exporters


class Told(list):
    """Calls in their order."""

    def named(self, name: str) -> list[Any]:
        return [call[1:] for call in self if call[0] == name]


def fake(monkeypatch: pytest.MonkeyPatch, name: str, **names: Any) -> None:
    module = ModuleType(name)
    vars(module).update(names)
    monkeypatch.setitem(sys.modules, name, module)


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def tensorboard(monkeypatch: pytest.MonkeyPatch, told: Told) -> None:
    class SummaryWriter:
        def __init__(self, log_dir: str) -> None:
            told.append(("open", log_dir))

        def add_scalar(self, tag: str, value: float, global_step: int) -> None:
            told.append(("scalar", tag, value, global_step))

        def add_text(self, tag: str, text: str, global_step: int) -> None:
            told.append(("text", tag, text, global_step))

        def flush(self) -> None:
            told.append(("flush",))

        def close(self) -> None:
            told.append(("close",))

    fake(monkeypatch, "torch.utils.tensorboard", SummaryWriter=SummaryWriter)


@pytest.fixture
def mlflow(monkeypatch: pytest.MonkeyPatch, told: Told) -> dict[str, Any]:
    store: dict[str, Any] = {"experiments": {}, "runs": {}}
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)

    class MlflowClient:
        def __init__(self, tracking_uri: str) -> None:
            told.append(("open", tracking_uri))

        def get_experiment_by_name(self, name: str) -> Any:
            return store["experiments"].get(name)

        def create_experiment(self, name: str, artifact_location: str | None) -> str:
            told.append(("experiment", name, artifact_location))
            store["experiments"][name] = SimpleNamespace(experiment_id="7")
            return "7"

        def search_runs(self, experiment_ids: list[str], filter_string: str, max_results: int) -> list[Any]:
            digest = re.fullmatch(r"tags\.moorings_run = '([0-9a-f]{64})'", filter_string)
            assert digest is not None
            found = store["runs"].get((experiment_ids[0], digest[1]))
            return [SimpleNamespace(info=SimpleNamespace(run_id=found))] if found else []

        def create_run(self, experiment_id: str, tags: dict[str, str], run_name: str) -> Any:
            run_id = f"id{len(store['runs'])}"
            store["runs"][experiment_id, tags["moorings_run"]] = run_id
            told.append(("run", run_name, run_id))
            return SimpleNamespace(info=SimpleNamespace(run_id=run_id))

        def update_run(self, run_id: str, status: str) -> None:
            told.append(("again", run_id, status))

        def log_metric(self, run_id: str, key: str, value: float, step: int) -> None:
            told.append(("scalar", run_id, key, value, step))

        def log_text(self, run_id: str, text: str, artifact_file: str) -> None:
            told.append(("text", run_id, text, artifact_file))

        def set_terminated(self, run_id: str) -> None:
            told.append(("close", run_id))

    fake(monkeypatch, "mlflow", MlflowClient=MlflowClient)
    return store


@pytest.fixture
def wandb(monkeypatch: pytest.MonkeyPatch, told: Told) -> None:
    monkeypatch.delenv("WANDB_MODE", raising=False)
    run = SimpleNamespace(
        define_metric=lambda name, step_metric: told.append(("metric", name, step_metric)),
        log=lambda values: told.append(("log", values)),
        finish=lambda: told.append(("close",)),
    )

    def init(**settings: Any) -> Any:
        told.append(("init", settings))
        return run

    fake(monkeypatch, "wandb", init=init, Settings=lambda **settings: settings)


def test_tensorboard_gets_numbers_and_indented_texts(tensorboard: None, told: Told, tmp_path: Path) -> None:
    with open_exporters(["tensorboard"], tmp_path) as out:
        out.start("run 1", {"alpha": 0.05})
        out.scalar("forgetting/mean", 0.25, 3)
        out.text("forgetting/seen", "# no heading\n<b>no tag</b>", 3)
    assert told.named("open") == [(str(tmp_path / "tensorboard"),)]
    assert told.named("scalar") == [("forgetting/mean", 0.25, 3)]
    assert told.named("text")[1] == ("forgetting/seen", "    # no heading\n    <b>no tag</b>", 3)
    assert '"alpha": 0.05' in told.named("text")[0][1]
    assert told[-1] == ("close",)


def test_mlflow_stays_in_the_folder_and_takes_a_run_up_again(mlflow: Any, told: Told, tmp_path: Path) -> None:
    for _ in range(2):
        with open_exporters(["mlflow"], tmp_path) as out:
            out.start("run 1", {"alpha": 0.05})
            out.scalar("forgetting", 0.25, 3)
            out.text("../up/seen", "text", 3)
    assert told.named("open")[0] == (f"sqlite:///{tmp_path.resolve()}/mlflow/mlflow.db",)
    assert told.named("experiment") == [("moorings", (tmp_path.resolve() / "mlflow" / "artifacts").as_uri())]
    assert told.named("run") == [("run 1", "id0")]
    assert told.named("again") == [("id0", "RUNNING")]
    assert told.named("scalar") == [("id0", "forgetting", 0.25, 3)] * 2
    assert told.named("text")[1] == ("id0", "text", "_/up/seen/0003.txt")
    assert told.named("close") == [("id0",)] * 2


def test_mlflow_goes_to_a_server_only_where_one_is_named(
    mlflow: Any, told: Told, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://tracking.invalid")
    with open_exporters(["mlflow"], tmp_path) as out:
        out.start("run 1", {})
    assert told.named("open") == [("http://tracking.invalid",)]
    assert told.named("experiment") == [("moorings", None)]


def test_wandb_is_offline_unless_told_otherwise(
    wandb: None, told: Told, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for mode in (None, "online"):
        if mode:
            monkeypatch.setenv("WANDB_MODE", mode)
        with open_exporters(["wandb"], tmp_path) as out:
            out.start("run 1", {"alpha": 0.05})
            out.scalar("forgetting", 0.25, 3)
            out.text("seen", "text", 3)
    first, second = (settings for (settings,) in told.named("init"))
    assert (first["mode"], second["mode"]) == ("offline", "online")
    assert first["id"] == second["id"] == content_hash("run 1")[:16]
    assert first["dir"] == str(tmp_path / "wandb")
    assert Path(first["dir"]).is_dir()
    assert first["config"] == {"alpha": 0.05}
    assert first["settings"] == {"console": "off", "silent": True}
    assert told.named("metric")[0] == ("*", "round")
    assert told.named("log")[:2] == [({"forgetting": 0.25, "round": 3},), ({"seen": "text", "round": 3},)]
    assert len(told.named("close")) == 2


def test_runs_that_were_never_started_close(mlflow: Any, wandb: None, told: Told, tmp_path: Path) -> None:
    open_exporters(["mlflow", "wandb"], tmp_path).close()
    assert told.named("close") == []


@pytest.mark.parametrize("name", ["tensorboard", "mlflow", "wandb"])
def test_what_is_not_installed_is_refused_with_its_command(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard" if name == "tensorboard" else name, None)
    with pytest.raises(MissingExtraError, match=re.escape(f"pip install 'moorings[{name}]'")):
        open_exporters([name], tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_what_was_opened_is_closed_when_the_next_is_missing(
    tensorboard: None, told: Told, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(MissingExtraError):
        open_exporters(["tensorboard", "wandb"], tmp_path)
    assert told[-1] == ("close",)


def test_unknown_exporters_are_refused_before_any_is_opened(tensorboard: None, told: Told, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="did you mean 'tensorboard'"):
        open_exporters(["tensorboard", "tensorbord"], tmp_path)
    assert told == []
    assert {"mlflow", "tensorboard", "wandb"} <= set(exporters.names())


def test_none_is_open_unless_named(tmp_path: Path) -> None:
    with open_exporters([], tmp_path) as out:
        out.start("run", {"x": object()})
        out.scalar("a", 1.0, 1)
        out.text("a", "b", 1)
    assert list(tmp_path.iterdir()) == []


class Kept:
    """An exporter that keeps what it is told."""

    def __init__(self, *, fails: bool = False) -> None:
        self.told = Told()
        self._fails = fails

    def start(self, run: str, settings: Any) -> None:
        self.told.append(("start", run, settings))

    def scalar(self, name: str, value: float, step: int) -> None:
        self.told.append(("scalar", name, value, step))

    def text(self, name: str, text: str, step: int) -> None:
        self.told.append(("text", name, text, step))

    def close(self) -> None:
        self.told.append(("close",))
        if self._fails:
            raise OSError("disk is gone")


def test_names_are_plain_and_no_two_become_the_same() -> None:
    kept = Kept()
    out = Exporters([kept])
    names = ["plain name/mean", "a:b", "a;b", "", "x" * 500, "x" * 501, *(p.text[:2000] for p in make.PAYLOADS)]
    for name in names:
        out.scalar(name, 1.0, 1)
    seen = [name for name, _, _ in kept.told.named("scalar")]
    assert seen[0] == "plain name/mean"
    assert all(re.fullmatch(r"[A-Za-z0-9_./ -]{1,130}", name) for name in seen)
    assert len(set(seen)) == len(set(names))


def test_texts_are_made_visible_and_missing_numbers_left_out() -> None:
    kept = Kept()
    out = Exporters([kept])
    for payload in make.PAYLOADS:
        out.text("seen", payload.text, 1)
    texts = "".join(text for _, text, _ in kept.told.named("text"))
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\ud800-\udfff]", texts)
    assert "⟨U+202E⟩" in texts
    for value in (math.nan, math.inf, -math.inf):
        out.scalar("x", value, 1)
    assert kept.told.named("scalar") == []


def test_each_is_closed_even_if_one_fails() -> None:
    first, failing, last = Kept(), Kept(fails=True), Kept()
    with pytest.raises(OSError, match="disk is gone"), Exporters([first, failing, last]) as out:
        out.start("run", {})
    assert [k.told[-1] for k in (first, failing, last)] == [("close",)] * 3


@pytest.mark.parametrize("settings", [{"x": object()}, {"x": math.nan}])
def test_settings_that_are_not_json_are_refused(tensorboard: None, tmp_path: Path, settings: dict[str, Any]) -> None:
    with (
        pytest.raises(ConfigError, match="settings for an exporter are not JSON"),
        open_exporters(["tensorboard"], tmp_path) as out,
    ):
        out.start("run", settings)
