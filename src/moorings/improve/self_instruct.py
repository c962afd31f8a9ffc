"""Self-instruct: the model writes new prompts after examples, and answers them (Wang et al. 2022, arXiv:2212.10560).

A numbered list of 6 prompts of the round and 2 that the model wrote in earlier rounds is shown, and the model goes on
with it; a new prompt is kept if its ROUGE-L with every known one is below 0.7, its length is between 3 and 150 words,
and it names nothing that text cannot deal with. Then the model answers those kept. ROUGE-L = 2 LCS(a, b) / (|a| + |b|)
over words (Lin 2004). `by: embedding` compares cosines instead, which also sees paraphrases.
Left out: telling classification tasks apart, output-first generation, the presence penalty.
What it must show: no kept prompt is nearer to another than the limit, and the spread of kept prompts beside the seeds'
is logged, as a loop of this kind narrows.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
from pydantic import Field

from moorings.compare.battery.words import split_words
from moorings.errors import InputError
from moorings.feedback.lexical import count_phrases
from moorings.improve.asking import Asking, as_prompt, ask_all, draw, last_text, share_of
from moorings.improve.data import DataMethod, DataRow, DataStep, Workbench, data_methods, make_row
from moorings.records import Decoding, Message, Prompt

__all__ = ["SelfInstructConfig", "listed_prompts", "rouge_l", "self_instruct"]

_ITEM = re.compile(r"^[ \t]*+(?:(?:\d{1,3}[.):]|[-*\u2022])[ \t]++)++(\S[^\n]*+)$", re.MULTILINE)
_UNABLE = "image images graph graphs picture pictures file files map maps draw plot video audio music flowchart diagram"


class SelfInstructConfig(Asking):
    """Settings of `self_instruct`; those of answers are `Asking`'s."""

    n_requests: int = Field(default=16, ge=1)
    """Lists that the model is asked to go on with; each yields several prompts."""
    n_prompts: int | None = Field(default=None, ge=1)
    """Most new prompts that are answered; None answers all that pass."""
    n_seeds: int = Field(default=6, ge=1)
    """Prompts of the round that each list shows; the paper's number."""
    n_own_seeds: int = Field(default=2, ge=0)
    """Prompts that the model wrote in earlier rounds and each list shows, if there are any; the paper's number."""
    instruction: str = "Come up with a series of tasks. Write one task a line and go on with the numbers."
    """What stands above the list; the paper's first sentence, and ours."""
    by: Literal["rouge", "embedding"] = "rouge"
    """How likeness to known prompts is measured."""
    max_similarity: float = Field(default=0.7, gt=0.0, le=1.0)
    """Likeness from which a new prompt is dropped; the paper's for ROUGE-L."""
    min_words: int = Field(default=3, ge=1)
    """Shorter prompts are dropped; as in the paper's code."""
    max_words: int = Field(default=150, ge=1)
    """Longer prompts are dropped; as in the paper's code."""
    blocked: tuple[str, ...] = tuple(_UNABLE.split())
    """Prompts with one of these words are dropped, as a language model cannot do what they ask; as in the paper's code."""
    prompt_tokens: int = Field(default=256, ge=1)
    """Most tokens of a list that the model writes."""
    prompt_temperature: float = Field(default=0.7, ge=0.0)
    """Temperature at which prompts are written; the paper's."""
    prompt_top_p: float = Field(default=0.5, gt=0.0, le=1.0)
    """Nucleus mass at which prompts are written; the paper's."""


class _New(NamedTuple):
    text: str
    parents: tuple[str, ...]


