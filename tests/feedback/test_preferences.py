"""Preferences as pairs and in their own file."""

from __future__ import annotations

import json

import pytest
from feedback_tools import made_preferences

from moorings.errors import ConfigError
from moorings.feedback.preference_readers import read_preferences
from moorings.feedback.preferences import Preference, as_pairs, write_preferences
from moorings.records import Message

CHAT = (
    Message(role="system", content="Be brief."),
    Message(role="user", content="Hi\n\nAssistant: no turn"),
)
HOSTILE = Preference(prompt=CHAT, chosen="<b>\x1b[31m", rejected='"\u202e,\n', metadata={"flipped": True, "n": [1]})


def test_preferences_survive_their_file(tmp_path):
    some = [*made_preferences(3), HOSTILE]
    found = read_preferences(write_preferences(some, tmp_path / "p.jsonl"))
    assert found.preferences == some
    assert found.n_bad == 0


def test_the_file_is_what_trl_reads(tmp_path):
    line = json.loads(write_preferences([HOSTILE], tmp_path / "p.jsonl").read_text("utf-8"))
    assert line["prompt"][0] == {"role": "system", "content": "Be brief."}
    assert line["chosen"] == [{"role": "assistant", "content": "<b>\x1b[31m"}]


def test_half_a_surrogate_pair_is_replaced(tmp_path):
    broken = HOSTILE.model_copy(update={"chosen": "\ud800"})
    assert read_preferences(write_preferences([broken], tmp_path / "p.jsonl")).preferences[0].chosen == "?"


def test_metadata_cannot_take_a_column(tmp_path):
    with pytest.raises(ConfigError, match="key 'chosen'"):
        write_preferences([HOSTILE.model_copy(update={"metadata": {"chosen": 1}})], tmp_path / "p.jsonl")


def test_a_pair_does_not_tell_a_reward_which_answer_was_chosen():
    (pair,) = as_pairs([HOSTILE])
    assert (pair.chosen.response, pair.rejected.response) == (HOSTILE.chosen, HOSTILE.rejected)
    assert pair.chosen.metadata == pair.rejected.metadata == {}
