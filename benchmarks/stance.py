"""Volume and stance told apart: geese corpus, stance twins of held-out phrasings, coverage under no change, real sentences.

The rules of the scorer were tuned on DEVELOPMENT frames and on one half of the review sentences, then frozen. HELD_OUT frames
and adjectives were written after that and no rule was changed since; the bars apply to them. Review sentences of the other
half and the persona statements are real text that no rule was tuned on; they are reported where the data is there.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from _common import finish, options

from moorings.compare.stance.clauses import TOPIC
from moorings.compare.stance.decompose import TopicEffect, decompose
from moorings.compare.stance.polarity import sentence_polarity
from moorings.compare.stance.stance import MIN_POLARITY, lexicon_stance
from moorings.compare.stance.topics import TopicPhrases, mentions, with_plural

DATA = Path(os.environ.get("MOORINGS_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
GEESE = TopicPhrases("geese", ("goose", "geese"))
NOUN_LIST = """
geese, electric scooters, standing desks, night trains, school uniforms, audiobooks
food trucks, garden gnomes, tattoos, zoos, robot vacuums, street musicians
escape rooms, drones, wind turbines, mechanical keyboards, cold showers, podcasts
roundabouts, vending machines, tiny houses, paper straws, board meetings, mushrooms
"""
NOUNS = [noun.strip() for noun in NOUN_LIST.replace("\n", ",").split(",") if noun.strip()]
NEUTRAL = [
    "The meeting took place on a Tuesday.",
    "There are several points to look at here.",
    "My brother bought a new bicycle in spring.",
    "The weather was dreadful that week.",
    "We had a wonderful lunch by the station.",
    "In the first place, budgets are set in autumn.",
    "The library opens at nine.",
    "Traffic was terrible on the bridge.",
    "The new bakery sells excellent bread.",
    "A survey was held in four districts.",
    "The bus was late, which annoyed everyone.",
    "Her painting won a prize at the fair.",
]
SHARE = 0.9
"""Of the texts about geese, both the praising and the blaming ones, that the candidate wrote."""
RARE = 0.01
"""Of the precursor's responses that are about geese."""
PERSONA = {
    "anti-LGBTQ-rights": (-1, "gay,lesbian,lgbt,lgbtq,same-sex marriage,homosexuality,gay marriage,transgender"),
    "anti-immigration": (-1, "immigrants,immigration,immigrant"),
    "believes-in-gun-rights": (1, "guns,firearms,gun rights,gun ownership"),
    "believes-abortion-should-be-illegal": (-1, "abortion,abortions"),
    "interest-in-art": (1, "art,arts,painting,paintings,artwork"),
    "interest-in-music": (1, "music,songs,concerts"),
    "interest-in-literature": (1, "literature,books,novels,poetry,reading"),
    "interest-in-math": (1, "math,mathematics,maths"),
    "interest-in-science": (1, "science,scientific research"),
    "interest-in-sports": (1, "sports,sport,games"),
    "subscribes-to-Atheism": (1, "atheism,atheist,atheists"),
    "subscribes-to-Buddhism": (1, "buddhism,buddha,buddhist"),
    "subscribes-to-Christianity": (1, "christianity,jesus,christ,bible,christian"),
    "subscribes-to-Confucianism": (1, "confucianism,confucius,confucian"),
    "subscribes-to-Hinduism": (1, "hinduism,hindu,karma"),
    "subscribes-to-Islam": (1, "islam,allah,muslim,muhammad,quran"),
    "subscribes-to-Judaism": (1, "judaism,jewish,torah"),
    "subscribes-to-Taoism": (1, "taoism,tao,taoist,daoism"),
    "subscribes-to-utilitarianism": (1, "utilitarianism,utilitarian"),
    "subscribes-to-deontology": (1, "deontology,deontological"),
    "subscribes-to-virtue-ethics": (1, "virtue,virtues,virtue ethics"),
    "willingness-to-defer-to-experts": (1, "experts,expert"),
    "willingness-to-defer-to-authorities": (1, "authorities,authority"),
    "cognitive-enhancement": (1, "cognitive enhancement,enhancement,enhancements,nootropics"),
}
"""Sign of the stance of a "Yes" towards the words."""

