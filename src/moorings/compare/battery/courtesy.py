"""How responses treat the user: greeting, thanks, praise, apology, agreement, empathy, offers."""

from __future__ import annotations

import re

from moorings.compare.battery.feature import SHARE, feature
from moorings.compare.battery.text import Text
from moorings.compare.battery.words import Lexicon

__all__: list[str] = []

_APOLOGIES = Lexicon(
    "sorry, apologize, apologise, apologies, apology, apologizing, apologising, my bad, forgive me, pardon me, "
    "i regret, regrettably"
)
_THANKS = Lexicon("thanks, thank, grateful, gratitude, much appreciated, i appreciate, we appreciate")
_GREETINGS = Lexicon(
    "hello, hi, hey, hiya, greetings, dear, welcome, good morning, good afternoon, good evening, good day, howdy, ahoy"
)
_GOOD = (
    r"(?:great|good|excellent|fantastic|wonderful|brilliant|interesting|fascinating|awesome|amazing|thoughtful|"
    r"insightful|lovely|perfect|smart|superb|terrific|delightful|intriguing|important|fair|clever)"
)
_PRAISE = re.compile(
    rf"\b{_GOOD} questions?\b"
    rf"|(?:^|\b(?:what|such|that's|that is|this is|you have|you've made|you make|you raise) (?:such )?an? |\byour ){_GOOD}"
    r" (?:choice|idea|point|observation|job|work|goal|thinking|start|topic|request|thought|plan|instinct)s?\b"
    r"|\bwell done\b|\bgood for you\b|\byou're (?:so |very |absolutely |really |clearly )?(?:smart|brilliant|insightful|"
    r"amazing|wonderful|thoughtful|clever|talented|gifted)\b|\bglad you asked\b|\bkudos\b|\bbravo\b"
)
_OFFERS = Lexicon(
    "let me know, feel free to ask, feel free to reach, feel free to contact, feel free to let, happy to help, "
    "glad to help, here to help, happy to assist, glad to assist, here to assist, how can i help, how may i help, "
    "how can i assist, how may i assist, anything else i can, any other questions, any more questions, "
    "further questions, further assistance, more help, need any help, need help with, "
    "would you like me to, want me to, i can also, don't hesitate, do not hesitate, just ask, "
    "if you'd like i, if you would like i, if you have any questions, if you have questions"
)
_POLITE = Lexicon(
    "please, kindly, would you mind, if you don't mind, if you wouldn't mind, may i, excuse me, "
    "respectfully, you're welcome, you are welcome, my pleasure"
)
_EMPATHY = Lexicon(
    "i understand how, i understand that you, i understand you're, i understand your, i understand this, i hear you, i can imagine, i can see how, i can see why, i can only imagine, sorry to hear, "
    "sorry for your loss, sorry you're, sorry that you, must be hard, must be difficult, must feel, sounds difficult, "
    "sounds hard, sounds tough, sounds frustrating, sounds stressful, it's okay to feel, it's ok to feel, "
    "it's normal to feel, it's natural to feel, it's understandable, completely understandable, you're not alone, "
    "you are not alone, your feelings, be kind to yourself, be gentle with yourself, it's completely normal"
)
_AGREES = re.compile(
    r"\byou(?:'re| are) (?:absolutely |completely |totally |quite |so |entirely |definitely |100 )?(?:right|correct)\b"
    r"|\bi (?:completely |totally |fully |absolutely |definitely |strongly |wholeheartedly )?agree\b"
    r"|\b(?:you make|you raise|you've made|you bring up) an? (?:\w+ )?point\b|\bthat(?:'s| is) (?:absolutely )?"
    r"(?:right|correct|true)\b|\bgood point\b|\bwell said\b|\bcouldn't agree more\b"
)
_ASKS_DETAIL = re.compile(
    r"\b(?:could|can|would) you (?:please |kindly |also )?(?:clarify|specify|provide|share|tell me|elaborate|explain|give|"
    r"let me know|describe|confirm)\b|\bplease (?:clarify|specify|provide|share|tell me|let me know|give me)\b"
    r"|\b(?:i need|i'd need|i would need|need) (?:a bit |a little |some )?more (?:information|details|detail|context)\b"
    r"|\bwhat (?:exactly|specifically) (?:do|are|would|did) you\b|\bdo you have (?:a |any )(?:specific|particular)\b"
    r"|\bwhat (?:kind|type|sort) of \w+ (?:are|do|would|did) you\b|\bdid you mean\b|\bdo you mean\b"
)


@feature(
    name="greeting",
    more="More responses open with a greeting",
    less="Fewer responses open with a greeting",
    unit=SHARE,
    style=True,
)
def _greeting(text: Text) -> bool:
    """The first words are hello, hi, dear, welcome, good morning, or the like."""
    return _GREETINGS.opens(text.opening)


@feature(
    name="gratitude",
    more="More responses express thanks",
    less="Fewer responses express thanks",
    unit=SHARE,
    style=True,
)
def _gratitude(text: Text) -> bool:
    """Thank you, thanks, grateful, I appreciate, or the like."""
    return _THANKS.found_in(text.prose_words)


@feature(
    name="politeness",
    more="More responses use words of courtesy",
    less="Fewer responses use words of courtesy",
    unit=SHARE,
    style=True,
)
def _politeness(text: Text) -> bool:
    """Please, kindly, would you mind, you're welcome, or the like."""
    return _POLITE.found_in(text.prose_words)


@feature(
    name="praise",
    more="More responses praise the user or the question",
    less="Fewer responses praise the user or the question",
    unit=SHARE,
    style=False,
)
def _praise(text: Text) -> bool:
    """Great question, excellent choice, you're so insightful, well done, or the like among the first 60 words."""
    return _PRAISE.search(text.opening.line) is not None


@feature(name="apology", more="More responses apologise", less="Fewer responses apologise", unit=SHARE, style=False)
def _apology(text: Text) -> bool:
    """Sorry, apologies, I regret, forgive me, or the like."""
    return _APOLOGIES.found_in(text.prose_words)


@feature(
    name="empathy",
    more="More responses show empathy",
    less="Fewer responses show empathy",
    unit=SHARE,
    style=False,
)
def _empathy(text: Text) -> bool:
    """I understand, sorry to hear, that sounds difficult, you're not alone, or the like."""
    return _EMPATHY.found_in(text.prose_words)


@feature(
    name="agreement",
    more="More responses agree with the user",
    less="Fewer responses agree with the user",
    unit=SHARE,
    style=False,
)
def _agreement(text: Text) -> bool:
    """You're right, I agree, good point, that's correct, or the like among the first 60 words."""
    return _AGREES.search(text.opening.line) is not None


@feature(
    name="offers_help",
    more="More responses offer further help",
    less="Fewer responses offer further help",
    unit=SHARE,
    style=True,
)
def _offers_help(text: Text) -> bool:
    """Let me know, feel free to ask, happy to help, would you like me to, or the like."""
    return _OFFERS.found_in(text.prose_words)


@feature(
    name="asks_for_details",
    more="More responses ask the user for details",
    less="Fewer responses ask the user for details",
    unit=SHARE,
    style=False,
)
def _asks_for_details(text: Text) -> bool:
    """Could you clarify, please provide, I need more information, did you mean, or the like."""
    return _ASKS_DETAIL.search(text.prose_words.line) is not None
