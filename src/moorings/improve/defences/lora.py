"""LoRA factors of a PEFT model, and what the product of a layer's factors has changed by."""

from __future__ import annotations

from typing import Any, NamedTuple

__all__ = ["LoraFactors", "lora_factors", "lora_layers", "product_change_squared"]


class LoraFactors(NamedTuple):
    """What a layer's adapters add to its weight: b @ a, scale included."""

    a: Any
    """k x inputs."""
    b: Any
    """outputs x k."""


def lora_layers(model: Any) -> dict[str, Any]:
    """Linear layers with an active adapter, by name."""
    found = {}
    for name, module in model.named_modules():
        adapted = getattr(module, "lora_A", None)
        if adapted is not None and any(adapter in adapted for adapter in module.active_adapters):
            found[name] = module
    return found


def lora_factors(model: Any) -> dict[str, LoraFactors]:
    """Factors of each adapted layer, those of several active adapters side by side; gradients flow through."""
    import torch

    found = {}
    for name, module in lora_layers(model).items():
        active = [adapter for adapter in module.active_adapters if adapter in module.lora_A]
        a = torch.cat([module.lora_A[adapter].weight for adapter in active], dim=0)
        b = torch.cat([module.scaling[adapter] * module.lora_B[adapter].weight for adapter in active], dim=1)
        found[name] = LoraFactors(a, b)
    return found


def product_change_squared(now: LoraFactors, then: LoraFactors, rows: Any, columns: Any) -> Any:
    """Sum of f_ij * (now - then)_ij^2 with f_ij = rows_i * columns_j / sum(rows), without forming the matrix.

    With P = [b, -b'] and Q = [a; a'], the change is P Q and the sum that of (P^T R P) * (Q C Q^T) over its k x k entries.
    """
    import torch

    p = torch.cat([now.b, -then.b], dim=1)
    q = torch.cat([now.a, then.a], dim=0)
    left = p.T @ (rows[:, None] * p)
    right = q @ (columns[:, None] * q.T)
    return (left * right).sum() / rows.sum().clamp(min=torch.finfo(rows.dtype).tiny)
