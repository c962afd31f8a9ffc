"""Loads a checked model folder, with its adapter, through transformers and peft."""

from __future__ import annotations

from typing import Any

from moorings.subjects.local_model import LocalModel

__all__ = ["load_model"]


def load_model(model: LocalModel, precision: str, device: str) -> Any:
    """The model in evaluation mode, PEFT-wrapped if it has an adapter.

    Only safetensors on this machine's disk are read, and no code of the model's own is run.
    """
    import torch
    from transformers import AutoModelForCausalLM
    from transformers.utils import logging

    logging.disable_progress_bar()
    dtype = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[precision]
    loaded = AutoModelForCausalLM.from_pretrained(
        model.folder, dtype=dtype, local_files_only=True, use_safetensors=True, trust_remote_code=False
    )
    if model.adapter is not None:
        from peft import PeftModel

        loaded = PeftModel.from_pretrained(loaded, model.adapter, local_files_only=True, use_safetensors=True)
    return loaded.to(device).eval()
