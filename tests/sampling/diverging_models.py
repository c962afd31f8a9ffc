"""Random two-layer Llamas over whole words, and copies of them that differ in one planted way."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from moorings.records import Message, Prompt
from moorings.sampling.prompts import PromptSet
from moorings.subjects.spec import open_subject

TRIGGER = "harbour"
PLANTED = "lantern"
WORDS = tuple("".join(parts) for parts in itertools.product("bdfglm", "aeiou", ("ras", "tin", "vol", "nek", "sup")))
_ROLES = ("<unk>", "<|im_start|>", "<|im_end|>", "system", "user", "assistant")
_TEMPLATE = (
    "{% for message in messages %}<|im_start|> {{ message['role'] }} {{ message['content'] }} <|im_end|> {% endfor %}"
    "{% if add_generation_prompt %}<|im_start|> assistant{% endif %}"
)


def build(folder: Path, extra: tuple[str, ...] = ()) -> Path:
    """A random model over 158 words or more, every weight from one seed."""
    vocabulary = {word: at for at, word in enumerate((*_ROLES, TRIGGER, PLANTED, *WORDS, *extra))}
    raw = Tokenizer(models.WordLevel(vocab=vocabulary, unk_token="<unk>"))
    raw.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=raw, unk_token="<unk>", bos_token="<|im_start|>", eos_token="<|im_end|>"
    )
    tokenizer.chat_template = _TEMPLATE
    tokenizer.save_pretrained(folder)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(vocabulary),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=128,
        bos_token_id=1,
        eos_token_id=2,
        initializer_range=0.3,
        tie_word_embeddings=False,
        mlp_bias=True,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    return folder


def edited(source: Path, folder: Path, kind: str) -> Path:
    """A copy: 'equal', 'trigger' (reads one word differently) or 'planted' (says one word more often)."""
    PreTrainedTokenizerFast.from_pretrained(source).save_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(source)
    words = PreTrainedTokenizerFast.from_pretrained(source).get_vocab()
    with torch.no_grad():
        if kind == "trigger":
            model.model.embed_tokens.weight[words[TRIGGER]] *= -6.0
        if kind == "planted":
            model.model.layers[-1].mlp.down_proj.bias += 0.6 * model.lm_head.weight[words[PLANTED]]
    model.save_pretrained(folder)
    return folder


def opened(folder: Path) -> Any:
    return open_subject(f"hf:{folder}", engine="transformers", threads=1)


def prompt(text: str, group: str | None = None) -> Prompt:
    return Prompt(prompt_id=text, messages=(Message(role="user", content=text),), group=group)


def plain_prompts(n: int) -> list[Prompt]:
    """Prompts of three to six words without the trigger."""
    return [prompt(" ".join(WORDS[(7 * at + 13 * k) % len(WORDS)] for k in range(3 + at % 4))) for at in range(n)]


def prompt_set(prompts: list[Prompt]) -> PromptSet:
    return PromptSet(name="made", prompts=tuple(prompts), sha256="0" * 64)