@data_methods.register("self_instruct", SelfInstructConfig)
def self_instruct(config: SelfInstructConfig) -> DataMethod:
    """New prompts by the model, with its answers."""

    def method(rows: list[DataRow], workbench: Workbench) -> DataStep:
        if not workbench.prompts:
            raise InputError("self_instruct has no prompts to start from; give the run `prompts`")
        dropped: Counter[str] = Counter()
        found, n_silent = _write(config, workbench)
        known = [last_text(prompt.messages) for prompt in workbench.prompts]
        known += [last_text(row.prompt) for some in [*workbench.history, rows] for row in some]
        kept, nearest = _filter(config, found, list(dict.fromkeys(known)), workbench, dropped)
        if config.n_prompts is not None:
            dropped["more prompts than wanted"] += len(kept[config.n_prompts :])
            kept = kept[: config.n_prompts]
        made = _answer(config, kept, workbench, dropped)
        metrics = {
            "candidates": float(len(found)),
            "requests": float(config.n_requests),
            "silent_share": share_of(n_silent, config.n_requests),
            "new_prompts": float(len(kept)),
            "new_share": share_of(len(kept), len(found)),
            "mean_nearest_similarity": float(np.mean(nearest)) if nearest else 0.0,
            "mean_prompt_words": share_of(sum(len(split_words(new.text)) for new in kept), len(kept)),
            **_spread(kept, workbench),
        }
        return DataStep([*rows, *made], dict(dropped), metrics)

    return method


def _write(config: SelfInstructConfig, workbench: Workbench) -> tuple[list[_New], int]:
    """Prompts that the model wrote, and how many of its replies held none."""
    rng = workbench.rng
    own = [row for some in workbench.history for row in some if row.method == "self_instruct"]
    asked: list[tuple[Prompt, tuple[str, ...]]] = []
    for number in range(config.n_requests):
        seeds = draw(workbench.prompts, config.n_seeds, rng)
        mine = draw(own, config.n_own_seeds, rng) if config.n_own_seeds else []
        shown = [last_text(seed.messages) for seed in seeds] + [last_text(row.prompt) for row in mine]
        order = rng.permutation(len(shown))
        lines = [f"{place + 1}. {' '.join(shown[at].split())}" for place, at in enumerate(order)]
        text = "\n".join([config.instruction, "", *lines, f"{len(lines) + 1}."])
        parents = (*(seed.prompt_id for seed in seeds), *(row.row_id for row in mine))
        asked.append((as_prompt((Message(role="user", content=text),), str(number)), parents))
    decoding = Decoding(
        max_new_tokens=config.prompt_tokens, temperature=config.prompt_temperature, top_p=config.prompt_top_p
    )
    answers = ask_all(workbench.subject, [prompt for prompt, _ in asked], workbench.label("prompts"), decoding=decoding)
    found: list[_New] = []
    n_silent = 0
    for (_, parents), some in zip(asked, answers, strict=True):
        texts = listed_prompts(some[0].response, cut=some[0].finish_reason == "length")
        n_silent += not texts
        found += [_New(text, (*parents, some[0].key)) for text in texts]
    return found, n_silent


def listed_prompts(reply: str, *, cut: bool) -> list[str]:
    """Items of a list that goes on with a number; the last one of a reply that was cut is left out.

    A first line without a number is an item too, unless it announces the list with a colon.

    >>> listed_prompts("Name a fish.\\n8. Name a bird.\\n9. Na", cut=True)
    ['Name a fish.', 'Name a bird.']
    """
    lines = reply.strip().splitlines()
    first = lines[0].strip() if lines else ""
    found = [] if not first or first.endswith(":") or _ITEM.match(first) else [first]
    found += [match[1].strip() for match in _ITEM.finditer("\n".join(lines))]
    return found[:-1] if cut else found


def _filter(
    config: SelfInstructConfig, found: Sequence[_New], known: list[str], workbench: Workbench, dropped: Counter[str]
) -> tuple[list[_New], list[float]]:
    """New prompts that pass, and how near each was to its nearest known one."""
    passed: list[_New] = []
    for new in found:
        n_words = len(split_words(new.text))
        if not config.min_words <= n_words <= config.max_words:
            dropped["prompt too short or too long"] += 1
        elif count_phrases(new.text, config.blocked):
            dropped["prompt with a blocked word"] += 1
        else:
            passed.append(new)
    measure = _Embedded(known, passed, workbench) if config.by == "embedding" else _Worded(known, passed)
    kept: list[_New] = []
    nearest: list[float] = []
    for at, new in enumerate(passed):
        likeness = measure.nearest(at)
        if likeness >= config.max_similarity:
            dropped["prompt too similar to another"] += 1
            continue
        measure.keep(at)
        kept.append(new)
        nearest.append(likeness)
    return kept, nearest


