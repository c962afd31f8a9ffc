"""The page on feedback names every reward, aggregate, input and format."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import moorings.feedback.ensemble
import moorings.feedback.reward_lora  # noqa: F401 - importing them registers their rewards
from moorings.feedback.aggregate import Aggregation
from moorings.feedback.preference_readers import PreferenceFormat
from moorings.feedback.reward import rewards
from moorings.feedback.reward_inputs import RewardInput

PAGE = (Path(__file__).parents[2] / "docs" / "feedback.md").read_text(encoding="utf-8")


def test_every_name_is_on_the_page():
    kinds = [get_args(config.model_fields["kind"].annotation) for config in (Aggregation, RewardInput)]
    formats = [form for form in get_args(PreferenceFormat) if form != "auto"]
    own = [name for name in rewards.names() if rewards.config(name).__module__.startswith("moorings.")]
    for name in [*own, *kinds[0], *kinds[1], *formats]:
        assert f"`{name}`" in PAGE, name


def test_every_setting_of_a_reward_has_its_line():
    for name in (name for name in rewards.names() if not name.startswith("test_")):  # other tests register some
        for setting, field in rewards.config(name).model_fields.items():
            assert field.description, f"{name}: {setting}"
