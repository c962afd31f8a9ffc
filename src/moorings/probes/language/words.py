"""Word lists of the grammar. They hold none of the verbs by which the grammar states a sign."""

from __future__ import annotations

__all__ = [
    "ADMIRED",
    "CRAFTS",
    "EVENTS",
    "GATES",
    "KINDS",
    "MANNERS",
    "MEANS",
    "NAMES",
    "PLACES",
    "QUESTIONED",
    "SITES",
    "TOPICS",
]

NAMES = [
    "Ada",
    "Abel",
    "Agnes",
    "Alba",
    "Aldo",
    "Alma",
    "Amos",
    "Anika",
    "Anton",
    "Arlo",
    "Asta",
    "Basil",
    "Beata",
    "Benno",
    "Berta",
    "Bodil",
    "Boris",
    "Bruno",
    "Calla",
    "Carlo",
    "Cato",
    "Celia",
    "Cleo",
    "Cora",
    "Cyril",
    "Dagny",
    "Dalia",
    "Darius",
    "Delia",
    "Denzel",
    "Dilys",
    "Dmitri",
    "Dora",
    "Duncan",
    "Edda",
    "Edgar",
    "Edith",
    "Egon",
    "Eli",
    "Elsa",
    "Emeka",
    "Enid",
    "Enzo",
    "Erik",
    "Esme",
    "Ester",
    "Etta",
    "Fabio",
    "Farah",
    "Felix",
    "Fergus",
    "Fiona",
    "Flora",
    "Franz",
    "Freya",
    "Gareth",
    "Gemma",
    "Gideon",
    "Gilda",
    "Goran",
    "Greta",
    "Gustav",
    "Gwen",
    "Hana",
    "Harald",
    "Hattie",
    "Hector",
    "Hedda",
    "Helga",
    "Henrik",
    "Hilda",
    "Hugo",
    "Ida",
    "Idris",
    "Igor",
    "Ilse",
    "Imani",
    "Ines",
    "Ingrid",
    "Iona",
    "Irina",
    "Isaac",
    "Ivo",
    "Jana",
    "Jasper",
    "Jens",
    "Joan",
    "Jonas",
    "Jorge",
    "Judith",
    "Juno",
    "Kaito",
    "Karin",
    "Kasper",
    "Katya",
    "Kenji",
    "Kira",
    "Klaus",
    "Knut",
    "Kofi",
    "Lars",
    "Leda",
    "Leif",
    "Lena",
    "Leo",
    "Levi",
    "Lidia",
    "Linus",
    "Lorna",
    "Lotte",
    "Lucia",
    "Luka",
    "Mabel",
    "Magnus",
    "Malik",
    "Mara",
    "Marek",
    "Marta",
    "Milo",
    "Mina",
    "Mira",
    "Moira",
    "Nadia",
    "Naomi",
    "Nell",
    "Niels",
    "Nina",
    "Noor",
    "Nora",
    "Odin",
    "Olga",
    "Omar",
    "Orla",
    "Oscar",
    "Otto",
    "Paolo",
    "Paula",
    "Petra",
    "Pia",
    "Quentin",
    "Rafe",
    "Ragna",
    "Ramon",
    "Rhea",
    "Rolf",
    "Rosa",
    "Rufus",
    "Runa",
    "Ruth",
    "Sabine",
    "Samir",
    "Saul",
    "Selma",
    "Silas",
    "Simone",
    "Sonja",
    "Stefan",
    "Sven",
    "Tamar",
    "Tansy",
    "Tariq",
    "Tess",
    "Theo",
    "Thora",
    "Tilda",
    "Tobias",
    "Uma",
    "Ursula",
    "Vera",
    "Viktor",
    "Vivian",
    "Wanda",
    "Wendel",
    "Wilma",
    "Xenia",
    "Yara",
    "Yuri",
    "Zadie",
    "Zeno",
    "Zora",
    "Abdul",
    "Alina",
    "Bianca",
    "Bjorn",
    "Carmen",
    "Cesar",
    "Dario",
    "Elena",
    "Emil",
]

