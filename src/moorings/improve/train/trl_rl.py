"""The same charters by TRL's GRPOTrainer and RLOOTrainer (https://github.com/huggingface/trl), on one device or many.

Prompts are turned into tokens by our encoder and asked in our order; rewards, their scales, the start model, the adapter's
shape, the rate and the result's folder are those of `grpo` and `rloo`. Start the process with `accelerate launch` for several
devices. What differs: TRL samples by transformers' `generate` from one random stream a device, GRPO's divergence is logged a
token, and a missing reward is left out of an answer's sum. No checkpoint is kept, as in `trl_sft`: a stopped training starts
anew.

Left out, and refused: objectives other than the weighted sum, adaptive beta, minibatches, penalties of defences, and weights
of rows.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from moorings.errors import ConfigError
from moorings.feedback.reward import Graded, Reward, rewards
from moorings.feedback.standardise import Scale, Scales
from moorings.improve.data import DataRow
from moorings.improve.train.encode import EncodedRow, Encoder
from moorings.improve.train.grpo import LEARNING_RATE as GRPO_RATE
from moorings.improve.train.grpo import GrpoSettings
from moorings.improve.train.loop import n_steps, start_defences
from moorings.improve.train.note import job_hash, read_note, write_note
from moorings.improve.train.order import Order
from moorings.improve.train.result import check_out, defence_files, result_uri, write_result
from moorings.improve.train.rl_rewards import RewardTools, graded, reward_values, scale_of
from moorings.improve.train.rl_run import prompts_of
from moorings.improve.train.rl_settings import PolicyGradientSettings, objective_use
from moorings.improve.train.rloo import LEARNING_RATE as RLOO_RATE
from moorings.improve.train.rloo import RlooSettings
from moorings.improve.train.start_model import StartModel, open_start, start_files
from moorings.improve.train.trl import check_trl, trl_arguments, trl_losses
from moorings.improve.training import Trainer, TrainJob, TrainResult, TrainSession, trainers

__all__ = ["trl_grpo", "trl_rloo"]

_LOGGED = {
    "loss": "loss",
    "grad_norm": "grad_norm",
    "learning_rate": "rate",
    "kl": "kl_token",
    "entropy": "entropy",
    "completions/mean_length": "tokens",
    "completions/clipped_ratio": "truncated",
    "frac_reward_zero_std": "zero_variance",
}
"""What TRL logs, and what we call it. Its times are left out, so that equal trainings have equal logs."""

_Make = Callable[[dict[str, Any]], tuple[type[Any], Any]]
"""From the arguments that both share to the trainer's class and its configuration."""


@trainers.register("trl_grpo", GrpoSettings)
def trl_grpo(config: GrpoSettings) -> Trainer:
    """Raise rewards by GRPO, by TRL."""
    _refuse(config, "trl_grpo")

    def make(common: dict[str, Any]) -> tuple[type[Any], Any]:
        from trl import GRPOConfig, GRPOTrainer

        kinds = {"sequence": "grpo", "token": "dapo", "constant": "dr_grpo"}
        return GRPOTrainer, GRPOConfig(**common, loss_type=kinds[config.mean], scale_rewards=config.scale)

    return lambda job: _train(job, config, "trl_grpo", config.rate(GRPO_RATE), make)


@trainers.register("trl_rloo", RlooSettings)
def trl_rloo(config: RlooSettings) -> Trainer:
    """Raise rewards by RLOO, by TRL."""
    _refuse(config, "trl_rloo")

    def make(common: dict[str, Any]) -> tuple[type[Any], Any]:
        from trl import RLOOConfig, RLOOTrainer

        return RLOOTrainer, RLOOConfig(**common, normalize_advantages=False)

    return lambda job: _train(job, config, "trl_rloo", config.rate(RLOO_RATE), make)


def _refuse(settings: PolicyGradientSettings, name: str) -> None:
    settings.check_components()
    own = name.removeprefix("trl_")
    use = objective_use(settings)
    reasons = {
        f"join rewards by objective '{use.use}'": use.use != "weighted",
        "steer beta to target_kl": settings.target_kl is not None,
        f"split a pass into minibatches={settings.minibatches}": settings.minibatches > 1,
    }
    for what, refused in reasons.items():
        if refused:
            raise ConfigError(f"trainer {name} cannot {what}; use trainer {own}")


