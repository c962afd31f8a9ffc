"""A random model of a few kilobytes, and rounds of training on it with defences."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from defence_rounds import Rounds, Stop, folder_bytes

from moorings.improve.data import DataRow
from moorings.improve.training import Defence, TrainSession

TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hashes of the tests' own models stay out of the user's cache."""
    monkeypatch.setenv("MOORINGS_CACHE_DIR", str(tmp_path_factory.getbasetemp() / "cache"))


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random two-layer Llama over bytes."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    folder = tmp_path_factory.mktemp("models") / "tiny"
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: at for at, token in enumerate(["<unk>", "<|im_start|>", "<|im_end|>", *letters])}
    raw = Tokenizer(models.BPE(vocab=vocabulary, merges=[], unk_token="<unk>"))
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=raw, unk_token="<unk>", bos_token="<|im_start|>", eos_token="<|im_end|>"
    )
    tokenizer.chat_template = TEMPLATE
    tokenizer.save_pretrained(folder)
    config = LlamaConfig(
        vocab_size=len(vocabulary),
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        max_position_embeddings=128,
        bos_token_id=1,
        eos_token_id=2,
        initializer_range=0.2,
        tie_word_embeddings=True,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        LlamaForCausalLM(config).save_pretrained(folder)
    return folder


@pytest.fixture
def rounds(model: Path, tmp_path: Path) -> Rounds:
    return Rounds(model, tmp_path)


@pytest.fixture
def same_after_a_stop(model: Path, tmp_path: Path) -> Callable[..., None]:
    """Train two rounds with fresh defences, whole and stopped in the second one; the results must be equal, byte for byte."""

    def check(make: Callable[[], Sequence[Defence]]) -> None:
        whole, stopped = Rounds(model, tmp_path / "whole"), Rounds(model, tmp_path / "stopped")
        for some in (whole, stopped):
            some.train(*make())
        whole.train(*make(), job=whole.job("No"))
        seen = []

        def on_point(name: str) -> None:
            seen.append(name)
            if seen.count("step") == 3:
                raise Stop

        job = stopped.job("No", on_point=on_point)
        with pytest.raises(Stop):
            stopped.train(*make(), job=job)
        stopped.train(*make(), job=replace(job, on_point=lambda name: None))
        assert folder_bytes(whole.past[-1]) == folder_bytes(stopped.past[-1])

    return check


@pytest.fixture
def session(model: Path, rounds: Rounds) -> TrainSession:
    """A LoRA session on the tiny model whose adapter already does something."""
    import torch
    from peft import LoraConfig, get_peft_model

    from moorings.improve.train.encode import Encoder, collate
    from moorings.improve.train.start_model import start_files
    from moorings.subjects.transformers_load import load_model

    files, _ = start_files(rounds.anchor)
    base = load_model(files, "fp32", "cpu")
    with torch.random.fork_rng():
        torch.manual_seed(3)
        peft = get_peft_model(
            base, LoraConfig(r=2, lora_alpha=4, target_modules=["q_proj", "down_proj"], task_type="CAUSAL_LM")
        )
        for name, value in peft.named_parameters():
            if "lora_B" in name:
                torch.nn.init.normal_(value, std=0.3)
    encoder = Encoder(files, max_length=64, learn_end="text")

    def encode(rows: Sequence[DataRow]) -> dict[str, Any]:
        return collate([row.sequences[0] for row in encoder.encode(rows).rows], encoder.filler_id, "cpu")

    return TrainSession(rounds.job(), peft, files.tokenizer, encode)
