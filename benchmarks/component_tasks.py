"""Small tasks with right and wrong answers, written for these benchmarks."""

from __future__ import annotations

import random

import spexlens as sx

RELATIONS = {
    "The capital of {} is": """France Paris, Italy Rome, Spain Madrid, Germany Berlin, Japan Tokyo,
        Russia Moscow, Egypt Cairo, Greece Athens, Austria Vienna, Poland Warsaw, Portugal Lisbon,
        Ireland Dublin, Norway Oslo, Cuba Havana, Peru Lima, China Beijing, Iran Tehran,
        Iraq Baghdad, England London, Hungary Budapest, Turkey Ankara, Sweden Stockholm,
        Kenya Nairobi, Thailand Bangkok, Finland Helsinki, Denmark Copenhagen, Belgium Brussels,
        Canada Ottawa, Australia Canberra, Syria Damascus, Lebanon Beirut, Romania Bucharest,
        Bulgaria Sofia, Serbia Belgrade, Scotland Edinburgh, Vietnam Hanoi, Algeria Algiers,
        Libya Tripoli, Ukraine Kiev, Afghanistan Kabul""",
    "The opposite of {} is": """hot cold, big small, up down, left right, good bad, fast slow,
        happy sad, light dark, rich poor, strong weak, early late, open closed, hard soft,
        young old, full empty, wet dry, high low, near far, long short, true false, win lose,
        love hate, war peace, day night, black white, clean dirty, thick thin, loud quiet,
        cheap expensive, easy difficult, deep shallow, wide narrow, heavy light, alive dead,
        north south, east west, first last, buy sell, push pull, begin end""",
    "Today they {}, and yesterday they": """go went, eat ate, see saw, run ran, come came,
        take took, give gave, write wrote, sing sang, drink drank, fall fell, know knew, grow grew,
        fly flew, speak spoke, break broke, wear wore, drive drove, ride rode, win won, lose lost,
        buy bought, bring brought, think thought, teach taught, catch caught, sleep slept,
        keep kept, leave left, feel felt, meet met, sell sold, tell told, hold held, stand stood,
        find found, make made, send sent, build built, swim swam""",
    "One {}, and many": """man men, woman women, child children, foot feet, tooth teeth, mouse mice,
        cat cats, dog dogs, house houses, car cars, book books, tree trees, city cities,
        story stories, baby babies, wolf wolves, leaf leaves, knife knives, box boxes,
        church churches, bird birds, river rivers, star stars, song songs, country countries,
        wife wives, student students, horse horses, flower flowers, lady ladies""",
    "In {} people speak": """France French, Germany German, Spain Spanish, Italy Italian,
        Portugal Portuguese, Russia Russian, Japan Japanese, China Chinese, Korea Korean,
        Greece Greek, Turkey Turkish, Poland Polish, Sweden Swedish, Norway Norwegian,
        Finland Finnish, Denmark Danish, Hungary Hungarian, England English, Egypt Arabic,
        Israel Hebrew, Vietnam Vietnamese, Thailand Thai, Ukraine Ukrainian, Romania Romanian,
        Bulgaria Bulgarian, Brazil Portuguese, Mexico Spanish, Austria German, Iran Persian""",
    "A person who {} is called a": """sings singer, paints painter, writes writer, dances dancer,
        bakes baker, teaches teacher, swims swimmer, plays player, runs runner, leads leader,
        fights fighter, builds builder, drives driver, hunts hunter, works worker,
        designs designer, prints printer, reads reader, buys buyer, sells seller, wins winner,
        loses loser, speaks speaker, thinks thinker, travels traveler, helps helper,
        kills killer, farms farmer, trains trainer, climbs climber""",
    "More {} means": """big bigger, small smaller, fast faster, slow slower, high higher, low lower,
        old older, young younger, strong stronger, weak weaker, long longer, short shorter,
        hot hotter, cold colder, dark darker, light lighter, rich richer, poor poorer,
        loud louder, quiet quieter, wide wider, deep deeper, hard harder, soft softer,
        thick thicker, thin thinner, cheap cheaper, clean cleaner, warm warmer, cool cooler,
        tall taller, near nearer, close closer, large larger, safe safer, late later""",
}
_WRONG = 4

NAMES = (
    "Mary", "John", "Alice", "Tom", "Anna", "James", "Emma", "Paul", "Laura", "Mark", "Susan",
    "David", "Kate", "Peter", "Sarah", "Daniel", "Lucy", "Robert", "Julia", "Simon", "Helen",
)  # fmt: skip
PLACES = ("store", "park", "school", "office", "garden", "station", "market", "museum")
THINGS = ("book", "drink", "key", "letter", "ticket", "ring", "ball", "pen")


def relations(seed: int = 0) -> list[sx.Question]:
    """One question a pair of every relation, in random order, against four other answers of it."""
    rng = random.Random(seed)
    questions = []
    for template, text in RELATIONS.items():
        pairs = [tuple(pair.split()) for pair in text.split(",")]
        answers = sorted({answer for _, answer in pairs})
        for subject, answer in pairs:
            others = [other for other in answers if other[:3] != answer[:3]]
            wrong = tuple(rng.sample(others, _WRONG))
            questions.append(sx.Question(template.format(subject), answer, wrong))
    rng.shuffle(questions)
    return questions


def indirect_object(count: int, seed: int) -> list[sx.Question]:
    """Who is given the thing: the name that is not repeated; two orders of the names."""
    rng = random.Random(seed)
    questions: dict[str, sx.Question] = {}
    while len(questions) < count:
        giver, receiver = rng.sample(NAMES, 2)
        pair = f"{giver} and {receiver}" if rng.random() < 0.5 else f"{receiver} and {giver}"
        prompt = f"{pair} went to the {rng.choice(PLACES)}. {giver} gave a {rng.choice(THINGS)} to"
        questions[prompt] = sx.Question(prompt, receiver, (giver,))
    return list(questions.values())
