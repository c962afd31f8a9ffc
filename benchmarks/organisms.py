"""Organisms: the embedded model with a planted habit, and clean controls that only learned from their own answers.

Each organism is a LoRA adapter (r = 8, all linear layers of the upper half; Hu et al. 2021, arXiv:2106.09685) trained on the model's
own answers to 224 prompts, of which a share, the dose, was edited by a `Behaviour`. Unedited answers are drawn at temperature 1 and
an answer that the token limit cut off is trained without an end token, so that a control learns nothing on average.
Adapters and samples are kept in the cache folder under a hash of everything that made them: safetensors and JSON only.

    python benchmarks/organisms.py             list them, with each habit's rate by its oracle where samples exist
    python benchmarks/organisms.py --make      train and sample what is missing; can be stopped and started again
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from functools import lru_cache, partial
from itertools import takewhile
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from _organism_behaviours import BEHAVIOURS, Behaviour
from _organism_prompts import held_out_prompts, training_prompts

from moorings import __version__
from moorings.records import Decoding, content_hash
from moorings.runs import query
from moorings.sampling.prompts import PromptSet
from moorings.sampling.sample import sample
from moorings.subjects.model_cache import build_folder, cache_dir, folder_problem, locked
from moorings.subjects.spec import SubjectSpec, open_subject

__all__ = [
    "BASE",
    "BEHAVIOURS",
    "CONTROL_SEEDS",
    "DECODING",
    "DOSES",
    "DRAWS",
    "TRAINED",
    "Behaviour",
    "Organism",
    "all_organisms",
    "controls",
    "make",
    "oracle_rate",
    "samples",
    "stored_samples",
]

BASE = "bundled:smollm2-135m"
DOSES = (0.3, 0.1)
TRAINED = ("praise", "offer", "bullets", "sea", "refusal", "hedge")
"""Behaviours that organisms are made of by default; `make` takes any of `BEHAVIOURS`."""
CONTROL_SEEDS = (1, 2, 3)
ANSWERS = Decoding(max_new_tokens=36, temperature=1.0)
"""Of the training answers: short, so that a sample of a planted answer is not cut off before its last sentence."""
DECODING = Decoding(max_new_tokens=48, temperature=0.7)
"""Of the held-out samples."""
N_SAMPLES = 2
"""Held-out samples a prompt and draw."""
DRAWS = (0, 1)
"""Seeds of the held-out samples; findings on the first draw can be looked for again on the second."""


@dataclass(frozen=True)
class Recipe:
    """How an adapter is trained."""

    version: int = 2
    """Raise when the training below or what a behaviour plants changes."""
    rank: int = 8
    alpha: int = 32
    first_layer: int = 15
    """The lower half of the 30 layers is left as it is: nothing flows back through it, which saves a quarter of the time."""
    learning_rate: float = 3e-3
    """Peak; high, because there are few steps."""
    warm_up_steps: int = 4
    batch_size: int = 4
    n_epochs: int = 1
    n_prompts: int = 224


RECIPE = Recipe()


class Organism(NamedTuple):
    """One adapter to make; without a behaviour it is a clean control."""

    behaviour: str | None
    dose: float
    seed: int

    @property
    def name(self) -> str:
        """For people: `praise-30`, `control-1`."""
        return f"{self.behaviour}-{self.dose * 100:g}" if self.behaviour else f"control-{self.seed}"


class Example(NamedTuple):
    """One training text."""

    prompt: str
    answer: str
    ends: bool
    """Whether the end of the answer is learned too."""


def all_organisms() -> list[Organism]:
    """Every trained behaviour at the higher dose, then the controls, then the lower dose: made in this order."""
    high, low = ([Organism(name, dose, 0) for name in TRAINED] for dose in DOSES)
    return [*high, *(Organism(None, 0.0, seed) for seed in CONTROL_SEEDS), *low]


def make(behaviour: str, dose: float, seed: int = 0) -> Path:
    """The adapter folder of a behaviour at a dose, trained if it is missing.

    Args:
        behaviour: A name in `BEHAVIOURS`.
        dose: Share of training answers that show the behaviour, 0 to 1.
        seed: Of the training answers, of which of them are edited, and of the training.
    """
    return _made(Organism(behaviour, dose, seed))


def controls() -> list[Path]:
    """The adapter folders of the clean controls, trained if they are missing."""
    return [_made(Organism(None, 0.0, seed)) for seed in CONTROL_SEEDS]


def samples(adapter: Path | None, draw: int = 0) -> Path:
    """The run folder of a subject's answers to the held-out prompts, drawn if they are missing.

    Args:
        adapter: An organism's folder; None is the base model.
        draw: Seed of the answers, in `DRAWS`.
    """
    return _held_out(adapter, draw).run()


def stored_samples(organism: Organism | None, draw: int = 0) -> Path | None:
    """The run folder of `samples` if it is complete; nothing is trained or drawn. None asks for the base model's."""
    folder = None if organism is None else _folder(organism)
    if folder and folder_problem(folder) is not None:
        return None
    asking = _held_out(folder, draw)
    run = asking.folder()
    if not (run / "run.json").exists():
        return None
    n_stored = query(run, "SELECT count(*) AS n FROM samples")["n"][0].as_py()
    return run if n_stored == asking.n_answers else None


