"""A reward model that is a whole language model: LoRA and a scalar head, trained on preferences by transformers and peft.

The score is a linear function of the last token's state; the last token is the end token, which stands after every answer.
Loss, score penalty and loss for wrong labels as in `reward_training`. For bigger models and single members; several of
them are put together by `ensemble`, and each costs a forward pass. Left out: restart in the middle, as training is one
short pass; DeepSpeed and the like, for which TRL's RewardTrainer is the place.

What it must show: the loss's gradient is that of the head-only models, and a few steps raise the margin of held-out pairs.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import Field, ValidationError, model_validator

from moorings.errors import ConfigError, InputError
from moorings.feedback.label_noise import NoiseLoss, loss_weights
from moorings.feedback.preferences import Preference, as_pairs
from moorings.feedback.reward import Graded, Reward, RewardConfig, Tools, rewards
from moorings.feedback.reward_training import torch_pair_loss
from moorings.feedback.scored import ScoredBy
from moorings.feedback.standardise import Scales, fit_scales
from moorings.method import MethodConfig
from moorings.store.disk import Disk
from moorings.subjects.local import locate
from moorings.subjects.local_model import LocalModel
from moorings.subjects.safe_files import check_adapter_folder
from moorings.subjects.spec import SubjectSpec

if TYPE_CHECKING:
    from jaxtyping import Float

__all__ = ["LoraSettings", "RewardLora", "load_reward_lora", "save_reward_lora", "train_reward_lora"]

_ABOUT = "reward_lora.json"
_KEPT = ("adapter_config.json", "adapter_model.safetensors")


class LoraSettings(MethodConfig):
    """Shape and training of a reward model of this kind."""

    base: SubjectSpec
    """The chat model to start from, `bundled:NAME` or `hf:PATH`, without an adapter."""
    r: int = Field(default=8, ge=1)
    """Rank of the adapter on every linear layer."""
    alpha: float = Field(default=16.0, gt=0.0)
    """Scale of the adapter, divided by the rank."""
    max_length: int = Field(default=520, ge=2)
    """Most tokens of prompt and answer; arXiv:2310.02743. A longer answer is cut, a longer prompt has no score."""
    epochs: int = Field(default=1, ge=1)
    """Passes over the pairs."""
    batch_size: int = Field(default=8, ge=1)
    """Pairs a step."""
    learning_rate: float = Field(default=2e-4, gt=0.0)
    """AdamW's; usual for LoRA. The paper's 1e-5 is for full weights."""
    score_l2: float = Field(default=1e-3, ge=0.0)
    """Weight of the mean square of scores; the paper's."""
    loss: NoiseLoss = "plain"
    """How wrong labels are borne; see `moorings.feedback.label_noise`."""
    flip_rate: float = Field(default=0.0, ge=0.0, lt=0.5)
    """For `smoothed` and `unbiased`: assumed share of wrong labels."""
    device: str = "cpu"
    """Where it is trained and asked."""
    seed: int = Field(default=0, ge=0)
    """Of start weights and order."""

    @model_validator(mode="after")
    def _loss_fits(self) -> LoraSettings:
        loss_weights(self.loss, self.flip_rate)
        return self


class _About(MethodConfig):
    """What lies beside the adapter."""

    format: int = Field(default=1, ge=1, le=1)
    settings: LoraSettings
    base_weights: str
    """Content hash of the base's weights."""
    scales: Scales
    n_pairs: int


@dataclass
class RewardLora:
    """A trained reward model in memory."""

    model: Any
    """The PEFT-wrapped transformers classifier with one output."""
    files: LocalModel
    settings: LoraSettings
    scales: Scales | None = None
    n_pairs: int = 0

    def raw_scores(self, items: Sequence[Graded]) -> Float[np.ndarray, " n"]:
        """Scores as the head gives them; NaN for an answer that cannot be encoded."""
        import torch

        encoded = [_encoded(self.files, item, self.settings) for item in items]
        out = np.full(len(items), np.nan)
        # By length and then by content, so that padding and company do not depend on the order of items.
        known = sorted((ids, at) for at, ids in enumerate(encoded) if ids is not None)
        known.sort(key=lambda one: len(one[0]))
        self.model.eval()
        for start in range(0, len(known), 2 * self.settings.batch_size):
            some = known[start : start + 2 * self.settings.batch_size]
            with torch.inference_mode():
                scores = _forward(self.model, [ids for ids, _ in some])
            out[[at for _, at in some]] = scores.float().cpu().numpy()
        return out

    def scores(self, items: Sequence[Graded]) -> Float[np.ndarray, " n"]:
        """Standard deviations above the mean of the training answers."""
        if self.scales is None:
            raise ConfigError("this reward model is not trained yet; make it with train_reward_lora")
        return np.asarray(self.scales.apply(self.raw_scores(items)[None])[0])


