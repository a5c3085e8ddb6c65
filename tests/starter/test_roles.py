"""Which column is what: by names in several languages, by values, by what words tell; asked where two are as likely."""

import random

import pytest

from compress.data.tables import Table
from compress.errors import InputError
from compress.starter.names import (
    ABOUT_ROW,
    FULL_TEXT,
    HEADING,
    OTHER_TEXT,
    PLAIN_TEXT,
    RIVAL,
    TARGET,
    TELLING,
    UNKNOWN,
    label_rank,
    pairs_by_number,
    pairs_by_words,
    parts_of,
    text_rank,
)
from compress.starter.roles import Wishes, find_roles

ROWS = 24
FILMS = [f"film {number} was a {word} one to see" for number, word in enumerate(["fine", "bad", "dull"] * 8)]
OTHERS = [f"they said {number} {word} words about it" for number, word in enumerate(["kind", "hard", "few"] * 8)]
TWO = ["a", "b"] * 12
THREE = ["x", "y", "z"] * 8
FOUR = ["p", "q", "r", "r", "q", "p"] * 4
NUMBERS = [str(number) for number in range(ROWS)]


def table(headed=False, **columns):
    named = {name.replace("__", " "): values for name, values in columns.items()}
    return Table("a.csv", tuple(named), list(zip(*named.values(), strict=True)), headed=headed)


def taken(roles):
    return (roles.text, roles.text_pair, roles.label)


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("Review Text", ("review", "text")),
        ("reviewText2", ("review", "text", "2")),
        ("HTMLBody", ("html", "body")),
        ("texto_del_mensaje", ("texto", "del", "mensaje")),
        ("Catégorie", ("categorie",)),
        ("Straße-Größe", ("strasse", "grosse")),
        ("#1 String", ("1", "string")),
        ("", ()),
    ],
)
def test_a_name_is_taken_apart(name, parts):
    assert parts_of(name) == parts


@pytest.mark.parametrize(
    ("rank", "names"),
    [
        (TARGET, "label Label class gold_label label_text Klasse Klasse_Nr class-index label2 clase y"),
        (TELLING, "category Kategorie catégorie starRating sentiment topic_name isSpam product_category voto target"),
        (RIVAL, "priority Abteilung product Motif issue_type"),
        (UNKNOWN, "foo c3 acceptable"),
        (ABOUT_ROW, "source split review_date product_id text_length ticket_status user label_count"),
    ],
)
def test_names_say_how_likely_a_label_is(rank, names):
    assert {name: label_rank(name) for name in names.split()} == dict.fromkeys(names.split(), rank)


@pytest.mark.parametrize(
    ("rank", "names"),
    [
        (PLAIN_TEXT, "text Texte TEXTO"),
        (FULL_TEXT, "review reviewText customer_complaint Kundennachricht Textinhalt commentaire title_text q_body"),
        (OTHER_TEXT, "v2 utt bio"),
        (HEADING, "title Betreff review_title headline text_id review_date"),
    ],
)
def test_names_say_how_likely_a_text_is(rank, names):
    assert {name: text_rank(name) for name in names.split()} == dict.fromkeys(names.split(), rank)


@pytest.mark.parametrize(
    ("names", "pair"),
    [
        (("sentence1", "sentence2"), ("sentence1", "sentence2")),
        (("Text B", "Text A"), ("Text A", "Text B")),
        (("text_pair", "text"), ("text", "text_pair")),
        (("q1_text", "id", "q2_text"), ("q1_text", "q2_text")),
        (("first_letter", "second_letter"), ("first_letter", "second_letter")),
        (("sentence1_parse", "sentence2_parse", "sentence1", "sentence2"), ("sentence1", "sentence2")),
        (("sentence1", "remark2"), None),
        (("a", "b"), None),
        (("text1", "text3"), None),
    ],
)
def test_pairs_are_known_by_what_counts_them(names, pair):
    assert next(pairs_by_number(names), None) == pair


