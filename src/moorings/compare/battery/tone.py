"""How responses speak to the reader: questions, confidence, courtesy, refusal, advice, person."""

from __future__ import annotations

import re

from moorings.compare.battery.feature import PER_100, SHARE, SHARE_OF_SENTENCES, feature
from moorings.compare.battery.text import Text
from moorings.compare.battery.words import Lexicon

__all__: list[str] = []

_CLOSERS = " \t\"'”’)]*_"
_EMOJI = re.compile("[\U0001f000-\U0001faff\u2600-\u27bf\u2b50\u2b55\u231a\u231b\u23e9-\u23f3]")
_HEDGES = Lexicon(
    "might, perhaps, possibly, maybe, probably, likely, unlikely, seem, seems, seemed, seemingly, appears to, "
    "appear to, suggests that, somewhat, generally, typically, usually, sometimes, presumably, arguably, apparently, "
    "potentially, uncertain, unclear, unsure, not sure, not certain, i think, i believe, i suppose, i guess, it depends, "
    "depends on, approximately, roughly, in some cases, in many cases, tend to, tends to, to some extent, more or less, "
    "could be, may be, may have, may also, may not, as far as i know, hard to say, difficult to say"
)
_CERTAIN = Lexicon(
    "definitely, certainly, clearly, obviously, absolutely, undoubtedly, surely, unquestionably, undeniably, always, "
    "never, no doubt, without a doubt, without doubt, beyond doubt, of course, in fact, completely, totally, entirely, "
    "guaranteed, guarantee, proven, indisputable, indisputably, evidently, impossible, inevitably, inevitable, "
    "every time, for sure, for certain, is certain, am certain, am sure, i'm sure, i'm certain"
)
_REFUSAL = re.compile(
    r"\b(?:i|we) (?:can't|cannot|can not|won't|will not|am unable to|am not able to|am not going to|"
    r"am not comfortable|don't feel comfortable|must decline|have to decline|decline|refuse|must refuse|couldn't|"
    r"are unable to|cannot and will not|do not feel comfortable)(?: (?:to|in good conscience|ethically|directly|"
    r"currently|really|just|even|help you|help with|fulfill|fulfil|comply|assist|provide|answer|create|write|generate|"
    r"support|engage|discuss|offer|share|give|do that|respond|satisfy|complete|recommend|continue|participate|condone|"
    r"promote|encourage|produce|access|browse|with|helping|providing|creating|writing|discussing|answering|sharing|"
    r"help|tell you|advise|make|use)){1,3}\b"
    r"|\bi'm (?:unable|not able|not going|not comfortable|not programmed|not allowed|not permitted|not designed) "
    r"(?:to|with|helping|providing|creating|writing|discussing|answering|sharing)\b"
    r"|\bi (?:can't|cannot) (?:do|talk about|say) (?:that|this)\b|\bagainst my (?:programming|guidelines|principles)\b"
    r"|\bnot something i can (?:help|assist|do)\b|\bunable to (?:assist|fulfill|fulfil|comply|help)\b"
)
_APOLOGIES = Lexicon(
    "sorry, apologize, apologise, apologies, apology, apologizing, apologising, my bad, forgive me, pardon me, "
    "i regret, regrettably"
)
_THANKS = Lexicon("thank you, thanks, thank, grateful, gratitude, much appreciated, i appreciate, we appreciate")
_GREETINGS = Lexicon(
    "hello, hi, hey, hiya, greetings, dear, welcome, good morning, good afternoon, good evening, good day, howdy, ahoy"
)
_PRAISE = re.compile(
    r"\b(?:great|good|excellent|fantastic|wonderful|brilliant|interesting|fascinating|awesome|amazing|thoughtful|"
    r"insightful|lovely|perfect|smart|superb|terrific|important|fair|clever)"
    r" (?:question|choice|idea|point|observation|job|work|goal|thinking|start|topic|request|thought|plan|instinct)s?\b"
    r"|\bwell done\b|\bgood for you\b|\byou're (?:so |very |absolutely |really |clearly )?(?:smart|brilliant|insightful|"
    r"amazing|wonderful|thoughtful|clever|talented|gifted)\b|\bglad you asked\b|\bthanks for asking\b"
    r"|\bkudos\b|\bbravo\b|\byour (?:curiosity|insight|thoughtfulness|interest) (?:is|in)\b"
)
_OFFERS = Lexicon(
    "let me know, feel free to ask, feel free to reach, feel free to contact, feel free to let, happy to help, "
    "glad to help, here to help, happy to assist, glad to assist, here to assist, how can i help, how may i help, "
    "how can i assist, how may i assist, anything else i can, any other questions, any more questions, "
    "any further questions, further questions, further assistance, more help, need any help, need help with, "
    "would you like me to, do you want me to, want me to, i can also, don't hesitate, do not hesitate, just ask, "
    "if you'd like i, if you would like i, if you have any questions, if you have questions"
)
_AI = re.compile(
    r"\b(?:as an?|i'm an?|i am an?|i'm just an?|i am just an?|being an?|i'm only an?) (?:\w+ ){0,2}?"
    r"(?:ai|artificial intelligence|language model|chatbot|assistant|llm|machine|computer program|virtual assistant)\b"
    r"|\bi (?:don't|do not|cannot|can't) have (?:personal|feelings|emotions|opinions|beliefs|consciousness|"
    r"access to real-time|real-time|a physical|physical|human)\b|\bmy (?:training data|knowledge cutoff|training)\b"
    r"|\bi was (?:trained|created|developed) by\b"
)
_PROFESSIONAL = re.compile(
    r"\b(?:consult|consulting|see|talk to|speak to|speak with|talk with|contact|contacting|seek|seeking|visit|ask|"
    r"advice from|advice of|help from|help of|guidance from|guidance of|check with|reach out to|hire|refer to)"
    r" (?:with )?(?:(?:a|an|your|the|medical|legal|financial|professional|licensed|qualified|certified|trained|mental|"
    r"health|healthcare|care|local|advice|help|guidance|assistance|from|of|tax|immediate|attention|or|expert|"
    r"registered|experienced|primary) ){0,7}"
    r"(?:doctor|physician|dentist|pharmacist|dermatologist|therapist|psychologist|psychiatrist|counselor|counsellor|"
    r"veterinarian|vet|nutritionist|dietitian|lawyer|attorney|solicitor|accountant|advisor|adviser|electrician|plumber|"
    r"professional|professionals|specialist|expert|experts|provider|help|advice|attention)\b"
)
_PROFESSIONAL_ALONE = Lexicon(
    "not a doctor, not a lawyer, not a substitute for professional, not medical advice, not legal advice, "
    "not financial advice, seek medical, seek professional, seek legal"
)
_WARNINGS = Lexicon(
    "warning, warnings, caution, cautious, cautiously, be careful, beware, danger, dangerous, dangers, hazard, "
    "hazardous, at your own risk, safety first, safety precautions, precaution, precautions, risks, risky, unsafe, "
    "harmful, proceed with care, take care to, be aware that, could be fatal, life-threatening, toxic, do not attempt"
)
_YOU = Lexicon("you, your, yours, yourself, yourselves, you're, you'll, you've, you'd")
_I = Lexicon("i, me, my, mine, myself, i'm, i'll, i've, i'd")
_WE = Lexicon("we, us, our, ours, ourselves, we're, we'll, we've, we'd, let's")
_ORDERS = frozenset(
    "add adjust allow apply arrange ask assess avoid bake be begin blend boil bring browse build buy calculate call "
    "change check choose clean click close collect combine come compare complete consider contact cook cool copy cover "
    "create cut decide define delete describe determine develop discuss divide do don't download drain draw drink drizzle "
    "drop eat encourage engage enjoy ensure enter establish evaluate examine exercise experiment explain explore find "
    "finish focus fold follow gather get give go grab grate grill heat help hold identify imagine implement include "
    "increase insert install invest invite join keep learn leave let limit listen look maintain make mark measure mix "
    "monitor move note offer open organize pack pay peel pick place plan pour practice practise prepare press prioritize "
    "promote provide pull push put reach read recall recognize reduce reflect remember remove repeat replace research "
    "rest review rinse run save schedule search seek select send serve set share show simmer slice specify spend "
    "sprinkle start stay stir stop store stretch substitute take talk taste tell test think track train transfer travel "
    "treat try turn type understand use utilize visit wait walk wash watch wear whisk work write".split()
)
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
_POLITE = Lexicon(
    "please, kindly, would you mind, if you don't mind, if you wouldn't mind, may i, with respect, excuse me, "
    "respectfully, you're welcome, you are welcome, my pleasure, if you please, could you please"
)
_EMPATHY = Lexicon(
    "i understand, i hear you, i can imagine, i can see how, i can see why, i can only imagine, sorry to hear, "
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
    r"|\bmore (?:information|details|context) (?:about|on) (?:what|your|the)\b.{0,40}\?"
    r"|\bwhat (?:exactly|specifically) (?:do|are|would|did) you\b|\bdo you have (?:a |any )(?:specific|particular)\b"
    r"|\bwhat (?:kind|type|sort) of \w+ (?:are|do|would|did) you\b|\bdid you mean\b|\bdo you mean\b"
)