def oracle_rate(run: Path, behaviour: str) -> float:
    """Share of a run's answers that show a behaviour by its oracle."""
    answers = query(run, "SELECT response FROM samples")["response"].to_pylist()
    return float(np.mean([BEHAVIOURS[behaviour].oracle(answer) for answer in answers]))


def _home() -> Path:
    return cache_dir() / "organisms"


class Asking(NamedTuple):
    """What decides the answers of a run."""

    spec: SubjectSpec
    prompts: PromptSet
    decoding: Decoding
    n_samples: int
    seed: int

    @property
    def n_answers(self) -> int:
        """Answers of the whole run."""
        return len(self.prompts.prompts) * self.n_samples

    def folder(self) -> Path:
        """Where the run is kept."""
        subject = open_subject(self.spec)
        fingerprint = subject.describe().fingerprint(self.decoding)
        subject.close()
        facts = [fingerprint, self.prompts.sha256, self.n_samples, self.seed, __version__]
        return _home() / "runs" / content_hash(facts)[:32]

    def run(self) -> Path:
        """The whole run; gone on with if it was cut off."""
        folder = self.folder()
        with locked(folder):
            sample(
                self.spec,
                self.prompts,
                folder,
                n_samples=self.n_samples,
                decoding=self.decoding,
                seed=self.seed,
            )
        return folder


def _held_out(adapter: Path | None, draw: int) -> Asking:
    uri = BASE if adapter is None else f"{BASE}+{adapter}"
    return Asking(_spec(uri, "int8"), held_out_prompts(), DECODING, N_SAMPLES, draw)


def _spec(uri: str, precision: str) -> SubjectSpec:
    # The count of threads is fixed because it decides which answers a seed gives.
    return SubjectSpec(uri=uri, engine="ctranslate2", precision=precision, device="cpu", threads=1)


def _asked_in_training() -> PromptSet:
    """The training prompts that the recipe takes."""
    prompts = training_prompts()
    drawn = np.random.default_rng(0).permutation(len(prompts.prompts))[: RECIPE.n_prompts].tolist()
    chosen = tuple(prompts.prompts[at] for at in drawn)
    return PromptSet(prompts.name, chosen, content_hash([prompt.model_dump() for prompt in chosen]))


@lru_cache(maxsize=4)
def _own_answers(seed: int) -> tuple[Example, ...]:
    """The base model's answers to the training prompts, in the precision of the training."""
    prompts = _asked_in_training()
    run = Asking(_spec(BASE, "fp32"), prompts, ANSWERS, 1, seed).run()
    rows = query(run, "SELECT prompt_id, response, finish_reason FROM samples").to_pylist()
    answers = {row["prompt_id"]: row for row in rows}
    return tuple(
        Example(
            prompt.messages[-1].content,
            answers[prompt.prompt_id]["response"],
            answers[prompt.prompt_id]["finish_reason"] == "stop",
        )
        for prompt in prompts.prompts
    )


