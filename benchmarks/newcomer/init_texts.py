"""Sentences as people write them, drawn by a seed: reviews, tickets, news, pairs, in four languages."""

import random
from collections.abc import Mapping, Sequence

PRAISE = (
    "It does exactly what the box says and it still looks new.",
    "I was surprised how well it is made for that money.",
    "My daughter uses it every day and loves it.",
    "Setting it up took five minutes and worked at once.",
    "I have already ordered a second one for my office.",
)
BLAME = (
    "It broke after two days and nobody answers my mails.",
    "The handle came off the first time I lifted it.",
    "It smells of burnt plastic as soon as it gets warm.",
    "The battery is empty before lunch, every single day.",
    "I sent it back and I am still waiting for the refund.",
)
PLAIN = (
    "I bought it in March for our kitchen.",
    "The parcel came on a Tuesday, in a plain brown box.",
    "We had one from another brand before.",
    "It stands next to the window now.",
    "The manual is in three languages.",
)
TITLES = ("Great value", "Never again", "As described", "Broken on arrival", "Five stars", "Not worth it", "It is fine")
TICKETS = {
    "billing": (
        "I was charged twice for the invoice of {month}.",
        "Why is there an extra fee of {number} dollars on my bill?",
        "Please refund the payment for order {number}.",
        "The invoice from {month} has the wrong tax number.",
    ),
    "technical": (
        "The app crashes as soon as I open the {month} report.",
        "Error {number} appears whenever I upload a file.",
        "The page stays white after the last update.",
        "Sync has stopped working since {month}.",
    ),
    "account": (
        "I cannot log in with my new password.",
        "Please change the email address of my account {number}.",
        "How do I delete my profile and all my data?",
        "The code for signing in never arrives on my phone.",
    ),
    "shipping": (
        "Where is my parcel {number}? It should have come in {month}.",
        "The courier left the box in the rain.",
        "Can you send the order to another street?",
        "Tracking has said 'in transit' for {number} days.",
    ),
}
NEWS = {
    "sport": ("The home side won {number} to 2 after extra time.", "Their goalkeeper is out until {month}."),
    "business": ("Shares fell {number} percent after the results.", "The merger will close in {month}, the bank said."),
    "science": ("The probe sent {number} pictures of the comet.", "Researchers found a faster way to fold proteins."),
    "politics": ("Parliament votes on the budget in {month}.", "The minister stepped down after {number} days."),
}
GERMAN = {
    "Rechnung": ("Die Rechnung für {month} ist doppelt gekommen.", "Bitte überweisen Sie {number} Euro zurück."),
    "Störung": ("Das Gerät lässt sich nicht mehr einschalten.", "Seit dem Update hängt die Seite ständig."),
    "Kündigung": ("Hiermit kündige ich meinen Vertrag zum Ende des Monats {month}.", "Bitte löschen Sie mein Konto."),
}
FRENCH = {
    "positif": ("Très bon produit, livré en {number} jours.", "Je suis ravie, la qualité dépasse mes attentes."),
    "négatif": ("Le colis est arrivé cassé et déçu je le renvoie.", "Service client injoignable depuis {month}."),
}
SPANISH = {
    "queja": ("El pedido {number} llegó roto y nadie contesta.", "Llevo esperando la devolución desde {month}."),
    "consulta": ("¿Cuándo llega el pedido {number}?", "¿Puedo cambiar la dirección de envío?"),
    "elogio": ("Muy buena atención, señora, gracias.", "El año pasado compré otro y sigue perfecto."),
}
MONTHS = ("January", "February", "March", "April", "May", "June", "September", "October", "November")
SCENES = (
    ("Two men are playing chess in a park.", "People are outdoors.", "The men are asleep at home."),
    ("A girl in a red coat feeds the ducks.", "A child is near birds.", "The girl is driving a lorry."),
    ("A cook is slicing onions in a busy kitchen.", "Someone prepares food.", "Nobody is in the kitchen."),
    ("The old bridge was closed after the flood.", "Traffic had to go another way.", "The bridge opened yesterday."),
    ("A choir sings on the steps of the town hall.", "There is music outside.", "The steps are empty and silent."),
)
QUESTIONS = (
    ("How do I learn to swim as an adult?", "What is the best way for grown-ups to learn swimming?"),
    ("Why is my phone so slow?", "What makes an old phone slow?"),
    ("How can I get rid of ants?", "What kills ants in a kitchen?"),
    ("Is it safe to drink rain water?", "Can people drink the rain?"),
    ("Which language should I learn first?", "What is a good first programming language?"),
    ("How long does a passport take?", "How many weeks until a new passport arrives?"),
)


def review(draw: random.Random, stars: int, sentences: int = 6) -> str:
    """A review of so many sentences whose tone goes by the stars, 1 to 5."""
    tone = PRAISE if stars > 3 or (stars == 3 and draw.random() < 0.5) else BLAME
    chosen = [draw.choice(tone if draw.random() < 0.6 else PLAIN) for _ in range(sentences)]
    return f"{draw.choice(tone)} {' '.join(chosen)} Used it {draw.randint(2, 900)} times."


def of_kind(draw: random.Random, kinds: Mapping[str, Sequence[str]], kind: str) -> str:
    """One or two sentences about a kind of thing, with a month and a number filled in."""
    chosen = draw.sample(kinds[kind], draw.randint(1, 2))
    return " ".join(sentence.format(month=draw.choice(MONTHS), number=draw.randint(3, 9999)) for sentence in chosen)


def rows_of_kinds(
    kinds: Mapping[str, Sequence[str]], count: int, seed: int, weights: Sequence[float] | None = None
) -> list[tuple[str, str]]:
    """(text, kind) of so many rows."""
    draw = random.Random(seed)
    names = list(kinds)
    return [(of_kind(draw, kinds, kind), kind) for kind in draw.choices(names, weights, k=count)]


def reviews(count: int, seed: int, sentences: int = 6) -> list[tuple[str, str, int]]:
    """(title, review, stars) of so many rows."""
    draw = random.Random(seed)
    stars = [draw.randint(1, 5) for _ in range(count)]
    return [(draw.choice(TITLES), review(draw, given, sentences), given) for given in stars]


def entailments(count: int, seed: int) -> list[tuple[str, str, str]]:
    """(premise, hypothesis, relation) of so many rows."""
    draw = random.Random(seed)
    made = []
    for _ in range(count):
        (premise, follows, contradicts), other = draw.choice(SCENES), draw.choice(SCENES)
        relation = draw.choice(("entailment", "neutral", "contradiction"))
        second = {"entailment": follows, "contradiction": contradicts, "neutral": other[0]}[relation]
        made.append((f"{premise} It is {draw.choice(MONTHS)}.", second, relation))
    return made


def question_pairs(count: int, seed: int) -> list[tuple[str, str, int]]:
    """(question, question, 1 if they ask the same) of so many rows."""
    draw = random.Random(seed)
    made = []
    for _ in range(count):
        one, other = draw.choice(QUESTIONS), draw.choice(QUESTIONS)
        same = draw.random() < 0.5
        made.append((f"{one[0][:-1]} in {draw.choice(MONTHS)}?", one[1] if same else other[1], int(same)))
    return made
