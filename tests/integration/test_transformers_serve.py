"""The OpenAI-compatible subject against a real server: `transformers serve` with the embedded model."""

from __future__ import annotations

import importlib.util
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest

from moorings.records import Decoding, Message, Request, SampleStatus
from moorings.sampling.status import classify
from moorings.subjects.bundled import model_path
from moorings.subjects.endpoint import open_endpoint
from moorings.subjects.spec import SubjectSpec, open_subject

pytestmark = [pytest.mark.model, pytest.mark.slow, pytest.mark.timeout(600)]

READY_WITHIN_S = 240.0
SAMPLING = '{"do_sample": true, "top_k": 0}'
"""Without it, this server takes the likeliest token at every temperature."""


class Served(NamedTuple):
    """A running server."""

    model: str
    url: str
    folder: Path

    @property
    def uri(self) -> str:
        return f"openai:{self.model}@{self.url}"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    missing = [name for name in ("fastapi", "uvicorn", "openai") if importlib.util.find_spec(name) is None]
    if missing:
        pytest.skip(f"transformers serve needs {', '.join(missing)}: pip install 'moorings[serve]'")
    folder, scratch = model_path("smollm2-135m"), tmp_path_factory.mktemp("serve")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    # The server reads '@' in a model's name as the start of a revision, so it is given the folder's last part.
    command = [str(Path(sys.executable).parent / "transformers"), "serve", folder.name, "--device", "cpu"]
    kept = {name: os.environ[name] for name in ("PATH", "PYTHONPATH", "LANG") if name in os.environ}
    env = kept | {"HOME": str(scratch), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    with (scratch / "log.txt").open("wb") as log:
        process = subprocess.Popen(
            [*command, "--host", "127.0.0.1", "--port", str(port)], cwd=folder.parent, env=env, stdout=log, stderr=log
        )
        try:
            wait_until_ready(process, f"http://127.0.0.1:{port}/health", scratch / "log.txt")
            yield Served(folder.name, f"http://127.0.0.1:{port}/v1", folder)
        finally:
            process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def wait_until_ready(process: subprocess.Popen[bytes], health_url: str, log: Path) -> None:
    deadline = time.monotonic() + READY_WITHIN_S
    while time.monotonic() < deadline:
        try:
            if httpx.get(health_url, timeout=5, trust_env=False).status_code == 200:
                return
        except httpx.TransportError:
            pass  # it does not listen before the model is loaded
        try:
            code = process.wait(timeout=0.25)
        except subprocess.TimeoutExpired:
            continue
        pytest.fail(f"transformers serve ended with code {code}:\n{log.read_text(errors='replace')[-2000:]}")
    pytest.fail(f"transformers serve was not ready in {READY_WITHIN_S:g} s:\n{log.read_text(errors='replace')[-2000:]}")


def request(text: str, seed: int = 0, request_id: str | None = None) -> Request:
    return Request(request_id=request_id or text, messages=(Message(role="user", content=text),), seed=seed)


def test_real_answers_come_with_text_tokens_and_status(served: Served) -> None:
    from transformers import AutoTokenizer

    texts = ["Name a fruit.", "What is the capital of France?", "Count from one to a hundred."]
    subject = open_subject(served.uri, options={"concurrency": 2})
    decoding = Decoding(max_new_tokens=24, temperature=0.0)
    found = {g.request_id: g for g in subject.generate([request(text) for text in texts], decoding)}
    assert set(found) == set(texts)
    assert "Paris" in found[texts[1]].text
    assert classify(found[texts[1]].text, found[texts[1]].finish_reason) is SampleStatus.COMPLETED
    assert (found[texts[2]].finish_reason, found[texts[2]].n_output_tokens) == ("length", 24)
    assert classify(found[texts[2]].text, found[texts[2]].finish_reason) is SampleStatus.TRUNCATED
    tokenizer = AutoTokenizer.from_pretrained(served.folder)
    for text in texts:
        chat = tokenizer.apply_chat_template(
            [{"role": "user", "content": text}], add_generation_prompt=True, tokenize=False
        )
        assert found[text].n_prompt_tokens == len(tokenizer(chat, add_special_tokens=False)["input_ids"])
    subject.close()


def test_draws_differ_once_the_server_is_told_to_draw(served: Served) -> None:
    subject = open_subject(served.uri, options={"concurrency": 1, "extra_body": {"generation_config": SAMPLING}})
    draws = [request("Tell me a story.", seed, f"s{seed}") for seed in range(4)]
    found = list(subject.generate(draws, Decoding(max_new_tokens=16)))
    assert [g.finish_reason for g in found] == ["length"] * 4
    assert len({g.text for g in found}) > 1


def test_the_server_is_described_and_metered(served: Served) -> None:
    prices = {"price_input_usd_per_mtok": 1.0, "price_output_usd_per_mtok": 2.0}
    subject = open_endpoint(SubjectSpec(uri=served.uri, options=prices))
    info = subject.describe()
    assert (info.engine, info.seeding) == ("openai-compatible", "none")
    assert info.weights.startswith(f"served:{served.model}@127.0.0.1:")
    assert subject.ask([Message(role="user", content="Hello")], Decoding(max_new_tokens=4, temperature=0.0)).text
    usage = subject.usage()
    assert usage.n_requests == 1
    assert usage.cost_usd == pytest.approx((usage.n_prompt_tokens + 2 * usage.n_output_tokens) / 1e6)


def test_what_the_server_refuses_is_recorded_in_its_words(served: Served) -> None:
    [generation] = open_subject(served.uri).generate([request("Hello")], Decoding(top_k=5))
    assert generation.finish_reason == "error"
    assert generation.error is not None
    assert "Unexpected fields in the request: {'top_k'}" in generation.error
    [other] = open_subject(f"openai:other@{served.url}").generate([request("Hello")], Decoding())
    assert "Server is pinned to" in (other.error or "")