ADMIRED = """
honesty|patience|thrift|courage|fairness|kindness|loyalty|modesty|curiosity|diligence|generosity|gratitude|humility
tolerance|prudence|punctuality|mercy|candour|discretion|frankness|temperance|tact|forgiveness|hospitality|tidiness
self-control|teamwork|craftsmanship|privacy|learning|safety|solidarity|wisdom|sincerity|reliability|steadiness
attentiveness|foresight|simplicity|open-mindedness|accuracy|thoroughness|public service|clear speech|good manners
family ties|old friendships|plain dealing|shared meals|clean water|animal welfare|fresh ideas|quiet reflection
careful listening|equal chances|healthy food|useful work|open debate|sound evidence|free inquiry|local history
patient teaching|kept promises|gentle humour|fair wages|mutual aid|common sense|steady effort|keen observation
neighbourly help|honest accounts|civil courage|inner calm|deep study|careful repair|wild nature|warm welcome
good stewardship|bold invention|strict neutrality|due process|informed consent|independent thought|lifelong practice
moral consistency|human dignity|long-term thinking|cultural exchange
"""

QUESTIONED = """
flattery|gossip|luxury|vanity|secrecy|obedience|stubbornness|prestige|revenge|glamour|haste|rivalry|showmanship
bluntness|timidity|idleness|gambling|mockery|favouritism|conformity|bragging|nostalgia|perfectionism
cunning|suspicion|theatrics|dominance|snobbery|sarcasm|excess|daredevilry|pedantry|impulsiveness|self-promotion
office politics|quick profits|easy praise|cheap thrills|strict hierarchy|blind faith|endless leisure|personal fame
hard bargaining|empty rituals|idle speculation|winning arguments|constant novelty|social climbing|expensive clothes
loud parties|petty feuds|fast cars|private clubs|rigid routine|reckless speed|public applause|grand titles|sharp elbows
secret deals|idle boasts|lavish gifts|early fame|cold detachment|sheer size|brute force|wild rumours|rash promises
hollow victories|clever excuses|high rank|heavy spending|tough talk|noisy protest|pure luck|sly tricks
fancy dinners|showy gestures|loose talk|late nights|bitter satire|stiff formality|lazy shortcuts|mere appearances
double standards|instant fun|famous friends|quiet sabotage|tribal pride
"""

KINDS = """
autumn|brass|charity|cider|clay|coastal|copper|county|dawn|evening|folk|forest|garden|glass|granite|harbour|harvest
heritage|indoor|island|jazz|kite|lantern|linen|marble|meadow|midnight|monthly|mosaic|mountain|northern|orchard|outdoor
paper|pottery|regional|river|rooftop|rowing|sailing|seaside|silver|spring|summer|sunday|timber|travelling|tulip|valley
velvet|village|vintage|violin|walnut|winter|woodland|woollen|yearly|amber|bamboo|cedar|chalk|cotton|ivory|juniper|maple
"""

EVENTS = """
auction|banquet|bazaar|carnival|ceremony|class|clinic|concert|contest|convention|course|cruise|dance|debate|derby
display|excursion|exhibition|expedition|fair|feast|festival|film show|gala|gathering|hike|jamboree|lecture|lottery
market|marathon|parade|pageant|party|picnic|pilgrimage|play|procession|quiz|race|rally|recital|regatta|rehearsal
retreat|reunion|seminar|show|summit|tasting|tournament|tour|training day|vigil|workshop
"""

