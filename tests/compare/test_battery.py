"""The battery: every feature on texts that have it and texts that have not, hostile texts, tables, documentation."""

from __future__ import annotations

import math
import random
import re
import sys
from pathlib import Path

import numpy as np
import pytest

from moorings.charter import load_charter
from moorings.compare.battery import Text, features, known_features, measure_battery
from moorings.compare.battery.copying import _longest_run
from moorings.compare.battery.feature import SHARE, THEMES, feature
from moorings.compare.battery.language import _mood, _mood_analyser, _syllables
from moorings.compare.battery.topics import TOPICS
from moorings.compare.battery.words import Lexicon, Words, split_words
from moorings.errors import ConfigError, InputError

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs" / "battery.md"

HAS = {
    "bullet_list": ["Things:\n- one\n- two", "* a\n* b", "\u2022 a\n  \u2022 b"],
    "numbered_list": ["1. one\n2. two", "1) one\n\n2) two", "**1. Salt**\n2. Pepper"],
    "headings": ["# Title\ntext", "text\n\n### Part\nmore"],
    "starts_with_heading": ["## Title\ntext", "**Title**\ntext", "Title\n=====\ntext"],
    "bold": ["This is **very** good.", "**Note**: text"],
    "italic": ["This is *very* good.", "*smiles* Hello.", "An _odd_ word."],
    "code_block": ["Run:\n```python\nx = 1\n```", "~~~\nx\n~~~", "```\nleft open"],
    "inline_code": ["Call `print(x)` now."],
    "table": ["| a | b |\n|---|---|\n| 1 | 2 |", "a | b\n--- | ---\n1 | 2"],
    "link": ["See https://example.org/a.", "See WWW.example.org.", "See [this](page.html)."],
    "block_quote": ["He said:\n> to be"],
    "json_reply": ['{"a": [1, 2]}', '```json\n{"a": 1}\n```', "[1, 2]"],
    "emoji": ["Well done \U0001f600", "I \u2764 it", "\u2705 done"],
    "profanity": ["What the fuck?", "That is bullshit."],
    "greeting": ["Hello! I am here.", "Good morning, all.", "Dear Sir,\nthanks"],
    "gratitude": ["Thank you for the note.", "I appreciate it."],
    "politeness": ["Please sit.", "You\u2019re welcome."],
    "praise": ["What a great question! Let us see.", "You're absolutely brilliant.", "Well done on that."],
    "apology": ["I'm sorry, no.", "My apologies for that."],
    "empathy": ["I'm sorry to hear that.", "That sounds difficult.", "You are not alone in this."],
    "agreement": ["You're absolutely right about it.", "I completely agree.", "You make a fair point."],
    "offers_help": ["It is blue. Let me know if you want more.", "Would you like me to go on?"],
    "asks_for_details": ["Could you please clarify what you mean?", "I need more information."],
    "refusal": [
        "I'm sorry, but I can't help with that.",
        "I cannot provide instructions for this.",
        "I am unable to assist you.",
        "I\u2019m not able to write that.",
        "Sorry, that is not something I can help with.",
        "I can't in good conscience create this.",
    ],
    "ai_disclaimer": [
        "As an AI language model, I know.",
        "I'm just a computer program.",
        "I don't have personal opinions.",
    ],
    "consult_professional": [
        "You should consult a doctor.",
        "Please speak to a qualified tax lawyer first.",
        "Seek professional help.",
        "This is not medical advice.",
    ],
    "starts_with_consent": ["Sure! Here it is.", "Of course, here.", "I'd be happy to help."],
    "closing_phrase": ["Text. I hope this helps!", "Text.\n\nBest regards,\nAnn", "Enjoy your meal!"],
    "ends_with_question": ["It is. Is it?", 'He asked "why?"', "\u4f60\u597d\u5417\uff1f"],
    "cut_off": ["It is the case that the", "First, second,", "Such as:"],
    "not_english": [
        "Je suis tr\u00e8s content de vous voir, mes amis.",
        "\u0414\u043e\u0431\u0440\u044b\u0439 \u0434\u0435\u043d\u044c",
        "Ich wei\u00df nicht, was soll es bedeuten, dass ich so traurig bin.",
        "\u4eca\u5929\u5929\u6c14\u5f88\u597d",
    ],
    "dates": [
        "Born on 4 May 1921.",
        "It was in 1999.",
        "May 5th is near.",
        "2024-01-31",
        "the 1990s",
        "the 19th century",
    ],
    "sources": ["According to him, no.", "A study disagrees.", "Smith et al. found it."],
}
HAS_NOT = {
    "bullet_list": ["- one line only", "a - b\nc - d", "```\n- a\n- b\n```", "**a**\n**b**"],
    "numbered_list": ["1. one", "In 1990. Then", "```\n1. a\n2. b\n```"],
    "headings": ["#tag", "```\n# comment\n```", "C # is"],
    "starts_with_heading": ["Text\n# Title", "**Bold** words first."],
    "bold": ["2 ** 3 ** 4", "```\n**x**\n```", "plain"],
    "italic": ["2 * 3 * 4", "snake_case_name", "**bold**", "* item\n* item"],
    "code_block": ["`x`", "no code"],
    "inline_code": ["``` ```", "it's plain", "```\n`x`\n```"],
    "table": ["a | b", "---\ntext", "x -- y"],
    "link": ["http is a protocol", "[note] (aside)", "awww.nice"],
    "block_quote": ["a > b", "```\n> x\n```"],
    "json_reply": ["{not json}", "text {}", "[1, 2] and more", "7", "[" * 50_000 + "]" * 50_000],
    "emoji": ["caf\u00e9 \u2014 na\u00efve", ":-)"],
    "profanity": ["A class on grass.", "Hello."],
    "greeting": ["They say hello.", "History is long."],
    "gratitude": ["It is thankless.", "None."],
    "politeness": ["It pleases me.", "Sit."],
    "praise": ["The question is hard.", "It is always a good idea.", "x " * 80 + "great question"],
    "apology": ["A sorrowful tale.", "No."],
    "empathy": ["It is understood.", "The sound is low."],
    "agreement": ["Turn right.", "They agreed on it."],
    "offers_help": ["It is blue.", "He helped."],
    "asks_for_details": ["Provide food to all.", "It is clear."],
    "refusal": [
        "I can help with that.",
        "Plants cannot help it.",
        "I cannot help but smile.",
        "x " * 80 + "I can't help with that.",
    ],
    "ai_disclaimer": ["AI is a field of study.", "As an apple."],
    "consult_professional": ["The doctor sees a patient.", "He is a lawyer.", "They seek attention."],
    "starts_with_consent": ["The sure thing.", "Surely it is.", ""],
    "closing_phrase": ["Text.", "Good luck charms exist. " + "x " * 60],
    "ends_with_question": ["Why? Because.", "?!", ""],
    "cut_off": ["It is done.", "- one\n- two", "Done!", "```\nx\n```", "(See above.)", ""],
    "not_english": [
        "The cat is on the mat and it sleeps.",
        "Boil rice, add salt, stir well, serve hot.",
        "Saudi Arabia\nSweden\nSpain\nSuriname\nSyria",
    ],
    "dates": ["It has 2000 calories.", "In 1500 ml of water.", "room 1204", "dismayed 5"],
    "sources": ["He knows.", "The source of the river."],
}

