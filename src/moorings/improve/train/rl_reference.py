"""The model at the start of the round, and the divergence from it, exact at each token.

KL_t = sum_v pi(v) ln(pi(v) / pi_ref(v)) over the vocabulary where token t was drawn; its sum over an answer is an unbiased
estimate of the answers' divergence with less noise than one from the drawn tokens alone (Rao-Blackwell).

A fresh adapter is switched off; other weights that training changes are kept as they were at the start and put in place
for the pass. pi's distributions need no pass of their own: what the output head saw while answers were sampled goes through
the head beside what the reference shows it, so that whatever a model does after its head is done to both. Only with full
weights, whose head may differ, pi is run again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

from moorings.improve.train.encode import Encoded, collate
from moorings.improve.train.start_model import trained_parameters

__all__ = ["Measured", "Reference", "logits_at"]

_TOKENS_AT_ONCE = 256
"""Answer tokens whose two distributions are held at once: 100 MB at a vocabulary of 50,000."""


class Measured(NamedTuple):
    """One value a token."""

    ref_logp: Any
    """ln pi_ref."""
    kl: Any
    """Exact divergence in nats; None if it was not wanted."""
    entropy: Any
    """Of pi, in nats; None likewise."""


class Reference:
    """The start of the round.

    Args:
        model: As training starts.
        fresh: Whether its adapter is new, so that switching it off gives the start.
        shared_head: Whether training leaves the output head alone.
    """

    def __init__(self, model: Any, *, fresh: bool, shared_head: bool) -> None:
        self._model, self._shared_head = model, shared_head
        self._kept = None if fresh else {name: w.detach().clone() for name, w in trained_parameters(model).items()}

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """The model is the reference meanwhile."""
        if self._kept is None:
            with self._model.disable_adapter():
                yield
            return
        self._swap()
        try:
            yield
        finally:
            self._swap()

    def _swap(self) -> None:
        assert self._kept is not None
        weights = trained_parameters(self._model)
        for name, kept in self._kept.items():
            weights[name].data, self._kept[name] = kept, weights[name].data

    def measure(self, sequences: Sequence[Encoded], hidden: Sequence[Any], filler: int, *, exact: bool) -> Measured:
        """Measure answers.

        Args:
            sequences: Prompts with answers.
            hidden: What the output head saw where each answer's tokens were predicted.
            filler: Token id for padding.
            exact: Whether to compare whole distributions.
        """
        import torch

        found: dict[int, tuple[Any, ...]] = {}
        with torch.no_grad():
            for part in _parts(sequences):
                batch = collate([sequences[at] for at in part], filler, hidden[0].device)
                states = torch.cat([hidden[at] for at in part])
                values = self._measure(batch, states, exact=exact)
                lengths = [len(sequences[at].ids) - sequences[at].n_prompt for at in part]
                found.update(zip(part, zip(*(value.split(lengths) for value in values), strict=True), strict=True))
        columns = [torch.cat(rows) for rows in zip(*(found[at] for at in range(len(sequences))), strict=True)]
        return Measured(*columns) if exact else Measured(columns[0], None, None)

    def _measure(self, batch: dict[str, Any], hidden: Any, *, exact: bool) -> tuple[Any, ...]:
        targets = batch["labels"][batch["labels"] != -100][:, None]
        beside = hidden if exact and self._shared_head else None
        with self.in_place():
            logits = logits_at(self._model, batch, beside)
        ref = logits[: len(targets)].log_softmax(dim=-1)
        ref_logp = ref.gather(-1, targets)[:, 0]
        if not exact:
            return (ref_logp,)
        own = logits[len(targets) :] if self._shared_head else logits_at(self._model, batch, None)
        own = own.log_softmax(dim=-1)
        p = own.exp()
        return ref_logp, (p * (own - ref)).sum(dim=-1), -(p * own).sum(dim=-1)


def logits_at(model: Any, batch: dict[str, Any], beside: Any | None) -> Any:
    """Logits where answer tokens are predicted, answer by answer, then those of further states of the head's input."""
    import torch

    learned = batch["labels"][:, 1:] != -100

    def places(_: Any, args: Any) -> Any:
        states = args[0][:, :-1][learned]
        states = states if beside is None else torch.cat([states, beside.to(states.dtype)])
        return (states[None],)

    hook = model.get_output_embeddings().register_forward_pre_hook(places)
    try:
        return model(input_ids=batch["input_ids"], use_cache=False).logits[0].float()
    finally:
        hook.remove()


def _parts(sequences: Sequence[Encoded]) -> Iterator[list[int]]:
    """Sequences of similar length together, not many answer tokens at once."""
    part: list[int] = []
    n = 0
    for at in sorted(range(len(sequences)), key=lambda at: (-len(sequences[at].ids), at)):
        length = len(sequences[at].ids) - sequences[at].n_prompt
        if part and n + length > _TOKENS_AT_ONCE:
            yield part
            part, n = [], 0
        part.append(at)
        n += length
    yield part
