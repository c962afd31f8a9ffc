"""Held-out rows, when to stop, and the best weights at the end."""

from __future__ import annotations

import pytest
import torch
from defence_rounds import Rounds, make_rows

from moorings.charter_run import Use
from moorings.errors import ConfigError
from moorings.improve.data import make_row
from moorings.improve.defences.columns import Columns, ColumnsConfig
from moorings.improve.defences.early_stopping import (
    EarlyStopping,
    EarlyStoppingConfig,
    checks_without_gain,
    held_out_loss,
    hold_out,
)
from moorings.improve.defences.tensors import trained
from moorings.improve.training import TrainSession, defences
from moorings.records import Message


def test_rows_are_divided_by_prompt() -> None:
    rows = [
        make_row((Message(role="user", content=f"p{i % 10}"),), f"a{i}", origin="self", method="file", round=1)
        for i in range(40)
    ]
    kept, held = hold_out(rows, 0.2, seed=3)
    assert len(held) == 8
    assert [row for row in rows if row in kept] == kept
    assert {row.prompt for row in kept}.isdisjoint({row.prompt for row in held})
    assert hold_out(rows, 0.2, seed=3) == (kept, held)
    assert hold_out(rows, 0.2, seed=4).held != held


def test_few_rows_still_leave_some_to_train_on() -> None:
    assert [len(part) for part in hold_out(make_rows(1, "x"), 0.5, seed=0)] == [1, 0]
    assert [len(part) for part in hold_out(make_rows(2, "x"), 0.01, seed=0)] == [1, 1]
    assert hold_out([], 0.5, seed=0) == ([], [])


def test_checks_without_gain() -> None:
    assert [checks_without_gain(some) for some in ([1.0], [1.0, 1.0], [2.0, 1.0, 3.0, 3.0])] == [0, 1, 2]


def train(session: TrainSession, one: EarlyStopping, directions: list[float], *, until: int | None = None) -> None:
    """Each step moves every weight by a step along the gradient of the held-out loss, down or up."""
    start = session.step
    one.start(session)
    # As in the trainer, the weights of the checkpoint come after the start.
    for step, direction in enumerate(directions):
        batch = session.encode(one._held)
        session.model.zero_grad()
        output = session.model(input_ids=batch["input_ids"])
        mask = batch["labels"][:, 1:] != -100
        torch.nn.functional.cross_entropy(output.logits[:, :-1][mask], batch["labels"][:, 1:][mask]).backward()
        with torch.no_grad():
            for value in trained(session.model).values():
                value.sub_(direction * value.grad)
        if step + 1 <= start:
            continue
        session.step = step + 1
        if one.should_stop(session) or session.step == until:
            return


def weights(session: TrainSession) -> dict[str, torch.Tensor]:
    return {name: value.detach().clone() for name, value in trained(session.model).items()}


def test_training_ends_after_patience_with_the_best_weights(session: TrainSession) -> None:
    one = EarlyStopping(EarlyStoppingConfig(share=0.25, every=1, patience=2))
    train(session, one, [0.05, 0.05, -0.1, -0.1, -0.1, -0.1])
    assert session.step == 4
    assert len(session.job.rows) == 6
    assert {row.row_id for row in session.job.rows}.isdisjoint({row.row_id for row in one._held})
    last = held_out_loss(session, one._held)
    one.finish(session)
    best = held_out_loss(session, one._held)
    assert session.metrics["early_stopping.best_step"] == 2
    assert abs(best - session.metrics["early_stopping.best_loss"]) < 1e-6
    assert best < last


def test_a_training_that_only_harms_gives_back_its_start(session: TrainSession) -> None:
    one = EarlyStopping(EarlyStoppingConfig(every=2, patience=1))
    before = weights(session)
    train(session, one, [-0.1] * 5)
    assert session.step == 2
    one.finish(session)
    assert all(torch.equal(value, before[name]) for name, value in weights(session).items())


def test_checks_before_a_stop_are_not_made_again(session: TrainSession) -> None:
    """A stopped training is taken up with start weights first: they must not be taken for those of the step."""
    config = EarlyStoppingConfig(share=0.25, every=1, patience=3)
    directions = [0.05, 0.05, -0.1, 0.02, -0.1, -0.1, -0.1]
    start = weights(session)
    train(session, EarlyStopping(config), directions, until=3)
    seen = sorted((session.job.work / "defences").iterdir())
    assert [path.name for path in seen] == ["early_stopping-00000002.safetensors", "early_stopping.json"]
    with torch.no_grad():
        for name, value in trained(session.model).items():
            value.copy_(start[name])
    session.step = 2
    session.job = session.job.__class__(**{**session.job.__dict__, "rows": make_rows(8, "Yes")})
    again = EarlyStopping(config)
    train(session, again, directions)
    again.finish(session)
    assert session.metrics["early_stopping.best_step"] == 2
    assert session.step == 5
    assert sorted(again._losses) == [0, 1, 2, 3, 4, 5]


def test_without_held_out_rows_nothing_is_lost(session: TrainSession) -> None:
    assert held_out_loss(session, []) == 0.0


def test_joined_columns_do_not_take_the_best_weights(rounds: Rounds) -> None:
    rounds.train(Columns(ColumnsConfig()))
    with pytest.raises(ConfigError, match="do not fit"):
        rounds.train(Columns(ColumnsConfig(r=2)), EarlyStopping(EarlyStoppingConfig()))


def test_held_out_rows_are_not_trained_on(rounds: Rounds) -> None:
    one = EarlyStopping(EarlyStoppingConfig(share=0.25, every=1, patience=1))
    result = rounds.train(one, batch_size=2, epochs=4, learning_rate=0.3)
    assert result.metrics["early_stopping.rows_held_out"] == 2
    assert result.n_steps < 12
    assert result.metrics["early_stopping.best_step"] == result.n_steps - 1


def test_a_stopped_training_ends_alike(same_after_a_stop) -> None:
    same_after_a_stop(lambda: [EarlyStopping(EarlyStoppingConfig(share=0.25, every=1, patience=2))])


def test_it_is_registered() -> None:
    assert isinstance(defences.make(Use(use="early_stopping")), EarlyStopping)