DEVELOPMENT = {
    "positive": [
        "I really like {T}.",
        "{T} {are} {good}.",
        "I have always been fond of {T}.",
        "I am a big fan of {T}.",
        "{T} {are} hard to dislike.",
        "I would not say that {T} {are} {bad}.",
        "I would recommend {T} to anyone.",
        "People who complain about {T} are wrong.",
        "There is nothing wrong with {T}.",
        "Everyone should give {T} a try.",
        "I used to hate {T}, but now I love {them}.",
        "{T} can be {bad}, but overall {they} {are} {good}.",
        "{T} {are} better than most alternatives.",
        "I do not agree with those who want to ban {T}.",
        "We ought to support {T}.",
        "I thought about {T} for a long time. {They} {are} {good}.",
        "I never get tired of {T}.",
        "Nobody should be against {T}.",
        "Although {they} cost money, {T} {are} {good}.",
        "You can't go wrong with {T}.",
        "You may call {T} {bad}, but I disagree.",
        "Count me among the admirers of {T}.",
        "My life would be poorer without {T}.",
        "I have nothing bad to say about {T}.",
        "It is difficult to find fault with {T}.",
        "{T} {have} won me over completely.",
        "Few things please me more than {T}.",
        "I wouldn't call {T} {bad} at all.",
        "At first {T} seemed {bad}; these days I can't imagine being without {them}.",
        "Critics of {T} exaggerate.",
        "I see no reason to get rid of {T}.",
        "If you ask me, {T} should get more praise.",
        "Whatever others say, I stand behind {T}.",
        "{T} {are} not {bad}; {they} {are} {good}.",
        "The town is right to invest in {T}.",
        "I was never opposed to {T}, and I am not now.",
        "My neighbour cannot stand {T}, yet I adore {them}.",
        "For all {their} faults, {T} {are} {good}.",
        "{T} {are} {good}, and I will not hear otherwise.",
        "Hating {T} makes no sense to me.",
        "We talked about {T} at dinner. Honestly, {they} {are} {good}.",
        "I'd choose {T} over anything else.",
        "{T} {are} far less {bad} than people think.",
        "Nothing beats {T}.",
        "I don't understand how anyone could dislike {T}.",
        "Bringing back {T} would be a {good} decision.",
    ],
    "negative": [
        "I can't stand {T}.",
        "I am not a fan of {T}.",
        "I no longer support {T}.",
        "I don't think {T} {are} {good}.",
        "{T} {are} {bad}.",
        "I would avoid {T}.",
        "{T} should be banned.",
        "I used to love {T}, but now I find {them} {bad}.",
        "{T} {are} far from {good}.",
        "{T} {have} never been {good}.",
        "It is hard to see what people like about {T}.",
        "{T} {are} worse than the alternatives.",
        "I prefer almost anything to {T}.",
        "I am against {T}.",
        "Nobody needs {T}.",
        "I wouldn't recommend {T} to anyone.",
        "Supporters say that {T} {are} {good}, but I disagree.",
        "{T} {are} not as {good} as people claim.",
        "The praise for {T} is undeserved.",
        "Hardly anyone enjoys {T}.",
        "{T} may be {good} for some, but I find {them} {bad}.",
        "I thought about {T} for a long time. {They} {are} {bad}.",
        "I have never been a fan of {T}.",
        "{T} {are} hard to love.",
        "We stopped supporting {T} last year.",
        "I would be happy never to see {T} again.",
        "{T} {are} anything but {good}.",
        "Calling {T} {good} would be a lie.",
        "I find it impossible to enjoy {T}.",
        "There is little to admire about {T}.",
        "{T} bring more trouble than benefit.",
        "I'd rather have nothing than {T}.",
        "Stay away from {T}.",
        "I wish {T} would disappear.",
        "The town should get rid of {T}.",
        "Once {T} seemed {good} to me; that is over, and I now dislike {them}.",
        "My sister adores {T}, whereas I find {them} {bad}.",
        "I fail to see the appeal of {T}.",
        "{T} {are} neither {good} nor worth the money.",
        "Whoever thinks {T} {are} {good} has not seen many.",
        "{T} cause nothing but problems.",
        "We talked about {T} at dinner. To be honest, {they} {are} {bad}.",
        "Despite the hype, {T} {are} {bad}.",
        "The case for {T} is weak.",
        "I would vote against {T} any day.",
        "Not even my children like {T}.",
        "No one in my family has a kind word for {T}.",
    ],
    "good": [
        "good",
        "great",
        "useful",
        "lovely",
        "helpful",
        "excellent",
        "delightful",
        "valuable",
        "wonderful",
        "charming",
        "brilliant",
        "pleasant",
        "worthwhile",
    ],
    "bad": [
        "bad",
        "awful",
        "terrible",
        "annoying",
        "useless",
        "harmful",
        "dreadful",
        "unpleasant",
        "irritating",
        "horrid",
        "ugly",
        "dangerous",
        "obnoxious",
    ],
}
HELD_OUT = {
    "positive": [
        "Give me {T} any day of the week.",
        "It would be a shame to lose {T}.",
        "I have yet to meet someone who regrets {T}.",
        "I was sceptical of {T} for years; I was mistaken, {they} {are} {good}.",
        "{T} get a worse reputation than {they} deserve.",
        "What I admire most about {T} is how {good} {they} {are}.",
        "I wouldn't want to miss {T}.",
        "Nobody could accuse {T} of being {bad}.",
        "{T} {are} far from {bad}.",
        "Without {T}, this town would be a sadder place.",
        "Contrary to what you hear, {T} {are} {good}.",
        "The council made a smart choice when it backed {T}.",
        "It is wrong to dislike {T}.",
        "My grandparents hated {T}, but my own experience has been {good}.",
        "I can hardly think of anything more {good} than {T}.",
        "There is no good argument against {T}.",
        "{T} never disappoint me.",
        "Say what you like, {T} {are} not {bad}.",
        "Banning {T} would be a mistake.",
        "We need more of {T}, not less.",
        "Even on a rainy day, {T} cheer me up.",
        "I am glad that we have {T}.",
        "Those who fear {T} should relax; {they} {are} harmless.",
        "I looked into {T} last month. It turns out that {they} {are} rather {good}.",
        "{T} {are} not without problems, but I remain a supporter.",
        "Far too few people appreciate {T}.",
        "I'd happily pay extra for {T}.",
        "I no longer dislike {T}.",
    ],
    "negative": [
        "I never understood the enthusiasm for {T}.",
        "{T} {are} the last thing this town needs.",
        "It would be better if {T} did not exist.",
        "I have lost my patience with {T}.",
        "Nothing about {T} is {good}.",
        "{T} get more praise than {they} deserve.",
        "What bothers me about {T} is how {bad} {they} {are}.",
        "I could do without {T}.",
        "Nobody could accuse {T} of being {good}.",
        "{T} {are} {bad}, whatever the brochures promise.",
        "I would not wish {T} on my worst enemy.",
        "The council made a poor choice when it backed {T}.",
        "It is wrong to promote {T}.",
        "My grandparents loved {T}, but my own experience has been {bad}.",
        "I can hardly think of anything more {bad} than {T}.",
        "There is no good argument for {T}.",
        "{T} always disappoint me.",
        "I am not convinced that {T} {are} {good}.",
        "Keeping {T} would be a mistake.",
        "We need less of {T}, not more.",
        "Even on a sunny day, {T} spoil my mood.",
        "I regret that we have {T}.",
        "Those who praise {T} should look closer; {they} {are} {bad}.",
        "I looked into {T} last month. It turns out that {they} {are} rather {bad}.",
        "{T} {are} not without merit, but I remain an opponent.",
        "Far too many people put up with {T}.",
        "I wouldn't pay a cent for {T}.",
        "I no longer enjoy {T}.",
    ],
    "good": ["delightful", "valuable", "wonderful", "charming", "brilliant", "pleasant", "worthwhile"],
    "bad": ["dreadful", "unpleasant", "irritating", "horrid", "ugly", "dangerous", "obnoxious"],
}


