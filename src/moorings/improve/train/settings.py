"""Settings that all trainers share."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from moorings.method import MethodConfig

__all__ = ["FULL_SHARE_OF_RATE", "TrainSettings"]

FULL_SHARE_OF_RATE = 0.1
"""Full weights take about a tenth of an adapter's learning rate ("LoRA Without Regret", Thinking Machines Lab 2025)."""


class TrainSettings(MethodConfig):
    """How the next model is trained."""

    mode: Literal["lora", "full"] = "lora"
    """Train a low-rank adapter on the linear layers, or all weights."""
    r: int = Field(default=8, ge=1, le=1024)
    """Rank of a fresh adapter; a start subject's own adapter keeps its shape."""
    alpha: float = Field(default=32.0, gt=0)
    """Scale of a fresh adapter: its product is multiplied by alpha / r; 32 as in "LoRA Without Regret"."""
    dropout: float = Field(default=0.0, ge=0, lt=1)
    """Share of a fresh adapter's inputs that are dropped in training."""
    upper_share: float = Field(default=1.0, gt=0, le=1)
    """Share of the layers, from the top, that a fresh adapter or full training changes; less is faster."""
    learning_rate: float | None = Field(default=None, gt=0)
    """Peak rate of AdamW; None takes the trainer's default for the mode."""
    schedule: Literal["linear", "cosine", "constant"] = "linear"
    """How the rate falls to zero after the warm-up, or that it stays."""
    warmup_share: float = Field(default=0.05, ge=0, lt=1)
    """Share of the steps in which the rate rises from zero."""
    weight_decay: float = Field(default=0.0, ge=0)
    """Decoupled decay of AdamW; 0 as in transformers."""
    max_grad_norm: float = Field(default=1.0, gt=0)
    """Longer gradients are scaled down to this length; 1 as in transformers."""
    batch_size: int = Field(default=8, ge=1)
    """Rows in an optimiser step, over all devices."""
    micro_batch: int | None = Field(default=None, ge=1)
    """Rows that go through the model at once on a device; the rest of a step is accumulated. None takes them all."""
    epochs: int = Field(default=1, ge=1)
    """Times that each row is learned."""
    max_steps: int | None = Field(default=None, ge=1)
    """Optimiser steps after which training ends, even within an epoch."""
    max_length: int = Field(default=1024, ge=8)
    """Tokens of prompt and response together; longer responses are cut, which is counted."""
    learn_end: Literal["text", "always", "never"] = "text"
    """Which responses teach the end token: those not cut off as far as the text shows, all, or none."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """Arithmetic; auto is bf16 on a GPU and fp32 on a CPU. Trained weights are always kept in fp32."""
    gradient_checkpointing: bool = False
    """Save memory by computing activations a second time, which takes about a third longer."""
    save_steps: int = Field(default=50, ge=1)
    """Steps between checkpoints, from which a stopped training goes on."""

    @model_validator(mode="after")
    def _micro_fits(self) -> Self:
        if self.micro_batch is not None and self.micro_batch > self.batch_size:
            raise ValueError(f"micro_batch={self.micro_batch} must be at most batch_size={self.batch_size}")
        return self

    def rate(self, of_lora: float) -> float:
        """The peak learning rate, given the trainer's default for adapters."""
        if self.learning_rate is not None:
            return self.learning_rate
        return of_lora if self.mode == "lora" else of_lora * FULL_SHARE_OF_RATE
