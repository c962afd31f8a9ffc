"""Manner of speaking: questions, exclamations, person, formality."""

from __future__ import annotations

import re

from moorings.compare.battery.feature import PER_100, SHARE, SHARE_OF_SENTENCES, feature
from moorings.compare.battery.text import EXCLAMATION_MARKS, QUESTION_MARKS, Text, ends_in
from moorings.compare.battery.words import Lexicon

__all__: list[str] = []

_EMOJI = re.compile("[\U0001f000-\U0001faff\u2600-\u27bf\u2b50\u2b55\u231a\u231b\u23e9-\u23f3]")
_YOU = Lexicon("you, your, yours, yourself, yourselves, you're, you'll, you've, you'd")
_I = Lexicon("i, me, my, mine, myself, i'm, i'll, i've, i'd")
_WE = Lexicon("we, us, our, ours, ourselves, we're, we'll, we've, we'd, let's")
_VERBS = (
    "add adjust allow apply arrange ask assess avoid bake be begin blend boil bring browse build buy calculate call "
    "change check choose clean click close collect combine come compare complete consider contact cook cool copy "
    "cover create cut decide define delete describe determine develop discuss divide do don't download drain draw "
    "drink drizzle drop eat encourage engage enjoy ensure enter establish evaluate examine exercise experiment "
    "explain explore find finish focus fold follow gather get give go grab grate grill heat help hold identify "
    "imagine implement include increase insert install invest invite join keep learn leave let limit listen look "
    "maintain make mark measure mix monitor move note offer open organize pack pay peel pick place plan pour practice "
    "practise prepare press prioritize promote provide pull push put reach read recall recognize reduce reflect "
    "remember remove repeat replace research rest review rinse run save schedule search seek select send serve set "
    "share show simmer slice specify spend sprinkle start stay stir stop store stretch substitute take talk taste "
    "tell test think track train transfer travel treat try turn type understand use utilize visit wait walk wash "
    "watch wear whisk work write"
)
_ORDERS = frozenset(_VERBS.split())
_CONTRACTED = re.compile(r"[^\W\d_]'(?:t|m|re|ve|ll|d)$|^(?:it|that|there|here|what|who|where|he|she|how|let)'s$")
_PROFANE = Lexicon(
    "damn, damned, dammit, goddamn, crap, crappy, shit, shitty, bullshit, fuck, fucks, fucked, fucker, fucking, "
    "motherfucker, asshole, ass, bitch, bitches, bastard, bastards, dickhead, piss, pissed, wtf, wanker, bollocks"
)
_FORMAL = Lexicon(
    "furthermore, moreover, thus, hence, thereby, therefore, consequently, nevertheless, nonetheless, whereas, "
    "whereby, wherein, notwithstanding, accordingly, additionally, subsequently, regarding, concerning, pertaining to, "
    "with respect to, in accordance with, prior to, in order to, utilize, utilise, utilizes, utilizing, utilization, "
    "commence, facilitate, facilitates, endeavor, endeavour, ascertain, pursuant, herein, aforementioned, henceforth, "
    "shall, upon, numerous, obtain, demonstrate, demonstrates, constitute, constitutes"
)


@feature(
    name="questions",
    more="Responses ask more questions",
    less="Responses ask fewer questions",
    unit=SHARE_OF_SENTENCES,
    style=True,
)
def _questions(text: Text) -> float:
    """Sentences that end in a question mark; not measured without a sentence."""
    return text.share_of_sentences(sum(ends_in(s, QUESTION_MARKS) for s in text.sentences))


@feature(
    name="exclamations",
    more="Responses use more exclamation marks",
    less="Responses use fewer exclamation marks",
    unit=SHARE_OF_SENTENCES,
    style=True,
)
def _exclamations(text: Text) -> float:
    """Sentences that end in an exclamation mark; not measured without a sentence."""
    return text.share_of_sentences(sum(ends_in(s, EXCLAMATION_MARKS) for s in text.sentences))


@feature(name="emoji", more="More responses hold emoji", less="Fewer responses hold emoji", unit=SHARE, style=True)
def _emoji(text: Text) -> bool:
    """An emoji or pictogram, such as a face, a heart or a tick."""
    return not text.text.isascii() and _EMOJI.search(text.text) is not None


@feature(
    name="second_person",
    more="Responses address the reader more",
    less="Responses address the reader less",
    unit=PER_100,
    style=True,
)
def _second_person(text: Text) -> float:
    """You, your, yourself and their contractions; not measured without a word."""
    return text.per_100(_YOU.count(text.prose_words))


@feature(
    name="first_person",
    more='Responses say "I" more often',
    less='Responses say "I" less often',
    unit=PER_100,
    style=True,
)
def _first_person(text: Text) -> float:
    """I, me, my, myself and their contractions; not measured without a word."""
    return text.per_100(_I.count(text.prose_words))


@feature(
    name="first_person_plural",
    more='Responses say "we" more often',
    less='Responses say "we" less often',
    unit=PER_100,
    style=True,
)
def _first_person_plural(text: Text) -> float:
    """We, us, our, let's and their contractions; not measured without a word."""
    return text.per_100(_WE.count(text.prose_words))


@feature(
    name="instructions",
    more="Responses give more instructions",
    less="Responses give fewer instructions",
    unit=SHARE_OF_SENTENCES,
    style=False,
)
def _instructions(text: Text) -> float:
    """Sentences that begin with one of 190 verbs of instruction, or please and one; not measured without a sentence."""
    n = 0
    for words in text.sentence_words:
        first = words[0].lower() if words else ""
        if first == "please" and len(words) > 1:
            first = words[1].lower()
        n += first in _ORDERS
    return text.share_of_sentences(n)


@feature(
    name="contractions",
    more="Responses use more contractions",
    less="Responses use fewer contractions",
    unit=PER_100,
    style=True,
)
def _contractions(text: Text) -> float:
    """Words such as don't, it's, you're; possessives do not count; not measured without a word."""
    counts = text.prose_words.counts
    return text.per_100(sum(n for word, n in counts.items() if "'" in word and _CONTRACTED.search(word)))


@feature(
    name="formal_words",
    more="Wording is more formal",
    less="Wording is less formal",
    unit=PER_100,
    style=True,
)
def _formal_words(text: Text) -> float:
    """Words such as furthermore, thus, regarding, prior to, utilize; not measured without a word."""
    return text.per_100(_FORMAL.count(text.prose_words))


@feature(
    name="capitals",
    more="Responses write more words in capitals",
    less="Responses write fewer words in capitals",
    unit=PER_100,
    style=True,
)
def _capitals(text: Text) -> float:
    """Words of at least two letters all in capitals, abbreviations included; not measured without a word."""
    return text.per_100(sum([len(word) > 1 and word.isupper() for word in text.cased_words]))


@feature(name="profanity", more="More responses swear", less="Fewer responses swear", unit=SHARE, style=False)
def _profanity(text: Text) -> bool:
    """A swear word of a short English list."""
    return _PROFANE.found_in(text.prose_words)
