"""Everyday words that questions are built from."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["ASKER_RADICES", "CITIES", "JOBS", "MEN", "NAMES", "PLACES", "THINGS", "WOMEN", "asker"]


def _split(text: str) -> tuple[str, ...]:
    return tuple(text.split())


WOMEN = _split(
    "Alice Anna Beth Carla Clara Diana Elena Emily Emma Erin Fiona Grace Hannah Helen Irene Jane Joan Julia Karen Kate "
    "Laura Lena Linda Lucy Maria Martha Mary Megan Nina Nora Olivia Paula Rachel Rita Rosa Ruth Sally Sarah Sophie Susan "
    "Teresa Tina Vera Wendy"
)
MEN = _split(
    "Adam Alan Albert Andrew Arthur Ben Brian Carl Charles Colin Daniel David Edward Eric Frank Fred George Gordon Harry "
    "Henry Hugo Jack James John Keith Kevin Leo Louis Mark Martin Max Neil Oliver Oscar Patrick Paul Peter Philip Ralph "
    "Robert Simon Stephen Thomas Walter"
)
NAMES = WOMEN + MEN
JOBS = _split(
    "accountant actor architect artist baker banker barber bookseller builder butcher carpenter cashier chef chemist "
    "cleaner coach cook courier dancer dentist designer doctor driver editor electrician engineer farmer firefighter "
    "fisher florist gardener guard guide hairdresser historian janitor jeweller journalist judge lawyer librarian "
    "locksmith manager mechanic musician nurse optician painter pharmacist photographer pilot plumber porter printer "
    "programmer receptionist sailor scientist secretary singer surgeon surveyor tailor teacher translator vet waiter "
    "welder"
)
PLACES = _split(
    "airport bakery bank barn beach bookshop bridge cafe campsite canal castle cellar cinema clinic court farm ferry "
    "forest fountain gallery garage garden gym hall harbour hospital hotel island kitchen laboratory lake library "
    "lighthouse market meadow mill mountain museum office orchard palace park pharmacy playground port quarry restaurant "
    "river school square stadium station street studio temple theatre tower tunnel valley village warehouse workshop "
    "zoo"
)
CITIES = _split(
    "Aberdeen Adelaide Antwerp Barcelona Bergen Boston Bristol Chicago Cologne Cork Dallas Dresden Durban Ghent Florence "
    "Geneva Glasgow Hamburg Houston Kyoto Lagos Leeds Lyon Manila Melbourne Milan Montreal Mumbai Munich Naples Osaka "
    "Oxford Krakow Perth Porto Quebec Rotterdam Seattle Seville Sydney Toronto Turin Utrecht Valencia Vancouver Venice "
    "Winnipeg Zurich"
)
THINGS = _split(
    "apple arrow axe bag ball banana basket bell bench bike blanket boat book boot bottle bowl box bread broom brush "
    "bucket button cake camera candle carpet cart chain chair cheese clock cloth coat coin comb compass cup curtain "
    "desk dish doll door drum fan feather fence flag flute fork glass glove guitar hammer hat helmet hook horn jar "
    "jug kettle key kite knife ladder lamp leaf letter lock magnet map mask mirror mug nail needle net orange oven "
    "paddle paint pan paper pear pen pencil phone piano pillow pin pipe plate plum pot purse ribbon ring rope rug "
    "saddle sail saw scarf shell shirt shoe shovel soap sock sofa spoon stamp stone stool sword table tent thread "
    "ticket towel train tray tree truck umbrella vase violin wagon wallet wheel whistle window wire yarn"
)
_ASKERS = (
    "You answer questions of {name}, {job} in {city}.",
    "You help {name}, {job} in {city}.",
    "{name}, {job} in {city}, has a question.",
    "The user is {name}, {job} in {city}.",
    "You are talking to {name}, {job} in {city}.",
    "A question of {name}, {job} in {city}.",
    "You are the assistant of {name}, {job} in {city}.",
    "{name}, {job} in {city}, is asking.",
)
ASKER_RADICES = (len(_ASKERS), len(NAMES), len(JOBS), len(CITIES))


def asker(digits: Sequence[int]) -> str:
    """Who asks, as a system turn, from four digits below `ASKER_RADICES`; different digits give different texts."""
    return _ASKERS[digits[0]].format(name=NAMES[digits[1]], job=JOBS[digits[2]], city=CITIES[digits[3]])
