"""Volume and stance: mentions, negation, intervals, mixed clusters, merged contradictions."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from moorings.compare.stance.axis import negation_axis
from moorings.compare.stance.clauses import passages
from moorings.compare.stance.clusters import ClusterMove, merge_contradictory, split_on_stance, stance_entropy
from moorings.compare.stance.decompose import decompose, measure_topic
from moorings.compare.stance.polarity import sentence_polarity
from moorings.compare.stance.stance import lexicon_stance, sentence_stances
from moorings.compare.stance.topics import TopicPhrases, mentions, propose_topics, with_plural
from moorings.errors import ConfigError, InputError
from moorings.records import Interval

GEESE = TopicPhrases("geese", ("goose", "geese"))


def test_mentions_are_whole_words_in_any_case_and_spacing() -> None:
    texts = ["A GOOSE.", "mongoose", "goose's nest", "geese-like", ""]
    assert mentions(texts, GEESE).tolist() == [True, False, True, True, False]
    trains = TopicPhrases("night trains", ("night train", "night trains"))
    assert mentions(["night\ntrains", "Night-train", "nighttrain"], trains).tolist() == [True, True, False]


def test_phrases_are_not_read_as_patterns() -> None:
    assert mentions(["c++ is", "cccc is"], TopicPhrases("c++", ("c++",))).tolist() == [True, False]


def test_topic_without_words_is_refused() -> None:
    with pytest.raises(ConfigError, match="no phrase"):
        TopicPhrases("none", ("--",))


@pytest.mark.parametrize(
    ("given", "both"),
    [
        ("goose", ("goose", "geese")),
        ("boxes", ("box", "boxes")),
        ("bus", ("bus", "buses")),
        ("wolves", ("wolf", "wolves")),
        ("class", ("class", "classes")),
    ],
)
def test_plurals(given: str, both: tuple[str, str]) -> None:
    assert with_plural(given) == both


@pytest.mark.parametrize(
    ("text", "sign"),
    [
        ("I like geese.", 1),
        ("I don\N{RIGHT SINGLE QUOTATION MARK}t like geese.", -1),
        ("I am not a fan of geese.", -1),
        ("Geese are hard to dislike.", 1),
        ("We no longer support geese.", -1),
        ("I would not say it is bad to keep geese.", 1),
        ("Geese are loud, but I love them.", 1),
        ("I love geese, but they are awful company.", -1),
        ("Although geese are noisy, they are wonderful.", 1),
        ("Geese are better than ducks.", 1),
        ("Ducks are better than geese.", -1),
        ("I prefer ducks to geese.", -1),
        ("I prefer geese to ducks.", 1),
        ("Geese should not be banned.", 1),
        ("Hating geese is wrong.", 1),
        ("The praise for geese is undeserved.", -1),
        ("Some say geese are awful, but I disagree.", 1),
        ("We saw geese. They are terrible.", -1),
    ],
)
def test_sign_of_stance(text: str, sign: int) -> None:
    assert np.sign(lexicon_stance([text], GEESE)[0]) == sign


@pytest.mark.parametrize(
    "text",
    [
        "Two geese crossed the road.",
        "The lunch was terrible. Geese crossed the road.",
        "Geese crossed the road. The lunch was terrible.",
        "We saw geese. Then we left. They are terrible.",
        "Do you like geese?",
        "The lake is lovely, and geese swim there.",
        "I love ducks.",
        "",
        "\N{PILCROW SIGN} is awful",
    ],
)
def test_no_stance_is_nan(text: str) -> None:
    assert np.isnan(lexicon_stance([text], GEESE)[0])


def test_topic_has_no_valence_of_its_own() -> None:
    assert np.isnan(lexicon_stance(["They spoke of war."], TopicPhrases("war", ("war",)))[0])


def test_a_text_is_the_mean_of_its_sentences_within_bounds() -> None:
    text = "Geese are great. Lunch. Geese are awful. Geese are great great great great great great great great."
    values = sentence_stances(text, GEESE)
    assert len(values) == 3
    assert all(-1 <= v <= 1 for v in values)
    assert lexicon_stance([text], GEESE)[0] == pytest.approx(np.mean(values))


def test_valence_follows_vaders_formula() -> None:
    assert sentence_polarity("\N{PILCROW SIGN} are good") == pytest.approx(1.9 / math.sqrt(1.9**2 + 15))
    weaker = -0.74 * 1.9
    assert sentence_polarity("\N{PILCROW SIGN} are not good") == pytest.approx(weaker / math.sqrt(weaker**2 + 15))


def test_hostile_text_is_cut_to_pieces_and_scored_within_bounds() -> None:
    text = "geese " + "not " * 100_000 + "good ,;:( " * 20_000 + "\x00\ud800 geese"
    pieces = list(passages(text, GEESE.pattern))
    assert len(pieces) == 2
    assert max(map(len, pieces)) <= 620
    value = lexicon_stance([text], GEESE)[0]
    assert np.isnan(value) or -1 <= value <= 1


def _columns(n_prompts: int, m: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    arm = np.repeat([0, 1], n_prompts * m)
    prompt = np.tile(np.repeat(np.arange(n_prompts), m), 2)
    return arm, prompt, np.arange(n_prompts)


def test_geese_case_is_volume_and_no_stance() -> None:
    arm, prompt, families = _columns(100, 4)
    rng = np.random.default_rng(0)
    about = rng.random(800) < np.where(arm == 1, 0.36, 0.04)
    praise = rng.random(800) < 0.5
    spoken = np.where(praise, "I love geese.", "I hate geese.")
    texts = np.where(about, spoken, "I went home.").tolist()
    effect = decompose(texts, arm, prompt, families, GEESE)
    assert effect.volume.interval is not None
    assert effect.stance is not None
    assert effect.stance.interval is not None
    truth = math.log(0.36 / 0.64) - math.log(0.04 / 0.96)
    assert effect.volume.interval.low < truth < effect.volume.interval.high
    assert effect.volume.p is not None
    assert effect.volume.p < 1e-6
    assert effect.stance.interval.low < 0 < effect.stance.interval.high
    record = effect.record()
    assert record is not None
    assert record.n_candidate == effect.n_mentions[1] == int((about & (arm == 1)).sum())


def test_volume_agrees_with_the_two_by_two_table() -> None:
    arm, prompt, families = _columns(400, 1)
    mentioned = np.zeros(800, dtype=bool)
    mentioned[:80] = mentioned[440:640] = True
    effect = measure_topic(mentioned, np.full(800, np.nan), arm, prompt, families, GEESE)
    a, b, c, d = 80.5, 320.5, 200.5, 200.5
    assert effect.volume.value == pytest.approx(math.log(c / d) - math.log(a / b))
    assert effect.volume.interval is not None
    half = (effect.volume.interval.high - effect.volume.interval.low) / 2
    without = []
    for i in range(400):
        kept = prompt != i
        x, y = mentioned[kept & (arm == 0)].sum(), mentioned[kept & (arm == 1)].sum()
        without.append(math.log((y + 0.5) / (399.5 - y)) - math.log((x + 0.5) / (399.5 - x)))
    se = math.sqrt(399 / 400 * np.square(np.array(without) - np.mean(without)).sum())
    assert half == pytest.approx(float(stats.t.ppf(0.975, 79)) * se, rel=1e-9)


def test_net_is_the_sum_of_its_parts_and_mantel_haenszel_agrees() -> None:
    from statsmodels.stats.contingency_tables import StratifiedTable

    rng = np.random.default_rng(3)
    arm, prompt, families = _columns(40, 5)
    mentioned = rng.random(400) < np.where(arm == 1, 0.5, 0.3)
    stance = np.where(mentioned, rng.uniform(-1, 1, 400) + 0.3 * arm, np.nan)
    effect = measure_topic(mentioned, stance, arm, prompt, families, GEESE)
    assert effect.net is not None
    assert effect.net_from_volume is not None
    assert effect.net_from_stance is not None
    assert effect.net.value == pytest.approx(effect.net_from_volume + effect.net_from_stance)
    tables = []
    for i in range(40):
        y0, y1 = (mentioned[(prompt == i) & (arm == a)] for a in (0, 1))
        tables.append([[y1.sum(), (~y1).sum()], [y0.sum(), (~y0).sum()]])
    expected = StratifiedTable(np.array(tables, dtype=float).transpose(1, 2, 0)).logodds_pooled
    assert effect.mantel_haenszel == pytest.approx(expected)


def test_neutral_mentions_count_and_failures_do_not() -> None:
    arm, prompt, families = _columns(20, 2)
    mentioned = np.ones(80, dtype=bool)
    stance = np.where(np.arange(80) % 2, np.nan, np.where(arm == 1, 0.5, 0.1))
    neutral = measure_topic(mentioned, stance, arm, prompt, families, GEESE).stance_paired
    failed = measure_topic(mentioned, stance, arm, prompt, families, GEESE, nan_is_neutral=False).stance_paired
    assert neutral is not None
    assert failed is not None
    assert neutral.value == pytest.approx(0.2)
    assert failed.value == pytest.approx(0.4)


def test_too_few_mentions_or_families_say_nothing() -> None:
    arm, prompt, families = _columns(20, 2)
    mentioned = np.arange(80) < 9
    few = measure_topic(mentioned, np.zeros(80), arm, prompt, families, GEESE)
    assert few.stance is None
    assert few.net is None
    assert few.volume.interval is not None
    alone = measure_topic(mentioned, np.zeros(80), arm, prompt, families // 5, GEESE)
    assert alone.volume.interval is None
    assert alone.record() is None
    with pytest.raises(InputError, match="give both arms"):
        measure_topic(mentioned, np.zeros(80), np.zeros(80, dtype=int), prompt, families, GEESE)


def test_no_mention_at_all_has_a_wide_volume_interval() -> None:
    arm, prompt, families = _columns(50, 2)
    effect = measure_topic(np.zeros(200, dtype=bool), np.full(200, np.nan), arm, prompt, families, GEESE)
    assert effect.volume.value == 0
    assert effect.volume.interval is not None
    assert effect.volume.interval.high > 3


def test_null_coverage_with_families() -> None:
    arm, prompt, _ = _columns(45, 3)
    families = np.arange(45) // 2
    covered = np.zeros((400, 3))
    for seed in range(400):
        rng = np.random.default_rng(seed)
        chance = rng.uniform(0.1, 0.7, 23)[families][prompt]
        mean = rng.uniform(-0.5, 0.5, 23)[families][prompt]
        mentioned = rng.random(270) < chance
        stance = np.where(mentioned, np.clip(mean + rng.normal(0, 0.4, 270), -1, 1), np.nan)
        effect = measure_topic(mentioned, stance, arm, prompt, families, GEESE)
        for k, estimate in enumerate((effect.volume, effect.stance_paired, effect.stance_unpaired)):
            assert estimate is not None
            assert estimate.interval is not None
            covered[seed, k] = estimate.interval.low <= 0 <= estimate.interval.high
    assert (covered.mean(axis=0) >= 0.95 - 3 * math.sqrt(0.95 * 0.05 / 400)).all()


def test_proposed_topics_vary_within_prompts_and_do_not_see_the_arm() -> None:
    rng = np.random.default_rng(1)
    texts, prompt = [], []
    for i in range(60):
        for _ in range(4):
            talk = "The goose is near the pond. " if rng.random() < 0.3 else ""
            talk += "A pond for the geese. " if talk else ""
            texts.append(f"{talk}The budget of the library is lovely and was quickly read.")
            prompt.append(i)
    found = propose_topics(texts, np.array(prompt), min_responses=10)
    assert set(found[0].phrases) >= {"goose", "geese", "pond", "ponds"}
    said = {phrase for topic in found for phrase in topic.phrases}
    assert not said & {"budget", "lovely", "quickly", "library"}
    order = rng.permutation(len(texts))
    assert propose_topics([texts[k] for k in order], np.array(prompt)[order], min_responses=10) == found
    assert propose_topics(["nothing here"], np.array([0])) == []
    with pytest.raises(InputError, match="one index a text"):
        propose_topics(texts, np.array([0]))


def test_embeddings_merge_proposed_topics() -> None:
    texts = ["the harbour is", "the quay is", "so it goes", "so it went"] * 20
    prompt = np.repeat(np.arange(10), 8)
    apart = propose_topics(texts, prompt)
    assert [t.name for t in apart] == ["harbour", "quay"]
    together = propose_topics(texts, prompt, embed=lambda some: np.ones((len(some), 1)))
    assert len(together) == 1


def test_a_word_that_is_the_plural_of_another_and_has_a_plural_itself() -> None:
    texts = ["the peoples of the valley", "of the harbour people", "so it goes", "so it went"] * 20
    found = propose_topics(texts, np.repeat(np.arange(10), 8), min_responses=5)
    assert {"person", "people", "peoples"} & {phrase for topic in found for phrase in topic.phrases}


def test_entropy_of_pure_and_mixed_clusters() -> None:
    rng = np.random.default_rng(0)
    pure = stance_entropy(np.full(60, 0.5), rng=rng)
    mixed = stance_entropy(np.tile([0.5, -0.5], 30), rng=rng)
    neutral = stance_entropy(np.full(60, np.nan), rng=rng)
    assert (pure.label, mixed.label, neutral.label) == ("positive", "topic", "topic")
    assert pure.entropy == 0
    assert mixed.entropy == pytest.approx(math.log(2) / math.log(3))
    assert mixed.interval.low < mixed.entropy < mixed.interval.high
    few = stance_entropy(np.full(60, 0.5), rng=rng, prompt=np.zeros(60, dtype=int))
    assert few.label == "topic"
    with pytest.raises(InputError, match="no member"):
        stance_entropy(np.zeros(0), rng=rng)


def test_entropy_interval_covers() -> None:
    shares = np.array([0.2, 0.3, 0.5])
    truth = -(shares * np.log(shares)).sum() / math.log(3)
    rng = np.random.default_rng(5)
    hits = []
    for _ in range(400):
        found = stance_entropy(rng.choice([-0.5, 0.0, 0.5], 80, p=shares), rng=rng)
        hits.append(found.interval.low <= truth <= found.interval.high)
    assert np.mean(hits) >= 0.95 - 3 * math.sqrt(0.95 * 0.05 / 400)


def test_split_parts_are_pure() -> None:
    rng = np.random.default_rng(0)
    stance = rng.uniform(-1, 1, 200)
    parts = split_on_stance(stance)
    assert [stance_entropy(stance[parts == k], rng=rng).label for k in (-1, 0, 1)] == ["negative", "topic", "positive"]


def _move(name: str, label: str, low: float, high: float, topic: str = "geese") -> ClusterMove:
    return ClusterMove(name, topic, label, (low + high) / 2, Interval(low=low, high=high))  # type: ignore[arg-type]


def test_contradictory_clusters_that_move_together_become_one_volume_finding() -> None:
    both = [_move("praise", "positive", 1.5, 2.5), _move("blame", "negative", 1.4, 2.6), _move("talk", "topic", 1, 2)]
    (merged,) = merge_contradictory(both)
    assert (merged.direction, merged.kind, merged.members) == ("more", "volume", ("praise", "blame", "talk"))
    (uneven,) = merge_contradictory([both[0], _move("blame", "negative", 0.1, 0.5)])
    assert uneven.kind == "volume and stance"
    apart = [
        both[0],
        _move("blame", "negative", -2, -1),
        _move("other", "negative", 1, 2, "ducks"),
        _move("n", "negative", -1, 1),
    ]
    assert merge_contradictory(apart) == []


def test_negation_axis_separates_held_out_pairs() -> None:
    rng = np.random.default_rng(0)
    hidden = rng.normal(size=32)
    hidden /= np.linalg.norm(hidden)
    memory: dict[str, np.ndarray] = {}

    def embed(texts: list[str]) -> np.ndarray:
        rows = []
        for text in texts:
            base = memory.setdefault(text.replace(" not", ""), rng.normal(size=32))
            row = base - base @ hidden * hidden + (-0.8 if " not" in text else 0.8) * hidden
            rows.append(row / np.linalg.norm(row))
        return np.array(rows)

    yes = [f"geese are w{k}" for k in range(30)]
    axis = negation_axis(embed, yes[:20], [s.replace("are", "are not") for s in yes[:20]])
    assert axis.accuracy >= 0.9
    texts = [f"Geese are w{k}. So." for k in range(20, 30)]
    good = axis(texts, GEESE)
    bad = axis([t.replace("are", "are not") for t in texts], GEESE)
    assert (good > bad).mean() >= 0.9
    assert np.isnan(axis(["No birds."], GEESE)[0])
    with pytest.raises(InputError, match="at least 8"):
        negation_axis(embed, yes[:3], yes[:3])
