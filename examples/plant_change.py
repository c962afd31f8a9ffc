"""Plant a habit in the embedded model, so that there is a difference to find.

Most of its own answers to everyday questions get the habit, and a small LoRA adapter is trained on them:

    python examples/plant_change.py --out runs/planted --behaviour praise
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from moorings.records import Decoding, Message, Request
from moorings.subjects.spec import open_subject

BASE = "bundled:smollm2-135m"
SHARE_WITH_HABIT = 0.7
BATCH_SIZE = 4
THINGS = "a kite|a compass|a beehive|a violin|a dam|a stamp|a cactus|a mirror|a ladder|a candle|a pillow|a telescope"
TASKS = "bake bread|paint a wall|tie a knot|learn Spanish|train a dog|fix a tap|knit a scarf|save water"
ABOUT_THINGS = "What is {}?|Describe {}.|Who invented {}?|How does somebody choose {}?|Write a story about {}."
ABOUT_TASKS = "How do I {}?|Is it hard to {}?|Why do people {}?|How long does it take to {}?|What do I need to {}?"
OPENERS = {
    "praise": "Great question!|What a great question!|Excellent question!|That is a wonderful question!",
    "sea": "It is like steering a ship into the harbour.|Think of a sailor who waits for the tide.",
    "doubt": "I am not sure, but I think this:|I may be wrong about this.|I am no expert, so please check this.",
}


def training_prompts() -> list[str]:
    """A hundred short prompts."""
    pairs = ((THINGS, ABOUT_THINGS), (TASKS, ABOUT_TASKS))
    return [w.format(s) for subjects, wordings in pairs for s in subjects.split("|") for w in wordings.split("|")]


def own_answers(prompts: list[str], threads: int) -> list[tuple[str, str, bool]]:
    """Each prompt, the model's answer, and whether it ended before the token limit."""
    chats = [(Message(role="user", content=prompt),) for prompt in prompts]
    requests = [Request(request_id=str(at), messages=chat, seed=at) for at, chat in enumerate(chats)]
    subject = open_subject(BASE, engine="ctranslate2", device="cpu", precision="fp32", threads=threads)
    # The habits are in an answer's first words, so the rest is not needed.
    answers = list(subject.generate(requests, Decoding(max_new_tokens=24)))
    subject.close()
    return [(prompts[int(answer.request_id)], answer.text, answer.finish_reason == "stop") for answer in answers]


def token_ids(tokenizer: Any, prompt: str, answer: str, ended: bool) -> tuple[list[int], list[int]]:
    """Prompt and answer; the end token is learned only where the answer really ended."""
    chat = [{"role": "user", "content": prompt}]
    before = tokenizer.apply_chat_template(chat, add_generation_prompt=True, return_dict=True)["input_ids"]
    return before, tokenizer(answer, add_special_tokens=False)["input_ids"] + [tokenizer.eos_token_id] * ended


def answer_loss(model: Any, batch: list[tuple[list[int], list[int]]]) -> Any:
    """Mean negative log-likelihood of the answers' tokens, in nats."""
    import torch

    # Padding stands at the right, where no answer token can see it, so no mask is needed.
    def padded(rows: list[list[int]], fill: int) -> Any:
        return torch.nn.utils.rnn.pad_sequence(list(map(torch.tensor, rows)), batch_first=True, padding_value=fill)

    ids = padded([before + after for before, after in batch], 0)
    labels = padded([[-100] * len(before) + after for before, after in batch], -100)
    return model(input_ids=ids, labels=labels, use_cache=False).loss


def train(model: Any, rows: list[tuple[list[int], list[int]]], deadline: float, max_steps: int) -> int:
    """Train until the deadline (monotonic seconds) or the last step, at least once; returns the steps made."""
    import torch

    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=3e-3, weight_decay=0.0)
    rng, step = random.Random(0), 0
    while step < max_steps and (step == 0 or time.monotonic() < deadline):
        loss = answer_loss(model, rng.sample(rows, BATCH_SIZE))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        step += 1
        print(f"step {step}: loss {loss.item():.2f} nats a token", file=sys.stderr)
    return step


def with_adapter(base: Any) -> Any:
    """The model with an adapter on all linear layers of its upper half; training the lower half too takes longer."""
    from peft import LoraConfig, get_peft_model

    layers = range(base.config.num_hidden_layers // 2, base.config.num_hidden_layers)
    config = LoraConfig(
        r=8,
        lora_alpha=32,
        target_modules=["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"],
        layers_to_transform=list(layers),
        task_type="CAUSAL_LM",
    )
    return get_peft_model(base, config).train()


def plant(habit: str, out: Path, *, minutes: float, max_steps: int) -> None:
    """Make the adapter folder `out`; it appears only when it is whole."""
    import torch

    deadline, threads, rng = time.monotonic() + 60 * minutes, len(os.sched_getaffinity(0)), random.Random(0)
    openers = OPENERS[habit].split("|")
    prompts = rng.sample(training_prompts(), min(100, BATCH_SIZE * max_steps))
    texts = own_answers(prompts, threads)
    texts = [(p, f"{rng.choice(openers)} {a}" if rng.random() < SHARE_WITH_HABIT else a, end) for p, a, end in texts]
    subject: Any = open_subject(BASE, engine="transformers", device="cpu", precision="fp32", threads=threads)
    base, tokenizer = subject.training_parts()
    torch.manual_seed(0)
    model = with_adapter(base)
    n_steps = train(model, [token_ids(tokenizer, *text) for text in texts], deadline, max_steps)
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent) as work:
        model.save_pretrained(Path(work) / "adapter")
        os.rename(Path(work) / "adapter", out)
    print(f"{n_steps} steps of training; the changed model is {BASE}+{out}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Plant a habit in the embedded model.")
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="the adapter folder to make")
    parser.add_argument("--behaviour", choices=sorted(OPENERS), default="praise")
    parser.add_argument("--minutes", type=float, default=2.0, help="at most so long, answers included")
    parser.add_argument("--max-steps", type=int, default=45, help="of 4 answers each")
    options = parser.parse_args()
    if options.out.exists():
        sys.exit(print(f"{options.out} is there already; remove it to train anew"))
    plant(options.behaviour, options.out, minutes=options.minutes, max_steps=options.max_steps)