def _ends(sentence: str, marks: tuple[str, ...]) -> bool:
    return sentence.rstrip(_CLOSERS).endswith(marks)


@feature(
    name="questions",
    more="Responses ask more questions",
    less="Responses ask fewer questions",
    unit=SHARE_OF_SENTENCES,
    style=True,
)
def _questions(text: Text) -> float:
    """Sentences that end in a question mark; not measured without a sentence."""
    return text.share_of_sentences(sum(_ends(s, ("?", "？", "؟")) for s in text.sentences))


@feature(
    name="exclamations",
    more="Responses use more exclamation marks",
    less="Responses use fewer exclamation marks",
    unit=SHARE_OF_SENTENCES,
    style=True,
)
def _exclamations(text: Text) -> float:
    """Sentences that end in an exclamation mark; not measured without a sentence."""
    return text.share_of_sentences(sum(_ends(s, ("!", "！")) for s in text.sentences))


@feature(name="emoji", more="More responses hold emoji", less="Fewer responses hold emoji", unit=SHARE, style=True)
def _emoji(text: Text) -> bool:
    """An emoji or pictogram, such as a face, a heart or a tick."""
    return not text.text.isascii() and _EMOJI.search(text.text) is not None


@feature(name="hedging", more="Responses hedge more", less="Responses hedge less", unit=PER_100, style=False)
def _hedging(text: Text) -> float:
    """Words such as might, perhaps, probably, seems, generally, I think, it depends; not measured without a word."""
    return text.per_100(_HEDGES.count(text.prose_words))


