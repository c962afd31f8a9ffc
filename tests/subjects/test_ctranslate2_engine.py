"""CTranslate2 repeats a batch exactly, agrees with transformers on scores, and keeps its conversions sound."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from moorings.errors import InputError, ModelFileError
from moorings.records import Decoding, Generation, Message, Request
from moorings.subjects.ctranslate2_engine import group_by_count, split_batch
from moorings.subjects.local_model import ReadyPrompt
from moorings.subjects.protocol import Scorer, Subject
from moorings.subjects.spec import open_subject

pytestmark = pytest.mark.usefixtures("own_cache")


def ask(text: str, seed: int, request_id: str | None = None) -> Request:
    return Request(request_id=request_id or f"{text}-{seed}", messages=(Message(role="user", content=text),), seed=seed)


SAMPLED = Decoding(max_new_tokens=10)
TEXTS = ("hi", "what is the tide?", "a", "name three harbours and a lighthouse", "why", "row", "ebb and flow")
REQUESTS = [ask(text, seed) for text in TEXTS for seed in range(3)]


def opened(uri: Path | str, **settings: Any) -> Any:
    return open_subject(f"hf:{uri}", engine="ctranslate2", **{"threads": 2, "precision": "fp32", **settings})


def answers(subject: Subject, requests: list[Request], decoding: Decoding) -> dict[str, Generation]:
    return {answer.request_id: answer for answer in subject.generate(requests, decoding)}


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_same_batch_gives_the_same_answers(tiny_model: Path, precision: str) -> None:
    subject = opened(tiny_model, precision=precision)
    first = answers(subject, REQUESTS, SAMPLED)
    assert set(first) == {request.request_id for request in REQUESTS}
    assert answers(subject, REQUESTS, SAMPLED) == first
    assert answers(opened(tiny_model, precision=precision), REQUESTS, SAMPLED) == first


def test_other_seeds_give_other_answers(tiny_model: Path) -> None:
    subject = opened(tiny_model)
    moved = [request.model_copy(update={"seed": request.seed + 100}) for request in REQUESTS]
    assert answers(subject, moved, SAMPLED) != answers(subject, REQUESTS, SAMPLED)


def test_same_answers_in_a_new_process(tiny_model: Path) -> None:
    code = (
        "import json, sys; from moorings.records import *; from moorings.subjects.spec import open_subject\n"
        "subject = open_subject(sys.argv[1], engine='ctranslate2', precision='fp32', threads=2)\n"
        "requests = [Request.model_validate(r) for r in json.load(sys.stdin)]\n"
        "print(json.dumps([g.model_dump(mode='json') for g in subject.generate(requests, Decoding(max_new_tokens=10))]))"
    )
    given = json.dumps([request.model_dump(mode="json") for request in REQUESTS])
    done = subprocess.run(
        [sys.executable, "-c", code, f"hf:{tiny_model}"], input=given, capture_output=True, text=True, check=True
    )
    there = {answer["request_id"]: Generation.model_validate(answer) for answer in json.loads(done.stdout)}
    assert there == answers(opened(tiny_model), REQUESTS, SAMPLED)


def test_samples_of_one_prompt_differ_and_their_order_says_nothing_of_likelihood(tiny_model: Path) -> None:
    requests = [ask("tide", seed) for seed in range(64)]
    found = answers(opened(tiny_model), requests, Decoding(max_new_tokens=6, min_new_tokens=6, logprobs=True))
    sums = [sum(found[request.request_id].logprobs_nats) for request in requests]
    assert len(set(sums)) > 60
    for part in (sums[:32], sums[32:]):
        assert abs(stats.spearmanr(range(32), part).statistic) < 0.7


def test_first_tokens_follow_the_models_distribution(tiny_model: Path) -> None:
    reference = open_subject(f"hf:{tiny_model}", engine="transformers", threads=1)
    letters = [chr(code) for code in range(33, 127)]
    chat = ask("tide", 0).messages
    expected = np.exp([scored.logprobs_nats[0] for scored in reference.score([(chat, letter) for letter in letters])])
    n = 3000
    requests = [ask("tide", seed) for seed in range(n)]
    found = answers(opened(tiny_model, batch_size=1000), requests, Decoding(max_new_tokens=1, min_new_tokens=1))
    texts = [answer.text for answer in found.values()]
    counts = np.array([texts.count(letter) for letter in letters])
    common = n * expected > 8
    observed = [*counts[common], n - counts[common].sum()]
    # The end token is not allowed at this length, so its mass goes to the other tokens.
    end = 1.0 - _end_mass(reference, chat)
    wanted = [*(n * expected[common] / end), n - (n * expected[common] / end).sum()]
    assert stats.chisquare(observed, wanted).pvalue > 1e-4


def _end_mass(reference: Any, chat: tuple[Message, ...]) -> float:
    (scored,) = reference.score([(chat, "<|im_end|>")])
    return float(np.exp(scored.logprobs_nats[0]))


def test_scores_agree_with_transformers(tiny_model: Path) -> None:
    items = [(request.messages, text) for request, text in zip(REQUESTS, ["ab", "", "a long answer"] * 7, strict=True)]
    mine = opened(tiny_model)
    assert isinstance(mine, Scorer)
    theirs = open_subject(f"hf:{tiny_model}", engine="transformers", threads=1)
    for left, right in zip(mine.score(items), theirs.score(items), strict=True):
        assert left.tokens == right.tokens
        assert np.allclose(left.logprobs_nats, right.logprobs_nats, atol=1e-3)
    with pytest.raises(InputError, match="shorten the chat"):
        mine.score([(REQUESTS[0].messages, "x" * 300)])


def test_greedy_agrees_with_transformers_and_ignores_the_batch(tiny_model: Path) -> None:
    greedy = Decoding(max_new_tokens=8, temperature=0.0)
    mine = answers(opened(tiny_model), REQUESTS, greedy)
    theirs = answers(open_subject(f"hf:{tiny_model}", engine="transformers", threads=1), REQUESTS, greedy)
    assert {key: answer.text for key, answer in mine.items()} == {key: answer.text for key, answer in theirs.items()}
    assert {key: a.finish_reason for key, a in mine.items()} == {key: a.finish_reason for key, a in theirs.items()}


def test_limits_and_refusals(tiny_model: Path) -> None:
    long, nearly = ask("x" * 300, 1), ask("x" * 200, 2)
    decoding = Decoding(max_new_tokens=60, min_new_tokens=60)
    found = answers(opened(tiny_model), [long, nearly, ask("lone \ud800", 3, "bad"), REQUESTS[0]], decoding)
    assert found[long.request_id].finish_reason == "too_long"
    assert found["bad"].finish_reason == "error"
    cut = found[nearly.request_id]
    assert cut.n_prompt_tokens + cut.n_output_tokens == 256
    assert (found[REQUESTS[0].request_id].n_output_tokens, cut.finish_reason) == (60, "length")


def test_adapter_is_merged(tiny_model: Path, tiny_adapter: Path) -> None:
    items = [(REQUESTS[0].messages, "an answer")]
    merged = opened(f"{tiny_model}+{tiny_adapter}")
    wrapped = open_subject(f"hf:{tiny_model}+{tiny_adapter}", engine="transformers", threads=1)
    base = opened(tiny_model)
    (mine,), (theirs,), (plain,) = merged.score(items), wrapped.score(items), base.score(items)
    assert np.allclose(mine.logprobs_nats, theirs.logprobs_nats, atol=1e-3)
    assert not np.allclose(mine.logprobs_nats, plain.logprobs_nats, atol=0.1)


def test_damaged_conversion_is_made_again(tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOORINGS_CACHE_DIR", str(tmp_path))
    first = answers(opened(tiny_model), REQUESTS[:2], SAMPLED)
    (weights,) = tmp_path.glob("ctranslate2/*/model.bin")
    weights.write_bytes(weights.read_bytes()[:-100])
    assert answers(opened(tiny_model), REQUESTS[:2], SAMPLED) == first
    assert len(list(tmp_path.glob("ctranslate2/*/model.bin"))) == 1


def test_conversion_that_fails_says_what_to_use(tiny_model: Path, tmp_path: Path) -> None:
    import shutil

    broken = tmp_path / "broken"
    shutil.copytree(tiny_model, broken)
    config = json.loads((broken / "config.json").read_text())
    config["rope_parameters"] = {"rope_type": "yarn", "factor": 2.0, "rope_theta": 1e4}
    (broken / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelFileError, match="use engine transformers"):
        answers(opened(broken), REQUESTS[:1], SAMPLED)


def test_closing_twice_and_going_on(tiny_model: Path) -> None:
    subject = opened(tiny_model)
    first = answers(subject, REQUESTS[:4], SAMPLED)
    subject.close()
    subject.close()
    assert answers(subject, REQUESTS[:4], SAMPLED) == first


def ready(*counts: int) -> list[ReadyPrompt]:
    return [
        ReadyPrompt(ask(f"p{group}", seed), (group,) * (group + 1), 10)
        for group, count in enumerate(counts)
        for seed in range(count)
    ]


@pytest.mark.parametrize("counts", [(1,) * 64, (4,) * 16, (64,), (30, 1, 1, 2), (1,), (5, 5, 5)])
@pytest.mark.parametrize("workers", [1, 2, 3])
def test_parts_hold_every_request_once_and_are_balanced(counts: tuple[int, ...], workers: int) -> None:
    batch = ready(*counts)
    parts = split_batch(batch, workers)
    rows = [[prompt for piece in part for prompt in piece.prompts] for part in parts]
    assert sorted(p.request.request_id for part in rows for p in part) == sorted(p.request.request_id for p in batch)
    assert len(parts) == min(workers, len(batch))
    share = -(-len(batch) // workers)
    assert max(map(len, rows)) - min(map(len, rows)) <= max(share, max(counts) if max(counts) <= share else share)
    assert all(len({prompt.ids for prompt in piece.prompts}) == 1 for part in parts for piece in part)


def test_pieces_of_unequal_size_get_calls_of_their_own() -> None:
    (part,) = split_batch(ready(4, 4, 4, 3), 1)
    assert len(group_by_count(part)) == 1
    (part,) = split_batch(ready(8, 1, 1, 1, 1), 1)
    calls = group_by_count(part)
    assert [[len(piece.prompts) for piece in call] for call in calls] == [[8], [1, 1, 1, 1]]


@pytest.mark.model
def test_embedded_model_repeats_and_scores_like_transformers() -> None:
    requests = [
        Request(request_id=f"{text}{seed}", messages=(Message(role="user", content=text),), seed=seed)
        for text in ("Name a colour.", "What is the capital of France?")
        for seed in range(4)
    ]
    subject = open_subject("bundled:smollm2-135m", engine="ctranslate2", threads=2)
    first = answers(subject, requests, Decoding(max_new_tokens=8))
    assert answers(subject, requests, Decoding(max_new_tokens=8)) == first
    assert len({answer.text for answer in first.values()}) >= 6
    exact = open_subject("bundled:smollm2-135m", engine="ctranslate2", precision="fp32", threads=1)
    reference = open_subject("bundled:smollm2-135m", engine="transformers", threads=1)
    items = [(requests[-1].messages, "The capital of France is Paris.")]
    (left,), (right,) = exact.score(items), reference.score(items)
    assert left.tokens == right.tokens
    assert np.allclose(left.logprobs_nats, right.logprobs_nats, atol=2e-3)
    for opened_subject in (subject, exact, reference):
        opened_subject.close()
