"""How much of the prompt comes back in the response."""

from __future__ import annotations

from math import nan, sqrt

from moorings.compare.battery.feature import SHARE, feature
from moorings.compare.battery.text import Text

__all__: list[str] = []

_MOST_WORDS = 2_000
_RESTATED_WORDS = 15
_RESTATED_RUN = 4


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
    asked = text.prompt_words.content
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
    asked, said = text.prompt_words.content, text.prose_words.content
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
