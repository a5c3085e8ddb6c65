"""Files whose columns have to be told apart: what is the text, what is the label, and what is neither."""

import random
from collections.abc import Sequence
from typing import Any

from benchmarks.newcomer.init_cases import Asked, File, Found, Refused
from benchmarks.newcomer.init_tables import json_array, json_lines, packed, separated, workbook
from benchmarks.newcomer.init_texts import (
    FRENCH,
    GERMAN,
    NEWS,
    SPANISH,
    TICKETS,
    entailments,
    question_pairs,
    reviews,
    rows_of_kinds,
)

STARS = list(zip(*reviews(300, 1), strict=True))
"""Titles, reviews, stars."""
DESK = list(zip(*rows_of_kinds(TICKETS, 280, 2), strict=True))
"""Tickets, categories."""
PRESS = list(zip(*rows_of_kinds(NEWS, 240, 3), strict=True))


def drawn(values: Sequence[Any], count: int, seed: int, weights: Sequence[float] | None = None) -> list[Any]:
    """A column that has nothing to do with the texts."""
    return random.Random(seed).choices(values, weights, k=count)


def numbered(form: str, count: int, start: int = 1001) -> list[str]:
    """`form` with rising numbers."""
    return [form.format(start + number) for number in range(count)]


def days(count: int) -> list[str]:
    """Dates."""
    draw = random.Random(7)
    return [f"2023-{draw.randint(1, 12):02}-{draw.randint(1, 28):02}" for _ in range(count)]


def column_files() -> list[File]:
    """Files in which the columns are the difficulty."""
    return [*_of_one_text(), *_of_pairs(), *_in_other_languages()]


def _of_one_text() -> list[File]:
    titles, texts, stars = STARS
    plain = {"text": texts, "label": stars}
    five = Found("text", "label", 5, (128, 256))
    return [
        File("a text and a label", "reviews.csv", separated(plain), five),
        File(
            "title and review, stars",
            "products.csv",
            separated({"title": titles, "review": texts, "stars": stars}),
            Found("review", "stars", 5, (128, 256), told=("title",)),
        ),
        File(
            "a shop's export: ids, dates, names with spaces",
            "export.csv",
            separated(
                {
                    "Id": numbered("{}", 300, 1),
                    "ProductId": drawn(numbered("B00{}", 60), 300, 4),
                    "UserId": numbered("A3SG{}XN", 300),
                    "HelpfulnessNumerator": drawn(range(9), 300, 5),
                    "Time": numbered("13038{}00", 300),
                    "Score": stars,
                    "Summary": titles,
                    "Review Text": texts,
                }
            ),
            Found("Review Text", "Score", 5, (128, 256), told=("ProductId", "Summary")),
        ),
        File(
            "camel case and a label first",
            "app.csv",
            separated({"starRating": stars, "reviewText": texts, "appVersion": drawn(("1.2.0", "1.3.1"), 300, 6)}),
            Found("reviewText", "starRating", 5, (128, 256)),
        ),
        File(
            "an index without a name, and one by pandas",
            "frame.csv",
            separated({"": range(240), "Unnamed: 0.1": range(240), "headline": PRESS[0], "section": PRESS[1]}),
            Found("headline", "section", 4, (16, 64), told=("section",)),
        ),
        File(
            "names that say nothing",
            "data.csv",
            separated({"c1": numbered("{}", 280), "c2": DESK[0], "c3": DESK[1]}),
            Found("c2", "c3", 4, (32, 64)),
        ),
        File(
            "a complaint among fourteen columns",
            "complaints.csv",
            separated(_complaints()),
            Found("customer_complaint", "product_category", 4, (32, 64), told=("email", "zip")),
        ),
        File(
            "very short texts",
            "queries.csv",
            separated(
                {
                    "query": [f"{kind} {number} {word}" for (kind, word), number in _short_queries()],
                    "intent": [kind for (kind, _), _ in _short_queries()],
                }
            ),
            Found("query", "intent", 4, (8, 32)),
        ),
        File(
            "very long texts",
            "articles.csv",
            separated({"article": [text for _, text, _ in reviews(60, 8, 90)], "topic": drawn("ab", 60, 9)}),
            Found("article", "topic", 2, (256, 512), told=("%",)),
        ),
        File(
            "texts of digits",
            "codes.csv",
            separated({"text": numbered("{} 4711 88", 200, 5000), "label": drawn(("order", "phone"), 200, 10)}),
            Found("text", "label", 2, (16, 64)),
        ),
        File(
            "true and false",
            "mails.csv",
            separated({"mail": DESK[0], "is_spam": [str(kind == "billing") for kind in DESK[1]]}),
            Found("mail", "is_spam", 2, (32, 64)),
        ),
        File(
            "the same few texts again and again",
            "canned.csv",
            separated({"answer_text": drawn(DESK[0][:30], 240, 11), "label": drawn(("keep", "drop"), 240, 12)}),
            Found("answer_text", "label", 2, (32, 64), told=("same text",)),
        ),
        File(
            "one column",
            "lines.csv",
            separated({"text": DESK[0]}),
            Refused(("only the column 'text'",)),
        ),
        File(
            "nothing that may be a label",
            "people.csv",
            separated({"comment": texts, "email": numbered("user{}@example.org", 300)}),
            Refused(("label", "email")),
        ),
    ]


def _short_queries() -> list[tuple[tuple[str, str], int]]:
    draw = random.Random(13)
    kinds = {"pay": "bill", "track": "parcel", "cancel": "order", "find": "shop"}
    return [(draw.choice(list(kinds.items())), draw.randint(2, 9999)) for _ in range(200)]