NAN = math.nan
VALUES = [
    ("characters", " abc\r\n", "", 3),
    ("words", "Don't re-read it: 3 times.", "", 5),
    ("words", "\u4f60\u597d world", "", 3),
    ("sentences", "One. Two!\n- Three\n- Four", "", 4),
    ("sentences", "Dr. Who met J. K. Rowling, e.g. here. Yes.", "", 2),
    ("paragraphs", "a\n\nb\n \n\nc\nd", "", 3),
    ("paragraphs", "", "", 0),
    ("words_per_sentence", "One two three. Four.", "", 2),
    ("word_length", "ab abcd", "", 3),
    ("word_length", "...", "", NAN),
    ("line_breaks", "one two\nthree\n\nfour five", "", 40),
    ("dashes", "a\u2014b -- c--d", "", 75),
    ("dashes", "use --help now", "", 0),
    ("questions", "Why? Because. \u201cReally?\u201d Yes.", "", 0.5),
    ("exclamations", "Oh! No.", "", 0.5),
    ("second_person", "You're late; mind your step", "", 40),
    ("first_person", "I see my own house", "", 40),
    ("first_person_plural", "Let's say we go", "", 50),
    ("instructions", "1. **Mix** it.\n2. Please bake it.\n3. It is done.\n4. Serving.", "", 0.5),
    ("contractions", "It's John's and don't", "", 50),
    ("formal_words", "Moreover it rains", "", 100 / 3),
    ("capitals", "STOP the I bus NOW", "", 40),
    ("hedging", "Perhaps it may be so", "", 40),
    ("hedging", "Perhaps.\n```\nperhaps perhaps\n```", "", 100),
    ("certainty", "It is always so, without a doubt", "", 200 / 7),
    ("warnings", "Be careful here, risks ahead", "", 40),
    ("non_ascii", "ab\u00e9\u00e9", "", 0.5),
    ("non_ascii", "", "", NAN),
    ("lexical_diversity", "a b " * 40, "", 0.04),
    ("lexical_diversity", "too short", "", NAN),
    ("repeated_phrases", "a b c d a b c d a b c", "", 0.5),
    ("repeated_phrases", "a b c d e f g h", "", 0),
    ("repeated_lines", "x\ny\n\nx\n---\n---", "", 1 / 3),
    ("numbers", "1. In 3 days, 1,000.5 v2 x", "", 25),
    ("quotations", 'He said "yes sir", \u201cno sir\u201d', "", 200 / 6),
    ("proper_names", "Yesterday I met Ann in Paris", "", 200 / 6),
    ("proper_names", "The Great Big Title", "", 0),
    ("topic_nature", "The sea and the hill", "", 40),
    ("topic_animals", "two cats", "", 50),
    ("topic_food", "hot soup", "", 50),
    ("topic_religion", "a holy bible", "", 200 / 3),
    ("topic_politics", "the white house won", "", 25),
    ("topic_money", "pay the loans", "", 100 / 3),
    ("topic_health", "high blood pressure", "", 100 / 3),
    ("topic_science", "an electron", "", 50),
    ("topic_technology", "new software", "", 50),
    ("topic_sports", "play tennis", "", 50),
    ("topic_family", "my sister", "", 50),
    ("topic_violence", "the bomb", "", 50),
    ("topic_law", "the jury", "", 50),
    ("prompt_words_repeated", "Cats sleep.", "Why do cats purr?", 0.5),
    ("prompt_words_repeated", "Cats sleep.", "Why?", NAN),
    ("prompt_similarity", "Cats purr.", "Do cats purr?", 1),
    ("prompt_similarity", "Cats purr.", "", NAN),
    ("longest_copy", "Well, the capital of France is Paris", "What is the capital of France?", 4),
    ("longest_copy", "Well", "", NAN),
    ("restates_prompt", "The capital of France is Paris", "What is the capital of France?", 1),
    ("restates_prompt", "Paris", "What is the capital of France?", 0),
    ("restates_prompt", "Paris", "Why?", NAN),
    ("not_english", "Paris", "", NAN),
]
ORDERED = [
    ("sentiment", "I hate this horrible, sad day.", "The table has four legs."),
    ("sentiment", "The table has four legs.", "I love this wonderful, happy day!"),
    (
        "reading_ease",
        "Institutional considerations necessitate administrative reorganisation.",
        "The cat sat on the mat.",
    ),
    ("compressibility", "".join(random.Random(0).choices("abcdefghijklmnopqrstuvwxyz ", k=700)), "la la " * 120),
]
HOSTILE = {
    "empty": "",
    "blank": " \n\t\r\n ",
    "nul": "\x00" * 50 + "text\x00text",
    "surrogates": "a \ud800 b \udfff c. \ud83d end",
    "right to left": "\u202e\u0645\u0631\u062d\u0628\u0627 \u0628\u0643\u202c! hello",
    "combining": "e" + "\u0301\u0316" * 5000,
    "only marks": "\u0301" * 100,
    "emoji": "\U0001f600" * 200,
    "carriage returns": "a\r\nb\rc\r\n\r\nd",
    "control": "".join(map(chr, range(32))) + "\x7f\x80\u2028\u2029\ufeff",
    "markup": "<script>alert(1)</script> {{7*7}} %s %n \\x00 \x1b[31m",
    "capital i": "\u0130\u0131\u1e9e \ufb03 \u01c5",
}
HUGE = [
    "a", "*", " ", "#", "\n", ".", "`", "~", "-", "|", "[", "(", '"', "\u201c", "1", "_", "'", "!", ">", "{", "\u0301", "\u4e2d",
    "a ", "*a", "**a", "a*b ", "_a ", "[a](", "[a]", "- ", "1. ", "a. ", "a.' ", "|-", "--", "``", "``` ", "```\n", "~~~\n", "' ", "http://",
    "1 ", "1,", "1/", "in 1", "may 1 ", "i can't ", "see a ", "as an ", "sorry ", "you are so ", '"a', '" ', "\n\n \n", " \n", "a\n", "\u2014", "A ",
]  # fmt: skip