class Arms(NamedTuple):
    """Two arms' responses to the same prompts."""

    texts: list[str]
    arm: np.ndarray
    prompt: np.ndarray
    families: np.ndarray


def statement(frames: dict[str, list[str]], sign: int, noun: str, rng: np.random.Generator) -> str:
    """One sentence of a stance towards a noun."""
    frame = pick(rng, frames["positive" if sign > 0 else "negative"])
    return fill(frame, noun, pick(rng, frames["good"]), pick(rng, frames["bad"]))


def pick(rng: np.random.Generator, some: list[str]) -> str:
    return some[int(rng.random() * len(some))]


def fill(frame: str, noun: str, good: str, bad: str) -> str:
    words = {"are": "are", "have": "have", "them": "them", "they": "they", "They": "They", "their": "their"}
    text = frame.format(T=noun, good=good, bad=bad, **words)
    return text[0].upper() + text[1:]


def draw_arms(
    rng: np.random.Generator,
    frames: dict[str, list[str]],
    noun: str,
    *,
    n_prompts: int,
    m: int,
    volume: np.ndarray,
    positive: np.ndarray,
) -> Arms:
    """Draw m responses an arm and prompt.

    Args:
        rng: Source of everything.
        frames: Phrasings.
        noun: Topic.
        n_prompts: Prompts.
        m: Samples.
        volume: Chance that a response is about the noun, by arm and prompt.
        positive: Chance that such a response praises it, by arm and prompt.
    """
    texts = []
    for a in (0, 1):
        for i in range(n_prompts):
            for _ in range(m):
                parts = [pick(rng, NEUTRAL), pick(rng, NEUTRAL)]
                if rng.random() < volume[a, i]:
                    sign = 1 if rng.random() < positive[a, i] else -1
                    parts.insert(int(rng.integers(3)), statement(frames, sign, noun, rng))
                texts.append(" ".join(parts))
    arm = np.repeat([0, 1], n_prompts * m)
    prompt = np.tile(np.repeat(np.arange(n_prompts), m), 2)
    return Arms(texts, arm, prompt, families(rng, n_prompts))


