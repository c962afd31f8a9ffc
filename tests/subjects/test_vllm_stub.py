"""The calls made to vLLM, checked against a stand-in module; the real engine needs a GPU."""

from __future__ import annotations

import importlib.machinery
import sys
import types
from pathlib import Path
from typing import Any

import pytest

from moorings.errors import BackendError, ConfigError
from moorings.records import Decoding, Generation, Message, Request
from moorings.subjects.protocol import Scorer, Subject
from moorings.subjects.spec import open_subject

pytestmark = pytest.mark.usefixtures("own_cache")

LETTER = 10
END = 2


class Stub:
    """What the stand-in was asked for, and what it answers."""

    def __init__(self) -> None:
        self.engine: dict[str, Any] = {}
        self.calls: list[tuple[list[dict[str, Any]], list[Any], Any]] = []
        self.fails = False
        self.first: dict[int, float] = {}

    def generate(self, prompts: list[dict[str, Any]], sampling: list[Any], *, lora_request: Any, use_tqdm: bool) -> Any:
        if self.fails:
            raise RuntimeError("CUDA out of memory")
        self.calls.append((prompts, sampling, lora_request))
        return [self._output(prompt, params) for prompt, params in zip(prompts, sampling, strict=True)]

    def _output(self, prompt: dict[str, Any], params: Any) -> Any:
        length = params.seed % 5 if "seed" in vars(params) else 1
        ids = [LETTER] * length + [END] if length < params.max_tokens else [LETTER] * params.max_tokens
        rows = None
        if "prompt_logprobs" in vars(params):
            rows = [None, *self._rows(prompt["prompt_token_ids"][1:])]
        taken = self._rows(ids) if getattr(params, "logprobs", None) is not None else None
        if getattr(params, "logprobs", None):
            taken = [{token: types.SimpleNamespace(logprob=nats) for token, nats in self.first.items()}]
        answer = types.SimpleNamespace(token_ids=ids, logprobs=taken)
        return types.SimpleNamespace(outputs=[answer], prompt_logprobs=rows)

    def _rows(self, ids: list[int]) -> list[dict[int, Any]]:
        return [{token: types.SimpleNamespace(logprob=-token / 100)} for token in ids]


@pytest.fixture
def stub(monkeypatch: pytest.MonkeyPatch) -> Stub:
    made = Stub()

    def llm(**settings: Any) -> Stub:
        made.engine = settings
        return made

    modules = {name: types.ModuleType(name) for name in ("vllm", "vllm.lora", "vllm.lora.request")}
    for name, module in modules.items():
        module.__spec__ = importlib.machinery.ModuleSpec(name, None)
        monkeypatch.setitem(sys.modules, name, module)
    modules["vllm"].LLM = llm  # type: ignore[attr-defined]
    modules["vllm"].SamplingParams = types.SimpleNamespace  # type: ignore[attr-defined]
    modules["vllm.lora.request"].LoRARequest = lambda *given: given  # type: ignore[attr-defined]
    return made


def opened(uri: Any, **settings: Any) -> Any:
    return open_subject(f"hf:{uri}", engine="vllm", **{"device": "cuda", **settings})


def requests(n: int) -> list[Request]:
    message = Message(role="user", content="hi")
    return [Request(request_id=str(seed), messages=(message,), seed=seed) for seed in range(n)]


def test_engine_is_built_for_safe_offline_use(stub: Stub, tiny_model: Path) -> None:
    list(opened(tiny_model, batch_size=16, options={"gpu_memory_share": 0.5}).generate(requests(1), Decoding()))
    assert stub.engine == {
        "model": str(tiny_model),
        "tokenizer": str(tiny_model),
        "dtype": "bfloat16",
        "load_format": "safetensors",
        "trust_remote_code": False,
        "enable_prefix_caching": True,
        "max_num_seqs": 16,
        "max_model_len": 256,
        "gpu_memory_utilization": 0.5,
        "logprobs_mode": "raw_logprobs",
        "disable_log_stats": True,
    }