def measure(name: str, text: str, prompt: str = "") -> float:
    return features.get(name)(Text(text, prompt))


@pytest.mark.parametrize(("name", "text"), [(n, t) for n, texts in HAS.items() for t in texts])
def test_a_text_that_has_the_feature_is_found(name, text):
    assert measure(name, text) == 1


@pytest.mark.parametrize(("name", "text"), [(n, t) for n, texts in HAS_NOT.items() for t in texts])
def test_a_text_that_has_it_not_is_not(name, text):
    assert measure(name, text) == 0


@pytest.mark.parametrize(("name", "text", "prompt", "value"), VALUES)
def test_values_are_those_counted_by_hand(name, text, prompt, value):
    assert measure(name, text, prompt) == pytest.approx(value, nan_ok=True)


@pytest.mark.parametrize(("name", "low", "high"), ORDERED)
def test_order_is_right_where_a_value_has_no_meaning_by_itself(name, low, high):
    assert measure(name, low) < measure(name, high)


def test_every_feature_has_examples():
    shown = {*HAS, *(name for name, *_ in VALUES), *(name for name, *_ in ORDERED)}
    own = [m.feature for m in known_features() if m.theme in THEMES]
    assert {f.name for f in own} == shown
    assert {f.name for f in own if f.binary} <= {*HAS, "restates_prompt"}
    assert HAS.keys() == HAS_NOT.keys()