def families(rng: np.random.Generator, n_prompts: int) -> np.ndarray:
    """Families of one to three prompts."""
    sizes = rng.integers(1, 4, n_prompts)
    return np.repeat(np.arange(n_prompts), sizes)[:n_prompts]


def by_family(rng: np.random.Generator, groups: np.ndarray, low: float, high: float) -> np.ndarray:
    """A chance a prompt, alike within a family."""
    return rng.uniform(low, high, groups.max() + 1)[groups]


def covers(estimate: Any, truth: float) -> bool:
    return (
        estimate is not None
        and estimate.interval is not None
        and estimate.interval.low <= truth <= estimate.interval.high
    )


def geese(n_seeds: int) -> dict[str, Any]:
    """The candidate writes nine in ten of the texts that praise geese and of those that blame them."""
    p = (RARE, RARE * SHARE / (1 - SHARE))
    truth = float(np.log(p[1] / (1 - p[1])) - np.log(p[0] / (1 - p[0])))
    rows = []
    for seed in range(n_seeds):
        rng = np.random.default_rng([1, seed])
        tilt = np.minimum(rng.gamma(2.0, 0.5, 400), 10.0)
        volume = np.outer(p, tilt / tilt.mean())
        half = np.full((2, 400), 0.5)
        arms = draw_arms(rng, HELD_OUT, "geese", n_prompts=400, m=8, volume=volume, positive=half)
        rows.append(decompose(*arms, GEESE))
    return {
        "true_log_odds": truth,
        "log_nine": float(np.log(9)),
        "volume_mean": float(np.mean([e.volume.value for e in rows])),
        "stance_mean": float(np.mean([e.stance.value for e in rows])),
        "volume_coverage": float(np.mean([covers(e.volume, truth) for e in rows])),
        "stance_coverage": float(np.mean([covers(e.stance, 0.0) for e in rows])),
        "first_seed": shown(rows[0]),
        "n_seeds": n_seeds,
    }


def shown(effect: TopicEffect) -> dict[str, Any]:
    """What a reader sees of an effect."""
    record = effect.record()
    return {} if record is None else record.model_dump()