def train_reward_lora(preferences: Sequence[Preference], settings: LoraSettings) -> RewardLora:
    """Train on preferences; the same seed, versions and thread count give the same weights.

    Raises:
        ConfigError: The base has no weights here, or no pair fits.
        ModelFileError: The base cannot be read.
    """
    import torch

    files = _base_files(settings)
    pairs = [
        encoded
        for pair in as_pairs(preferences)
        if None not in (encoded := tuple(_encoded(files, answer, settings) for answer in pair))
    ]
    if not pairs:
        raise ConfigError(f"none of {len(preferences)} preferences fits {settings.max_length} tokens; raise max_length")
    noise = loss_weights(settings.loss, settings.flip_rate)
    rng = np.random.default_rng(settings.seed)
    with _seeded(settings.seed):
        model = _with_head(files, settings)
        optimiser = torch.optim.AdamW([w for w in model.parameters() if w.requires_grad], lr=settings.learning_rate)
        model.train()
        for _ in range(settings.epochs):
            order = rng.permutation(len(pairs))
            for start in range(0, len(pairs), settings.batch_size):
                some = [pairs[at] for at in order[start : start + settings.batch_size]]
                scores = _forward(model, [ids for side in zip(*some, strict=True) for ids in side])
                chosen, rejected = scores[: len(some)], scores[len(some) :]
                loss = torch_pair_loss(chosen, rejected, torch.ones_like(chosen), noise, settings.score_l2).mean()
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
    trained = RewardLora(model, files, settings, n_pairs=len(pairs))
    answers = [answer for pair in as_pairs(preferences) for answer in pair]
    trained.scales = fit_scales(trained.raw_scores(answers)[None], ["lora"])
    return trained