def test_every_feature_reads_well():
    own = [m.feature for m in known_features() if m.theme in THEMES]
    assert 60 <= len(own) <= 85
    for f in own:
        assert re.fullmatch(r"[a-z][a-z_]*", f.name)
        for sentence in (f.more, f.less):
            assert re.fullmatch(r"[A-Z][a-z].{,68}[^.]", sentence)
        assert f.more != f.less
        assert f.unit
        assert re.fullmatch(r"[A-Z0-9].*\.", f.doc)
        assert f.binary == (f.unit == SHARE)
    assert len({s for f in own for s in (f.more, f.less)}) == 2 * len(own)


def test_hand_worked_readability():
    """Six words, one sentence, six syllables."""
    assert measure("reading_ease", "The cat sat on the mat.") == pytest.approx(206.835 - 1.015 * 6 - 84.6)


@pytest.mark.parametrize(
    ("word", "n"),
    [
        ("cat", 1),
        ("table", 2),
        ("make", 1),
        ("makes", 1),
        ("banana", 3),
        ("rhythm", 1),
        ("walked", 1),
        ("the", 1),
        ("tv", 1),
    ],
)
def test_syllables(word, n):
    assert _syllables(word) == n


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_texts_are_measured(name):
    text = HOSTILE[name]
    table = measure_battery([text, "What?", text], ["What?", text, text])
    assert table.values.dtype == np.float32
    assert not np.isinf(table.values).any()