def _train(job: TrainJob, settings: PolicyGradientSettings, name: str, rate: float, make: _Make) -> TrainResult:
    import torch

    check_trl(job, name)
    check_out(job)
    found = job_hash(job, settings, name)
    done = read_note(job, found)
    if done is not None:
        return done
    started = time.monotonic()
    with torch.random.fork_rng():
        start, session, rows = _open(job, settings)
        made: list[Any] = []
        learned = _trainer_of(job, settings, session, rows, start, make, made)
        trl_losses(session, rows, _arguments(job, settings, rate, start.model), learned)
        for one in job.defences:
            one.finish(session)
    log = _log(made[0].state.log_history)
    files = defence_files([(type(one).__name__, one.files()) for one in job.defences])
    n = max(1, len(log) // 10)
    metrics = dict(session.metrics)
    for when, part in (("start", log[:n]), ("end", log[-n:])):
        names = [key for key in part[0] if all(key in entry for entry in part)]
        metrics |= {f"{key}_{when}": sum(entry[key] for entry in part) / len(part) for key in names}
    uri, n_tokens = result_uri(start, settings.mode, job.out), int(made[0].state.num_input_tokens_seen)
    result = TrainResult(uri, session.step, n_tokens, time.monotonic() - started, metrics)
    if made[0].accelerator.is_main_process:
        write_note(job, found, result)
        text = "".join(json.dumps({"batch": at, **entry}) + "\n" for at, entry in enumerate(log, 1))
        write_result(session.model, start, job.out, {**files, "updates.jsonl": text.encode()}, job.on_point)
    made[0].accelerator.wait_for_everyone()
    job.on_point("renamed")
    return result


def _open(job: TrainJob, settings: PolicyGradientSettings) -> tuple[StartModel, TrainSession, list[EncodedRow]]:
    import torch

    files, _ = start_files(job.start)
    encoder = Encoder(files, max_length=settings.max_length, learn_end="always")
    rows, kept, counts = prompts_of(job, settings, files)
    device = "cpu" if job.start.device == "cpu" or not torch.cuda.is_available() else "cuda"
    auto = "fp32" if device == "cpu" else "bf16"
    precision = auto if settings.precision == "auto" else settings.precision
    start = open_start(job.start, settings, precision=precision, device=device, seed=job.seed)
    seen = replace(job, rows=[job.rows[at] for at in kept])

    def encode(some: Sequence[DataRow]) -> dict[str, Any]:
        return encoder.batch(some, device=device)

    session = TrainSession(seen, start.model, files.tokenizer, encode, metrics=dict(counts))
    rows = start_defences(session, rows)
    session.n_steps = n_steps(len(rows), settings) * settings.passes
    return start, session, rows


def _arguments(job: TrainJob, settings: PolicyGradientSettings, rate: float, model: Any) -> dict[str, Any]:
    """What GRPOConfig and RLOOConfig share; TRL counts answers where we count prompts."""
    common = trl_arguments(job, settings, rate, model)
    part = common["per_device_train_batch_size"] * settings.group_size
    n_devices = _n_devices()
    if part % n_devices:
        raise ConfigError(
            f"{part} answers at once cannot be shared by {n_devices} devices; "
            "make micro_batch (or batch_size) times group_size a multiple of them"
        )
    del common["max_length"], common["num_train_epochs"]
    return {
        **common,
        "per_device_train_batch_size": part // n_devices,
        "num_train_epochs": 1,
        "max_steps": -1,
        "num_generations": settings.group_size,
        "max_completion_length": settings.max_new_tokens,
        "temperature": 1.0,
        "top_p": 1.0,
        "top_k": 0,
        "beta": settings.beta,
        "epsilon": settings.clip,
        "num_iterations": settings.passes,
        "mask_truncated_completions": settings.truncated == "drop",
        "disable_dropout": True,
        "shuffle_dataset": False,
        "reward_weights": _weights(settings),
    }


def _n_devices() -> int:
    from accelerate import PartialState

    return int(PartialState().num_processes)


def _weights(settings: PolicyGradientSettings) -> list[float]:
    """Of the rewards, in their order, as objective `weighted` takes them."""
    given = objective_use(settings).settings.get("weights")
    names = [use.known_as for use in settings.rewards]
    return [float(given.get(name, 0.0)) if given else 1 / len(names) for name in names]


def _trainer_of(
    job: TrainJob,
    settings: PolicyGradientSettings,
    session: TrainSession,
    rows: list[EncodedRow],
    start: StartModel,
    make: _Make,
    made: list[Any],
) -> Callable[..., Any]:
    """What makes the trainer once its arguments are known; the trainer is left in `made`."""

    def trainer_of(model: Any, tokenizer: Any, rows: list[EncodedRow], common: dict[str, Any]) -> Any:
        from datasets import Dataset

        kind, arguments = make(common)
        given = {row.row_id: row for row in session.job.rows}
        tools, ends = RewardTools(job.folder, job.work), frozenset(start.files.end_ids)
        funcs = [
            _RewardFunction(use.known_as, rewards.make(use.component), settings, given, tools, ends)
            for use in settings.rewards
        ]
        data = Dataset.from_list([{"prompt": rows[at].row_id} for at in _order(rows, settings, job.seed)])
        ids = {row.row_id: list(row.sequences[0].ids) for row in rows}
        trainer = _by_tokens(kind, ids)(
            model, reward_funcs=funcs, args=arguments, train_dataset=data, processing_class=tokenizer
        )
        made.append(trainer)
        return trainer

    return trainer_of


def _order(rows: list[EncodedRow], settings: PolicyGradientSettings, seed: int) -> list[int]:
    """Prompts of all batches, one after the other; a batch that is too small is filled up with its own, as all must be whole."""
    batches = iter(Order([row.length for row in rows], settings.batch_size, seed))
    found: list[int] = []
    for _ in range(n_steps(len(rows), settings)):
        batch = next(batches)
        found += (batch * settings.batch_size)[: settings.batch_size]
    return found


def _by_tokens(kind: type[Any], ids: dict[str, list[int]]) -> type[Any]:
    """The trainer, for prompts that are names of token ids; it would turn texts into tokens by rules of its own."""

    class ByTokens(kind):  # type: ignore[misc]
        """See `_by_tokens`."""

        def _tokenize_prompts(self, prompts: list[str]) -> tuple[list[list[int]], None, dict[str, Any]]:
            return [ids[prompt] for prompt in prompts], None, {}

    return ByTokens


@dataclass
class _RewardFunction:
    """A reward as TRL calls it."""

    name: str
    reward: Reward
    settings: PolicyGradientSettings
    rows: dict[str, DataRow]
    tools: RewardTools
    ends: frozenset[int]
    scales: list[Scale] = field(default_factory=list)

    @property
    def __name__(self) -> str:
        """TRL's log names rewards by it."""
        return self.name

    def __call__(
        self, prompts: list[str], completions: list[str], completion_ids: list[list[int]], **given: Any
    ) -> list[float]:
        """Standardised values of answers; the first batch, of all devices, sets the scale."""
        from accelerate.utils import gather_object

        pairs = zip(prompts, completions, strict=True)
        items: list[Graded] = [graded(self.rows[prompt], [text])[0] for prompt, text in pairs]
        raw = reward_values(self.name, self.reward, items, self.tools)
        given["log_metric"](f"reward.{self.name}", float(np.nanmean(raw)))
        if not self.scales:
            everywhere = np.array(gather_object(raw.tolist()))
            self.scales = [scale_of(self.name, self.reward, everywhere, wanted=self.settings.standardise)]
        values = Scales(members=tuple(self.scales)).apply(raw[None])[0]
        if self.settings.truncated == "penalise":
            cut = np.array([ids[-1] not in self.ends for ids in completion_ids])
            values = values - self.settings.truncation_penalty * cut
        return [float(value) for value in values]


def _log(history: Sequence[dict[str, Any]]) -> list[dict[str, float]]:
    """Our names of what TRL logged at each step."""
    log = []
    for entry in history:
        if "loss" in entry:
            named = {_LOGGED.get(key, key): value for key, value in entry.items()}
            wanted = {*_LOGGED.values(), *(key for key in named if key.startswith("reward."))}
            log.append({key: float(named[key]) for key in sorted(wanted & named.keys()) if math.isfinite(named[key])})
    return log
