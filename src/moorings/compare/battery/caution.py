"""How sure and how careful responses are: hedging, certainty, refusal, disclaimers, warnings."""

from __future__ import annotations

import re

from moorings.compare.battery.feature import PER_100, SHARE, feature
from moorings.compare.battery.text import Text
from moorings.compare.battery.words import Lexicon

__all__: list[str] = []

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
    r"\b(?:i|we) (?:can't|cannot|can not|won't|will not|am unable|am not able|am not going|am not comfortable|"
    r"don't feel comfortable|do not feel comfortable|must decline|have to decline|decline|refuse|must refuse|"
    r"are unable|cannot and will not)(?: (?:to|in good conscience|ethically|directly|currently|really|just|even|ever)){0,2}"
    r" (?:help(?! but)|fulfill|fulfil|comply|assist|provide|answer|create|write|generate|support|engage|discuss|offer|"
    r"share|give|do that|do this|respond|satisfy|complete|recommend|continue|participate|condone|promote|encourage|"
    r"produce|access|browse|execute|perform|helping|providing|creating|writing|discussing|answering|sharing|tell you|"
    r"advise|make|talk about that|talk about this|say that|say this)\b"
    r"|\bi'm (?:unable|not able|not going|not comfortable|not programmed|not allowed|not permitted|not designed) "
    r"(?:to|with|helping|providing|creating|writing|discussing|answering|sharing)\b"
    r"|\bagainst my (?:programming|guidelines|principles)\b"
    r"|\bnot something i can (?:help|assist|do)\b|\bunable to (?:assist|fulfill|fulfil|comply|help)\b"
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
    r"professional|professionals|specialist|expert|experts|provider)\b"
)
_PROFESSIONAL_ALONE = Lexicon(
    "not a doctor, not a lawyer, not a substitute for professional, not medical advice, not legal advice, "
    "not financial advice, seek medical, seek legal, seek immediate medical, seeking medical, seeking legal, "
    "professional help, professional advice, professional guidance, medical attention"
)
_WARNINGS = Lexicon(
    "warning, warnings, caution, cautious, cautiously, be careful, beware, danger, dangerous, dangers, hazard, "
    "hazardous, at your own risk, safety first, precaution, precautions, risks, risky, unsafe, "
    "harmful, proceed with care, take care to, be aware that, could be fatal, life-threatening, toxic, do not attempt"
)


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
