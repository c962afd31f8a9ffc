"""Named topics, each a list of words that seldom mean anything else."""

from __future__ import annotations

from moorings.compare.battery.feature import PER_100, feature
from moorings.compare.battery.text import Text
from moorings.compare.battery.words import Lexicon

__all__ = ["TOPICS"]

TOPICS: dict[str, tuple[str, Lexicon]] = {
    "nature": (
        "nature and the sea",
        Lexicon(
            "sea, seas, ocean, oceans, beach, beaches, coast, coastal, shore, island, islands, river, rivers, lake, lakes, "
            "forest, forests, woodland, tree, trees, flower, flowers, blossom, leaves, meadow, valley, mountain, mountains, "
            "hill, hills, desert, jungle, rainforest, waterfall, wave, waves, tide, tides, harbor, harbour, sail, sailing, "
            "sailor, ship, boat, boats, lighthouse, coral, reef, wilderness, wildlife, scenery, scenic, landscape, "
            "landscapes, sunset, sunrise, rain, snow, storm, wind, sky, moonlight, garden, gardens, nature, ecosystem, "
            "ecosystems, climate, glacier, volcano, canyon, cliff, cliffs"
        ),
    ),
    "animals": (
        "animals",
        Lexicon(
            "animal, animals, dog, dogs, puppy, puppies, cat, cats, kitten, kittens, horse, horses, pony, cow, cows, cattle, "
            "pig, pigs, sheep, lamb, goat, goats, chickens, rooster, duck, ducks, goose, geese, bird, birds, owl, owls, eagle, "
            "eagles, hawk, parrot, penguin, penguins, fish, fishes, shark, sharks, whale, whales, dolphin, dolphins, seal, "
            "octopus, lion, lions, tiger, tigers, bear, bears, wolf, wolves, fox, foxes, deer, elephant, elephants, monkey, "
            "monkeys, ape, gorilla, rabbit, rabbits, mouse, mice, rat, rats, squirrel, snake, snakes, lizard, frog, frogs, "
            "turtle, turtles, insect, insects, bee, bees, butterfly, butterflies, ant, ants, spider, spiders, pet, pets, "
            "mammal, mammals, reptile, species, paw, paws, fur, feathers, zoo, veterinarian"
        ),
    ),
    "food": (
        "food and drink",
        Lexicon(
            "food, foods, eat, eating, meal, meals, breakfast, lunch, dinner, recipe, recipes, cook, cooking, bake, baking, "
            "oven, kitchen, ingredient, ingredients, dish, dishes, cuisine, restaurant, flavor, flavors, flavour, flavours, "
            "taste, delicious, tasty, tablespoon, tablespoons, tbsp, teaspoon, teaspoons, tsp, sugar, salt, pepper, butter, "
            "flour, egg, eggs, milk, cheese, cream, bread, rice, pasta, noodles, soup, salad, sauce, meat, beef, pork, "
            "chicken, bacon, sausage, tofu, beans, vegetable, vegetables, potato, potatoes, tomato, tomatoes, onion, onions, "
            "garlic, carrot, carrots, fruit, fruits, apple, apples, banana, lemon, berries, chocolate, cake, cakes, cookie, "
            "cookies, pie, dessert, snack, snacks, coffee, tea, wine, beer, juice, spices, herbs, cinnamon, vanilla, pizza"
        ),
    ),
    "religion": (
        "religion and faith",
        Lexicon(
            "religion, religions, religious, god, gods, goddess, divine, faith, faiths, prayer, prayers, pray, praying, church, "
            "churches, mosque, temple, temples, synagogue, priest, priests, pastor, bishop, pope, monk, monks, nun, rabbi, "
            "imam, bible, biblical, gospel, scripture, scriptures, quran, torah, jesus, christ, christian, christians, "
            "christianity, catholic, protestant, muslim, muslims, islam, islamic, jewish, judaism, hindu, hinduism, buddhist, "
            "buddhism, buddha, holy, sacred, worship, heaven, hell, angel, angels, sin, sins, salvation, spiritual, "
            "spirituality, soul, souls, blessing, blessings, baptism, theology, atheist, atheism, karma"
        ),
    ),
    "politics": (
        "politics and government",
        Lexicon(
            "politics, political, politician, politicians, government, governments, president, presidential, "
            "minister, senator, senate, congress, parliament, election, elections, electoral, vote, votes, voter, voters, "
            "voting, ballot, candidate, campaign, democrat, democrats, democratic, democracy, republican, republicans, "
            "conservative, conservatives, liberal, liberals, socialist, socialism, communist, communism, capitalism, "
            "left-wing, right-wing, partisan, policy, policies, legislation, lawmakers, governor, mayor, diplomacy, diplomatic, "
            "treaty, sanctions, nationalism, protest, protests, activism, activist, activists, referendum, constitution, "
            "white house, welfare state, immigration, ideology, dictator, regime, citizens"
        ),
    ),
    "money": (
        "money and business",
        Lexicon(
            "money, dollar, dollars, euro, euros, price, prices, cost, costs, budget, budgets, cash, bank, banks, banking, loan, "
            "loans, debt, debts, mortgage, credit, interest rate, interest rates, invest, investing, investment, investments, "
            "investor, investors, stock, stocks, bond, bonds, shares, dividend, portfolio, savings, salary, wage, wages, "
            "income, tax, taxes, revenue, profit, profits, profitable, sales, market, markets, marketing, customer, customers, "
            "business, businesses, company, companies, corporate, startup, entrepreneur, economy, economic, inflation, "
            "financial, finance, finances, currency, bitcoin, crypto, cryptocurrency, wealth, wealthy, retirement, insurance, "
            "rent, purchase, spending, payment, payments, fee, fees"
        ),
    ),
    "health": (
        "health and medicine",
        Lexicon(
            "health, healthy, healthcare, medical, medicine, medicines, medication, medications, doctor, doctors, nurse, "
            "hospital, hospitals, clinic, patient, patients, disease, diseases, illness, symptom, symptoms, diagnosis, "
            "treatment, treatments, therapy, therapist, surgery, surgeon, vaccine, vaccines, virus, infection, infections, "
            "cancer, diabetes, blood pressure, cholesterol, stroke, pain, headache, fever, allergy, allergies, "
            "injury, injuries, chronic, dose, dosage, pharmacy, antibiotic, antibiotics, vitamin, vitamins, nutrition, "
            "nutrients, diet, calories, obesity, weight loss, anxiety, depression, stress, insomnia, sleep, "
            "immune, inflammation, pregnancy, skin, acne, muscle, muscles, wellness, hydrated"
        ),
    ),
    "science": (
        "science",
        Lexicon(
            "science, sciences, scientific, scientist, scientists, physics, physicist, chemistry, chemical, chemicals, biology, "
            "biological, biologist, astronomy, astronomer, geology, mathematics, theorem, equation, equations, hypothesis, "
            "experiment, experiments, laboratory, atom, atoms, atomic, molecule, molecules, molecular, electron, electrons, "
            "proton, neutron, particle, particles, quantum, relativity, gravity, gravitational, energy, thermodynamics, "
            "evolution, gene, genes, genetic, genetics, dna, rna, protein, proteins, cell, cells, bacteria, enzyme, organism, "
            "organisms, neuron, neurons, planet, planets, galaxy, galaxies, star, stars, universe, cosmic, telescope, orbit, "
            "radiation, hydrogen, oxygen, carbon, nitrogen, photosynthesis, fossil, fossils, microscope, isotope"
        ),
    ),
    "technology": (
        "technology and computers",
        Lexicon(
            "technology, technologies, computer, computers, software, hardware, program, programming, programmer, code, coding, "
            "algorithm, algorithms, data, database, server, servers, cloud, internet, online, website, websites, web, app, "
            "apps, smartphone, phone, phones, laptop, device, devices, digital, download, upload, file, files, email, password, "
            "encryption, cybersecurity, hacker, network, networks, wifi, bluetooth, robot, robots, robotics, automation, "
            "artificial intelligence, machine learning, python, javascript, java, html, linux, windows, "
            "android, iphone, api, gpu, cpu, processor, developer, developers, tech, virtual reality, blockchain, electronic, "
            "electronics, user interface, browser, silicon"
        ),
    ),
    "sports": (
        "sport and exercise",
        Lexicon(
            "sport, sports, football, soccer, basketball, baseball, tennis, golf, hockey, cricket, rugby, volleyball, boxing, "
            "wrestling, gymnastics, swimming, swimmer, cycling, cyclist, runner, runners, running, jogging, marathon, race, "
            "races, olympic, olympics, athlete, athletes, athletic, team, teams, player, players, coach, coaches, league, "
            "championship, championships, tournament, match, matches, goal scorer, scored, score, stadium, referee, medal, "
            "medals, trophy, workout, workouts, exercise, exercises, gym, fitness, squats, push-ups, yoga, stretching, "
            "dumbbells, surfing, skiing, skateboarding, climbing, hiking, nba, nfl, fifa, quarterback, striker"
        ),
    ),
    "family": (
        "family and relationships",
        Lexicon(
            "family, families, parent, parents, parenting, mother, mothers, mom, mum, father, fathers, dad, son, sons, daughter, "
            "daughters, child, children, kid, kids, baby, babies, toddler, toddlers, brother, brothers, sister, sisters, sibling, "
            "siblings, grandmother, grandfather, grandma, grandpa, grandparents, grandchildren, aunt, uncle, cousin, cousins, "
            "nephew, niece, husband, wife, spouse, partner, marriage, married, marry, wedding, bride, divorce, divorced, "
            "relationship, relationships, dating, boyfriend, girlfriend, love, loved ones, romance, romantic, household, "
            "relatives, friendship, friend, friends"
        ),
    ),
    "violence": (
        "violence, war and crime",
        Lexicon(
            "violence, violent, violently, kill, kills, killed, killing, killer, murder, murdered, murderer, attack, attacks, "
            "attacked, assault, fight, fighting, battle, battles, war, wars, warfare, weapon, weapons, gun, guns, rifle, pistol, "
            "bullet, bullets, knife, sword, bomb, bombs, bombing, explosion, explosives, terrorist, terrorists, terrorism, army, "
            "soldier, soldiers, military, troops, invasion, invaded, torture, abuse, abusive, rape, stab, stabbed, shooting, "
            "shot, blood, bloody, wounded, massacre, genocide, execution, robbery, kidnapping, hostage, threat, threats, "
            "threatened, destroy, destroyed, revenge, death, deaths, corpse, dead, suicide, crime, crimes, criminal, criminals"
        ),
    ),
    "law": (
        "law and justice",
        Lexicon(
            "law, laws, legal, legally, illegal, illegally, lawful, unlawful, lawyer, lawyers, attorney, court, courts, judge, "
            "judges, jury, trial, trials, verdict, lawsuit, lawsuits, sue, sued, plaintiff, defendant, prosecutor, prosecution, "
            "evidence, testimony, witness, witnesses, guilty, innocent, sentence for, prison, jail, justice, statute, statutes, "
            "regulation, regulations, regulatory, compliance, contract, contracts, copyright, patent, patents, trademark, "
            "liability, liable, rights, police, arrest, arrested, legislation, "
            "jurisdiction, license, licenses, felony, misdemeanor, bail, appeal, appeals, custody, negligence"
        ),
    ),
}
"""Name of each topic to its description and its words."""


def _add(topic: str, description: str, lexicon: Lexicon) -> None:
    def measure(text: Text) -> float:
        return text.per_100(lexicon.count(text.prose_words))

    examples = ", ".join(lexicon.entries[:6])
    measure.__doc__ = f"Words about {description}, from a list of {len(lexicon.entries)} such as {examples}; not measured without a word."
    feature(
        name=f"topic_{topic}",
        more=f"Responses speak more of {description}",
        less=f"Responses speak less of {description}",
        unit=PER_100,
        style=False,
    )(measure)


for _topic, (_description, _lexicon) in TOPICS.items():
    _add(_topic, _description, _lexicon)
