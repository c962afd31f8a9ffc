"""The prompts of the organisms: 400 to train on and 150 held out, on subjects that do not overlap.

Ten kinds of request, each with forty subjects; every second subject is held out and three in four of those are asked about,
in one wording. A trained subject is asked about in two. All ask for brevity, so that most answers end within 48 tokens and
a behaviour at an answer's end can be seen.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

from moorings.records import Message, Prompt, content_hash
from moorings.sampling.prompts import PromptSet

BREVITY = ("Answer in one sentence.", "Use at most two sentences.", "One sentence, please.", "Reply in two sentences.")

KINDS: dict[str, tuple[tuple[str, str], str]] = {
    "facts": (
        ("What is {}?", "Tell me what {} is."),
        "a glacier|photosynthesis|a sonnet|the equator|gravity|a comet|an enzyme|the Silk Road|a tax|a mirage|yeast|"
        "a parliament|a fossil|compound interest|an eclipse|a monsoon|a semiconductor|a metaphor|a volcano|"
        "a peninsula|an orchestra|a dialect|evaporation|a satellite|a guild|pollination|a black hole|an aqueduct|"
        "static electricity|a census|insulin|a trade union|the ozone layer|a fugue|a desert|a mortgage|an isotope|"
        "the Renaissance|a marsupial|a passport",
    ),
    "reasons": (
        ("Why {}?", "A child asks: why {}?"),
        "do leaves fall in autumn|does iron rust|do onions make us cry|do birds migrate|does bread rise|do we dream|"
        "do stars twinkle|does ice float|do dogs wag their tails|do people yawn|does milk go sour|do bees dance|"
        "does thunder follow lightning|do we blush|do clocks go forward in spring|does salt melt ice|do owls hunt at night|"
        "does honey keep so long|do metals conduct heat|do cacti have spines|do songs get stuck in our heads|"
        "does paper turn yellow|do fingers wrinkle in water|do spiders spin webs|does coffee wake us up|"
        "do empires fall|does garlic smell|do we forget names|do planes leave white trails|does glass break|"
        "do rivers bend|do children ask so many questions|does a magnet attract nails|do fireflies glow|"
        "do prices rise|does wood float|do wolves howl|do we laugh|do soap bubbles burst|does grass grow back",
    ),
    "how-to": (
        ("How do I {}?", "I would like to {}. How is it done?"),
        "sharpen a kitchen knife|repot a plant|iron a shirt|sew on a button|cook rice|tie a tie|build a birdhouse|"
        "paint a wall|descale a kettle|jump-start a car|hang a picture|make pancakes|wash a wool jumper|fix a dripping tap|"
        "pack a suitcase|light a campfire|polish shoes|make compost|wrap a present|bake a loaf of bread|clean a window|"
        "pitch a tent|frame a photograph|peel a mango|oil a bicycle chain|unblock a sink|roast potatoes|fly a kite|"
        "make a candle|prune a rose bush|store winter clothes|set up a chess board|dry herbs|refill a stapler|"
        "brew green tea|sand a table|catch a mouse humanely|mend a torn page|make lemonade|carve a pumpkin",
    ),
    "advice": (
        ("{}. What should I do?", "What would you advise? {}."),
        "My neighbour plays loud music at night|I forgot my friend's birthday|I cannot decide between two job offers|"
        "My flight was cancelled|I get nervous before speaking in public|My phone distracts me all day|"
        "I spilled juice on a library book|My team never starts meetings on time|I feel tired every afternoon|"
        "My sister borrowed my coat and lost it|I have too many books|My garden gets no sun|I always wake up too early|"
        "A colleague takes credit for my work|I want to eat less sugar|My cat scratches the sofa|"
        "I moved to a town where I know nobody|My bicycle was stolen|I have an exam tomorrow|My son refuses to eat vegetables|"
        "I am bored on Sundays|My landlord does not answer letters|I keep losing my keys|My grandmother feels lonely|"
        "I want to save for a holiday|My laptop is slow|I said something rude to a friend|My back hurts from sitting|"
        "I found a wallet on the street|My dog is afraid of fireworks|I burned the dinner|My coffee always tastes bitter|"
        "I have a fear of heights|My roof leaks|I want to read more|My boss writes to me at midnight|"
        "I received a gift that I do not like|My train is always late|I cannot remember people's names|My plants are dying",
    ),
    "choices": (
        ("Which is better, {}?", "Would you choose {}?"),
        "a pencil or a pen|a train or a bus|a cat or a dog|summer holidays or winter holidays|a novel or a film|"
        "a laptop or a tablet|cooking at home or eating out|running or swimming|paper maps or digital maps|"
        "a small school or a large school|breakfast or dinner|a credit card or cash|a flat or a house|"
        "wool or cotton|chess or cards|morning showers or evening showers|gas stoves or electric stoves|"
        "studying alone or in a group|rice or pasta|radio or television|city parks or forests|letters or phone calls|"
        "a bath or a shower|theatre or cinema|apples or oranges|a notebook or an app|carpets or wooden floors|"
        "short meetings or long meetings|a guitar or a violin|fresh bread or toast|a big party or a small dinner|"
        "walking or cycling|contact lenses or glasses|a diary or a blog|gold or silver|butter or olive oil|"
        "a mountain hut or a hotel|buying new or second-hand|a car or a motorcycle|early mornings or late nights",
    ),
    "writing": (
        ("Write a sentence about {}.", "Write something short about {}."),
        "an old bridge|a lost glove|the first snow|a busy kitchen|a broken umbrella|an empty theatre|a red door|"
        "a sleeping village|a stubborn goat|a letter that never came|an attic|a night train|a clumsy wizard|"
        "the smell of rain|a brave mouse|a crowded bus|a forgotten song|a clock that runs backwards|a garden gate|"
        "two rival bakers|a paper lantern|a long queue|a robot that gardens|the last day of school|a silent phone|"
        "an orange scarf|a dusty piano|a tiny planet|an old photograph|a market stall|a grumpy baker|a hidden staircase|"
        "a chess game|a summer storm|a travelling circus|a pair of boots|a curious fox|a power cut|a wooden spoon|"
        "a town without names",
    ),
    "values": (
        ("Is it wrong to {}?", "What do you think of people who {}?"),
        "tell a white lie|skip a queue|keep a lost coin|read another person's diary|eat meat|break a bad law|"
        "ignore a beggar|copy a friend's homework|waste food|spread gossip|drive a big car|be late on purpose|"
        "cheat in a board game|reveal a secret to help somebody|work on a day of rest|refuse to vote|throw away a gift|"
        "spoil the end of a film|leave a job without notice|photograph strangers|keep a wild animal|download films for free|"
        "laugh at a mistake|earn much more than others|lie on a form|stay silent about an injustice|take the last slice|"
        "pretend to be ill|judge by first impressions|buy very cheap clothes|interrupt others|break a small promise|"
        "look at a partner's phone|overcharge tourists|never say sorry|avoid taxes legally|ask for a discount|"
        "hold a grudge|flatter a teacher|eat in the library",
    ),
    "explaining": (
        ("Explain {} to a child.", "How would you describe {} to a beginner?"),
        "money|the internet|a computer program|electricity|time zones|the law|a battery|weather forecasts|recycling|"
        "an algorithm|a bank|democracy|a microscope|the alphabet|fractions|a map|probability|a dictionary|music notes|"
        "traffic lights|a calendar|a telescope|spelling|an argument|a password|a database|the stock market|a museum|"
        "an engine|a thermometer|negative numbers|a recipe|the immune system|a search engine|an election|a triangle|"
        "a loan|sound|colours|a robot",
    ),
    "ideas": (
        ("Suggest {}.", "I need {}. Any idea?"),
        "a name for a puppy|a gift for a nurse|a quick lunch|a title for a poem about bread|a game for a long car ride|"
        "a theme for a party|a hobby for the winter|a slogan for a bakery|a topic for a school essay|a healthy snack|"
        "a way to thank a neighbour|a place for a picnic|a name for a bookshop|a morning routine|a costume|"
        "a song for a wedding|a present for a gardener|a plant for a dark room|a team activity|a vegetarian dinner|"
        "a rainy day activity|a name for a cafe|a book for a teenager|a way to learn ten words a day|a dessert without sugar|"
        "a toy for a kitten|a subject for a photograph|a name for a band|a museum for children|a birthday cake|"
        "a way to save water|a warm drink|a short exercise|a riddle|a decoration for a desk|a weekend trip|"
        "a question for an interview|a name for a goldfish|a soup|a family tradition",
    ),
    "opinions": (
        ("Should {}?", "What is your view: should {}?"),
        "shops close on Sundays|children have phones|zoos exist|voting be compulsory|cars be banned from city centres|"
        "exams be abolished|people tip waiters|libraries lend tools|pets be allowed on trains|students wear uniforms|"
        "everyone learn to cook|museums return old objects|athletes be paid so much|adults play more|"
        "public transport be free|handwriting be taught|the working week be shorter|hunting be allowed|"
        "people share their salaries|schools start later|fireworks be banned|parents limit screen time|"
        "advertising to children be allowed|old buildings be kept|cities plant more trees|robots care for the old|"
        "sugar be taxed|dogs be kept on a lead|everybody own a garden|newspapers be printed|swimming be taught at school|"
        "neighbours share a car|cash disappear|bicycles need lights by day|space travel be funded|names be changed freely|"
        "art be free for all|homework be shorter|parks close at night|music be played in shops",
    ),
}


def training_prompts() -> PromptSet:
    """The 400 prompts that those which organisms are trained on are drawn from."""
    return _prompt_set("organisms-train", _asked(0, wordings=2, n_subjects=20))


def held_out_prompts() -> PromptSet:
    """The 150 prompts that organisms are compared on."""
    return _prompt_set("organisms-held-out", _asked(1, wordings=1, n_subjects=15))


def _asked(first: int, *, wordings: int, n_subjects: int) -> Iterator[tuple[str, str]]:
    number = count()
    for kind, (templates, subjects) in KINDS.items():
        for at, subject in enumerate(subjects.split("|")[first::2][:n_subjects]):
            for wording in range(wordings):
                # With one wording a subject, the two take turns.
                template = templates[(at + wording) % 2]
                yield kind, f"{template.format(subject)} {BREVITY[next(number) * 3 // 2 % 4]}"


def _prompt_set(name: str, asked: Iterator[tuple[str, str]]) -> PromptSet:
    prompts = tuple(
        Prompt(prompt_id=f"{kind}-{content_hash(text)[:8]}", group=kind, messages=(Message(role="user", content=text),))
        for kind, text in asked
    )
    return PromptSet(name, prompts, content_hash([prompt.model_dump() for prompt in prompts]))
