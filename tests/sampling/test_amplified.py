"""Amplification: the formula by hand, a planted word that comes up more often, and marks that say what it is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from diverging_models import PLANTED, build, edited, opened, plain_prompts, prompt
from pydantic import ValidationError

from moorings.errors import ConfigError
from moorings.records import Decoding, Interaction, Request
from moorings.sampling.amplified import AmplifiedSample, amplified_generate, amplified_scores


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    home = tmp_path_factory.mktemp("models")
    base = build(home / "base")
    return {"base": base, "planted": edited(base, home / "planted", "planted")}


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOORINGS_CACHE_DIR", str(tmp_path / "cache"))


def share_of_planted(samples: list[AmplifiedSample]) -> float:
    words = [word for sample in samples for word in sample.text.split()]
    return float(np.mean([word == PLANTED for word in words]))


def test_scores_by_hand() -> None:
    p, q = np.array([0.5, 0.3, 0.15, 0.05]), np.array([0.4, 0.3, 0.28, 0.02])
    found = amplified_scores(torch.tensor(p)[None].log(), torch.tensor(q)[None].log(), alpha=2.0, beta=0.1)[0].numpy()
    assert np.allclose(found[:3], np.log(q[:3] ** 3 / p[:3] ** 2))
    assert found[3] == -np.inf
    everything = amplified_scores(torch.tensor(p)[None].log(), torch.tensor(q)[None].log(), alpha=0.0, beta=0.0)[
        0
    ].numpy()
    assert np.allclose(everything, np.log(q))


def test_planted_word_comes_up_more_the_larger_alpha(folders: dict[str, Path]) -> None:
    base, planted = opened(folders["base"]), opened(folders["planted"])
    shares = [
        share_of_planted(
            amplified_generate(
                base, planted, plain_prompts(6), alpha=alpha, beta=0.01, n_samples=5, max_new_tokens=20, seed=1
            )
        )
        for alpha in (0.0, 1.0, 4.0)
    ]
    assert shares[0] < shares[1] < shares[2]
    assert shares[2] > 3 * shares[0]


def test_alpha_0_without_a_mask_is_the_candidate_itself(folders: dict[str, Path]) -> None:
    planted = opened(folders["planted"])
    samples = amplified_generate(
        opened(folders["base"]), planted, plain_prompts(5), alpha=0.0, beta=0.0, n_samples=2, max_new_tokens=9, seed=4
    )
    requests = [Request(request_id=str(at), messages=s.prompt.messages, seed=s.seed) for at, s in enumerate(samples)]
    answers = {answer.request_id: answer for answer in planted.generate(requests, Decoding(max_new_tokens=9))}
    assert [sample.text for sample in samples] == [answers[str(at)].text for at in range(len(samples))]
    assert [sample.finish_reason for sample in samples] == [
        answers[str(at)].finish_reason for at in range(len(samples))
    ]


def test_only_plausible_tokens_are_drawn_and_repeats_agree(folders: dict[str, Path]) -> None:
    base, planted = opened(folders["base"]), opened(folders["planted"])
    asked = [*plain_prompts(4), plain_prompts(1)[0], prompt("detin " * 200)]
    greedy = amplified_generate(base, planted, asked, alpha=9.0, beta=1.0, max_new_tokens=7, seed=0)
    plain = amplified_generate(base, planted, asked, alpha=0.0, temperature=0.0, max_new_tokens=7, seed=8)
    assert [sample.text for sample in greedy] == [sample.text for sample in plain]
    assert [sample.finish_reason for sample in greedy].count("error") == 1
    assert len(greedy) == 5
    assert amplified_generate(base, planted, asked, alpha=9.0, beta=1.0, max_new_tokens=7, seed=0) == greedy


def test_samples_are_marked_and_cannot_pass_as_recorded_behaviour(folders: dict[str, Path]) -> None:
    base = opened(folders["base"])
    (sample,) = amplified_generate(base, base, plain_prompts(1), alpha=1.0, max_new_tokens=3, seed=0)
    assert sample.model_dump()["amplified"] is True
    with pytest.raises(ValidationError):
        AmplifiedSample.model_validate({**sample.model_dump(), "amplified": False})
    with pytest.raises(ValidationError):
        Interaction.model_validate(sample.model_dump())


@pytest.mark.parametrize(
    "setting",
    [{"alpha": -1.0}, {"alpha": float("nan")}, {"alpha": 1.0, "beta": 1.5}, {"alpha": 1.0, "temperature": -0.1}],
)
def test_numbers_out_of_range_are_refused(setting: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match="allowed: 0"):
        amplified_generate("hf:a", "hf:b", [], seed=0, **setting)
    with pytest.raises(ConfigError, match="allowed: 1 or more"):
        amplified_generate("hf:a", "hf:b", [], seed=0, alpha=1.0, n_samples=0)