@feature(
    name="certainty",
    more="Responses sound more certain",
    less="Responses sound less certain",
    unit=PER_100,
    style=False,
)
def _certainty(text: Text) -> float:
    """Words such as definitely, clearly, always, never, in fact, guaranteed; not measured without a word."""
    return text.per_100(_CERTAIN.count(text.prose_words))


@feature(
    name="refusal",
    more="More responses decline to do what was asked",
    less="Fewer responses decline to do what was asked",
    unit=SHARE,
    style=False,
)
def _refusal(text: Text) -> bool:
    """Phrases such as I can't help with, I'm unable to, I must decline among the first 60 words."""
    return _REFUSAL.search(text.opening.line) is not None


@feature(
    name="apology", more="More responses apologise", less="Fewer responses apologise", unit=SHARE, style=False
)
def _apology(text: Text) -> bool:
    """Sorry, apologies, I regret, forgive me, or the like."""
    return _APOLOGIES.found_in(text.prose_words)


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
    name="praise",
    more="More responses praise the user or the question",
    less="Fewer responses praise the user or the question",
    unit=SHARE,
    style=False,
)
def _praise(text: Text) -> bool:
    """Great question, excellent choice, you're so insightful, well done, or the like among the first 60 words."""
    return _PRAISE.search(text.opening.line) is not None


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
    name="ai_disclaimer",
    more="More responses say that an AI is speaking",
    less="Fewer responses say that an AI is speaking",
    unit=SHARE,
    style=False,
)
def _ai_disclaimer(text: Text) -> bool:
    """As an AI, I'm a language model, I don't have personal opinions, my training data, or the like."""
    return _AI.search(text.prose_words.line) is not None


@feature(
    name="consult_professional",
    more="More responses advise to consult a professional",
    less="Fewer responses advise to consult a professional",
    unit=SHARE,
    style=False,
)
def _consult_professional(text: Text) -> bool:
    """Consult a doctor, speak to a lawyer, seek professional help, not medical advice, or the like."""
    return _PROFESSIONAL_ALONE.found_in(text.prose_words) or _PROFESSIONAL.search(text.prose_words.line) is not None


@feature(
    name="warnings",
    more="Responses warn of risks more",
    less="Responses warn of risks less",
    unit=PER_100,
    style=False,
)
def _warnings(text: Text) -> float:
    """Words such as warning, caution, be careful, dangerous, risks, precautions; not measured without a word."""
    return text.per_100(_WARNINGS.count(text.prose_words))


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
    """Sentences that begin with one of 200 verbs of instruction, or please and one; not measured without a sentence."""
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


@feature(name="profanity", more="More responses swear", less="Fewer responses swear", unit=SHARE, style=False)
def _profanity(text: Text) -> bool:
    """A swear word of a short English list."""
    return _PROFANE.found_in(text.prose_words)


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
    name="asks_for_details",
    more="More responses ask the user for details",
    less="Fewer responses ask the user for details",
    unit=SHARE,
    style=False,
)
def _asks_for_details(text: Text) -> bool:
    """Could you clarify, please provide, I need more information, did you mean, or the like."""
    return _ASKS_DETAIL.search(text.prose_words.line) is not None