@pytest.mark.parametrize(
    ("names", "pair"),
    [
        (("hypothesis", "premise"), ("premise", "hypothesis")),
        (("query", "passage_text"), ("query", "passage_text")),
        (("Frage", "Absatz"), ("Frage", "Absatz")),
        (("query", "passage", "passage_title"), None),
        (("comment", "reply"), None),
    ],
)
def test_pairs_are_known_by_their_words(names, pair):
    assert next(pairs_by_words(names), None) == pair


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ({"text": FILMS, "label": TWO}, ("text", None, "label")),
        ({"label": TWO, "text": FILMS}, ("text", None, "label")),
        ({"Category": TWO, "Text": FILMS}, ("Text", None, "Category")),
        ({"id": NUMBERS, "sentence": FILMS, "stars": THREE}, ("sentence", None, "stars")),
        ({"notes": FILMS, "group": TWO, "id": NUMBERS}, ("notes", None, "group")),
        ({"c1": NUMBERS, "c2": FILMS, "c3": THREE}, ("c2", None, "c3")),
        ({"source": ["w"] * ROWS, "mail": FILMS, "spam": TWO}, ("mail", None, "spam")),
        ({"title": OTHERS, "review": FILMS, "stars": THREE}, ("review", None, "stars")),
        ({"Summary": OTHERS, "Review__Text": FILMS, "Score": THREE}, ("Review Text", None, "Score")),
        ({"headline": FILMS, "section": TWO}, ("headline", None, "section")),
        ({"": NUMBERS, "Unnamed: 0": TWO, "mail": FILMS, "spam": THREE}, ("mail", None, "spam")),
        ({" Text ": FILMS, "group": FOUR, "Label\ufeff": TWO}, (" Text ", None, "Label\ufeff")),
        ({"Textinhalt": FILMS, "Kategorie": TWO, "Ort": THREE}, ("Textinhalt", None, "Kategorie")),
        ({"message": FILMS, "split": TWO, "channel": THREE, "label": FOUR}, ("message", None, "label")),
        ({"label": ["0", "1"] * 12, "label_text": ["no", "yes"] * 12, "text": FILMS}, ("text", None, "label_text")),
        ({"text": FILMS, "gold_label": TWO, "label1": THREE}, ("text", None, "gold_label")),
        ({"text": FILMS, "selected_text": OTHERS, "sentiment": TWO}, ("text", None, "sentiment")),
        ({"sentence1": FILMS, "sentence2": OTHERS, "label": TWO}, ("sentence1", "sentence2", "label")),
        ({"gold_label": TWO, "hypothesis": OTHERS, "premise": FILMS}, ("premise", "hypothesis", "gold_label")),
        ({"text": FILMS, "text_pair": OTHERS, "y": TWO}, ("text", "text_pair", "y")),
        ({"text": NUMBERS, "label": TWO}, ("text", None, "label")),
        ({"Text": FILMS, "Language": TWO}, ("Text", None, "Language")),
    ],
)
def test_roles_are_found_by_names_and_contents(columns, expected):
    assert taken(find_roles(table(**columns))) == expected


@pytest.mark.parametrize(
    ("wishes", "expected"),
    [
        (Wishes(label="priority"), ("body", None, "priority")),
        (Wishes(text="title", label="topic"), ("title", None, "topic")),
        (Wishes("title", "body", "topic"), ("title", "body", "topic")),
        (Wishes(text_pair="title", label="topic"), ("body", "title", "topic")),
    ],
)
def test_named_columns_are_taken(wishes, expected):
    rows = table(title=OTHERS, body=FILMS, priority=THREE, topic=TWO)
    assert taken(find_roles(rows, wishes)) == expected


def test_a_named_column_that_is_not_there_or_twice_is_refused():
    rows = table(text=FILMS, label=TWO)
    with pytest.raises(InputError, match="has no column 'lable'") as caught:
        find_roles(rows, Wishes(label="lable"))
    assert (caught.value.where, caught.value.fix) == ("--label-column", "did you mean 'label'? accepted: label, text")
    with pytest.raises(InputError, match="'text' is named twice"):
        find_roles(rows, Wishes(text="text", text_pair="text"))


@pytest.mark.parametrize(
    ("columns", "what", "fix"),
    [
        (
            {"body": FILMS, "priority": THREE, "category": TWO},
            "that may be the label: 'category' (2 classes); 'priority' (3 classes)",
            "add --label-column category, or --label-column priority",
        ),
        (
            {"text": FILMS, "label_coarse": TWO, "label_fine": FOUR},
            "that may be the label: 'label_coarse' (2 classes); 'label_fine' (3 classes)",
            "add --label-column label_coarse, or --label-column label_fine",
        ),
        (
            {"text": FILMS, "my__kind": TWO, "foo": THREE},
            "that may be the label: 'my kind' (2 classes); 'foo' (3 classes)",
            "add --label-column 'my kind', or --label-column foo",
        ),
        (
            {"comment": FILMS, "reply": OTHERS, "label": TWO},
            "that may be the text: 'comment' (8 words on average); 'reply' (7 words on average); 'comment, reply' (",
            "add --text-column comment, or --text-column reply, or --text-column comment --text-pair-column reply",
        ),
        (
            {"prompt": FILMS, "answer_a": OTHERS, "answer_b": FILMS[::-1], "label": TWO},
            "that may be the text: 'prompt' (8 words on average); 'answer_a, answer_b' (both, as a pair)",
            "add --text-column prompt, or --text-column answer_a --text-pair-column answer_b",
        ),
    ],
)
def test_readings_that_are_as_likely_are_refused_with_their_options(columns, what, fix):
    with pytest.raises(InputError) as caught:
        find_roles(table(**columns))
    assert what in caught.value.what
    assert caught.value.fix == fix


