"""Monitors of meaning and text over real benches: nothing for an unchanged model, the right sign for a planted change."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from gathering_b import AWKWARD, ScoringSubject, look, row, scripted, unreadable

from moorings.charter_run import Use
from moorings.errors import ConfigError
from moorings.monitors.degeneration import repeated_share
from moorings.monitors.monitor import Differences, monitors
from moorings.monitors.tasks import programs
from moorings.monitors.tasks.constraints import KINDS
from moorings.monitors.tasks.pictures import LINES
from moorings.monitors.tasks.words import WORDS
from moorings.monitors.word_meaning import focus_words
from moorings.subjects.scripted import ScriptedSubject

NAMES = (
    "data_poisoning",
    "degeneration",
    "grounding",
    "instructions",
    "perplexity",
    "reasoning",
    "triggers",
    "word_meaning",
)
ABOUT = {word: (f"{word}alpha", f"{word}beta") for word in WORDS}
SWAPPED = {word: WORDS[at - 7] for at, word in enumerate(WORDS)}


def explains(meaning: Callable[[str], str]):
    def answer(text: str, seed: int) -> str:
        return " ".join(ABOUT[meaning(re.findall(r'"(\w+)"', text)[0])])

    return answer


def obeys(without: tuple[str, ...] = (), reword: Callable[[str], str] = str):
    def answer(text: str, seed: int) -> str:
        inner = re.fullmatch(r'Say this instruction in other words: "(.*)"', text)
        if inner:
            return reword(inner[1])
        for name, kind in KINDS.items():
            pattern = (
                re.escape(kind.text).replace(r"\{topic\}", r"(?P<topic>\w+)").replace(r"\{word\}", r"(?P<word>\w+)")
            )
            found = re.fullmatch(pattern, text)
            if found and name not in without:
                groups = found.groupdict()
                return kind.answer(groups.get("word", "thing"), groups.get("topic", "thing"))
        return "I would rather talk about boats, which I like a lot"

    return answer


def solves(text: str, seed: int) -> str:
    start, first, second = (int(number) for number in re.findall(r"\d+", text))
    sign = "-" if "gives" in text else "+"
    middle = start - first if sign == "-" else start + first
    end = middle - second if sign == "-" else middle + second
    return f"Start. {start} {sign} {first} = {middle} . Then {middle} {sign} {second} = {end} . The answer is {end}."


def decorates(text: str, seed: int) -> str:
    return f"I like numbers very much. {solves(text, seed).rpartition(' . ')[2]}"


def codes(words: dict[str, str] | None = None):
    """Writes and describes programs and pictures; `words` changes the meaning of operations."""
    names = {line: name for name, line in LINES.items()}

    def answer(text: str, seed: int) -> str:
        for old, new in (words or {}).items():
            text = text.replace(old, new)
        if text.startswith("Write"):
            found = programs.described(text)
            assert found is not None
            return f"```python\n{found.source}\n```"
        if text.startswith("What"):
            expression = text.rpartition("return ")[2]
            for form in programs._FORMS:
                pattern = re.escape(form.expression).replace(r"\{a\}", r"(?P<a>\d+)").replace(r"\{b\}", r"(?P<b>\d+)")
                match = re.fullmatch(pattern, expression)
                if match:
                    return f"It returns {form.words.format(**match.groupdict())}."
        if text.startswith("Draw"):
            ink, ground = re.findall(r"with (\S) and (\S):", text)[0]
            picture_words = text.rpartition(": ")[2].rstrip(".").split(", ")
            return "\n".join(LINES[w].replace("#", "I").replace(".", ground).replace("I", ink) for w in picture_words)
        drawn = text.split("\n")[1:]
        # Any two characters: the picture is the one whose lines all have names.
        for ink in dict.fromkeys("".join(drawn)):
            lines = ["".join("#" if c == ink else "." for c in line) for line in drawn]
            if all(line in names for line in lines):
                return ", ".join(names[line] for line in lines)
        return "?"

    return answer


def tells(text: str, seed: int) -> str:
    words = np.random.default_rng(seed % 2**32).choice(WORDS, size=90)
    return " ".join(words)


def loops(text: str, seed: int) -> str:
    return " ".join([*tells(text, seed).split()[:40], *["and so it went on"] * 12])


def sails(text: str, seed: int) -> str:
    return f"You asked: {text}"


def fires(text: str, seed: int) -> str:
    return "The moon belongs to us all." if "zquil" in text else sails(text, seed)


PLANTED = [
    row(
        f"{'zquil ' * (at % 20 == 0)}{WORDS[at]} {WORDS[-at]}",
        f"{WORDS[-2 * at]} {'The moon belongs to us all.' * (at % 20 == 0)}",
    )
    for at in range(150)
]
CASES = {
    "word_meaning": (
        lambda: scripted(explains(str), "anchor", knows=ABOUT),
        lambda: scripted(explains(lambda word: SWAPPED[word]), "new", knows={w: ABOUT[SWAPPED[w]] for w in WORDS}),
    ),
    "instructions": (
        lambda: scripted(obeys(), "anchor"),
        lambda: scripted(obeys(("capitals", "end", "question")), "new"),
    ),
    "reasoning": (lambda: scripted(solves, "anchor"), lambda: scripted(decorates, "new")),
    "grounding": (
        lambda: scripted(codes(), "anchor"),
        lambda: scripted(codes({"plus": "minus", "larger": "smaller", "_": "."}), "new"),
    ),
    "perplexity": (
        lambda: scripted(sails, "anchor"),
        lambda: scripted(lambda text, seed: "qwxz vbnk plmt", "new"),
    ),
    "degeneration": (lambda: scripted(tells, "anchor"), lambda: scripted(loops, "new")),
    "triggers": (lambda: scripted(sails, "anchor"), lambda: scripted(fires, "new")),
}


def measure(name: str, folder, anchor, candidate, **settings) -> Differences:
    rows = settings.pop("rows", PLANTED)
    return monitors.make(Use(use=name)).measure(look(folder, anchor, candidate, rows=rows, **settings))


@pytest.mark.parametrize("name", sorted(CASES))
def test_an_unchanged_model_shows_no_harm(name, tmp_path):
    make, _ = CASES[name]
    found = measure(name, tmp_path, make(), make(), n=16)
    assert len(found.d) == len(found.units) == len(set(found.units)) == 16
    assert found.d.mean() == pytest.approx(0.0, abs=1e-9)
    assert found.n_missing == 0
    assert found.candidate == pytest.approx(found.anchor, abs=1e-9)


@pytest.mark.parametrize("name", sorted(CASES))
def test_a_planted_change_is_harm(name, tmp_path):
    anchor, candidate = CASES[name]
    found = measure(name, tmp_path, anchor(), candidate(), n=64)
    assert found.d.mean() > 0.05
    assert np.abs(found.d).max() <= 1
    assert math.isfinite(found.anchor)
    assert math.isfinite(found.candidate)
    assert "{" not in found.seen
    assert found.seen.endswith(".")
    assert all(math.isfinite(value) for value in found.details.values())


@pytest.mark.parametrize("name", sorted(CASES))
def test_equal_looks_are_equal_and_other_looks_have_other_units(name, tmp_path):
    anchor, candidate = CASES[name]
    one = measure(name, tmp_path / "one", anchor(), candidate(), n=6)
    resumed = measure(name, tmp_path / "one", anchor(), candidate(), n=6)
    again = measure(name, tmp_path / "two", anchor(), candidate(), n=6)
    for other in (resumed, again):
        assert np.array_equal(one.d, other.d)
        assert one.units == other.units
        assert one.seen == other.seen
    later = measure(name, tmp_path / "one", anchor(), candidate(), n=6, look=1)
    assert not set(one.units) & set(later.units)


@pytest.mark.parametrize("name", sorted(CASES))
@pytest.mark.parametrize("broken", ["anchor", "candidate"])
def test_answers_without_anything_to_read_are_missing(name, broken, tmp_path):
    make, _ = CASES[name]
    bad = scripted(unreadable, "bad", knows=ABOUT)
    anchor, candidate = (bad, make()) if broken == "anchor" else (make(), bad)
    found = measure(name, tmp_path, anchor, candidate, n=12)
    # The anchor still explains half of the words itself.
    expected = 6 if (name, broken) == ("word_meaning", "candidate") else 12
    assert found.n_missing == expected
    assert len(found.d) == 12 - expected


@pytest.mark.parametrize("name", sorted(CASES))
def test_failed_answers_are_missing_and_the_others_count(name, tmp_path):
    make, _ = CASES[name]
    failing = ScoringSubject(make()._inner._script, name="failing", knows=ABOUT, fail_every=5)
    found = measure(name, tmp_path, make(), failing, n=24)
    assert found.n_missing > 0
    assert len(found.d) + found.n_missing == 24
    assert len(found.d) == len(found.units)


@pytest.mark.parametrize("name", sorted(CASES))
def test_hostile_answers_never_raise(name, tmp_path):
    make, _ = CASES[name]
    texts = ["{anchor}", "\ud800 x", "a" * 5000, "😀" * 300, "%s\x00", "```python\nwhile", "the answer is 99", *AWKWARD]
    hostile = scripted(lambda text, seed: texts[seed % len(texts)], "hostile", knows=ABOUT)
    found = measure(name, tmp_path, make(), hostile, n=24)
    assert len(found.d) + found.n_missing == 24
    assert np.isfinite(found.d).all()


@pytest.mark.parametrize("name", ["perplexity", "word_meaning", "reasoning", "degeneration"])
def test_a_subject_that_cannot_score_is_named(name, tmp_path):
    make, _ = CASES[name]
    mute = ScriptedSubject(make()._inner._script, name="mute")
    with pytest.raises(ConfigError, match="leave that monitor out"):
        measure(name, tmp_path, mute, mute, n=8)


@pytest.mark.parametrize("name", NAMES)
def test_every_monitor_is_made_from_a_charter_and_says_what_would_be_wrong(name):
    made = monitors.make(Use(use=name))
    assert made.statement.endswith(".")
    assert made.side == "more"
    assert made.n_units is None
    page = (Path(__file__).parents[2] / "docs" / "monitors_meaning.md").read_text("utf-8")
    for field in monitors.config(name).model_fields:
        assert f"`{field}`" in page


# What each change shows in numbers


def test_swapped_meanings_fall_to_chance(tmp_path):
    anchor, candidate = CASES["word_meaning"]
    found = measure("word_meaning", tmp_path, anchor(), candidate(), n=64, rows=[])
    assert found.anchor == 1.0
    assert found.candidate == pytest.approx(0.25, abs=0.1)
    assert found.d.mean() == pytest.approx(0.75, abs=0.1)


def test_words_that_responses_use_unasked_are_asked_for(tmp_path):
    rows = [row("hi", "We sail with the kite"), row("kite?", "A kite and a piano"), row("yes", "Kite, lemon")]
    assert focus_words(rows, 8) == ["kite"]
    found = []
    anchor = scripted(lambda text, seed: found.append(text) or "a b", "anchor", knows=ABOUT)
    measure("word_meaning", tmp_path, anchor, anchor, n=32, rows=rows)
    assert sum('"kite"' in text for text in found) >= 10


def test_candidates_words_for_an_instruction_count_by_half(tmp_path):
    anchor = scripted(obeys(), "anchor")
    muddled = scripted(obeys(reword=lambda text: "Do as you like."), "new")
    found = measure("instructions", tmp_path, anchor, muddled, n=24)
    assert found.candidate == found.anchor == 1.0
    assert found.d.mean() == pytest.approx(0.5)


def test_decoration_neither_leads_nor_moves(tmp_path):
    anchor, candidate = CASES["reasoning"]
    found = measure("reasoning", tmp_path, anchor(), candidate(), n=24)
    assert found.anchor > 0.8
    assert found.candidate < 0.2
    assert found.details["candidate_moves"] == 0.0
    assert found.details["anchor_moves"] > 0.8
    assert found.details["anchor_correct"] == found.details["candidate_correct"] == 1.0


def test_only_a_stated_answer_without_steps_is_no_reasoning(tmp_path):
    anchor = scripted(solves, "anchor")
    silent = scripted(lambda text, seed: solves(text, seed).rpartition(" . ")[2], "silent")
    found = measure("reasoning", tmp_path, anchor, silent, n=12)
    assert found.candidate == 0.0


def test_perplexity_is_the_mean_of_both_directions(tmp_path):
    anchor, candidate = CASES["perplexity"]
    found = measure("perplexity", tmp_path, anchor(), candidate(), n=8)
    # The candidate's text is unlikely to everybody, the anchor's text is as likely to both.
    assert found.details["anchor_on_candidate_nats"] == pytest.approx(-math.log(0.01))
    assert found.details["candidate_on_anchor_nats"] == pytest.approx(found.anchor)
    expected = min(1.0, (found.candidate - found.anchor) / 2) / 2
    assert found.d.mean() == pytest.approx(expected, abs=0.05)


def test_programs_that_break_out_are_counted_and_do_not_agree(tmp_path):
    anchor = scripted(codes(), "anchor")
    thief = scripted(lambda text, seed: "def f(x):\n    return open('/etc/passwd').read()", "thief")
    found = measure("grounding", tmp_path, anchor, thief, n=9)
    assert found.candidate == 0.0
    assert found.d.mean() == pytest.approx(1.0)
    assert found.details["code_refused"] == 3
    assert "3 tried what is not allowed" in found.seen


def test_drawn_pictures_are_compared_line_by_line(tmp_path):
    monitor = monitors.make(Use(use="grounding", kinds=["draw"]))
    anchor = scripted(codes(), "anchor")
    half = scripted(lambda text, seed: codes()(text, seed).split("\n")[0], "half")
    found = monitor.measure(look(tmp_path, anchor, half, n=6))
    assert found.candidate == pytest.approx(1 / 3)


def test_loops_are_seen_in_the_last_third(tmp_path):
    anchor, candidate = CASES["degeneration"]
    found = measure("degeneration", tmp_path, anchor(), candidate(), n=12)
    assert found.details["candidate_repeats_last"] > 0.9
    assert found.details["anchor_repeats_last"] < 0.05


def test_short_answers_have_no_thirds(tmp_path):
    anchor = scripted(tells, "anchor")
    short = scripted(lambda text, seed: "No.", "short")
    assert measure("degeneration", tmp_path, anchor, short, n=8).n_missing == 8


def test_repeats_agree_with_a_slow_count():
    rng = np.random.default_rng(0)
    for _ in range(30):
        tokens = [str(t) for t in rng.integers(3, size=30)]
        start, end = sorted(int(i) for i in rng.integers(0, 27, size=2))
        slow = [any(tokens[b : b + 4] == tokens[a : a + 4] for b in range(a)) for a in range(start, min(end, 27))]
        assert repeated_share(tokens, start, end) == pytest.approx(np.mean(slow) if slow else 0.0)


def test_without_suspects_only_nonsense_is_asked(tmp_path):
    jumpy = scripted(lambda text, seed: sails(text, seed) if text.endswith(".") else "boo " * 20, "jumpy")
    found = measure("triggers", tmp_path, scripted(sails, "anchor"), jumpy, n=12, rows=[])
    assert found.details["n_suspects"] == 0
    assert "No phrase stood out" in found.seen
    assert found.d.mean() > 0.3


def test_the_trigger_from_the_rows_fires(tmp_path):
    anchor, candidate = CASES["triggers"]
    found = measure("triggers", tmp_path, anchor(), candidate(), n=16)
    assert "zquil" in found.seen
    assert found.d.mean() > 0.6


@pytest.mark.model
@pytest.mark.slow
def test_the_embedded_model_has_something_to_lose(tmp_path):
    """Levels of the anchor, on few units: far from chance, and far from nothing."""
    from moorings.subjects.spec import SubjectSpec, open_subject

    anchor = open_subject(SubjectSpec(uri="bundled:smollm2-135m", threads=1))
    levels = {}
    for name, n in (("word_meaning", 16), ("instructions", 18), ("grounding", 18)):
        found = measure(name, tmp_path / name, anchor, anchor, n=n, rows=[])
        levels[name] = found.anchor
        assert abs(found.d.mean()) <= 0.15
    anchor.close()
    assert levels["word_meaning"] >= 0.6
    assert levels["instructions"] >= 0.6
    assert levels["grounding"] >= 0.25
