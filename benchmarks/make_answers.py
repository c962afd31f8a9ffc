"""Sample the embedded model once, so that methods can be compared on the same stored answers, many seeds in seconds.

Writes `benchmarks/data/answers.parquet` (see `moorings.feedback.stored_answers`): everyday questions with one topic each, answers
of at most 24 tokens at temperature 1 with the log-probability that the sampler itself gave each (its end token included, if it
ended), and the model's likeliest answer as reference reply. It asks CTranslate2 directly, since scoring afterwards would take
longer than drawing. Each part is kept in the folder that is given, so a run that was stopped goes on when it is started again.

    python benchmarks/make_answers.py [FOLDER [ANSWERS]]
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from moorings.feedback.stored_answers import StoredAnswers, write_answers
from moorings.records import Prompt
from moorings.sampling.everyday import everyday_questions
from moorings.store.disk import Disk, write_atomic
from moorings.subjects.spec import SubjectSpec, open_subject

FILE = Path(__file__).parent / "data" / "answers.parquet"
SUBJECT = SubjectSpec(uri="bundled:smollm2-135m", engine="ctranslate2", precision="int8", threads=1)
N_PROMPTS, N_ANSWERS, N_TOKENS, N_REFERENCE_TOKENS, SEED = 60, 128, 24, 48, 6
PART = 64
"""Answers drawn together; larger batches were slower a token."""


class Sampler:
    """Draws from the converted model, each part with its own seed."""

    def __init__(self) -> None:
        from transformers import AutoTokenizer

        from moorings.subjects.bundled import model_path

        self.subject = open_subject(SUBJECT)
        self.folder = str(self.subject._converted())
        self.tokenizer = AutoTokenizer.from_pretrained(model_path("smollm2-135m"))

    def tokens(self, prompt: Prompt) -> list[str]:
        chat = [message.model_dump() for message in prompt.messages]
        ids = self.tokenizer.apply_chat_template(chat, add_generation_prompt=True)["input_ids"]
        return self.tokenizer.convert_ids_to_tokens(ids)

    def draw(self, prompt: Prompt, seed: int, n: int, n_tokens: int, *, greedy: bool = False) -> list[dict[str, Any]]:
        """Answers in random order, with log-probabilities in nats."""
        import ctranslate2

        ctranslate2.set_random_seed(seed)
        generator = ctranslate2.Generator(
            self.folder, device="cpu", compute_type="int8", inter_threads=1, intra_threads=1
        )
        tokens = self.tokens(prompt)
        # The worker takes up the seed with its first draw.
        generator.generate_batch([tokens[:1]], max_length=1, sampling_topk=0)
        result = generator.generate_batch(
            [tokens],
            max_length=n_tokens,
            num_hypotheses=n,
            sampling_topk=1 if greedy else 0,
            end_token=["<|im_end|>"],
            return_end_token=True,
            include_prompt_in_result=False,
            return_scores=True,
            length_penalty=0.0,
        )[0]
        # They come sorted by likelihood.
        order = np.random.default_rng(seed).permutation(n)
        return [
            {
                "text": self.tokenizer.decode(result.sequences_ids[i], skip_special_tokens=True),
                "logprob": float(result.scores[i]),
                "n_tokens": len(result.sequences_ids[i]),
            }
            for i in order
        ]


def kept(file: Path, make: Any) -> list[dict[str, Any]]:
    """What a file holds; it is made first if it is not there."""
    if not file.exists():
        write_atomic(file, json.dumps(make()).encode(), Disk())
    return json.loads(file.read_text())


def main() -> None:
    """Draw in parts, all prompts once before any twice, then write the file."""
    work = Path(sys.argv[1]) if len(sys.argv) > 1 else Path("runs") / "answers"
    n_answers = int(sys.argv[2]) if len(sys.argv) > 2 else N_ANSWERS
    work.mkdir(parents=True, exist_ok=True)
    # Questions 0, 3, 6, ... have one topic.
    prompts = everyday_questions(3 * N_PROMPTS, half="train", seed=SEED)[::3]
    sampler = Sampler()
    references = [
        kept(work / f"reference-{k:03d}.json", lambda p=p: sampler.draw(p, SEED, 1, N_REFERENCE_TOKENS, greedy=True))[0]
        for k, p in enumerate(prompts)
    ]
    drawn: list[list[dict[str, Any]]] = [[] for _ in prompts]
    for part in range(n_answers // PART):
        start = time.monotonic()
        for k, p in enumerate(prompts):
            seed = SEED + 1000 * (part + 1) + k
            drawn[k] += kept(
                work / f"answers-{part}-{k:03d}.json", lambda p=p, seed=seed: sampler.draw(p, seed, PART, N_TOKENS)
            )
        print(f"{PART * (part + 1)} answers to each prompt, {time.monotonic() - start:.0f} s", flush=True)
    answers = StoredAnswers(
        prompts=tuple(
            prompt.model_copy(update={"metadata": {**prompt.metadata, "reference": reference["text"].strip()}})
            for prompt, reference in zip(prompts, references, strict=True)
        ),
        responses=tuple(tuple(answer["text"] for answer in some) for some in drawn),
        logprobs_nats=np.array([[answer["logprob"] for answer in some] for some in drawn]),
        n_tokens=np.array([[answer["n_tokens"] for answer in some] for some in drawn]),
        about={
            "subject": SUBJECT.uri,
            "info": sampler.subject.describe().model_dump(),
            "decoding": {"temperature": 1.0, "max_new_tokens": N_TOKENS},
            "seed": SEED,
        },
    )
    write_answers(answers, FILE)
    print(f"{FILE.name}: {FILE.stat().st_size / 1e6:.2f} MB, {answers.n_tokens.sum():,} tokens")


if __name__ == "__main__":
    main()