def test_each_request_carries_its_seed_and_the_decoding(stub: Stub, tiny_model: Path) -> None:
    decoding = Decoding(max_new_tokens=3, min_new_tokens=1, temperature=0.7, top_p=0.9, top_k=4)
    found = {answer.request_id: answer for answer in opened(tiny_model).generate(requests(5), decoding)}
    ((prompts, sampling, lora),) = stub.calls
    assert [params.seed for params in sampling] == [0, 1, 2, 3, 4]
    assert vars(sampling[1]) == {
        "seed": 1,
        "temperature": 0.7,
        "top_p": 0.9,
        "top_k": 4,
        "max_tokens": 3,
        "min_tokens": 1,
        "stop_token_ids": [END],
        "logprobs": None,
        "detokenize": False,
    }
    assert prompts[0]["prompt_token_ids"][0] == 1
    assert lora is None
    assert (found["2"].finish_reason, found["2"].n_output_tokens) == ("stop", 2)
    assert (found["4"].finish_reason, found["4"].n_output_tokens) == ("length", 3)


def test_adapter_goes_as_a_lora_request(stub: Stub, tiny_model: Path, tiny_adapter: Path) -> None:
    list(opened(f"{tiny_model}+{tiny_adapter}").generate(requests(1), Decoding()))
    assert (stub.engine["enable_lora"], stub.engine["max_lora_rank"], stub.engine["max_loras"]) == (True, 8, 1)
    assert stub.calls[0][2] == ("adapter", 1, str(tiny_adapter))


def test_logprobs_and_scores_are_taken_at_the_answers_tokens(stub: Stub, tiny_model: Path) -> None:
    subject = opened(tiny_model)
    (answer,) = subject.generate(requests(4)[3:], Decoding(logprobs=True))
    assert answer.logprobs_nats == (-0.1, -0.1, -0.1)
    (scored, empty) = subject.score([(requests(1)[0].messages, "ab"), (requests(1)[0].messages, "")])
    assert scored.tokens == ("a", "b")
    expected = subject._model.tokenizer.convert_tokens_to_ids(["a", "b"])
    assert scored.logprobs_nats == tuple(-token / 100 for token in expected)
    assert empty == ((), ())


def test_refused_requests_never_reach_the_engine(stub: Stub, tiny_model: Path) -> None:
    long = Request(request_id="long", messages=(Message(role="user", content="x" * 300),), seed=1)
    (answer,) = opened(tiny_model).generate([long], Decoding())
    assert answer.finish_reason == "too_long"
    assert stub.calls == []


def test_failure_of_the_engine_is_named(stub: Stub, tiny_model: Path) -> None:
    stub.fails = True
    with pytest.raises(BackendError, match="CUDA out of memory"):
        list(opened(tiny_model).generate(requests(2), Decoding()))


def test_describe_and_abilities(stub: Stub, tiny_model: Path) -> None:
    subject = opened(tiny_model)
    info = subject.describe()
    assert (info.engine, info.device, info.seeding, info.precision) == ("vllm", "cuda", "sample", "bf16")
    assert isinstance(subject, Subject)
    assert isinstance(subject, Scorer)
    subject.close()
    subject.close()


@pytest.mark.parametrize(
    ("settings", "message"),
    [({"device": "cpu"}, "needs device cuda"), ({"options": {"gpu_memory_share": 1.5}}, "at most 1")],
)
def test_wrong_settings_are_refused(stub: Stub, tiny_model: Path, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        opened(tiny_model, **settings)


@pytest.mark.gpu
def test_real_vllm_repeats_greedy_answers() -> None:
    pytest.importorskip("vllm")
    subject = open_subject("bundled:smollm2-135m", engine="vllm", options={"gpu_memory_share": 0.3})
    decoding = Decoding(max_new_tokens=8, temperature=0.0, logprobs=True)
    first: list[Generation] = list(subject.generate(requests(4), decoding))
    assert list(subject.generate(requests(4), decoding)) == first
    assert all(answer.n_output_tokens == len(answer.logprobs_nats or ()) for answer in first)
    subject.close()


def test_short_continuations_are_among_the_likeliest_or_scored_as_given(stub: Stub, tiny_model: Path) -> None:
    subject = opened(tiny_model)
    a, b = (subject._model.tokenizer(text)["input_ids"][0] for text in "AB")
    stub.first = {a: -0.5, LETTER: -1.0}
    items = [((Message(role="user", content=text),), ("A", "B")) for text in ("hi", "ho")]
    found = subject.next_token_logprobs(items)
    assert [one.logprobs_nats for one in found] == [(-0.5, -b / 100)] * 2
    (_, (read, *_), _), (prompts, (scored, *_), _) = stub.calls
    assert (read.max_tokens, read.logprobs) == (1, 20)
    assert scored.prompt_logprobs == 0
    assert [prompt["prompt_token_ids"][-1] for prompt in prompts] == [b, b]
