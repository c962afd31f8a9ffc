"""Model folders and chat templates that could run code or run away are refused by name."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import pytest

from moorings.errors import ModelFileError, UnsafeFileError
from moorings.records import Message
from moorings.subjects.chat_template import PLAIN_TEMPLATE, ChatTemplate, render_chat, template_sha256
from moorings.subjects.safe_files import (
    check_adapter_folder,
    check_model_folder,
    content_sha256_of_weights,
    read_chat_template,
    read_config,
)

CHAT = [Message(role="user", content="hi")]


class Canary:
    """Unpickling it creates a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.path,))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "model"
    made.mkdir()
    (made / "config.json").write_text('{"model_type": "llama"}')
    (made / "model.safetensors").write_bytes(b"weights")
    return made


@pytest.mark.parametrize(
    "name", ["pytorch_model.bin", "model.pt", "model.pth", "model.pkl", "model.ckpt", "w.joblib", "w.npy"]
)
def test_pickled_weights_are_refused_and_never_opened(folder: Path, tmp_path: Path, name: str) -> None:
    canary = tmp_path / "canary"
    (folder / "model.safetensors").unlink()
    (folder / name).write_bytes(pickle.dumps(Canary(canary)))
    with pytest.raises(UnsafeFileError, match=name):
        check_model_folder(folder)
    assert not canary.exists()


def test_no_weights_no_config_no_folder(folder: Path) -> None:
    check_model_folder(folder)
    (folder / "config.json").unlink()
    with pytest.raises(ModelFileError, match=r"no config\.json"):
        check_model_folder(folder)
    (folder / "model.safetensors").unlink()
    with pytest.raises(ModelFileError, match=r"no \*\.safetensors"):
        check_model_folder(folder)
    with pytest.raises(ModelFileError, match="never downloaded by name"):
        check_model_folder(folder / "org" / "name")


@pytest.mark.parametrize("file", ["config.json", "tokenizer_config.json", "generation_config.json", "sub/config.json"])
@pytest.mark.parametrize(
    ("payload", "key"),
    [
        ({"auto_map": {"AutoModel": "evil.Model"}}, "auto_map"),
        ({"text_config": {"auto_map": {"AutoModel": "evil.Model"}}}, r"text_config\.auto_map"),
        ({"parts": [{"trust_remote_code": True}]}, r"parts\.0\.trust_remote_code"),
        ({"_attn_implementation": "someone/kernel"}, "_attn_implementation"),
        ({"_attn_implementation_internal": "someone/kernel"}, "_attn_implementation_internal"),
        ({"attn_implementation": {"text_config": "someone/kernel"}}, "attn_implementation"),
        ({"_surprise": 1}, "_surprise"),
        ({"vocab_file": "../../etc/passwd"}, "vocab_file"),
        ({"files": ["..\\secret"]}, r"files\.0"),
        ({"custom_generate": "x"}, "custom_generate"),
    ],
)
def test_settings_that_load_code_are_refused_by_key(folder: Path, file: str, payload: dict[str, Any], key: str) -> None:
    path = folder / file
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps({"model_type": "llama", **payload}))
    with pytest.raises(UnsafeFileError, match=f"key '{key}'"):
        check_model_folder(folder)


def test_ordinary_settings_pass(folder: Path) -> None:
    ordinary = {
        "_name_or_path": "org/name",
        "_attn_implementation": "sdpa",
        "auto_map": None,
        "trust_remote_code": False,
        "chat_template": "{{ '../' }}",
        "added_tokens_decoder": {"3": {"content": "../"}},
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(ordinary))
    check_model_folder(folder)
    assert read_config(folder, "tokenizer_config.json") == ordinary


def test_files_that_no_loader_reads_are_left_alone(folder: Path) -> None:
    with (folder / "trainer_state.json").open("wb") as stream:
        stream.truncate(11 * 2**20)
    (folder / "training_args.bin").write_bytes(b"pickled, and never opened")
    assert check_model_folder(folder) is None


def test_huge_deep_and_broken_json_is_refused(folder: Path) -> None:
    path = folder / "generation_config.json"
    with path.open("wb") as stream:
        stream.truncate(100 * 2**20)
    with pytest.raises(UnsafeFileError, match="100 MB"):
        check_model_folder(folder)
    path.write_text("[" * 200_000)
    with pytest.raises(UnsafeFileError, match="too deeply"):
        check_model_folder(folder)
    path.write_text("{")
    with pytest.raises(ModelFileError, match="not valid JSON"):
        check_model_folder(folder)
    path.write_text("[]")
    with pytest.raises(ModelFileError, match="must hold a JSON object"):
        read_config(folder, "generation_config.json")


@pytest.mark.parametrize("shard", ["../model.safetensors", "/etc/passwd", "pytorch_model.bin", 3])
def test_weight_index_may_name_only_safetensors_in_the_folder(folder: Path, shard: Any) -> None:
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"a.weight": shard}}))
    with pytest.raises(UnsafeFileError, match=r"weight_map\.a\.weight"):
        check_model_folder(folder)


def test_sentence_transformers_modules_must_be_its_own(folder: Path) -> None:
    (folder / "modules.json").write_text(json.dumps([{"idx": 0, "type": "os.system"}]))
    with pytest.raises(UnsafeFileError, match="outside sentence_transformers"):
        check_model_folder(folder)