class _Worded:
    """Likeness by ROUGE-L."""

    def __init__(self, known: Sequence[str], new: Sequence[_New]) -> None:
        self._known = [_words(text) for text in known]
        self._new = [_words(one.text) for one in new]

    def nearest(self, at: int) -> float:
        """Largest likeness to a known prompt."""
        return max((rouge_l(self._new[at], words) for words in self._known), default=0.0)

    def keep(self, at: int) -> None:
        """Count a new prompt among the known ones."""
        self._known.append(self._new[at])


class _Embedded:
    """Likeness by cosine."""

    def __init__(self, known: Sequence[str], new: Sequence[_New], workbench: Workbench) -> None:
        vectors = workbench.embed([*known, *(one.text for one in new)]) if new else np.empty((0, 1))
        self._cosines = vectors[len(known) :] @ vectors.T if new else np.empty((0, 0))
        self._n_known, self._kept = len(known), list(range(len(known)))

    def nearest(self, at: int) -> float:
        """Largest likeness to a known prompt."""
        return float(self._cosines[at, self._kept].max()) if self._kept else 0.0

    def keep(self, at: int) -> None:
        """Count a new prompt among the known ones."""
        self._kept.append(self._n_known + at)


def _words(text: str) -> list[str]:
    return [word.lower() for word in split_words(text)]


def rouge_l(a: Sequence[str], b: Sequence[str]) -> float:
    """ROUGE-L F-measure of two lists of words, 0 to 1: twice their longest common subsequence over their lengths.

    The subsequence's length comes from whole rows of bits at a time, |b| steps in all.

    >>> rouge_l("the cat sat".split(), "the big cat".split())
    0.6666666666666666

    Source: Lin 2004; bit rows: Hyyrö 2004, Bit-parallel LCS-length computation revisited.
    """
    if not a or not b:
        return 0.0
    places: dict[str, int] = {}
    for at, word in enumerate(a):
        places[word] = places.get(word, 0) | (1 << at)
    full = (1 << len(a)) - 1
    row = full
    for word in b:
        matched = row & places.get(word, 0)
        row = ((row + matched) | (row - matched)) & full
    return 2.0 * (len(a) - row.bit_count()) / (len(a) + len(b))


def _answer(
    config: SelfInstructConfig, kept: Sequence[_New], workbench: Workbench, dropped: Counter[str]
) -> list[DataRow]:
    prompts = [as_prompt((Message(role="user", content=new.text),)) for new in kept]
    answers = ask_all(workbench.subject, prompts, workbench.label("answers"), decoding=config.decoding())
    made: list[DataRow] = []
    for new, prompt, some in zip(kept, prompts, answers, strict=True):
        text, reason = config.usable(some[0])
        if reason:
            dropped[reason] += 1
            continue
        parents = (*new.parents, some[0].key)
        made.append(
            make_row(
                prompt.messages, text, origin="self", method="self_instruct", round=workbench.round, parents=parents
            )
        )
    return made


def _spread(kept: Sequence[_New], workbench: Workbench) -> dict[str, float]:
    """Mean cosine distance between new prompts, and between the round's prompts; at most 256 of each."""
    found = {}
    seeds = [last_text(prompt.messages) for prompt in workbench.prompts]
    for name, texts in (("new_prompt_spread", [new.text for new in kept]), ("seed_spread", seeds)):
        if len(texts) >= 2:
            x = np.asarray(workbench.embed(texts[:256]), dtype=np.float64)
            found[name] = float(1.0 - ((x @ x.T).sum() - len(x)) / (len(x) * (len(x) - 1)))
    return found