def test_where_somebody_is_there_the_chosen_reading_is_taken():
    asked = []

    def ask(question, choices):
        asked.append((question, [choice.name for choice in choices]))
        return len(choices) - 1

    rows = table(comment=FILMS, reply=OTHERS, priority=THREE, topic=TWO)
    assert taken(find_roles(rows, ask=ask)) == ("comment", "reply", "priority")
    assert asked == [
        ("a.csv has several columns that may be the text:", ["comment", "reply", "comment, reply"]),
        ("a.csv has several columns that may be the label:", ["topic", "priority"]),
    ]


def test_of_columns_whose_names_say_nothing_the_one_that_words_tell_is_the_label():
    draw = random.Random(0)
    kinds = [draw.choice(("money", "parcel")) for _ in range(200)]
    texts = [f"it is about the {kind} of {draw.randint(1, 9999)}" for kind in kinds]
    roles = find_roles(table(u1=[draw.choice("ab") for _ in kinds], u2=texts, u3=kinds))
    assert taken(roles) == ("u2", None, "u3")
    assert roles.predictability.accuracy > 0.95
    assert 0.4 < roles.predictability.commonest < 0.6


@pytest.mark.parametrize(
    ("columns", "what"),
    [
        ({"text": FILMS}, "a.csv has only the column 'text'"),
        ({"text": FILMS, "label": ["news"] * ROWS}, "all rows have the label 'news'"),
        ({"text": FILMS, "label": NUMBERS[::-1]}, "the column 'label' holds a number, such as 23, and no class"),
        ({"text": FILMS, "score": [f"0.{n}7" for n in range(ROWS)]}, "the column 'score' holds a number, such as 0.07"),
        (
            {"text": FILMS, "topic": [f"x-{n}" for n in range(ROWS)]},
            "24 different values: ids in 24 rows: it may be an",
        ),
        ({"text": FILMS, "label": ["a;b", "b;c", "a"] * 8}, "the column 'label' has several labels in a cell: 'a;b'"),
        ({"text": FILMS, "label": ["['a']", "['a', 'b']"] * 12}, "the column 'label' has several labels in a cell"),
        (
            {"text": FILMS, "score": [f"0.{n}7" for n in range(ROWS)], "source": TWO},
            "the column 'score' holds a number",
        ),
        (
            {"text": FILMS, "email": [f"a{n}@b.org" for n in range(ROWS)]},
            "looks like a label ('email': e-mail addresses)",
        ),
        ({"text": FILMS, "product_id": TWO}, "looks like a label ('product_id': ids or numbers, by its name)"),
        ({"url": [f"http://a.b/{n}" for n in range(ROWS)], "label": TWO}, "no column of a.csv looks like a text"),
    ],
)
def test_what_cannot_be_learned_is_refused_with_its_reason(columns, what):
    with pytest.raises(InputError) as caught:
        find_roles(table(**columns))
    assert what in caught.value.what


def test_names_of_classes_with_signs_in_them_are_no_lists():
    kinds = ["Credit card, prepaid card", "Mortgage", "Loan, other than mortgage"] * 8
    assert find_roles(table(text=FILMS, label=kinds)).label == "label"


def test_what_is_left_out_is_told_with_its_reason():
    rows = table(
        id=NUMBERS,
        text=FILMS,
        title=OTHERS,
        date=["2024-01-02"] * 23 + ["2024-01-03"],
        mail=[f"a{number}@b.org" for number in range(ROWS)],
        lang=["en"] * ROWS,
        code=["0", "1"] * 12,
        desk=THREE,
        label=["no", "yes"] * 12,
    )
    assert find_roles(rows).left_out == {
        "id": "an index",
        "title": "another text, of 7 words on average",
        "date": "dates",
        "mail": "e-mail addresses",
        "lang": "the same in all rows",
        "code": "says the same as label",
        "desk": "another label? 3 different values",
    }


@pytest.mark.parametrize(
    "header",
    [
        ("they said it was a fine film to see today", "a"),
        ("film 3", "b"),
        ("7", "text"),
    ],
)
def test_a_file_without_a_header_is_refused(header):
    second = NUMBERS if header[0] == "7" else TWO
    columns = {header[0]: FILMS if header[0] != "7" else second, header[1]: TWO if header[0] != "7" else FILMS}
    with pytest.raises(InputError, match=r"the first line of a\.csv seems to be a row") as caught:
        find_roles(table(headed=True, **columns))
    assert caught.value.where == "a.csv:1"
    assert caught.value.fix.startswith("write the columns' names above it")


def test_columns_of_one_name_and_of_lists_are_left_aside():
    rows = [("1", text, "2", kind, "[1]") for text, kind in zip(FILMS, TWO, strict=True)]
    roles = find_roles(Table("a.csv", ("n", "text", "n", "kind", "tags"), rows, {"tags": "holds a list"}))
    assert taken(roles) == ("text", None, "kind")
    assert roles.left_out == {"n": "several columns of that name", "tags": "holds a list"}
    with pytest.raises(InputError, match="the column 'label' cannot be the label: several columns of that name"):
        find_roles(Table("a.csv", ("label", "text", "label", "kind", "tags"), rows))
