"""How much of the prompt comes back in the response."""

from __future__ import annotations

from collections import Counter
from math import nan, sqrt

from moorings.compare.battery.feature import SHARE, feature
from moorings.compare.battery.text import Text
from moorings.compare.battery.words import Words

__all__: list[str] = []

_STOP = frozenset(
    "a about above after again against all also am an and any are aren't as at be because been before being below "
    "between both but by can can't cannot could couldn't did didn't do does doesn't doing don't down during each few "
    "for from further get give had hadn't has hasn't have haven't having he her here here's hers herself him himself "
    "his how i i'd i'll i'm i've if in into is isn't it it's its itself just let let's like make may me might more most "
    "must my myself need no nor not now of off on once one only or other our ours out over own please same shall she "
    "should so some such than that that's the their theirs them themselves then there there's these they they're this "
    "those through to too under until up us use very want was wasn't we we're we've were weren't what what's when where "
    "which while who whom why will with won't would wouldn't you you'd you'll you're you've your yours yourself "
    "s t d ll m re ve".split()
)
_MOST_WORDS = 2_000
_RESTATED_WORDS = 15
_RESTATED_RUN = 4


def _content(words: Words) -> Counter[str]:
    return Counter({word: n for word, n in words.counts.items() if word not in _STOP})


def _longest_run(words: list[str], prompt: list[str]) -> int:
    """Length of the longest run of words that also stands in the prompt.

    At each word, the run that ends there can only beat the best by one, so one look-up a word is enough.
    """
    inside, known = f" {' '.join(prompt)} ", set(prompt)
    longest = since_unknown = 0
    for end, word in enumerate(words, 1):
        since_unknown = since_unknown + 1 if word in known else 0
        if since_unknown > longest and f" {' '.join(words[end - longest - 1 : end])} " in inside:
            longest += 1
    return longest


@feature(
    name="prompt_words_repeated",
    more="Responses repeat more of the prompt's words",
    less="Responses repeat fewer of the prompt's words",
    unit="share of the prompt's content words",
    style=False,
)
def _prompt_words_repeated(text: Text) -> float:
    """Distinct content words of the prompt that the prose holds; not measured if the prompt has none."""
    asked = _content(text.prompt_words)
    return len(asked.keys() & text.prose_words.counts.keys()) / len(asked) if asked else nan


@feature(
    name="prompt_similarity",
    more="Responses stay closer to the prompt's words",
    less="Responses move further from the prompt's words",
    unit="cosine similarity (0 to 1)",
    style=False,
)
def _prompt_similarity(text: Text) -> float:
    """Cosine between the counts of content words of the prose and of the prompt; not measured if either has none."""
    asked, said = _content(text.prompt_words), _content(text.prose_words)
    if not asked or not said:
        return nan
    dot = sum([n * said[word] for word, n in asked.items()])
    return dot / sqrt(sum([n * n for n in asked.values()]) * sum([n * n for n in said.values()]))


@feature(
    name="longest_copy",
    more="Responses copy longer passages of the prompt",
    less="Responses copy shorter passages of the prompt",
    unit="words",
    style=False,
)
def _longest_copy(text: Text) -> float:
    """Longest run of words taken over from the prompt, over the first 2,000 words of each; not measured without a prompt."""
    prompt = text.prompt_words.words[:_MOST_WORDS]
    return _longest_run(list(text.prose_words.words[:_MOST_WORDS]), list(prompt)) if prompt else nan


@feature(
    name="restates_prompt",
    more="More responses begin by restating the prompt",
    less="Fewer responses begin by restating the prompt",
    unit=SHARE,
    style=True,
)
def _restates_prompt(text: Text) -> float:
    """At least four words in a row of the prompt come back within the first 15; not measured on a shorter prompt."""
    prompt = list(text.prompt_words.words[:_MOST_WORDS])
    if len(prompt) < _RESTATED_RUN:
        return nan
    return float(_longest_run(list(text.prose_words.words[:_RESTATED_WORDS]), prompt) >= _RESTATED_RUN)
