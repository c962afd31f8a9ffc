"""The reference engine: each sample has its own stream, and its numbers agree with plain transformers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats

from moorings.errors import ConfigError, InputError, ModelFileError
from moorings.records import Decoding, Generation, Message, Request
from moorings.subjects.protocol import HiddenStates, Scorer, Subject, Trainable
from moorings.subjects.spec import open_subject
from moorings.subjects.transformers_decode import draw_tokens, uniforms

pytestmark = pytest.mark.usefixtures("own_cache")


def ask(text: str, seed: int, request_id: str | None = None) -> Request:
    return Request(request_id=request_id or f"{text}-{seed}", messages=(Message(role="user", content=text),), seed=seed)


GREEDY = Decoding(max_new_tokens=12, temperature=0.0)
SAMPLED = Decoding(max_new_tokens=12)
TEXTS = ("hi", "what is the tide?", "a", "name three harbours and a lighthouse", "why", "row", "ebb and flow", "x y z")
REQUESTS = [ask(text, seed) for seed, text in enumerate(TEXTS)]


def opened(folder: Path, **settings: Any) -> Any:
    return open_subject(f"hf:{folder}", engine="transformers", threads=1, **settings)


def answers(subject: Subject, requests: list[Request], decoding: Decoding) -> dict[str, Generation]:
    return {answer.request_id: answer for answer in subject.generate(requests, decoding)}


def test_greedy_is_the_same_alone_and_in_a_batch(tiny_model: Path) -> None:
    together = answers(opened(tiny_model, batch_size=8), REQUESTS, GREEDY)
    alone = answers(opened(tiny_model, batch_size=1), REQUESTS, GREEDY)
    assert together == alone
    assert len({answer.text for answer in together.values()}) > 1


def test_greedy_equals_generate_of_transformers(tiny_model: Path) -> None:
    subject = opened(tiny_model)
    model, tokenizer = subject.training_parts()
    found = answers(subject, REQUESTS, GREEDY)
    for request in REQUESTS:
        chat = [message.model_dump() for message in request.messages]
        inputs = tokenizer.apply_chat_template(chat, add_generation_prompt=True, return_tensors="pt", return_dict=True)
        ids = model.generate(**inputs, max_new_tokens=12, do_sample=False, pad_token_id=0)[
            0, inputs["input_ids"].shape[1] :
        ]
        assert found[request.request_id].text == tokenizer.decode(ids, skip_special_tokens=True)


def test_sample_does_not_depend_on_neighbours_order_or_repeats(tiny_model: Path) -> None:
    subject = opened(tiny_model)
    all_of_them = answers(subject, REQUESTS, SAMPLED)
    assert answers(subject, REQUESTS[::-1], SAMPLED) == all_of_them
    assert answers(opened(tiny_model, batch_size=3), REQUESTS[2:5], SAMPLED).items() <= all_of_them.items()


def test_samples_of_one_prompt_share_its_prefill_and_stay_the_same(tiny_model: Path) -> None:
    requests = [ask("what is the tide?", seed) for seed in range(6)] + [ask("hi", seed) for seed in range(3)]
    subject = opened(tiny_model)
    together = answers(subject, requests, SAMPLED)
    alone = {key: value for request in requests for key, value in answers(subject, [request], SAMPLED).items()}
    assert together == alone
    assert len({together[request.request_id].text for request in requests[:6]}) == 6


def test_longer_limit_continues_the_same_answer(tiny_model: Path) -> None:
    subject = opened(tiny_model)
    short = answers(subject, REQUESTS, Decoding(max_new_tokens=5, min_new_tokens=5, logprobs=True))
    long = answers(subject, REQUESTS, Decoding(max_new_tokens=9, min_new_tokens=5, logprobs=True))
    for key, answer in short.items():
        assert np.allclose(long[key].logprobs_nats[:5], answer.logprobs_nats, atol=1e-4)


@pytest.mark.parametrize(
    "decoding",
    [
        Decoding(),
        Decoding(temperature=0.6),
        Decoding(top_k=3),
        Decoding(top_p=0.7),
        Decoding(temperature=2.0, top_k=5, top_p=0.8),
    ],
)
def test_sampler_draws_from_the_stated_distribution(decoding: Decoding) -> None:
    logits = torch.tensor([2.0, 1.5, 0.5, 0.0, -0.5, -1.0, -3.0, 1.0], dtype=torch.float32)
    scaled = np.exp(logits.double().numpy() / decoding.temperature)
    order = np.argsort(-scaled)
    if decoding.top_k:
        scaled[order[decoding.top_k :]] = 0.0
    mass = scaled / scaled.sum()
    outside = np.cumsum(mass[order]) - mass[order] >= decoding.top_p
    mass[order[outside]] = 0.0
    expected = mass / mass.sum()
    n = 20_000
    draws = torch.from_numpy(np.array([uniforms(seed, 1)[0] for seed in range(n)]))
    tokens = draw_tokens(logits.expand(n, -1), draws, decoding).numpy()
    counts = np.bincount(tokens, minlength=len(expected))
    assert counts[expected == 0.0].sum() == 0
    kept = expected > 0.0
    assert stats.chisquare(counts[kept], n * expected[kept]).pvalue > 1e-4


def test_sampler_at_the_ends_of_the_unit_interval() -> None:
    logits = torch.tensor([[-torch.inf, 0.0, 0.0, -torch.inf]])
    assert draw_tokens(logits, torch.zeros(1, dtype=torch.float64), Decoding()).tolist() == [1]
    assert draw_tokens(logits, torch.tensor([1.0 - 2**-53], dtype=torch.float64), Decoding()).tolist() == [2]


def test_streams_of_seeds_differ_and_have_prefixes() -> None:
    assert np.array_equal(uniforms(7, 10)[:4], uniforms(7, 4))
    assert not np.array_equal(uniforms(7, 4), uniforms(8, 4))
    assert uniforms(2**63 - 1, 1).shape == (1,)


def test_minimum_length_and_limit_hold(tiny_model: Path) -> None:
    found = answers(opened(tiny_model), REQUESTS, Decoding(max_new_tokens=7, min_new_tokens=7))
    assert {(answer.n_output_tokens, answer.finish_reason) for answer in found.values()} == {(7, "length")}


def test_prompt_over_the_context_is_recorded_and_room_is_respected(tiny_model: Path) -> None:
    long, nearly = ask("x" * 300, 1), ask("x" * 200, 2)
    found = answers(opened(tiny_model), [long, nearly, REQUESTS[0]], Decoding(max_new_tokens=100, min_new_tokens=100))
    assert (found[long.request_id].finish_reason, found[long.request_id].text) == ("too_long", "")
    cut = found[nearly.request_id]
    assert cut.n_prompt_tokens + cut.n_output_tokens == 256
    assert found[REQUESTS[0].request_id].n_output_tokens == 100


def test_request_that_cannot_be_written_fails_alone(tiny_model: Path) -> None:
    found = answers(opened(tiny_model), [ask("lone \ud800", 1, "bad"), REQUESTS[0]], GREEDY)
    assert found["bad"].finish_reason == "error"
    assert "UTF-8" in found["bad"].error
    assert found[REQUESTS[0].request_id].finish_reason in ("stop", "length")


def test_logprobs_are_those_of_the_untempered_model(tiny_model: Path) -> None:
    subject = opened(tiny_model)
    model, tokenizer = subject.training_parts()
    decoding = Decoding(max_new_tokens=6, temperature=0.5, top_k=4, logprobs=True)
    for request, answer in zip(
        REQUESTS, [answers(subject, [r], decoding)[r.request_id] for r in REQUESTS], strict=True
    ):
        chat = [message.model_dump() for message in request.messages]
        prompt = tokenizer.apply_chat_template(chat, add_generation_prompt=True, return_dict=True)["input_ids"]
        ids = tokenizer(answer.text, add_special_tokens=False)["input_ids"]
        if "\ufffd" in answer.text or len(ids) != answer.n_output_tokens:
            continue
        with torch.inference_mode():
            nats = model(torch.tensor([prompt + ids])).logits[0].log_softmax(-1)
        expected = [nats[len(prompt) - 1 + at, token].item() for at, token in enumerate(ids)]
        assert np.allclose(answer.logprobs_nats, expected, atol=1e-4)


def test_score_does_not_depend_on_the_batch(tiny_model: Path) -> None:
    subject = opened(tiny_model)
    items = [
        (request.messages, text) for request, text in zip(REQUESTS, ["ab", "", "a long answer", "c"] * 2, strict=True)
    ]
    together = subject.score(items)
    for item, scored in zip(items, together, strict=True):
        (alone,) = subject.score([item])
        assert alone.tokens == scored.tokens
        assert np.allclose(alone.logprobs_nats, scored.logprobs_nats, atol=1e-4)
    assert together[1] == ((), ())
    with pytest.raises(InputError, match="shorten the chat"):
        subject.score([(REQUESTS[0].messages, "x" * 300)])


def test_hidden_states_are_those_of_the_single_text(tiny_model: Path) -> None:
    subject = opened(tiny_model, batch_size=2)
    model, tokenizer = subject.training_parts()
    for layer in (0, 1, -1):
        for text, state in zip(TEXTS, subject.hidden_states(TEXTS, layer=layer), strict=True):
            with torch.inference_mode():
                out = model(**tokenizer(text, return_tensors="pt"), output_hidden_states=True)
            assert np.allclose(state, out.hidden_states[layer][0].numpy(), atol=1e-4)
    with pytest.raises(ConfigError, match="layers 0 to 2"):
        subject.hidden_states(TEXTS, layer=3)
    with pytest.raises(InputError, match="allowed: 1 to 256"):
        subject.hidden_states([""])


def test_adapter_changes_answers_fingerprint_and_trains(tiny_model: Path, tiny_adapter: Path) -> None:
    from peft import PeftModel

    base, tuned = opened(tiny_model), open_subject(f"hf:{tiny_model}+{tiny_adapter}", engine="transformers", threads=1)
    assert answers(base, REQUESTS, GREEDY) != answers(tuned, REQUESTS, GREEDY)
    assert base.describe().adapter is None
    assert tuned.describe().adapter is not None
    assert base.describe().weights == tuned.describe().weights
    assert base.describe().fingerprint() != tuned.describe().fingerprint()
    assert isinstance(tuned, Trainable)
    assert isinstance(tuned.training_parts()[0], PeftModel)


def test_fingerprint_follows_all_that_changes_answers(tiny_model: Path) -> None:
    variants: list[dict[str, Any]] = [
        {"engine": "transformers"},
        {"engine": "ctranslate2"},
        {"engine": "transformers", "precision": "bf16"},
        {"engine": "ctranslate2", "precision": "fp32"},
        {"engine": "transformers", "threads": 2},
        {"engine": "transformers", "batch_size": 7},
        {"engine": "transformers", "options": {"template": "plain"}},
        {"engine": "transformers", "options": {"context_length": 64}},
    ]
    infos = [open_subject(f"hf:{tiny_model}", **{"threads": 1, **variant}).describe() for variant in variants]
    assert len({info.fingerprint() for info in infos}) == len(variants)
    assert infos[0].seeding == "sample"
    assert infos[0].precision == "fp32"
    assert infos[7].context_length == 64


def test_abilities_and_closing(tiny_model: Path) -> None:
    subject = opened(tiny_model)
    assert all(isinstance(subject, ability) for ability in (Subject, Scorer, HiddenStates, Trainable))
    before = answers(subject, REQUESTS[:1], GREEDY)
    subject.close()
    subject.close()
    assert answers(subject, REQUESTS[:1], GREEDY) == before


def test_template_option_and_missing_template(tiny_model: Path, tmp_path: Path) -> None:
    import shutil

    bare = tmp_path / "bare"
    shutil.copytree(tiny_model, bare)
    (bare / "chat_template.jinja").unlink()
    with pytest.raises(ModelFileError, match="has no chat template"):
        opened(bare).describe()
    plain = opened(bare, options={"template": "plain"})
    (answer,) = answers(plain, [ask("hello", 1)], GREEDY).values()
    assert answer.n_prompt_tokens == 5
    own = tmp_path / "own.jinja"
    own.write_text("Q")
    (answer,) = answers(opened(bare, options={"template": str(own)}), [ask("hello", 1)], GREEDY).values()
    assert answer.n_prompt_tokens == 1
    with pytest.raises(ModelFileError, match="no chat template at"):
        opened(bare, options={"template": str(tmp_path / "absent")}).describe()


@pytest.mark.model
def test_embedded_model_repeats_itself_alone_and_in_a_batch() -> None:
    subject = open_subject("bundled:smollm2-135m", engine="transformers", threads=1, batch_size=8)
    requests = [
        Request(request_id=str(seed), messages=(Message(role="user", content=text),), seed=seed)
        for seed, text in enumerate(["Name a colour.", "What is the capital of France?", "Count to five."])
    ]
    decoding = Decoding(max_new_tokens=6)
    together = answers(subject, requests, decoding)
    assert answers(subject, requests[1:2], decoding).items() <= together.items()
    subject.close()