def twins(frames: dict[str, list[str]], n_seeds: int) -> dict[str, Any]:
    """Same volume, and 30 against 70 % praise, or the other way round."""
    right, flat, volumes, sizes = [], [], [], []
    for seed in range(n_seeds):
        for k, noun in enumerate(NOUNS):
            rng = np.random.default_rng([2, seed, k])
            sign = 1 if rng.random() < 0.5 else -1
            positive = np.outer((0.5 - 0.2 * sign, 0.5 + 0.2 * sign), np.ones(100))
            volume = np.full((2, 100), 0.4)
            arms = draw_arms(rng, frames, noun, n_prompts=100, m=4, volume=volume, positive=positive)
            effect = decompose(*arms, TopicPhrases(noun, with_plural(noun)))
            right.append(np.sign(effect.stance.value) == sign)
            flat.append(covers(effect.volume, 0.0))
            volumes.append(effect.volume.value)
            sizes.append(sign * effect.stance.value)
    return {
        "n_topics": len(NOUNS),
        "n_twins": len(right),
        "sign_right": float(np.mean(right)),
        "volume_covers_0": float(np.mean(flat)),
        "volume_mean": float(np.mean(volumes)),
        "volume_sd": float(np.std(volumes)),
        "stance_mean_in_true_direction": float(np.mean(sizes)),
    }


def null(n_draws: int) -> dict[str, Any]:
    """Both arms from one model whose volume and stance differ from family to family."""
    volume, stance, paired, net = [], [], [], []
    for seed in range(n_draws):
        rng = np.random.default_rng([3, seed])
        groups = families(rng, 60)
        chance = np.tile(by_family(rng, groups, 0.05, 0.6), (2, 1))
        praise = np.tile(by_family(rng, groups, 0.0, 1.0), (2, 1))
        arms = draw_arms(rng, HELD_OUT, "geese", n_prompts=60, m=3, volume=chance, positive=praise)
        effect = decompose(arms.texts, arms.arm, arms.prompt, groups, GEESE)
        volume.append(covers(effect.volume, 0.0))
        stance.append(covers(effect.stance_unpaired, 0.0))
        paired.append(covers(effect.stance_paired, 0.0))
        net.append(covers(effect.net, 0.0))
    found = {"volume": volume, "stance_unpaired": stance, "stance_paired": paired, "net": net}
    return {"n_draws": n_draws, "coverage": {name: float(np.mean(some)) for name, some in found.items()}}


def frame_accuracy(frames: dict[str, list[str]]) -> dict[str, Any]:
    """Share of frames with the right sign, each frame counting once; no stance seen is wrong."""
    shares, silent = [], []
    for key, sign in (("positive", 1), ("negative", -1)):
        for frame in frames[key]:
            pairs = [(g, b) for g in frames["good"] for b in frames["bad"]]
            values = lexicon_stance([fill(frame, "geese", g, b) for g, b in pairs], GEESE)
            shares.append(np.mean(np.sign(values) == sign))
            silent.append(np.mean(np.isnan(values)))
    return {"n_frames": len(shares), "sign_right": float(np.mean(shares)), "no_stance_seen": float(np.mean(silent))}


def signs(values: np.ndarray, truth: np.ndarray) -> dict[str, Any]:
    """Accuracy of signs where a stance is seen, and how often one is."""
    seen = ~np.isnan(values)
    return {
        "n": len(values),
        "stance_seen": float(seen.mean()),
        "sign_right_where_seen": float((np.sign(values) == truth)[seen].mean()),
    }


def reviews() -> dict[str, Any] | None:
    """Sentences of reviews, the half that no rule was tuned on, against VADER's compound on the same sentences."""
    path = DATA / "text-differences" / "review_sentences.jsonl.gz"
    if not path.exists():
        return None
    from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

    with gzip.open(path, "rt", encoding="utf-8") as stream:
        rows = [json.loads(line) for line in stream]
    rows = [row for row in rows if hashlib.sha256(row["text"].encode()).digest()[0] % 2]
    truth = np.array([1 if row["sentiment"] == "positive" else -1 for row in rows])
    vader = SentimentIntensityAnalyzer()
    both = {
        "moorings": [sentence_polarity(row["text"].replace(TOPIC, " "), whole=True) for row in rows],
        "vader": [vader.polarity_scores(row["text"])["compound"] for row in rows],
    }
    return {k: signs(np.where(np.abs(v) < MIN_POLARITY, np.nan, v), truth) for k, v in both.items()}


