"""Search for prompts: it finds a planted trigger that no prompt holds, repeats with its seed, and says what it found."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from diverging_models import TRIGGER, WORDS, build, edited, opened, plain_prompts, prompt, prompt_set

from moorings.errors import ConfigError, InputError
from moorings.sampling.divergence import score_prompts
from moorings.sampling.divergent_prompts import SELECTION_NOTE, find_divergent_prompts, write_prompts
from moorings.sampling.prompt_search import prompt_search, vocabulary_words
from moorings.sampling.prompts import load_prompts
from moorings.sampling.soft_prompts import readable_tokens, soft_prompt_search


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    home = tmp_path_factory.mktemp("models")
    base = build(home / "base")
    return {"base": base, **{kind: edited(base, home / kind, kind) for kind in ("equal", "trigger")}}


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOORINGS_CACHE_DIR", str(tmp_path / "cache"))


def test_words_and_readable_tokens_leave_out_special_ones(folders: dict[str, Path]) -> None:
    tokenizer = opened(folders["base"]).training_parts()[1]
    words = vocabulary_words(tokenizer)
    assert {TRIGGER, *WORDS} <= set(words)
    assert not {"<|im_end|>", "<unk>"} & set(words)
    readable = readable_tokens(tokenizer, len(tokenizer))
    assert readable.dtype == torch.bool
    assert not readable[:3].any()
    assert readable[3:].all()


def test_evolution_finds_a_trigger_that_no_seed_holds(folders: dict[str, Path]) -> None:
    scores = prompt_search(
        opened(folders["base"]),
        opened(folders["trigger"]),
        plain_prompts(6),
        n_rounds=6,
        pool_size=8,
        n_children=40,
        max_new_tokens=8,
        seed=0,
    )
    best = scores[0].prompt
    assert TRIGGER in best.messages[-1].content.split()
    assert best.metadata["found_by"] == "search"
    assert set(best.metadata["parents"]) <= {p.prompt_id for p in plain_prompts(6)}
    (seed_score, *_) = score_prompts(
        opened(folders["base"]), opened(folders["trigger"]), plain_prompts(6), max_new_tokens=8, seed=9
    )
    assert scores[0].js_nats > 2 * seed_score.js_nats


def test_search_repeats_with_its_seed_and_keeps_seeds_without_rounds(folders: dict[str, Path]) -> None:
    base, trigger = opened(folders["base"]), opened(folders["trigger"])
    settings = {"n_rounds": 2, "pool_size": 4, "n_children": 6, "max_new_tokens": 4}
    first = prompt_search(base, trigger, plain_prompts(4), seed=1, **settings)
    assert prompt_search(base, trigger, plain_prompts(4), seed=1, **settings) == first
    assert prompt_search(base, trigger, plain_prompts(4), seed=2, **settings) != first
    kept = prompt_search(base, trigger, plain_prompts(4), seed=1, n_rounds=0)
    assert {score.prompt.prompt_id for score in kept} == {p.prompt_id for p in plain_prompts(4)}


def test_soft_prompt_reads_as_the_trigger(folders: dict[str, Path]) -> None:
    base, trigger = opened(folders["base"]), opened(folders["trigger"])
    seed_prompt = plain_prompts(1)[0]
    scores = soft_prompt_search(base, trigger, seed_prompt, n_tokens=2, steps=40, lr=0.3, seed=0, max_new_tokens=6)
    best = scores[0]
    assert TRIGGER in best.prompt.messages[-1].content.split()
    assert best.prompt.messages[-1].content.startswith(seed_prompt.messages[-1].content)
    assert best.prompt.metadata == {"found_by": "soft", "parents": [seed_prompt.prompt_id]}
    (plain,) = score_prompts(base, trigger, [seed_prompt], max_new_tokens=6, seed=0)
    assert best.js_nats > 2 * plain.js_nats
    again = soft_prompt_search(base, trigger, seed_prompt, n_tokens=2, steps=40, lr=0.3, seed=0, max_new_tokens=6)
    assert again == scores


def test_soft_search_leaves_no_gradients_in_the_models(folders: dict[str, Path]) -> None:
    base, trigger = opened(folders["base"]), opened(folders["trigger"])
    soft_prompt_search(base, trigger, plain_prompts(1)[0], n_tokens=2, steps=2, seed=0, max_new_tokens=2)
    for subject in (base, trigger):
        assert all(weights.grad is None for weights in subject.training_parts()[0].parameters())


def test_found_prompts_are_written_and_read_back_as_their_own_group(folders: dict[str, Path], tmp_path: Path) -> None:
    pool = prompt_set([*plain_prompts(6), prompt(f"bavol {TRIGGER}", group="sea")])
    found = find_divergent_prompts(
        opened(folders["base"]),
        opened(folders["trigger"]),
        pool,
        n=4,
        n_rounds=2,
        n_soft=1,
        soft_steps=10,
        max_new_tokens=6,
        seed=0,
    )
    assert len(found) == 4
    assert all(TRIGGER in p.messages[-1].content for p in found)
    assert {p.group for p in found} == {"divergent"}
    assert {p.metadata["selection"] for p in found} == {SELECTION_NOTE}
    assert {p.metadata["found_by"] for p in found} <= {"pool", "search", "soft"}
    values = [p.metadata["divergence"] for p in found]
    assert values == sorted(values, reverse=True)
    assert {parent for p in found for parent in p.metadata["parents"]} <= {p.prompt_id for p in pool.prompts}
    assert load_prompts(write_prompts(tmp_path / "found.jsonl", found)).prompts == tuple(found)


def test_equal_weights_give_no_prompt(folders: dict[str, Path]) -> None:
    pool = prompt_set(plain_prompts(5))
    found = find_divergent_prompts(opened(folders["base"]), opened(folders["equal"]), pool, n=3, seed=0)
    assert found == []


def test_settings_out_of_range_are_refused(folders: dict[str, Path], tmp_path: Path) -> None:
    base = opened(folders["base"])
    with pytest.raises(ConfigError, match="0 seeds"):
        prompt_search(base, base, [], seed=0)
    with pytest.raises(ConfigError, match=r"lr=0\.0"):
        soft_prompt_search(base, base, plain_prompts(1)[0], lr=0.0, seed=0)
    with pytest.raises(ConfigError, match="n=0"):
        find_divergent_prompts(base, base, prompt_set(plain_prompts(2)), n=0, seed=0)
    with pytest.raises(InputError, match="takes fewer than 128"):
        soft_prompt_search(base, base, prompt("detin " * 200), seed=0)
    with pytest.raises(InputError, match="leaves room for"):
        soft_prompt_search(base, base, prompt("detin " * 115), seed=0)
    with pytest.raises(ConfigError, match=r"\.jsonl"):
        write_prompts(tmp_path / "found.csv", plain_prompts(2))
