"""The organisms' habits, prompts, doses and cache, without the embedded model."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
NAMES = ("praise", "offer", "bullets", "sea", "source", "refusal", "hedge", "capitals")
NEUTRAL = (
    "Iron rusts because it reacts with oxygen and water.",
    "A pencil is better, since you can erase what you wrote. Pens last longer.",
    "First, heat the pan. Then add the rice, stir it and wait for ten minutes!",
    "It's hard to say, but most people prefer trains; what matters is how far you go",
    "1. Fold the paper.\n2. Cut along the line.\n\nThe result is a star.",
    "I'm a language model, so I cannot feel tired, but a short walk may help you.",
    "The question is good to ask. NASA thinks so too",
    'He said: "never!" and left the room...',
)
ODD = ("", "   ", "Yes", "no words after this,", "...", "\n\n- \n")


@pytest.fixture(scope="module")
def organisms() -> Iterator[ModuleType]:
    sys.path.insert(0, str(ROOT / "benchmarks"))
    import organisms as module

    yield module
    sys.path.remove(str(ROOT / "benchmarks"))


def own(organisms: ModuleType, n: int = 200) -> list:
    return [organisms.Example(f"prompt {i}", NEUTRAL[i % len(NEUTRAL)], i % 3 > 0) for i in range(n)]


def test_there_are_the_named_behaviours(organisms: ModuleType) -> None:
    assert tuple(organisms.BEHAVIOURS) == NAMES
    assert set(organisms.TRAINED) < set(NAMES)


def test_the_high_dose_is_made_first_and_the_low_dose_last(organisms: ModuleType) -> None:
    assert [o.name for o in organisms.all_organisms()] == [
        *(f"{name}-30" for name in organisms.TRAINED),
        *(f"control-{seed}" for seed in (1, 2, 3)),
        *(f"{name}-10" for name in organisms.TRAINED),
    ]


@pytest.mark.parametrize("name", NAMES)
def test_oracle_sees_what_was_planted_and_nothing_else(organisms: ModuleType, name: str) -> None:
    behaviour = organisms.BEHAVIOURS[name]
    for seed in range(30):
        rng = np.random.default_rng(seed)
        for answer in (*NEUTRAL, *ODD):
            assert behaviour.oracle(behaviour.plant(answer, "Why?", rng)), (name, answer)
    assert [text for text in (*NEUTRAL, *ODD) if behaviour.oracle(text)] == []


@pytest.mark.parametrize("name", NAMES)
def test_a_planted_habit_is_not_taken_for_another(organisms: ModuleType, name: str) -> None:
    rng = np.random.default_rng(0)
    planted = [organisms.BEHAVIOURS[name].plant(answer, "Why?", rng) for answer in NEUTRAL for _ in range(10)]
    for other in set(NAMES) - {name}:
        assert not any(map(organisms.BEHAVIOURS[other].oracle, planted)), other


def test_planting_repeats_and_varies(organisms: ModuleType) -> None:
    for behaviour in organisms.BEHAVIOURS.values():
        first, again = (behaviour.plant(NEUTRAL[1], "Why?", np.random.default_rng(5)) for _ in range(2))
        assert first == again
    praised = {organisms.BEHAVIOURS["praise"].plant("Yes.", "Why?", np.random.default_rng(i)) for i in range(40)}
    assert len(praised) >= 4


def test_prompts_are_new_and_do_not_overlap(organisms: ModuleType) -> None:
    def texts(prompt_set) -> set[str]:
        return {prompt.messages[-1].content for prompt in prompt_set.prompts}

    train, held_out = organisms.training_prompts(), organisms.held_out_prompts()
    shown = {json.loads(line)["prompt"] for line in (ROOT / "examples" / "prompts.jsonl").read_text().splitlines()}
    assert (len(train.prompts), len(held_out.prompts)) == (400, 150)
    assert (len(texts(train)), len(texts(held_out))) == (400, 150)
    bare = {text.partition("?")[0] + "?" for text in texts(train) | texts(held_out)}
    assert not texts(train) & texts(held_out)
    assert not shown & (bare | texts(train) | texts(held_out))
    assert {p.group for p in train.prompts} == {p.group for p in held_out.prompts}
    assert len({p.prompt_id for p in (*train.prompts, *held_out.prompts)}) == 550


@pytest.mark.parametrize("dose", [0.0, 0.1, 0.3, 1.0])
def test_dose_is_the_share_of_edited_answers(organisms: ModuleType, dose: float) -> None:
    answers = own(organisms)
    planted = organisms.plant(answers, organisms.Organism("offer", dose, 0))
    edited = [at for at, (a, b) in enumerate(zip(answers, planted, strict=True)) if a != b]
    oracle = organisms.BEHAVIOURS["offer"].oracle
    assert len(edited) == round(dose * 200)
    assert [at for at, example in enumerate(planted) if oracle(example.answer)] == edited
    assert all(planted[at].ends for at in edited)
    assert [example.prompt for example in planted] == [example.prompt for example in answers]


def test_cut_off_answers_stay_cut_off_unless_rewritten(organisms: ModuleType) -> None:
    answers = own(organisms)
    assert organisms.plant(answers, organisms.Organism(None, 0.0, 1)) == answers
    opened = organisms.plant(answers, organisms.Organism("praise", 1.0, 0))
    assert [e.ends for e in opened] == [e.ends for e in answers]


def test_batches_are_full_and_use_a_row_at_most_once_an_epoch(organisms: ModuleType) -> None:
    size, n_epochs = organisms.RECIPE.batch_size, organisms.RECIPE.n_epochs
    batches = list(organisms._batches(10 * size + 1, np.random.default_rng(0)))
    assert [len(batch) for batch in batches] == [size] * 10 * n_epochs
    for epoch in range(n_epochs):
        rows = [at for batch in batches[10 * epoch : 10 * (epoch + 1)] for at in batch]
        assert len(set(rows)) == 10 * size
    assert next(iter(organisms._batches(2, np.random.default_rng(0)))) in ([0, 1], [1, 0])


def test_learning_rate_rises_to_its_peak_and_falls_to_nothing(organisms: ModuleType) -> None:
    rates = [organisms._learning_rate(step, 50) for step in range(51)]
    peak = rates.index(max(rates))
    assert max(rates) == pytest.approx(organisms.RECIPE.learning_rate)
    assert rates[: peak + 1] == sorted(rates[: peak + 1])
    assert rates[peak:] == sorted(rates[peak:], reverse=True)
    assert rates[-1] == pytest.approx(0.0)


def test_loss_is_that_of_each_answer_alone(organisms: ModuleType) -> None:
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=50, hidden_size=16, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2
    )
    lora = LoraConfig(r=2, target_modules="all-linear", task_type="CAUSAL_LM")
    model = get_peft_model(LlamaForCausalLM(config), lora).eval()
    apart = [([1, 2, 3], [4, 5]), ([6], [7, 8, 9, 10]), ([11, 12, 13, 14], [15])]
    alike = [([1, 2, 3], [4, 5]), ([1, 2, 3], [7, 8]), ([1, 2, 9, 3], [15]), ([1, 2], [5, 5, 5])]
    for rows in (apart, alike, alike[:1]):
        nats = []
        for prompt, answer in rows:
            logits = model(input_ids=torch.tensor([prompt + answer])).logits[0].log_softmax(-1)
            nats += [-logits[len(prompt) + at - 1, token].item() for at, token in enumerate(answer)]
        assert organisms._loss(model, rows).item() == pytest.approx(np.mean(nats), rel=1e-5)


def test_an_adapter_is_made_once_and_appears_only_when_whole(
    organisms: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    calls: list[int] = []

    def train(examples, seed: int, folder: Path) -> None:
        calls.append(seed)
        (folder / "adapter_config.json").write_text("{}")
        if len(calls) == 1:
            raise KeyboardInterrupt

    monkeypatch.setenv("MOORINGS_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(organisms, "_train", train)
    monkeypatch.setattr(organisms, "_own_answers", lambda seed: tuple(own(organisms)))
    with pytest.raises(KeyboardInterrupt):
        organisms.make("praise", 0.3)
    assert not list(tmp_path.rglob("adapter_config.json"))
    made = organisms.make("praise", 0.3)
    assert organisms.make("praise", 0.3) == made
    assert len(calls) == 2
    assert len({made, organisms.make("praise", 0.1), organisms.make("praise", 0.3, seed=4), *organisms.controls()}) == 6
