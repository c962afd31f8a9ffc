from __future__ import annotations

from collections import Counter

import pytest

from moorings.errors import ConfigError
from moorings.sampling.everyday import N_QUESTIONS, everyday_questions


def test_every_question_comes_once_and_slices_continue_each_other() -> None:
    n = N_QUESTIONS["gate"]
    all_of_them = everyday_questions(n, half="gate", seed=5)
    assert len({p.prompt_id for p in all_of_them}) == n == len({p.messages[0].content for p in all_of_them})
    assert all_of_them[100:140] == everyday_questions(40, half="gate", seed=5, start=100)
    assert n > 30_000


def test_the_halves_share_no_question_and_no_topic() -> None:
    train = everyday_questions(3000, half="train", seed=0)
    gate = everyday_questions(3000, half="gate", seed=0)
    assert not {p.messages[0].content for p in train} & {p.messages[0].content for p in gate}
    words = {w for p in gate for w in p.messages[0].content.split()}
    assert "bread" in " ".join(p.messages[0].content for p in train)
    assert "bread" not in words


def test_seeds_give_other_questions_and_groups_are_mixed() -> None:
    first = everyday_questions(90, half="gate", seed=1)
    second = everyday_questions(90, half="gate", seed=2)
    assert len({p.prompt_id for p in first} & {p.prompt_id for p in second}) < 20
    assert len(Counter(p.group for p in first)) == 12
    assert sum(p.messages[0].content.startswith("Compare ") for p in first) <= 20


def test_more_than_there_are_is_refused() -> None:
    with pytest.raises(ConfigError, match="there are"):
        everyday_questions(1, half="train", seed=0, start=N_QUESTIONS["train"])