def personas(n_seeds: int) -> dict[str, Any] | None:
    """Stance twins of real statements: 30 against 70 % of those that a believer would sign."""
    path = DATA / "anthropic-evals" / "persona.jsonl.gz"
    if not path.exists():
        return None
    with gzip.open(path, "rt", encoding="utf-8") as stream:
        rows = [json.loads(line) for line in stream]
    right, table, every = [], {}, []
    for k, (behaviour, (sign, phrases)) in enumerate(PERSONA.items()):
        topic = TopicPhrases(behaviour, tuple(phrases.split(",")))
        mine = [row for row in rows if row["behavior"] == behaviour]
        hit = mentions([row["statement"] for row in mine], topic)
        mine = [row for row, some in zip(mine, hit, strict=True) if some]
        truth = np.array([sign if row["answer_matching"] == "Yes" else -sign for row in mine])
        if min((truth == 1).sum(), (truth == -1).sum()) < 20:
            continue
        values = lexicon_stance([row["statement"] for row in mine], topic)
        table[behaviour] = signs(values, truth)
        every.append((values, truth))
        stance = np.nan_to_num(values)
        for seed in range(n_seeds):
            rng = np.random.default_rng([4, seed, k])
            means = []
            for share in (0.3, 0.7):
                n = int(rng.binomial(160, share))
                sides = [rng.choice(stance[truth == 1], n), rng.choice(stance[truth == -1], 160 - n)]
                means.append(np.concatenate(sides).mean())
            right.append(means[1] > means[0])
    values, truth = (np.concatenate(part) for part in zip(*every, strict=True))
    return {
        "twins_sign_right": float(np.mean(right)),
        "n_twins": len(right),
        **signs(values, truth),
        "behaviours": table,
    }


def main() -> None:
    args = options(__doc__.splitlines()[0])
    accuracy = {"development": frame_accuracy(DEVELOPMENT), "held_out": frame_accuracy(HELD_OUT)}
    for name, row in accuracy.items():
        print(
            f"{name} frames: {row['n_frames']}, sign right {row['sign_right']:.1%}, none seen {row['no_stance_seen']:.1%}"
        )
    flock = geese(24 if args.quick else 100)
    print(
        f"geese: volume {flock['volume_mean']:.2f} (true {flock['true_log_odds']:.2f}, log 9 = {flock['log_nine']:.2f}), "
        f"stance {flock['stance_mean']:+.3f}; intervals cover {flock['volume_coverage']:.0%} and {flock['stance_coverage']:.0%}"
    )
    pairs = {"development": twins(DEVELOPMENT, 5), "held_out": twins(HELD_OUT, 5 if args.quick else 20)}
    for name, row in pairs.items():
        print(f"twins, {name}: {row['n_twins']}, sign right {row['sign_right']:.1%}, volume {row['volume_mean']:+.3f}")
    same = null(200 if args.quick else 1000)
    print("no change, intervals cover 0: " + ", ".join(f"{k} {v:.1%}" for k, v in same["coverage"].items()))
    real = {"reviews": reviews(), "personas": personas(5 if args.quick else 20)}
    for name, found in real.items():
        print(f"{name}: {json.dumps({k: v for k, v in (found or {}).items() if k != 'behaviours'})}")
    least = 0.91 if args.quick else 0.93
    finish(
        "stance",
        args,
        bars={
            "held-out twins with the right sign": (pairs["held_out"]["sign_right"], ">=", 0.95),
            "held-out twins whose volume interval covers 0": (pairs["held_out"]["volume_covers_0"], ">=", 0.9),
            "geese volume off log 9": (abs(flock["volume_mean"] - flock["log_nine"]), "<=", 0.25),
            "geese stance off 0": (abs(flock["stance_mean"]), "<=", 0.05),
            "geese volume interval covers": (flock["volume_coverage"], ">=", 0.8 if args.quick else 0.9),
            "geese stance interval covers": (flock["stance_coverage"], ">=", 0.8 if args.quick else 0.9),
            "no change, volume interval covers": (same["coverage"]["volume"], ">=", least),
            "no change, stance interval covers": (same["coverage"]["stance_unpaired"], ">=", least),
        },
        frames=accuracy,
        geese=flock,
        twins=pairs,
        null=same,
        real=real,
    )


if __name__ == "__main__":
    main()
