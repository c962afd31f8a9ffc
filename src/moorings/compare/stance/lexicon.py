"""Words that carry a stance, beyond VADER's lexicon, and words that turn one round.

Valences are on VADER's scale, -4 to 4. A phrase is written as its lower-case tokens with negations expanded
(`can not stand`); the longest phrase wins. The lists were fixed on development phrasings and are part of the measure.
"""

from __future__ import annotations

from functools import cache

__all__ = [
    "ATTITUDES",
    "BOOSTERS",
    "DENIALS",
    "FLIPS",
    "IDIOMS",
    "NEUTRAL",
    "OBJECT_FLIPS",
    "WEAK_VERBS",
    "valences",
    "words",
]


def words(text: str) -> frozenset[str]:
    """The words of a text, for tables that read as text."""
    return frozenset(text.split())


def _listed(text: str) -> frozenset[tuple[str, ...]]:
    return frozenset(tuple(phrase.split()) for phrase in text.split(","))


def _phrases(table: dict[float, str]) -> dict[tuple[str, ...], float]:
    return {tuple(phrase.split()): value for value, text in table.items() for phrase in text.split(",")}


_WORDS: dict[float, str] = {
    2.5: "superb flawless exemplary invaluable indispensable favourite favourites",
    2.0: (
        "tasty reliable affordable trustworthy dependable beneficial advocate advocates advocated championed "
        "cherish cherished applaud helpful enjoyable admirable admirers admirer deserved underrated essential "
        "sensible sound"
    ),
    1.5: (
        "convenient comfy necessary sustainable ethical prefer preferred prefers recommending favoured favored "
        "praiseworthy practical durable sturdy crucial quick approve approved approves desirable justified "
        "legitimate appeal appealing relaxing soothing timeless versatile accessible fascinated fascinates upside"
    ),
    -1.5: (
        "slow pricey expensive cramped dated outdated flimsy cheaply loud noisy smelly bland greasy soggy stale "
        "cluttered controversial questionable unneeded unnecessary costly inconvenient unjustified exaggerated "
        "exaggerate exaggerating overblown oversold mistaken misguided misplaced downside drawback drawbacks "
        "shortcoming shortcomings cumbersome dubious"
    ),
    -2.0: (
        "overpriced overrated oppose opposes opposed opposing opposition opponent opponents against undeserved "
        "mediocre tasteless inedible unreliable inefficient ineffective wasteful unsustainable unacceptable "
        "unwelcome ban bans banning abolish abolished abolishing outlaw outlawed prohibit prohibited prohibiting "
        "boycotted scrapped detest detests abhor loathe loathes harmful toxic flawed nonsense disapprove "
        "disapproves undesirable intolerable unbearable rip-off"
    ),
    -2.5: (
        "disappear disappeared vanish vanished repulsive repugnant unethical abhorrent deplorable atrocious abysmal"
    ),
}
IDIOMS = _phrases(
    {
        2.5: (
            "second to none,to die for,swear by,swears by,can not get enough,could not be better,"
            "could not be happier,never been better,in love with,fall in love,fell in love,top notch,kind word,"
            "kind words,good word,can not live without,could not live without,can not beat,hard to beat"
        ),
        2.0: (
            "a must,a must have,must have,in favour of,in favor of,thumbs up,well worth,worth it,worth every,"
            "looking forward to,look forward to,can not wait,could not agree more,stand by,stand up for,"
            "stands up for,hats off to,nothing beats,stand behind,stands behind,stood behind,please me,pleases me"
        ),
        1.5: (
            "be right to,is right to,are right to,a try,a chance,a go,keen on,a soft spot,grew on me,go back for,come back for,be back,"
            "come back,coming back,going back,makes sense,make sense"
        ),
        -1.5: (
            "too much,too many,too long,too small,too expensive,no good,fewer,fall short,falls short,let down,"
            "sick of,tired of,fed up,had enough of,enough of,not my thing,not for me,not my cup of tea,"
            "put up with,puts up with,run out,rip off,way too,makes no sense,make no sense,a lie,go away,"
            "went away"
        ),
        -2.0: (
            "stay away,stays away,keep away,steer clear,get rid of,got rid of,getting rid of,do away with,"
            "done away with,waste of,good riddance,phase out,phased out,thumbs down,look elsewhere,"
            "much to be desired,a lot to be desired,let me down,turned off"
        ),
        -2.5: (
            "can not stand,could not stand,can not bear,can not abide,could not bear,drive me crazy,"
            "drives me crazy,drive me mad,never again,happy never to,glad never to,happier without,"
            "better off without,better without,not worth,rid of"
        ),
    }
)
NEUTRAL = _listed(
    "not only,not just,not merely,not to mention,no doubt,without doubt,without a doubt,no question,"
    "without question,can not help,can not help but,nothing but,all but,no wonder,no matter,kind of,sort of,"
    "a kind of,like that,like this,looks like,look like,looked like,feel like,feels like,felt like,seems like,"
    "sounds like,would like,just like,things like,such as,as well,as well as,well known,interest rates,of course,"
    "should have,never had such,never seen such,never been so"
)
FLIPS = _listed(
    "not,no,never,nobody,nothing,none,neither,nor,hardly,barely,scarcely,rarely,seldom,without,less,far from,"
    "anything but,no longer,no one,nowhere,hard to,difficult to,impossible to,tough to,unlikely to,few things,"
    "few people,very few,little to,little reason to,little of,devoid of,free of,free from,doubt that,refuse to,"
    "refuses to,refused to,by no means,not even,not at all,far less,much less,unable to,too little,why would,"
    "why would anyone,who could,who would,how could,whoever thinks,anyone who thinks,those who think,"
    "people who think"
)
OBJECT_FLIPS = _phrases(
    {
        0.0: (
            "reduce,reduces,reduced,prevent,prevents,ease,eases,relieve,relieves,solve,solves,cure,cures,"
            "minimise,minimize,deny,end,ends,stop,stops,stopped,stopping,quit,cease,ceased,overcome,combat"
        ),
        -1.0: (
            "lack,lacks,lacked,lacking,lose,lost,eliminate,eliminates,doubt,doubts,question,fail to,fails to,failed to"
        ),
        -1.5: ("avoid,avoids,avoided,avoiding,disagree with,disagrees with,reject,rejects,rejected,lack of,want of"),
    }
)
"""They turn round what follows them; with nothing to turn round they have a valence of their own."""
WEAK_VERBS = {
    **dict.fromkeys(words("should ought need needs needed deserve deserves want wants choose chose rather"), 1.0),
    **dict.fromkeys(words("agree agrees agreed understand"), 1.0),
}
"""They count only in a clause without another stance."""
DENIALS = _listed(
    "disagree,do not agree,not agree,not so sure,not convinced,not persuaded,do not think so,not think so,"
    "not true,they are wrong,they are mistaken,that is wrong,this is wrong,doubt it,beg to differ,"
    "see it differently,that is nonsense,not the case,untrue"
)
"""As a clause of their own they turn round the clause before."""
ATTITUDES = words(
    "hate hates hating hatred dislike dislikes disliking love loving loves like liking likes support supporting "
    "supports oppose opposing opposes opposition ban banning bans avoid avoiding recommend recommending praise "
    "praising criticism criticising criticizing critics critic complain complains complaining complaint "
    "complaints objection objections opponents fans admiration enthusiasm fear calling against blaming rejecting "
    "abolishing defending endorsing condemning attacking attacks affection prejudice scorn contempt"
)
"""As the subject of a clause, its predicate speaks of the attitude: "hating geese is wrong"."""
BOOSTERS = {
    **dict.fromkeys(
        words("slightly somewhat fairly partly occasionally sometimes bit may might can could perhaps"), 0.7
    ),
    **dict.fromkeys(
        words("very extremely really absolutely incredibly utterly so truly totally completely always"), 1.2
    ),
}


@cache
def valences() -> dict[str, float]:
    """Word to valence: VADER's lexicon of 7,506 entries, with the words above in place of its own.

    Source: Hutto and Gilbert 2014, VADER.
    """
    from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

    found: dict[str, float] = dict(SentimentIntensityAnalyzer().lexicon)
    for value, text in _WORDS.items():
        found.update(dict.fromkeys(text.split(), value))
    for plain in words(
        "no kind want well pretty sure please yes matter allow allowed legal hard number share shared save wish"
    ):
        found.pop(plain, None)
    return found