def test_adapter_folders(folder: Path) -> None:
    with pytest.raises(ModelFileError, match=r"no adapter_config\.json"):
        check_adapter_folder(folder)
    (folder / "adapter_config.json").write_text('{"peft_type": "LORA", "auto_mapping": {"parent_library": "os"}}')
    with pytest.raises(UnsafeFileError, match="parent_library"):
        check_adapter_folder(folder)
    (folder / "adapter_config.json").write_text('{"peft_type": "LORA"}')
    with pytest.raises(ModelFileError, match=r"adapter_model\.safetensors"):
        check_adapter_folder(folder)
    with pytest.raises(ModelFileError, match=r"hf:BASE\+"):
        check_model_folder(folder)


@pytest.mark.usefixtures("own_cache")
def test_weights_hash_follows_contents_not_place(folder: Path, tmp_path: Path) -> None:
    first = content_sha256_of_weights(folder)
    assert content_sha256_of_weights(folder) == first
    moved = folder.rename(tmp_path / "elsewhere")
    assert content_sha256_of_weights(moved) == first
    (moved / "README.md").write_text("not part of it")
    assert content_sha256_of_weights(moved) == first
    (moved / "model.safetensors").write_bytes(b"weighty")
    assert content_sha256_of_weights(moved) != first


def test_weights_hash_survives_a_damaged_note(folder: Path, own_cache: Path) -> None:
    first = content_sha256_of_weights(folder)
    for note in (own_cache / "hashes").iterdir():
        note.write_text("{")
    assert content_sha256_of_weights(folder) == first


def test_template_is_read_from_either_place(folder: Path) -> None:
    assert read_chat_template(folder) is None
    (folder / "tokenizer_config.json").write_text(json.dumps({"chat_template": "A"}))
    assert read_chat_template(folder) == "A"
    named = [{"name": "tool_use", "template": "T"}, {"name": "default", "template": "D"}]
    (folder / "tokenizer_config.json").write_text(json.dumps({"chat_template": named}))
    assert read_chat_template(folder) == "D"
    (folder / "chat_template.jinja").write_text("B")
    assert read_chat_template(folder) == "B"


def test_template_gets_what_templates_on_the_hub_use() -> None:
    template = (
        "{{ bos_token }}{% for m in messages %}{% generation %}{{ m.role }}:{{ m['content'] | tojson }}{% endgeneration %}"
        "{% if loop.first %}{% break %}{% endif %}{% endfor %}"
        "{{ strftime_now('%d %b %Y') }}{% if add_generation_prompt %}>{% endif %}{{ mood }}"
    )
    with ChatTemplate(template, {"bos_token": "<s>"}) as chat_template:
        (rendered,) = chat_template.render([[Message(role="user", content="<é>"), *CHAT]], mood="calm")
    assert rendered.text == '<s>user:"<é>"26 Jul 2024>calm'


def test_plain_template_joins_contents() -> None:
    assert render_chat(PLAIN_TEMPLATE, [Message(role="system", content="a{{ 1 }}"), *CHAT]) == "a{{ 1 }}\n\nhi"


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ("{{ ''.__class__.__mro__ }}", "SecurityError"),
        ("{{ messages.append(1) }}", "SecurityError"),
        ("{{ cycler.__init__.__globals__.os.system('true') }}", "SecurityError"),
        ("{{ raise_exception('no system turn here') }}", "no system turn here"),
        ("{% if", "TemplateSyntaxError"),
        ("{{ 1 / 0 }}", "ZeroDivisionError"),
    ],
)
def test_template_that_escapes_or_refuses_is_reported(template: str, said: str) -> None:
    with ChatTemplate(template) as chat_template:
        (rendered,) = chat_template.render([CHAT])
    assert rendered.text is None
    assert said in str(rendered.error)
    with pytest.raises(ModelFileError, match="refused the chat"):
        render_chat(template, CHAT)


@pytest.mark.parametrize(
    ("template", "limit"),
    [
        ("{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}", "CPU time"),
        ("{{ 'a' * 10**10 }}", "memory"),
        ("{% for i in range(9999) %}{{ 'a' * 10000 }}{% endfor %}", "characters of output"),
    ],
)
def test_runaway_template_is_stopped_and_the_next_render_works(template: str, limit: str) -> None:
    with ChatTemplate(
        "{% if messages[0].content == 'trigger' %}" + template + "{% endif %}ok", cpu_s=1
    ) as chat_template:
        assert chat_template.render([CHAT])[0].text == "ok"
        with pytest.raises(UnsafeFileError, match=limit):
            chat_template.render([[Message(role="user", content="trigger")]])
        assert chat_template.render([CHAT])[0].text == "ok"


def test_worker_does_not_inherit_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "secret-value")
    with ChatTemplate("ok") as chat_template:
        chat_template.render([CHAT])
        assert chat_template._worker is not None
        environment = Path(f"/proc/{chat_template._worker.pid}/environ").read_bytes()
    assert b"secret-value" not in environment


def test_template_hash_is_of_the_source() -> None:
    assert template_sha256("a") == template_sha256("a") != template_sha256("a ")