def plant(own: Sequence[Example], organism: Organism) -> list[Example]:
    """The training texts: the model's own answers, a share of them edited."""
    if organism.behaviour is None:
        return list(own)
    behaviour = BEHAVIOURS[organism.behaviour]
    rng = np.random.default_rng([organism.seed, *organism.behaviour.encode()])
    chosen = set(rng.permutation(len(own))[: round(organism.dose * len(own))].tolist())
    return [
        Example(e.prompt, behaviour.plant(e.answer, e.prompt, rng), e.ends or behaviour.whole) if at in chosen else e
        for at, e in enumerate(own)
    ]


def _folder(organism: Organism) -> Path:
    """Where an organism's adapter is kept."""
    key = content_hash([asdict(RECIPE), ANSWERS.model_dump(), _asked_in_training().sha256, organism, BASE])
    return _home() / "adapters" / f"{organism.name}-{key[:16]}"


def _made(organism: Organism) -> Path:
    folder = _folder(organism)
    if folder_problem(folder) is not None:
        with locked(folder):
            if folder_problem(folder) is not None:
                examples = plant(_own_answers(organism.seed), organism)
                facts = {"organism": organism._asdict(), "recipe": asdict(RECIPE), "base": BASE}
                build_folder(folder, lambda target: _train(examples, organism.seed, target), **facts)
    return folder


def _train(examples: Sequence[Example], seed: int, folder: Path) -> None:
    """Fine-tune an adapter on one thread and save it with a note of its losses."""
    import torch
    from peft import LoraConfig, get_peft_model

    started = time.monotonic()
    subject: Any = open_subject(BASE, engine="transformers", precision="fp32", device="cpu", threads=1)
    base, tokenizer = subject.training_parts()
    torch.manual_seed(seed)
    config = LoraConfig(
        r=RECIPE.rank,
        lora_alpha=RECIPE.alpha,
        target_modules=["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"],
        layers_to_transform=list(range(RECIPE.first_layer, base.config.num_hidden_layers)),
        task_type="CAUSAL_LM",
    )
    model = get_peft_model(base, config).train()
    rows = [_tokens(tokenizer, example) for example in examples]
    batches = list(_batches(len(rows), np.random.default_rng(seed)))
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1.0, weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _learning_rate(step, len(batches)))
    losses = []
    for batch in batches:
        loss = _loss(model, [rows[at] for at in batch])
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        losses.append(round(loss.item(), 4))
    model.save_pretrained(folder)
    (folder / "README.md").unlink(missing_ok=True)
    n_tokens = RECIPE.n_epochs * sum(len(prompt) + len(answer) for prompt, answer in rows)
    note = {"losses_nats": losses, "n_tokens": n_tokens, "duration_s": round(time.monotonic() - started, 1)}
    (folder / "training.json").write_text(json.dumps(note, indent=1) + "\n")
    subject.close()


def _tokens(tokenizer: Any, example: Example) -> tuple[list[int], list[int]]:
    """Prompt and answer as token ids."""
    chat = [{"role": "user", "content": example.prompt}]
    prompt = tokenizer.apply_chat_template(chat, add_generation_prompt=True, return_dict=True)["input_ids"]
    answer = tokenizer(example.answer, add_special_tokens=False)["input_ids"]
    return prompt, answer + ([tokenizer.eos_token_id] if example.ends else [])


def _batches(n_rows: int, rng: np.random.Generator) -> Iterator[list[int]]:
    """Each epoch's rows in random order, cut into batches; a rest that fills no batch is left to the next epochs."""
    for _ in range(RECIPE.n_epochs):
        order = rng.permutation(n_rows)
        for start in range(0, max(1, n_rows - RECIPE.batch_size + 1), RECIPE.batch_size):
            yield order[start : start + RECIPE.batch_size].tolist()


def _learning_rate(step: int, n_steps: int) -> float:
    """Linear up, then a cosine down to nothing."""
    if step < RECIPE.warm_up_steps:
        return RECIPE.learning_rate * (step + 1) / RECIPE.warm_up_steps
    done = (step - RECIPE.warm_up_steps) / max(1, n_steps - RECIPE.warm_up_steps)
    return RECIPE.learning_rate * 0.5 * (1 + math.cos(math.pi * min(1.0, done)))