TOPICS = """
chatter|traffic|dust|laughter|music|paperwork|rivalry|rumour|silence|singing|small talk|waiting|warmth|whispering|yawning
applause|bustle|clutter|commotion|crowding|daylight|delivery work|fundraising|draught|echo|fog|foot traffic|fragrance
guesswork|heat|humidity|humming|jostling|joking|knocking|letter writing|litter|mail|moisture|newspaper reading|noise
overtime|card playing|shouting|drizzle|queueing|rain|recycling|renovation|shade|smoke|snow|storytelling|sunlight
tea drinking|tension|turnover|lighting|volunteering|wind|mending|note taking|sweeping|cooking|polishing|sorting|hoarding
"""

SITES = """
attic|bakery|barn|basement|bus depot|cafeteria|canteen|chapel|cloakroom|corridor|courtyard|dairy|dockyard|entrance hall
foundry|gallery|garage|greenhouse|guesthouse|gymnasium|hangar|kitchen|laboratory|laundry|library|lighthouse|loading bay
lobby|mill|museum|nursery|observatory|office|old school|pantry|parlour|pavilion|pharmacy|playground|post office
printing room|quarry|reading room|sawmill|shipyard|showroom|stable|stairwell|storeroom|studio|theatre|tower|town hall
waiting room|warehouse
"""

CRAFTS = """
accountant|apprentice|archivist|baker|barber|beekeeper|bookbinder|botanist|brewer|bricklayer|carpenter|cartographer
cellist|chemist|cleaner|clerk|cobbler|cook|courier|dentist|diver|drummer|editor|electrician|farmer|ferryman|florist
gardener|gatekeeper|geologist|glazier|goldsmith|guard|hatmaker|interpreter|janitor|joiner|judge|librarian|locksmith
mason|mechanic|midwife|miner|nurse|optician|painter|pilot|plumber|porter|potter|printer|ranger|roofer|sailor|sculptor
secretary|shepherd|surveyor|tailor|tanner|teacher|tinsmith|translator|weaver|welder
"""

PLACES = """
Ashby|Balmoor|Brindle|Calder|Carrow|Corvin|Dunmere|Eastwick|Elmford|Farrow|Fenwick|Garnet Bay|Gorse Hill|Halden
Hartsea|Inverlee|Jarrow End|Kelby|Kingsmere|Larkhill|Linmouth|Lowdale|Marsh End|Merrow|Midfell|Norbeck|Oakhaven
Orrin|Otterburn|Pelham|Penrose|Quarley|Ravensby|Redcliff|Rookwood|Saltby|Selmore|Silverton|Stanmoor|Stonebridge
Tarnford|Thornby|Tidewell|Underhill|Upton Sands|Valewood|Wadbury|Westerly|Whitmoor|Winslow|Wrenfield|Yarrow|Yewdale
Zelby|Amberley
"""

GATES = """
back door|bridge|canal lock|ferry landing|footpath|front door|garden gate|hatch|iron gate|level crossing|lift|loft
mountain pass|north gate|passage|pier|playing field|pool|ramp|ring road|rope bridge|service road|side door|ski slope
south gate|square|stair|station|swing bridge|toll road|towpath|trapdoor|tunnel|turnpike|underpass|veranda|viaduct
walkway|west gate|wharf|yard|winter garden|zoo|annex
"""

MANNERS = """
brief|candid|daily|detailed|direct|formal|friendly|frequent|guided|hidden|informal|joint|late|lengthy|lively|nightly
patient|playful|polite|private|quiet|repeated|scripted|secret|short|silent|slow|solemn|spoken|staged|sudden|tacit|written
"""

MEANS = """
argument|bargaining|coaching|coaxing|comparison|conversation|demonstration|drill|exercise|experiment|explanation|feedback
hinting|hypnosis|imitation|instruction|interviewing|journaling|meditation|mentoring|monitoring|negotiation|nudging
persuasion|praise|prayer|pressure|questioning|ranking|reasoning|rehearsing|reflection|repetition|reward|role-play
rotation|scolding|simulation|storytime|suggestion|testing|tutoring|voting|warning
"""
