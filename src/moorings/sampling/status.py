"""What became of a sample, told from the finish reason and the opening of the text.

Refusals that an endpoint does not mark are recognised by a fixed, documented list of English openings; it errs
on the side of missing some. The text is kept whatever the status.
"""

from __future__ import annotations

import re

from moorings.records import FinishReason, SampleStatus

__all__ = ["classify", "opens_with_refusal"]

_LEAD = r"(?:(?:i'm|i am) (?:very |so |really |truly )?sorry,? (?:but )?|sorry,? (?:but )?|unfortunately,? |i apologi[sz]e,? (?:but )?|as an? (?:ai|artificial|language)[^.!?]{0,60}? )?"
_CANNOT = r"(?:i (?:can't|cannot|can not|couldn't|won't|will not|am not able to|am unable to|must decline to)|i'm (?:not able|unable) to|i (?:do not|don't) feel comfortable)"
_HELP = r" (?:help|assist|provid|do that|comply|fulfil|answer|engag|support|creat|writ|generat|giv|shar|discuss|offer|continu)"
_OPENING = re.compile(_LEAD + _CANNOT + _HELP)
_HEAD_CHARS = 300


def opens_with_refusal(text: str) -> bool:
    """Whether a text opens by declining: an optional apology, "I can't", and a verb of helping.

    >>> opens_with_refusal("I'm sorry, but I cannot assist with that."), opens_with_refusal("I can't wait!")
    (True, False)
    """
    head = " ".join(text[:_HEAD_CHARS].lower().replace("\u2019", "'").split())
    return _OPENING.match(head) is not None


def classify(text: str, finish_reason: FinishReason) -> SampleStatus:
    """Give a sample its one status; failures come first, then refusals, empty and truncated ones.

    >>> classify("I'm sorry, but I can't help with that.", "stop").value
    'refused'
    """
    if finish_reason == "error":
        return SampleStatus.FAILED
    if finish_reason == "too_long":
        return SampleStatus.TOO_LONG
    if finish_reason == "refusal" or opens_with_refusal(text):
        return SampleStatus.REFUSED
    if not text.strip():
        return SampleStatus.EMPTY
    return SampleStatus.TRUNCATED if finish_reason == "length" else SampleStatus.COMPLETED
