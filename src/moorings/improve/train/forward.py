"""Logits where a response token is predicted, and nowhere else.

The output head is a large part of a small model's arithmetic, and prompts need none of it. A hook before the head drops
the other places, so whatever a model does after its head (scaling, soft caps) stays its own. Padding stands at the
right, where no causal token sees it, so the model gets no mask and can use its fastest attention.
"""

from __future__ import annotations

from typing import Any, NamedTuple

__all__ = ["Predictions", "predict"]


class Predictions(NamedTuple):
    """What the model said of the learned tokens."""

    logp: Any
    """Log-probability of each learned token in nats, one vector over all sequences in their order."""
    owner: Any
    """Sequence that each belongs to."""
    output: Any
    """The model's own output; its logits cover all places only where that was asked for."""


def predict(model: Any, head: Any, batch: dict[str, Any], *, all_logits: bool = False) -> Predictions:
    """Run the model on a batch of `collate`.

    Args:
        model: A causal language model.
        head: Its output head, `get_output_embeddings()`.
        batch: `input_ids` and `labels`, padded at the right.
        all_logits: Compute logits for every place, for somebody who reads `output.logits`.
    """
    import torch

    learned = batch["labels"][:, 1:] != -100
    hook = None if all_logits else head.register_forward_pre_hook(lambda _, args: (args[0][:, :-1][learned][None],))
    try:
        output = model(input_ids=batch["input_ids"], use_cache=False)
    finally:
        if hook is not None:
            hook.remove()
    logits = output.logits[:, :-1][learned] if all_logits else output.logits[0]
    targets = batch["labels"][:, 1:][learned]
    logp = -torch.nn.functional.cross_entropy(logits.float(), targets, reduction="none")
    return Predictions(logp, learned.nonzero()[:, 0], output)
