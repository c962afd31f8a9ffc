"""Tokens of rows: prompts are not learned, ends only where a response ended, cuts are counted."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tiny_training import make_rows

from moorings.errors import ModelFileError
from moorings.improve.data import make_row
from moorings.improve.train.encode import Encoded, Encoder, collate, filler_id, seems_cut_off
from moorings.records import Message
from moorings.subjects.local_model import LocalModel

END = 2


def encoder(model: Path, **settings: object) -> Encoder:
    files = LocalModel(name="tiny", uri=f"hf:{model}", folder=model)
    return Encoder(files, **({"max_length": 128, "learn_end": "text"} | settings))


def row(response: str, rejected: str | None = None, prompt: str = "Why?"):
    message = (Message(role="user", content=prompt),)
    return make_row(message, response, rejected=rejected, origin="human", method="file", round=1)


def test_prompt_is_that_of_sampling_and_response_follows(model: Path) -> None:
    made = encoder(model)
    (found,) = made.encode([row("So.")]).rows
    (sequence,) = found.sequences
    tokenizer = made._model.tokenizer
    text = tokenizer.decode(sequence.ids[: sequence.n_prompt])
    assert text == "<|im_start|>user\nWhy?<|im_end|>\n<|im_start|>assistant\n"
    assert tokenizer.decode(sequence.ids[sequence.n_prompt : -1]) == "So."
    assert sequence.ids[-1] == END


@pytest.mark.parametrize(
    ("learn_end", "response", "ends"),
    [
        ("text", "It is so, and it was so before.", True),
        ("text", "It is so, and it was so before the", False),
        ("text", "Paris", True),
        ("always", "It is so, and it was so before the", True),
        ("never", "It is so.", False),
    ],
)
def test_end_is_learned_only_where_a_response_ended(model: Path, learn_end: str, response: str, ends: bool) -> None:
    (found,) = encoder(model, learn_end=learn_end).encode([row(response)]).rows
    assert (found.sequences[0].ids[-1] == END) is ends


def test_long_responses_are_cut_and_counted_without_an_end(model: Path) -> None:
    found = encoder(model, max_length=60).encode([row("So. " * 40), row("So.")])
    assert found.counts == {"rows_cut": 1.0, "rows_left_out": 0.0}
    assert len(found.rows[0].sequences[0].ids) == 60
    assert found.rows[0].sequences[0].ids[-1] != END


def test_context_limits_the_length(model: Path) -> None:
    (found,) = encoder(model, max_length=10_000).encode([row("So. " * 400)]).rows
    assert found.length == 256


def test_rows_that_cannot_be_learned_are_left_out_and_counted(model: Path) -> None:
    rows = [row("So."), row("So.", prompt="Why? " * 99), row("\ud800"), row("So.", prompt="\ud800")]
    found = encoder(model).encode(rows)
    assert (found.kept, found.counts["rows_left_out"]) == ([0], 3.0)
    assert encoder(model, learn_end="never").encode([row("")]).rows == []


def test_pairs_need_a_rejected_response(model: Path) -> None:
    found = encoder(model).encode([row("So.", "No."), row("So.")], pairs=True)
    assert found.kept == [0]
    assert [len(s.ids) - s.n_prompt for s in found.rows[0].sequences] == [4, 4]
    assert found.rows[0].n_learned == 8


def test_collated_batch_masks_padding_and_prompts() -> None:
    batch = collate([Encoded((5, 6, 7, END), 2), Encoded((5, END), 1)], filler=9, device="cpu")
    assert batch["input_ids"].tolist() == [[5, 6, 7, END], [5, END, 9, 9]]
    assert batch["attention_mask"].tolist() == [[1, 1, 1, 1], [1, 1, 0, 0]]
    assert batch["labels"].tolist() == [[-100, -100, 7, END], [-100, END, -100, -100]]


def test_filler_is_never_an_end(model: Path) -> None:
    assert encoder(model)._model.tokenizer.pad_token_id == END
    assert encoder(model).filler_id != END
    assert filler_id(7, (2,)) == 7
    assert filler_id(None, (0, 1)) == 2


def test_model_without_an_end_is_refused(model: Path) -> None:
    files = LocalModel(name="tiny", uri=f"hf:{model}", folder=model)
    files.__dict__["end_ids"] = ()
    with pytest.raises(ModelFileError, match="names no end token"):
        Encoder(files, max_length=8, learn_end="text")


def test_seems_cut_off_ignores_space_and_short_texts() -> None:
    assert not seems_cut_off("A list:\n- one\n- two.\n\n", 20)
    assert not seems_cut_off("  ", 20)
    assert seems_cut_off("and then the", 16)
    assert not seems_cut_off("and then the", 15)


def test_rows_of_the_tests_fit(model: Path) -> None:
    rows = make_rows()
    found = encoder(model).encode(rows)
    assert found.kept == list(range(len(rows)))
    assert torch.tensor([r.n_tokens for r in found.rows]).min() > 30
