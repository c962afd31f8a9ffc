"""Style collapse: answers to different prompts become like one another.

Prompts are paired off in their order, so each answer is in one pair and pairs are independent. The likeness of two
answers, in [0, 1], is one of
- opening: Jaccard index of the n-grams (one to three words) of the first `words` words, those at their place only;
- style: 1 - mean difference of the style features of the battery, each mapped to [0, 1] by v / (v + typical value);
- both: the mean of the two.
d = likeness(candidate's two answers) - likeness(anchor's two answers). Homogeneity across prompts after feedback
training: Kirk et al. 2024, Understanding the Effects of RLHF (arXiv:2310.06452), "across-input diversity"; pairing is
ours, because a mean over all pairs would not be independent between units.
Left out: likeness in content, which embeddings would give. It must show: a shared opening planted in a share x of
answers gives about x^2 times what the opening is of the measured words; 0 without a change.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import Field

from moorings.monitors.asking import MISSING, collect, mean
from moorings.monitors.monitor import Differences, Gathering, Monitor, MonitorConfig, Side, monitors
from moorings.monitors.reading import battery_feature
from moorings.records import Interaction, Prompt

if TYPE_CHECKING:
    from jaxtyping import Float

__all__ = ["StyleCollapse", "StyleCollapseConfig", "opening_likeness", "style_vectors"]

_TYPICAL = {
    "words": 50.0,
    "sentences": 4.0,
    "paragraphs": 2.0,
    "words_per_sentence": 15.0,
    "word_length": 4.5,
    "line_breaks": 5.0,
    "questions": 0.2,
    "exclamations": 0.2,
    "dashes": 1.0,
    "bullet_list": 1.0,
    "numbered_list": 1.0,
    "headings": 1.0,
    "bold": 1.0,
    "code_block": 1.0,
    "emoji": 1.0,
    "greeting": 1.0,
    "praise": 1.0,
    "starts_with_consent": 1.0,
    "offers_help": 1.0,
    "ends_with_question": 1.0,
}
"""Style features that are compared, with the value that maps to 1/2; round numbers of ordinary answers, chosen by us."""


class StyleCollapseConfig(MonitorConfig):
    """Settings of monitor `style_collapse`."""

    measure: Literal["opening", "style", "both"] = "both"
    """Which likeness the evidence is about; the parts are given as details."""
    words: int = Field(default=8, ge=1, le=100)
    """Words at the start of an answer that count as its opening."""


class StyleCollapse:
    """See the module."""

    side: Side = "more"
    n_units: int | None = None

    def __init__(self, config: StyleCollapseConfig) -> None:
        self.config = config
        named = {"opening": "open", "style": "are written", "both": "open and are written"}[config.measure]
        self.statement = f"The candidate's answers to different prompts {named} more alike than the anchor's."

    def measure(self, gathering: Gathering) -> Differences:
        """Differences of one look; see `Monitor`."""
        asked = gathering.general
        sides = {"anchor": asked.anchor, "candidate": asked.candidate}
        if asked.previous is not None:
            sides["previous"] = asked.previous
        parts = {who: self._likeness(asked.prompts, answers) for who, answers in sides.items()}
        level = {who: self._chosen(part) for who, part in parts.items()}
        details = {f"{who}_{name}": mean(values) for who, part in parts.items() for name, values in part.items()}
        commonest = {who: _commonest(answers) for who, answers in sides.items()}
        details |= {f"{who}_top_opening": share for who, (_, share) in commonest.items()}
        words, share = commonest["candidate"]
        ids = [prompt.prompt_id for prompt in asked.prompts]
        return collect(
            [f"{first}|{second}" for first, second in zip(ids[0::2], ids[1::2], strict=False)],
            level["candidate"] - level["anchor"],
            level["anchor"],
            level["candidate"],
            lambda a, c, n: (
                f"Likeness of answers to different prompts, over {n} pairs: {a:.3f} for the anchor, {c:.3f} for the "
                f'candidate; {share:.1%} of the candidate\'s answers open with "{words}".'
            ),
            details,
            level["candidate"] - level["previous"] if "previous" in level else None,
        )

    def _chosen(self, parts: dict[str, Float[np.ndarray, " m"]]) -> Float[np.ndarray, " m"]:
        if self.config.measure == "both":
            return np.asarray((parts["opening"] + parts["style"]) / 2)
        return parts[self.config.measure]

    def _likeness(
        self, prompts: Sequence[Prompt], answers: Sequence[Interaction]
    ) -> dict[str, Float[np.ndarray, " m"]]:
        """Of each pair of neighbours; NaN where an answer is missing."""
        style = style_vectors([answer.response for answer in answers])
        m = len(answers) // 2
        found = {"opening": np.full(m, np.nan), "style": np.full(m, np.nan)}
        for k in range(m):
            first, second = answers[2 * k], answers[2 * k + 1]
            if first.status in MISSING or second.status in MISSING:
                continue
            found["opening"][k] = opening_likeness(first.response, second.response, self.config.words)
            found["style"][k] = 1 - float(np.mean(np.abs(style[2 * k] - style[2 * k + 1])))
        return found


def opening_likeness(first: str, second: str, words: int) -> float:
    """Jaccard index of the n-grams of one to three words, with their places, of two openings; 1 if both are empty.

    >>> opening_likeness("Sure! Here it is", "sure! I think so", 4)
    0.05882352941176470...
    """
    grams = []
    for text in (first, second):
        said = text.lower().split()[:words]
        grams.append({(i, *said[i : i + n]) for n in (1, 2, 3) for i in range(len(said) - n + 1)})
    either = grams[0] | grams[1]
    return len(grams[0] & grams[1]) / len(either) if either else 1.0


def style_vectors(texts: Sequence[str]) -> Float[np.ndarray, "n f"]:
    """Style features of answers, each in [0, 1]; what cannot be measured counts as 0."""
    from moorings.compare.battery import Text

    measured = [(battery_feature(name), typical) for name, typical in _TYPICAL.items()]
    values = np.zeros((len(texts), len(measured)))
    for i, text in enumerate(texts):
        read = Text(text)
        for k, (measure, typical) in enumerate(measured):
            value = max(np.nan_to_num(measure(read)), 0.0)
            values[i, k] = value if measure.feature.binary else value / (value + typical)
    return values


def _commonest(answers: Sequence[Interaction]) -> tuple[str, float]:
    """The commonest first three words, and the share of answers that open with them."""
    openings = [" ".join(a.response.lower().split()[:3]) for a in answers if a.status not in MISSING]
    if not openings:
        return "", float("nan")
    counts = Counter(openings)
    words = min(counts, key=lambda words: (-counts[words], words))
    return words[:80], counts[words] / len(openings)


@monitors.register("style_collapse", StyleCollapseConfig)
def make_style_collapse(config: StyleCollapseConfig) -> Monitor:
    """Build the monitor."""
    return StyleCollapse(config)