def save_reward_lora(trained: RewardLora, folder: Path | str) -> Path:
    """Write a folder that appears whole: adapter and head in safetensors, the rest in JSON.

    Raises:
        ConfigError: The folder is there already, or the model is not trained.
    """
    folder = Path(folder)
    if folder.exists():
        raise ConfigError(f"{folder} is there already; choose another name or remove it")
    if trained.scales is None:
        raise ConfigError("this reward model is not trained yet; make it with train_reward_lora")
    about = _About(
        settings=trained.settings,
        base_weights=trained.files.weights_sha256,
        scales=trained.scales,
        n_pairs=trained.n_pairs,
    )
    temporary = folder.with_name(f".{folder.name}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    trained.model.save_pretrained(temporary, save_embedding_layers=False)
    _settle(temporary / "adapter_config.json", trained.settings)
    (temporary / _ABOUT).write_text(about.model_dump_json(indent=1), "utf-8")
    for path in sorted(temporary.iterdir()):
        if path.name not in (*_KEPT, _ABOUT):
            path.unlink()
    os.rename(temporary, folder)
    Disk().fsync_folder(folder.parent)
    return folder


def load_reward_lora(folder: Path | str) -> RewardLora:
    """Read what `save_reward_lora` wrote.

    Raises:
        InputError: No such folder, or the base's weights are others now.
        ModelFileError: The adapter is incomplete.
        UnsafeFileError: It could run code when loaded.
    """
    from peft import PeftModel

    folder = Path(folder)
    try:
        about = _About.model_validate_json((folder / _ABOUT).read_bytes())
    except (OSError, ValidationError) as error:
        said = str(error).splitlines()[0]
        raise InputError(f"{folder} holds no reward model ({said}); give a folder of save_reward_lora") from None
    check_adapter_folder(folder)
    files = _base_files(about.settings)
    if files.weights_sha256 != about.base_weights:
        raise InputError(
            f"{folder} was trained on other weights than {about.settings.base.uri} has now; train it again"
        )
    with _seeded(about.settings.seed):
        base = _classifier(files, about.settings)
        model = PeftModel.from_pretrained(base, folder, local_files_only=True, use_safetensors=True)
    return RewardLora(model.eval(), files, about.settings, about.scales, about.n_pairs)


class RewardLoraConfig(RewardConfig):
    """Settings of `reward_lora`."""

    path: str
    """Folder of `save_reward_lora`, relative to the tools' folder."""


@rewards.register("reward_lora", RewardLoraConfig)
def reward_lora(config: RewardLoraConfig) -> Reward:
    """A language model with a scalar head, in standard deviations of its training answers; read at first use."""
    loaded: list[RewardLora] = []

    def score(items: Sequence[Graded], tools: Tools) -> Float[np.ndarray, " n"]:
        if not loaded:
            loaded.append(load_reward_lora(tools.folder / config.path))
        return loaded[0].scores(items)

    return ScoredBy("reward_lora", "sd of the training answers", "higher", score)


def _base_files(settings: LoraSettings) -> LocalModel:
    scheme = settings.base.uri.partition(":")[0]
    if scheme not in ("bundled", "hf"):
        raise ConfigError(f"'{settings.base.uri}' cannot be trained; allowed: bundled:NAME or hf:PATH")
    name, folder, adapter = locate(settings.base.uri)
    if adapter is not None:
        raise ConfigError(f"'{settings.base.uri}' has an adapter; give the base model alone")
    return LocalModel(name=name, uri=settings.base.uri, folder=folder, template=settings.base.options.get("template"))


def _classifier(files: LocalModel, settings: LoraSettings) -> Any:
    """The base with a fresh scalar head; its padding token ends no text, so that the last other token is the last one."""
    import torch
    from transformers import AutoModelForSequenceClassification
    from transformers.utils import logging

    logging.disable_progress_bar()
    level = logging.get_verbosity()
    # That the head is new is meant, and no warning.
    logging.set_verbosity_error()
    try:
        model = AutoModelForSequenceClassification.from_pretrained(
            files.folder,
            num_labels=1,
            dtype=torch.float32,
            local_files_only=True,
            use_safetensors=True,
            trust_remote_code=False,
        )
    finally:
        logging.set_verbosity(level)
    model.config.pad_token_id = next(token for token in range(len(files.end_ids) + 1) if token not in files.end_ids)
    return model.to(settings.device)


def _with_head(files: LocalModel, settings: LoraSettings) -> Any:
    from peft import LoraConfig, get_peft_model

    config = LoraConfig(
        task_type="SEQ_CLS",
        r=settings.r,
        lora_alpha=settings.alpha,
        lora_dropout=0.0,
        target_modules="all-linear",
    )
    return get_peft_model(_classifier(files, settings), config)


def _encoded(files: LocalModel, item: Graded, settings: LoraSettings) -> tuple[int, ...] | None:
    """Token ids of prompt, answer and end; None where the prompt leaves no room."""
    prompt = files.encode([item.messages])[0]
    if isinstance(prompt, str):
        return None
    answer = item.response.encode("utf-8", "replace").decode()
    ids: list[int] = files.tokenizer(answer, add_special_tokens=False)["input_ids"]
    room = min(settings.max_length, files.context_length or settings.max_length) - len(prompt) - 1
    return (*prompt, *ids[:room], files.end_ids[0]) if room >= 0 else None


def _forward(model: Any, sequences: Sequence[tuple[int, ...]]) -> Any:
    import torch

    width = max(map(len, sequences))
    device = next(model.parameters()).device
    ids = torch.full((len(sequences), width), model.config.pad_token_id)
    mask = torch.zeros_like(ids)
    for at, tokens in enumerate(sequences):
        ids[at, : len(tokens)] = torch.tensor(tokens)
        mask[at, : len(tokens)] = 1
    return model(input_ids=ids.to(device), attention_mask=mask.to(device)).logits[:, 0]


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Fixes torch's own randomness, which start weights come from, and puts it back."""
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


def _settle(path: Path, settings: LoraSettings) -> None:
    """Sets are written in another order by each process, and the base's path depends on the machine."""
    config = json.loads(path.read_text("utf-8"))
    for key in ("target_modules", "modules_to_save"):
        config[key] = sorted(config[key])
    config["base_model_name_or_path"] = settings.base.uri
    path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", "utf-8")
