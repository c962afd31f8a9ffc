"""Divergence of two models: exact over the vocabulary, unbiased over answers, zero for equal weights."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diverging_models import TRIGGER, build, edited, opened, plain_prompts, prompt
from scipy.spatial.distance import jensenshannon
from scipy.special import rel_entr

from moorings.errors import ConfigError
from moorings.records import Persona
from moorings.sampling.divergence import divergences, score_prompts
from moorings.sampling.paired_models import open_pair
from moorings.subjects.spec import SubjectSpec, open_subject


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    home = tmp_path_factory.mktemp("models")
    base = build(home / "base")
    return {"base": base, **{kind: edited(base, home / kind, kind) for kind in ("equal", "trigger", "planted")}}


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOORINGS_CACHE_DIR", str(tmp_path / "cache"))


def plain_nats(subject: Any, text: str, answers: list[list[int]]) -> np.ndarray:
    """Log-probabilities [answer, position, token] of plain transformers in float64, all answers of one length."""
    model, tokenizer = subject.training_parts()
    chat = [{"role": "user", "content": text}]
    ids = tokenizer.apply_chat_template(chat, add_generation_prompt=True, return_dict=True)["input_ids"]
    with torch.inference_mode():
        logits = model(torch.tensor([[*ids, *answer] for answer in answers])).logits
    return logits[:, len(ids) - 1 :].double().log_softmax(-1).numpy()


def slow_divergences(p: np.ndarray, q: np.ndarray) -> tuple[float, float]:
    return jensenshannon(p, q) ** 2, 0.5 * (rel_entr(p, q).sum() + rel_entr(q, p).sum())


def test_formulas_agree_with_scipy_in_all_corners() -> None:
    rng = np.random.default_rng(3)
    p, q = rng.dirichlet(np.full(9, 0.3), 50), rng.dirichlet(np.full(9, 0.3), 50)
    found = divergences(torch.from_numpy(np.log(p)), torch.from_numpy(np.log(q)))
    expected = np.array([slow_divergences(*rows) for rows in zip(p, q, strict=True)])
    assert np.allclose(found.js.numpy(), expected[:, 0], atol=1e-12)
    assert np.allclose(found.kl.numpy(), expected[:, 1], rtol=1e-9)


def test_disjoint_distributions_have_the_largest_divergence_and_equal_ones_none() -> None:
    p, q = torch.tensor([[0.5, 0.5, 0.0]]).log(), torch.tensor([[0.0, 0.0, 1.0]]).log()
    apart = divergences(p, q)
    assert apart.js.item() == pytest.approx(math.log(2))
    assert math.isfinite(apart.kl.item())
    noise = torch.randn(40, 300, generator=torch.Generator().manual_seed(1)).mul(8).log_softmax(-1)
    assert divergences(noise, noise.clone()) == (pytest.approx(0.0, abs=0.0), pytest.approx(0.0, abs=0.0))


def test_first_token_is_exact(folders: dict[str, Path]) -> None:
    base, trigger = opened(folders["base"]), opened(folders["trigger"])
    (score,) = score_prompts(base, trigger, [prompt(f"bavol {TRIGGER}")], max_new_tokens=1, seed=0)
    p, q = (np.exp(plain_nats(side, f"bavol {TRIGGER}", [[]])[0, 0]) for side in (base, trigger))
    assert (score.js_nats, score.kl_nats) == pytest.approx(slow_divergences(p, q), rel=1e-4)
    assert score.js_se_nats == pytest.approx(0.0, abs=1e-6)
    assert score.n_tokens == 4


def test_mean_over_answers_agrees_with_enumeration_of_all_answers(folders: dict[str, Path]) -> None:
    base, planted = opened(folders["base"]), opened(folders["planted"])
    text, end = "bavol detin", 2
    n_vocab = len(base.training_parts()[1])
    after = [plain_nats(side, text, [[token] for token in range(n_vocab)]) for side in (base, planted)]
    first = [np.exp(nats[0, 0]) for nats in after]
    here, _ = slow_divergences(*first)
    then = [slow_divergences(np.exp(after[0][token, 1]), np.exp(after[1][token, 1]))[0] for token in range(n_vocab)]
    along = np.array([here if token == end else (here + then[token]) / 2 for token in range(n_vocab)])
    expected = float(np.mean([(p * along).sum() for p in first]))
    (score,) = score_prompts(base, planted, [prompt(text)], n_samples=400, max_new_tokens=2, seed=5, batch_size=400)
    deviation = float(np.sqrt(np.mean([(p * (along - (p * along).sum()) ** 2).sum() for p in first]) / 2 / 400))
    assert score.js_se_nats == pytest.approx(deviation, rel=0.3)
    assert abs(score.js_nats - expected) < 4 * deviation


def test_equal_weights_have_exactly_no_divergence(folders: dict[str, Path]) -> None:
    scores = score_prompts(opened(folders["base"]), opened(folders["equal"]), plain_prompts(12), seed=1)
    assert {(score.js_nats, score.kl_nats, score.js_se_nats) for score in scores} == {(0.0, 0.0, 0.0)}


def test_prompts_with_the_trigger_come_first(folders: dict[str, Path]) -> None:
    with_trigger = [prompt(f"{TRIGGER} gasup"), prompt(f"fenek bavol {TRIGGER} lovol")]
    asked = [*plain_prompts(14), *with_trigger]
    scores = score_prompts(opened(folders["base"]), opened(folders["trigger"]), asked, max_new_tokens=8, seed=2)
    assert {score.prompt.prompt_id for score in scores[:2]} == {p.prompt_id for p in with_trigger}
    assert scores[1].js_nats > 2 * scores[2].js_nats
    assert [score.js_nats for score in scores] == sorted((score.js_nats for score in scores), reverse=True)


def test_score_is_repeatable_and_depends_on_no_neighbour(folders: dict[str, Path]) -> None:
    base, planted = opened(folders["base"]), opened(folders["planted"])
    asked = plain_prompts(6)
    together = score_prompts(base, planted, asked, seed=3)
    assert score_prompts(base, planted, asked, seed=3) == together
    assert score_prompts(base, planted, asked, seed=4) != together
    by_id = {score.prompt.prompt_id: score for score in together}
    for one in score_prompts(base, planted, asked[::-1], seed=3, batch_size=3):
        assert one.n_tokens == by_id[one.prompt.prompt_id].n_tokens
        assert one.js_nats == pytest.approx(by_id[one.prompt.prompt_id].js_nats, rel=1e-3)


def test_repeats_are_scored_once_and_unaskable_prompts_come_last(folders: dict[str, Path]) -> None:
    asked = [prompt("bavol"), prompt("bavol").model_copy(update={"prompt_id": "again"}), prompt("detin " * 200)]
    scores = score_prompts(opened(folders["base"]), opened(folders["planted"]), asked, n_samples=1, seed=0)
    assert [score.prompt.prompt_id for score in scores] == ["bavol", "detin " * 200]
    assert scores[0].js_se_nats is None
    assert scores[1].js_nats is None
    assert "takes fewer than 128" in scores[1].problem


def test_one_model_under_two_system_prompts(folders: dict[str, Path]) -> None:
    base = opened(folders["base"])
    quiet, loud = Persona(name="quiet", system="bavol"), Persona(name="loud", system="detin gasup detin")
    (apart,) = score_prompts(base, base, plain_prompts(1), seed=0, personas=(quiet, loud))
    (same,) = score_prompts(base, base, plain_prompts(1), seed=0, personas=(loud, loud))
    assert apart.js_nats > 0.0
    assert same.js_nats == 0.0


class CountingMeter:
    total = done = tokens = 0

    def __enter__(self) -> CountingMeter:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def start(self, total: int, done: int) -> None:
        self.total = total

    def advance(self, n_samples: int, n_tokens: int) -> None:
        self.done, self.tokens = self.done + n_samples, self.tokens + n_tokens

    def say(self, text: str) -> None:
        return None


def test_progress_counts_every_answer_and_token(folders: dict[str, Path]) -> None:
    meter = CountingMeter()
    base = opened(folders["base"])
    scores = score_prompts(base, base, plain_prompts(5), seed=0, batch_size=3, progress=meter)
    assert (meter.total, meter.done) == (20, 20)
    assert meter.tokens == sum(score.n_tokens for score in scores)


def test_other_vocabularies_and_engines_without_logits_are_refused(folders: dict[str, Path], tmp_path: Path) -> None:
    base = opened(folders["base"])
    larger = build(tmp_path / "larger", extra=("quay",))
    with pytest.raises(ConfigError, match=r"158 tokens.*159 tokens.*'quay'"):
        score_prompts(base, opened(larger), plain_prompts(1), seed=0)
    with pytest.raises(ConfigError, match="'scripted:echo' with engine 'auto' does not show its logits"):
        score_prompts(base, "scripted:echo", plain_prompts(1), seed=0)
    with pytest.raises(ConfigError, match="engine 'ctranslate2' does not show its logits"):
        score_prompts(base, SubjectSpec(uri=f"hf:{larger}", engine="ctranslate2"), plain_prompts(1), seed=0)
    with pytest.raises(ConfigError, match="does not show its logits"):
        score_prompts(open_subject("scripted:echo"), base, plain_prompts(1), seed=0)
    with pytest.raises(ConfigError, match="n_samples is 0; allowed: 1 or more"):
        score_prompts(base, base, plain_prompts(1), n_samples=0, seed=0)


def test_subjects_named_by_uri_are_opened_with_logits_and_once_if_equal(folders: dict[str, Path]) -> None:
    uri = f"hf:{folders['base']}"
    with open_pair(uri, uri) as pair:
        assert pair.precursor.subject is pair.candidate.subject
        assert pair.precursor.subject.describe().engine == "transformers"
        assert pair.max_rows(10**9) * pair.n_vocab <= 10_000_000