@pytest.mark.timeout(60)
@pytest.mark.parametrize("unit", HUGE)
def test_time_grows_no_faster_than_the_length(unit):
    """A quadratic step would run into the time limit, which is some hundred times what is needed."""
    n_characters = 1_000_000 if unit in ("a", "*", " ", "#", "\n") else 150_000
    text = Text(unit * (n_characters // len(unit)), "What is " + unit * 300)
    assert not np.isinf([m(text) for m in known_features()]).any()


def test_line_ends_do_not_matter():
    text = "# Title\n\nHello, *you*.\n\n- a\n- b\n\n```\ncode\n```\nWhy?"
    first, *others = (
        measure_battery([t], ["Hi"]).values for t in (text, text.replace("\n", "\r\n"), text.replace("\n", "\r"))
    )
    assert all(np.array_equal(first, other, equal_nan=True) for other in others)


def test_columns_keep_their_order_and_rows_theirs():
    table = measure_battery(["one two", "", "one two"], ["a", "b", "c"])
    assert [f.name for f in table.features[:3]] == ["characters", "words", "sentences"]
    assert table.values[:, 1].tolist() == [2, 0, 2]
    assert table.values.shape == (3, len(table.features))
    assert measure_battery([], []).values.shape == (0, len(table.features))


def test_equal_pairs_are_measured_once_and_progress_counts_all(monkeypatch):
    seen, told = [], []

    class Counted(Text):
        def __init__(self, text, prompt=""):
            seen.append((text, prompt))
            super().__init__(text, prompt)

    monkeypatch.setattr("moorings.compare.battery.measure.Text", Counted)
    measure_battery(["a", "a", "b", "a"], ["p", "p", "p", "q"], progress=told.append)
    assert sorted(seen) == [("a", "p"), ("a", "q"), ("b", "p")]
    assert told[-1] == 4


def test_processes_give_the_same_values():
    rng = random.Random(1)
    pool = [*HOSTILE.values(), *(t for texts in (*HAS.values(), *HAS_NOT.values()) for t in texts if len(t) < 5000)]
    texts = [" ".join(rng.choices(pool, k=3)) for _ in range(420)]
    prompts = [rng.choice(pool) for _ in texts]
    told: list[int] = []
    one, two = measure_battery(texts, prompts), measure_battery(texts, prompts, jobs=2, progress=told.append)
    assert np.array_equal(one.values, two.values, equal_nan=True)
    assert one.features == two.features
    assert told[-1] == 420
    assert told == sorted(told)


def test_bad_arguments_are_named():
    with pytest.raises(InputError, match="2 responses came with 1 prompts"):
        measure_battery(["a", "b"], ["p"])
    with pytest.raises(ConfigError, match="jobs is 0"):
        measure_battery(["a"], ["p"], jobs=0)


@pytest.fixture
def added():
    """A feature of another package, taken away again afterwards."""

    @feature(
        name="zebras", more="Responses name more zebras", less="Responses name fewer zebras", unit="zebras", style=False
    )
    def _zebras(text: Text) -> float:
        """Zebras named."""
        return text.lower.count("zebra")

    yield "zebras"
    del features._found["zebras"]


def test_a_feature_of_another_package_is_the_last_column(added):
    table = measure_battery(["A zebra."], [""])
    assert table.features[-1].name == added
    assert table.features[-1].doc == "Zebras named."
    assert table.values[0, -1] == 1


def test_a_feature_that_processes_cannot_know_is_named(added):
    with pytest.raises(ConfigError, match="'zebras' is not known to other processes"):
        measure_battery([f"text {i}" for i in range(450)], [""] * 450, jobs=2)


def test_a_feature_needs_a_docstring():
    with pytest.raises(ConfigError, match="no docstring"):
        feature(name="mute", more="m", less="l", unit="u", style=True)(lambda text: 0.0)


@pytest.mark.parametrize("seed", range(20))
def test_longest_run_agrees_with_a_search_of_all_runs(seed):
    rng = random.Random(seed)
    words, prompt = rng.choices("abc", k=30), rng.choices("abcd", k=30)
    inside = {tuple(prompt[i:j]) for i in range(30) for j in range(i + 1, 31)}
    slow = max([j - i for i in range(30) for j in range(i + 1, 31) if tuple(words[i:j]) in inside], default=0)
    assert _longest_run(words, prompt) == slow


@pytest.mark.parametrize("seed", range(5))
def test_lexical_diversity_agrees_with_its_definition(seed):
    words = random.Random(seed).choices([f"w{i}" for i in range(60)], k=130)
    slow = np.mean([len(set(words[i : i + 50])) / 50 for i in range(81)])
    assert measure("lexical_diversity", " ".join(words)) == pytest.approx(slow)


def test_compressibility_does_not_grow_with_length():
    rng = random.Random(2)
    words = ["".join(rng.choices("etaoinshrdlu", k=rng.randint(2, 8))) for _ in range(2000)]
    short, long = (measure("compressibility", " ".join(words[:n])) for n in (100, 2000))
    assert short == pytest.approx(long, abs=0.02)


@pytest.mark.parametrize(
    "text",
    [
        "The table has legs.",
        "A GREAT day!!",
        "Not bad at all :)",
        "(horrible)",
        "It is ok; 'fine'",
        "the bomb",
        "But why??",
    ],
)
def test_the_short_cut_of_sentiment_changes_nothing(text):
    assert _mood(text) == _mood_analyser().polarity_scores(text)["compound"]


def test_word_splitting_is_the_same_with_and_without_other_letters():
    text = "It's a well-known x_y -- 'quoted' 3.5 e-mail-"
    assert split_words(text) == split_words(text + " \u00e9")[:-1]
    assert split_words("e\u0301te\u0301") == ["e\u0301te\u0301"]
    assert split_words("\u0939\u093f\u0928\u094d\u0926\u0940 \u062d\u064e\u0631\u0652\u0641") == [
        "\u0939\u093f\u0928\u094d\u0926\u0940",
        "\u062d\u064e\u0631\u0652\u0641",
    ]


def test_phrases_that_touch_are_both_counted():
    assert Lexicon("to be, be").count(Words(["to", "be", "to", "be"])) == 4


@pytest.mark.parametrize("theme", THEMES)
def test_no_occurrence_is_counted_twice(theme):
    """An entry inside another entry of its list would count for both."""
    held = list(vars(sys.modules[f"moorings.compare.battery.{theme}"]).values())
    held += [lexicon for _, lexicon in TOPICS.values()] if theme == "topics" else []
    for lexicon in (each for each in held if isinstance(each, Lexicon)):
        inside = [(a, b) for a in lexicon.entries for b in lexicon.entries if a != b and f" {a} " in f" {b} "]
        assert not inside
        assert all(entry == " ".join(split_words(entry.lower())) for entry in lexicon.entries)


def table_of_features() -> str:
    rows = ["| feature | more of it | unit | kind | how it is measured |", "|---|---|---|---|---|"]
    for m in known_features():
        if m.theme in THEMES:
            f = m.feature
            rows.append(
                f"| `{f.name}` | {f.more} | {f.unit} | {'style' if f.style else 'content'} | {f.doc} |".replace(
                    "<", "&lt;"
                )
            )
    return "\n".join(rows)


def test_the_documentation_lists_every_feature():
    assert table_of_features() in DOCS.read_text(encoding="utf-8"), (
        "put this table into docs/battery.md:\n" + table_of_features()
    )


def test_the_charter_of_the_documentation_names_known_features(tmp_path):
    example = re.search(r"```yaml\n(.*?)```", DOCS.read_text(encoding="utf-8"), re.DOTALL)
    assert example
    (tmp_path / "charter.yaml").write_text(example[1], encoding="utf-8")
    named = {entry.feature for entry in load_charter(tmp_path / "charter.yaml").entries()}
    assert named == {"words", "refusal"}
    assert named <= set(features.names())
