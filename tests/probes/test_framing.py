"""Framings come in twins, and go before the question where they say so."""

from __future__ import annotations

import pytest

from moorings.errors import ConfigError
from moorings.probes.framing import PLAIN, observation, of_personas, self_other
from moorings.probes.item import Item, Option
from moorings.probes.show import show
from moorings.records import Persona

ITEM = Item(
    item_id="i",
    cluster_id="c",
    subtask="S4",
    system="You value calm.",
    prompt="Will you care more?",
    options=(Option(symbol="A", text="more", key=True), Option(symbol="B", text="less", key=False)),
)


def test_each_condition_has_its_twin() -> None:
    for framings in (self_other(), observation(1), observation(4), observation(2, place="question")):
        by_name = {framing.name: framing for framing in framings}
        assert len(by_name) == len(framings)
        assert len({framing.text for framing in framings}) == len(framings)
        for framing in framings:
            assert framing.twin is not None
            assert by_name[framing.twin].twin == framing.name
            assert by_name[framing.twin].kind != framing.kind
    assert [framing.name for framing in observation(2)] == ["observed", "unobserved", "observed-2", "unobserved-2"]
    assert "Vesper" in self_other("Vesper")[1].text


@pytest.mark.parametrize("n", [0, 5])
def test_there_are_four_wordings(n: int) -> None:
    with pytest.raises(ConfigError, match="1 to 4"):
        observation(n)


def test_a_framing_goes_before_the_items_own_system_prompt_or_the_question() -> None:
    plain = show(ITEM, (0, 1), PLAIN).messages
    assert [message.role for message in plain] == ["system", "user"]
    assert plain[0].content == "You value calm."
    (persona,) = of_personas([Persona(name="sailor", system="You are a sailor.")])
    assert (persona.name, persona.kind) == ("sailor", "persona")
    told = show(ITEM, (0, 1), persona).messages
    assert told[0].content == "You are a sailor.\n\nYou value calm."
    assert told[1] == plain[1]
    first = observation(1, place="question")[0]
    asked = show(ITEM, (0, 1), first).messages
    assert asked[0] == plain[0]
    assert asked[1].content == f"{first.text}\n\n{plain[1].content}"
    bare = ITEM.model_copy(update={"system": None})
    assert [message.role for message in show(bare, (0, 1), PLAIN).messages] == ["user"]