def _complaints() -> dict[str, Sequence[Any]]:
    count = len(DESK[0])
    return {
        "case_id": numbered("C-{}", count),
        "date_received": days(count),
        "date_sent": days(count)[::-1],
        "product_category": DESK[1],
        "customer_complaint": DESK[0],
        "company_name": drawn(("Acme Bank", "First Credit", "North Loans"), count, 14),
        "state": drawn(("NY", "CA", "TX", "FL", "WA"), count, 15),
        "zip": drawn(range(10_000, 99_999), count, 16),
        "email": numbered("person{}@example.com", count),
        "phone": numbered("+1 555 {}", count),
        "submitted_via": drawn(("Web", "Phone"), count, 17),
        "amount": [f"{value / 7:.2f}" for value in drawn(range(9000), count, 18)],
        "url": numbered("https://example.com/case/{}", count),
        "country": ["US"] * count,
    }


def _of_pairs() -> list[File]:
    premises, hypotheses, relations = zip(*entailments(240, 20), strict=True)
    ones, others, same = zip(*question_pairs(240, 21), strict=True)
    ids = numbered("{}", 240, 0)
    marked = ["-" if number % 20 == 3 else relation for number, relation in enumerate(relations)]
    pair = {"sentence1": premises, "sentence2": hypotheses}
    return [
        File(
            "sentence1, sentence2",
            "pairs.tsv",
            separated({"index": ids, **pair, "label": relations}, "\t"),
            Found("sentence1", "label", 3, (16, 64), pair="sentence2"),
        ),
        File(
            "premise, hypothesis, '-' where people did not agree",
            "nli.jsonl",
            json_lines({"gold_label": marked, "premise": premises, "hypothesis": hypotheses, "pairID": ids}),
            Found("premise", "gold_label", 3, (16, 64), pair="hypothesis", told=("'-'", "12"), dropped=True),
        ),
        File(
            "question1, question2",
            "same.csv",
            separated({"id": ids, "qid1": ids, "qid2": ids[::-1], "question1": ones, "question2": others, "is": same}),
            Found("question1", "is", 2, (16, 64), pair="question2"),
        ),
        File(
            "text_a, text_b",
            "ab.csv",
            separated({"Text A": premises, "Text B": hypotheses, "score_class": relations}),
            Found("Text A", "score_class", 3, (16, 64), pair="Text B"),
        ),
        File(
            "a query and a passage",
            "search.csv",
            separated({"query": ones, "passage": others, "relevant": same}),
            Found("query", "relevant", 2, (16, 64), pair="passage"),
        ),
        File(
            "a pair by option",
            "claims.csv",
            separated({"claim": premises, "remark": hypotheses, "verdict": relations}),
            Found("claim", "verdict", 3, (16, 64), pair="remark"),
            ("--text-column", "claim", "--text-pair-column", "remark"),
        ),
        File(
            "two texts, of which either may be meant",
            "letters.csv",
            separated({"comment": premises, "reply": hypotheses, "label": relations}),
            Asked(("--text-column", "comment", "reply"), ("1",), Found("comment", "label", 3, (16, 64))),
        ),
    ]


def _in_other_languages() -> list[File]:
    german, kinds = zip(*rows_of_kinds(GERMAN, 220, 40), strict=True)
    french, tones = zip(*rows_of_kinds(FRENCH, 200, 41), strict=True)
    spanish, whats = zip(*rows_of_kinds(SPANISH, 200, 42), strict=True)
    tickets = {"Ticketnummer": numbered("{}", 220), "Textinhalt": german, "Kategorie": kinds}
    windows = separated({**tickets, "Textinhalt": [text.replace("Euro", "€") for text in german]}, ";", "cp1252")
    return [
        File(
            "German, semicolon, byte order mark",
            "Anfragen.csv",
            separated({**tickets, "Datum": days(220)}, ";", before="\ufeff"),
            Found("Textinhalt", "Kategorie", 3, (16, 128), told=("Störung", "Datum")),
        ),
        File(
            "German, cp1252",
            "Tickets.csv",
            windows,
            Asked(("--encoding cp1252",), ("1",), Found("Textinhalt", "Kategorie", 3, (16, 128), told=("Störung",))),
        ),
        File(
            "German, cp1252 by option",
            "Tickets.csv",
            windows,
            Found("Textinhalt", "Kategorie", 3, (16, 128), told=("Kündigung",)),
            ("--encoding", "cp1252"),
        ),
        File(
            "French, UTF-16, tabs",
            "avis.csv",
            separated({"Numéro": numbered("{}", 200), "Commentaire": french, "Sentiment": tones}, "\t", "utf-16"),
            Found("Commentaire", "Sentiment", 2, (16, 128), told=("négatif",)),
        ),
        File(
            "Spanish, pipes",
            "mensajes.csv",
            separated({"fecha": days(200), "mensaje": spanish, "categoría": whats}, "|"),
            Found("mensaje", "categoría", 3, (16, 128)),
        ),
        File("an xlsx workbook", "news.xlsx", workbook({"Text": PRESS[0], "Topic": PRESS[1]}), _PRESS),
        File("packed with gzip", "news.csv.gz", packed(separated({"Text": PRESS[0], "Topic": PRESS[1]})), _PRESS),
        File("an array of JSON", "news.json", json_array({"Text": PRESS[0], "Topic": PRESS[1]}), _PRESS),
    ]


_PRESS = Found("Text", "Topic", 4, (16, 64))
