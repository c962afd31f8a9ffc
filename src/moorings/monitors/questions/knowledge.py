"""Questions with known answers that a small model can partly answer: facts, sums, copying, spelling, order, opposites."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence
from typing import NamedTuple

from moorings.monitors.questions.fresh import Drawn, Space, distinct
from moorings.monitors.questions.words import ASKER_RADICES, THINGS, asker

__all__ = ["KINDS", "Known", "is_correct", "make_known"]


class Known(NamedTuple):
    """A question with its answer."""

    unit: str
    who: str
    """Who asks, for the system turn; no answer depends on it. Empty for questions of a file."""
    text: str
    right: tuple[str, ...]
    """Any of these is right."""
    wrong: tuple[str, ...] = ()
    """Other answers that the question itself names; the one that is named first counts."""


class _Kind(NamedTuple):
    radices: tuple[int, ...]
    make: Callable[[Sequence[int]], tuple[str, tuple[str, ...], tuple[str, ...]]]


def _pairs(text: str) -> tuple[tuple[str, str], ...]:
    found = []
    for part in text.split(";"):
        left, right = part.split("=")
        found.append((left.strip(), right.strip()))
    return tuple(found)


_CAPITALS = _pairs(
    "France=Paris;Germany=Berlin;Italy=Rome;Spain=Madrid;Portugal=Lisbon;Greece=Athens;Austria=Vienna;Belgium=Brussels;"
    "the Netherlands=Amsterdam;Denmark=Copenhagen;Sweden=Stockholm;Norway=Oslo;Finland=Helsinki;Poland=Warsaw;"
    "Hungary=Budapest;the Czech Republic=Prague;Ireland=Dublin;the United Kingdom=London;Russia=Moscow;Ukraine=Kyiv;"
    "Turkey=Ankara;Egypt=Cairo;Kenya=Nairobi;Ethiopia=Addis Ababa;Ghana=Accra;Senegal=Dakar;Morocco=Rabat;"
    "Tunisia=Tunis;Algeria=Algiers;Japan=Tokyo;China=Beijing;South Korea=Seoul;Thailand=Bangkok;Vietnam=Hanoi;"
    "Indonesia=Jakarta;the Philippines=Manila;Iran=Tehran;Iraq=Baghdad;Afghanistan=Kabul;Nepal=Kathmandu;"
    "Bangladesh=Dhaka;Saudi Arabia=Riyadh;Jordan=Amman;Lebanon=Beirut;Syria=Damascus;Canada=Ottawa;Mexico=Mexico City;"
    "Cuba=Havana;Peru=Lima;Chile=Santiago;Argentina=Buenos Aires;Colombia=Bogota;Venezuela=Caracas;Ecuador=Quito;"
    "Uruguay=Montevideo;Brazil=Brasilia;Australia=Canberra;New Zealand=Wellington;Romania=Bucharest;Bulgaria=Sofia;"
    "Serbia=Belgrade;Croatia=Zagreb;Iceland=Reykjavik"
)
_FACTS = _pairs(
    "What colour is a ripe banana?=yellow;What colour is fresh snow?=white;What colour is grass?=green;"
    "What colour is coal?=black;What colour is a ripe tomato?=red;How many days are in a week?=7/seven;"
    "How many months are in a year?=12/twelve;How many legs does a spider have?=8/eight;"
    "How many legs does a dog have?=4/four;How many hours are in a day?=24/twenty-four;"
    "How many minutes are in an hour?=60/sixty;How many sides does a triangle have?=3/three;"
    "How many sides does a square have?=4/four;How many wheels does a bicycle have?=2/two;"
    "Which planet is closest to the Sun?=Mercury;Which planet is known as the red planet?=Mars;"
    "Which is the largest planet of the solar system?=Jupiter;Which star do the planets go round?=Sun;"
    "What do bees make?=honey;Which animal barks?=dog/dogs;Which animal says meow?=cat/cats;"
    "Which gas do people need to breathe?=oxygen;What is frozen water called?=ice;"
    "Which metal has the symbol Fe?=iron;Which element has the symbol O?=oxygen;Which metal has the symbol Au?=gold;"
    "What is the chemical formula of water?=H2O;Who wrote Romeo and Juliet?=Shakespeare;"
    "Who painted the Mona Lisa?=Leonardo/da Vinci;Who developed the theory of relativity?=Einstein;"
    "Who was the first president of the United States?=Washington;On which continent is Egypt?=Africa;"
    "On which continent is Japan?=Asia;On which continent is France?=Europe;On which continent is Brazil?=South America;"
    "Which day comes after Monday?=Tuesday;Which day comes after Friday?=Saturday;Which day comes before Sunday?=Saturday;"
    "Which month comes after March?=April;Which month comes before January?=December;Which month comes after July?=August;"
    "Which letter comes after A in the alphabet?=B;Which season comes after winter?=spring;"
    "What is the largest ocean?=Pacific;What is the highest mountain on Earth?=Everest;"
    "Which organ pumps blood through the body?=heart;Which sense do we use our ears for?=hearing;"
    "Which language is mainly spoken in Brazil?=Portuguese;Which language is mainly spoken in Mexico?=Spanish;"
    "What do caterpillars turn into?=butterfly/butterflies/moth/moths"
)
_OPPOSITES = _pairs(
    "hot=cold;up=down;big=small/little;fast=slow;day=night;light=dark/heavy/darkness;open=closed/close/shut;happy=sad/unhappy;"
    "old=young/new;tall=short;wet=dry;full=empty;early=late;hard=soft/easy;high=low;left=right;near=far;rich=poor;"
    "strong=weak;thick=thin;true=false;wide=narrow;win=lose;buy=sell;push=pull;start=stop/end/finish;"
    "inside=outside;love=hate;loud=quiet/soft/silent;clean=dirty;deep=shallow;safe=dangerous/unsafe;sweet=sour/bitter;"
    "north=south;east=west;black=white;good=bad/evil;first=last;give=take/receive;asleep=awake;alive=dead;"
    "cheap=expensive;above=below;before=after;begin=end/finish;brave=cowardly/afraid/fearful;rough=smooth;"
    "sharp=dull/blunt;simple=complex/complicated/difficult;heavy=light"
)


def _capital(d: Sequence[int]) -> tuple[str, tuple[str, ...], tuple[str, ...]]:
    country, city = _CAPITALS[d[0]]
    return _CAPITAL_FRAMES[d[1]].format(country), (city,), ()


_CAPITAL_FRAMES = (
    "What is the capital of {}?",
    "Which city is the capital of {}?",
    "Name the capital city of {}.",
    "The capital of {} is which city?",
    "What is the name of the capital of {}?",
    "Give the capital of {}.",
)


def _fact(d: Sequence[int]) -> tuple[str, tuple[str, ...], tuple[str, ...]]:
    question, answers = _FACTS[d[0]]
    return question + _FACT_ENDS[d[1]], tuple(answers.split("/")), ()


_FACT_ENDS = (
    "",
    " Answer briefly.",
    " Give a short answer.",
    " One or two words are enough.",
    " Keep it short.",
    " A word will do.",
    " Reply with the answer only.",
    " Be brief.",
)


def _opposite(d: Sequence[int]) -> tuple[str, tuple[str, ...], tuple[str, ...]]:
    word, answers = _OPPOSITES[d[0]]
    return _OPPOSITE_FRAMES[d[1]].format(word), tuple(answers.split("/")), ()


_OPPOSITE_FRAMES = (
    "What is the opposite of '{}'?",
    "Which word means the opposite of '{}'?",
    "Give a word that means the opposite of '{}'.",
    "Name the opposite of the word '{}'.",
    "What word is the contrary of '{}'?",
    "Say the opposite of '{}'.",
    "The opposite of '{}' is which word?",
    "What is an antonym of '{}'?",
)


def _sum(d: Sequence[int]) -> tuple[str, tuple[str, ...], tuple[str, ...]]:
    a, b = d[0] + 1, d[1] + 1
    frames = (f"What is {a} + {b}?", f"What is {a + b} - {b}?", f"Complete: {a} + {b} =", f"Complete: {a + b} - {b} =")
    return frames[d[2]], (str(a if d[2] % 2 else a + b),), ()


def _copy(d: Sequence[int]) -> tuple[str, tuple[str, ...], tuple[str, ...]]:
    a, b, c = (THINGS[i] for i in distinct(d[:3], len(THINGS)))
    frame = ("Repeat exactly: ", "Copy these words: ", "Write these words again: ")[d[3]]
    return f"{frame}{a} {b} {c}", (f"{a} {b} {c}", f"{a} {b} and {c}"), ()


def _spelling(d: Sequence[int]) -> tuple[str, tuple[str, ...], tuple[str, ...]]:
    word = THINGS[d[0]]
    at = next(i for i in range(1, len(word) - 1) if word[i] != word[i + 1])
    wrong = word[:at] + word[at + 1] + word[at] + word[at + 2 :]
    first, second = (word, wrong) if d[2] else (wrong, word)
    frames = (
        f"Which is the right spelling, '{first}' or '{second}'?",
        f"Which word is spelled correctly: '{first}' or '{second}'?",
        f"Is it '{first}' or '{second}'? Write the word that exists.",
        f"One of these is a mistake: '{first}', '{second}'. Write the correct word.",
    )
    return frames[d[1]], (word,), (wrong,)


def _order(d: Sequence[int]) -> tuple[str, tuple[str, ...], tuple[str, ...]]:
    a, b = (i + 1 for i in distinct(d[:2], 99))
    largest = max(a, b) if d[2] == 0 else min(a, b)
    word = ("larger", "smaller")[d[2]]
    return f"Which number is {word}, {a} or {b}?", (str(largest),), (str(a + b - largest),)


KINDS: dict[str, _Kind] = {
    "capital": _Kind((len(_CAPITALS), len(_CAPITAL_FRAMES)), _capital),
    "copy": _Kind((len(THINGS), len(THINGS) - 1, len(THINGS) - 2, 3), _copy),
    "fact": _Kind((len(_FACTS), len(_FACT_ENDS)), _fact),
    "opposite": _Kind((len(_OPPOSITES), len(_OPPOSITE_FRAMES)), _opposite),
    "order": _Kind((99, 98, 2), _order),
    "spelling": _Kind((len(THINGS), 4, 2), _spelling),
    "sum": _Kind((12, 12, 4), _sum),
}
"""Kinds of question; each question also names who asks, which no answer depends on."""


def space(kind: str) -> Space:
    """All questions of a kind."""
    return Space(kind, (*ASKER_RADICES, *KINDS[kind].radices))


def make_known(kind: str, drawn: Drawn) -> Known:
    """The question of a member of a kind's space."""
    before, digits = drawn.digits[: len(ASKER_RADICES)], drawn.digits[len(ASKER_RADICES) :]
    text, right, wrong = KINDS[kind].make(digits)
    return Known(drawn.unit, asker(before), text, right, wrong)


def plain(text: str) -> str:
    """Words and numbers in lower case without accents, with a space around each.

    >>> plain("It's Bogotá!")
    " it's bogota "
    """
    bare = "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c)).casefold()
    return " " + " ".join(re.findall(r"[\w'-]+", bare)) + " "


def is_correct(answer: str, known: Known, *, exact: bool = False) -> bool:
    """Whether an answer holds (or, if exact, is) a right one, named before any wrong one.

    >>> order = Known("", "", "Which is larger, 3 or 7?", ("7",), ("3",))
    >>> is_correct("7 is larger than 3.", order), is_correct("3 is larger than 7.", order)
    (True, False)
    """
    said = plain(answer)
    right = [said.find(plain(one)) for one in known.right]
    if exact:
        return said in {plain(one) for one in known.right}
    found = [at for at in right if at >= 0]
    named = [at for at in (said.find(plain(one)) for one in known.wrong) if at >= 0]
    return bool(found) and (not named or min(found) < min(named))