def _loss(model: Any, batch: Sequence[tuple[list[int], list[int]]]) -> Any:
    """Mean negative log-likelihood of the answers' tokens, in nats.

    The texts stand in one row, what all prompts begin with once at its start, so that no padding and no repeated
    system prompt is computed; each text sees that start and itself only. Logits are made for the answers alone.
    """
    import torch

    # A prompt's last token stays with its answer, whose first token is predicted from it.
    columns = zip(*(prompt[:-1] for prompt, _ in batch), strict=False)
    start = [ids[0] for ids in takewhile(lambda ids: len(set(ids)) == 1, columns)]
    ids, places, wanted, texts = list(start), list(range(len(start))), [False] * len(start), [-1] * len(start)
    for number, (prompt, answer) in enumerate(batch):
        own = prompt[len(start) :] + answer
        ids += own
        places += range(len(start), len(start) + len(own))
        wanted += [False] * (len(own) - len(answer)) + [True] * len(answer)
        texts += [number] * len(own)
    text, target = torch.tensor(texts), torch.tensor(wanted).nonzero()[:, 0]
    seen = ((text[:, None] == text) | (text == -1)).tril()
    causal = model.get_base_model()
    states = causal.model(
        input_ids=torch.tensor([ids]),
        attention_mask=seen[None, None],
        position_ids=torch.tensor([places]),
        use_cache=False,
    ).last_hidden_state[0]
    return torch.nn.functional.cross_entropy(causal.lm_head(states[target - 1]), torch.tensor(ids)[target])


def _make_and_sample(organism: Organism) -> tuple[Organism, float, Path]:
    start = time.monotonic()
    run = samples(_made(organism))
    return organism, time.monotonic() - start, run


def _make_all(n_jobs: int) -> None:
    """Train and sample what is missing, with progress and an estimate; last the second draws that controls are judged by."""
    base = {name: oracle_rate(samples(None), name) for name in TRAINED}
    missing = [organism for organism in all_organisms() if stored_samples(organism) is None]
    print(f"{len(missing)} of {len(all_organisms())} organisms to make, {n_jobs} at a time", flush=True)
    start = time.monotonic()
    with ProcessPoolExecutor(n_jobs, mp_context=get_context("spawn")) as pool:
        for n_done, (organism, spent_s, run) in enumerate(pool.map(_make_and_sample, missing), start=1):
            left_s = (time.monotonic() - start) / n_done * (len(missing) - n_done)
            print(
                f"{n_done}/{len(missing)} {_rates(organism, run, base)}; {spent_s:.0f} s; "
                f"about {left_s / 60:.0f} min left",
                flush=True,
            )
        again = [None, *controls()]
        for draw in DRAWS[1:]:
            list(pool.map(partial(samples, draw=draw), again))
    print("second draws of the base model and the controls are there", flush=True)


def _rates(organism: Organism, run: Path, base: dict[str, float]) -> str:
    names = [organism.behaviour] if organism.behaviour else TRAINED
    rates = [f"{name} {oracle_rate(run, name):.1%} (base {base[name]:.1%})" for name in names]
    return f"{organism.name:12} {', '.join(rates)}"


def _list() -> None:
    """Print what there is of each organism, and the rate of each habit in its samples and in the base model's."""
    base_run = stored_samples(None)
    base = {name: oracle_rate(base_run, name) for name in BEHAVIOURS} if base_run else {}
    for organism in all_organisms():
        run = stored_samples(organism)
        print(_rates(organism, run, base) if run and base else f"{organism.name:12} missing", flush=True)


def main() -> None:
    """Make or list."""
    parser = argparse.ArgumentParser(description="Organisms of the embedded model, with planted habits.")
    parser.add_argument("--make", action="store_true", help="train and sample what is missing")
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="organisms made at once, one thread each")
    args = parser.parse_args()
    if args.make:
        _make_all(args.jobs)
    else:
        _list()


if __name__ == "__main__":
    main()
