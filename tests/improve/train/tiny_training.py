"""A random model of a few kilobytes, rows, and jobs for the tests of training; as a script, jobs that are killed.

`python tiny_training.py MODEL FOLDER TRAINER:POINT:N ...` trains once for each case, is killed when POINT comes up the
N-th time, and trains again in the same folders.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import sys
import traceback
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from moorings.charter_run import Use
from moorings.improve.data import DataRow, make_row
from moorings.improve.training import TrainJob, TrainResult, trainers
from moorings.records import Message
from moorings.subjects.spec import SubjectSpec

TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
SETTINGS: dict[str, Any] = {
    "r": 4,
    "batch_size": 4,
    "micro_batch": 3,
    "epochs": 2,
    "learning_rate": 0.01,
    "save_steps": 2,
    "dropout": 0.1,
}


def make_model(folder: Path, *, layers: int = 2) -> Path:
    """A random Llama over bytes whose padding token is its end token, with a chat template."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: at for at, token in enumerate(["<unk>", "<|im_start|>", "<|im_end|>", *letters])}
    raw = Tokenizer(models.BPE(vocab=vocabulary, merges=[], unk_token="<unk>"))
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    ends = {"eos_token": "<|im_end|>", "pad_token": "<|im_end|>"}
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=raw, unk_token="<unk>", bos_token="<|im_start|>", **ends)
    tokenizer.chat_template = TEMPLATE
    tokenizer.save_pretrained(folder)
    config = LlamaConfig(
        vocab_size=len(vocabulary),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=layers,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=256,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=2,
        initializer_range=0.1,
        tie_word_embeddings=True,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        LlamaForCausalLM(config).save_pretrained(folder)
    return folder


def make_rows(n: int = 10) -> list[DataRow]:
    """Rows of varied length, each with a worse response."""
    return [
        make_row(
            (Message(role="user", content="Why? " * (1 + i % 4)),),
            f"Because of {i}." + " So it is." * (i % 5),
            rejected="No." + " Never." * (i % 3),
            origin="human",
            method="file",
            round=1,
        )
        for i in range(n)
    ]


def make_job(model: Path, folder: Path, rows: Sequence[DataRow] | None = None, **changes: Any) -> TrainJob:
    spec = SubjectSpec(uri=f"hf:{model}", device="cpu", threads=1)
    job = {"start": spec, "anchor": spec, "rows": make_rows() if rows is None else rows}
    job |= {"out": folder / "out", "work": folder / "work", "round": 1, "seed": 7}
    return TrainJob(**(job | changes))


def run(trainer: str, job: TrainJob, **changes: Any) -> TrainResult:
    """Train with the tests' settings."""
    return trainers.make(Use(use=trainer, **(SETTINGS | changes)))(job)


def forked(work: Callable[[], object]) -> int:
    """Do something in a child process; its wait status."""
    child = os.fork()
    if child == 0:
        try:
            work()
            os._exit(0)
        finally:
            traceback.print_exc()
            os._exit(1)
    return os.waitpid(child, 0)[1]


def killed_at(point: str, n: int) -> Callable[[str], None]:
    """A hook that kills its process when the point comes up the n-th time."""
    seen = 0

    def on_point(name: str) -> None:
        nonlocal seen
        seen += name == point
        if name == point and seen == n:
            os.kill(os.getpid(), signal.SIGKILL)

    return on_point


def main() -> None:
    """For each TRAINER:POINT:N, train in a child that is killed there, then in another one; print both statuses."""
    # What is imported here need not be imported by each child; nothing is computed before the forks.
    importlib.import_module("peft")
    importlib.import_module("accelerate")
    importlib.import_module("moorings.improve.train.dpo")
    importlib.import_module("moorings.subjects.transformers_load")
    model, folder, *cases = sys.argv[1:]
    for case in cases:
        trainer, point, n = case.split(":")
        place = Path(folder) / case.replace(":", "-")
        job, deadly = make_job(Path(model), place), make_job(Path(model), place, on_point=killed_at(point, int(n)))
        statuses = forked(partial(run, trainer, deadly)), forked(partial(run, trainer, job))
        print(json.dumps([case, *statuses]), flush=True)


if __name__ == "__main__":
    main()
