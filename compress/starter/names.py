"""The meaning of columns' names: `Review Text`, `starRating`, `Kategorie`, `texto_del_mensaje`."""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from itertools import combinations

TARGET = 4
"""Rank of names that mean a label."""
TELLING = 3
"""Rank of names for what a text says, or how: often the label."""
RIVAL = 2
"""Rank of names for what is done about a text: sometimes the label, often only a note."""
UNKNOWN = 1
ABOUT_ROW = 0
"""Rank of names for where a row comes from, not what it says."""

PLAIN_TEXT = 4
FULL_TEXT = 3
OTHER_TEXT = 2
HEADING = 1

_TARGETS = frozenset(
    "label labels class classes y gold truth annotation klasse classe clase etikett etiquette etiqueta "
    "etichetta ziel cible objetivo rotulo".split()
)
_TELLING = frozenset(
    "category categories kategorie categorie categoria cat topic topics thema theme tema sujet rubrik ressort rubrique "
    "section sentiment sentiments stimmung sentimiento sentimento polarity polaritat emotion emotions mood feeling "
    "tone stance intent intents intention absicht intencion stars star sterne etoiles estrellas estrelas stelle rating "
    "ratings bewertung note nota avaliacao valoracion calificacion puntuacion voto score grade verdict genre gattung "
    "genero spam ham toxic toxicity hate offensive sarcasm sarcastic relevant relevance duplicate outcome decision "
    "diagnosis diagnose entailment relation target".split()
)
_RIVALS = frozenset(
    "priority prioritat priorite prioridad priorita severity urgency dringlichkeit urgence department abteilung "
    "departement departamento queue team quality tag tags type typ kind sorte art tipo product produkt issue "
    "subcategory reason cause grund motif grupo group gruppe".split()
)
_ABOUT_ROW = frozenset(
    "source quelle fuente split fold set subset partition lang language sprache langue idioma country land pays pais "
    "region state city stadt ville gender sex geschlecht age alter year jahr month monat day week hour quarter channel "
    "kanal canal platform device browser version author autor auteur user username nutzer kunde customer agent "
    "assignee employee company firma brand marke store shop status via verified timezone airline worker annotator "
    "location place method gateway server host".split()
)
_FULL_TEXTS = frozenset(
    "text texts texte texto testo tekst review reviews content contents body message messages msg comment comments "
    "complaint complaints description desc sentence sentences tweet tweets document doc question query utterance post "
    "feedback abstract article passage answer response reply mail email transcript narrative notes note remark remarks "
    "statement claim story paragraph snippet prompt ticket request opinion verbatim lyrics plot conversation dialogue "
    "chat command phrase premise hypothesis context input inhalt nachricht kommentar beschreibung rezension bewertung "
    "satz frage anfrage meldung beitrag artikel antwort aussage meinung beschwerde anliegen eingabe avis commentaire "
    "contenu phrase requete reponse plainte critique corps resena comentario mensaje contenido opinion frase "
    "pregunta consulta respuesta descripcion queja cuerpo recensione commento messaggio contenuto domanda mensagem "
    "conteudo descricao avaliacao pergunta".split()
)
_PLAIN = frozenset("text texts texte texto testo tekst".split())
_HEADINGS = frozenset(
    "title titles headline heading subject summary header caption name betreff titel uberschrift schlagzeile "
    "zusammenfassung titre objet intitule titulo asunto encabezado titolo oggetto assunto".split()
)
_MEASURES = frozenset(
    "id ids uuid guid key nr no num number nummer numero index idx count counts anzahl nombre length len laenge lange "
    "date datum fecha time zeit heure hora timestamp url link links uri href hash lat lon zip plz".split()
)
"""Endings of names that mean something else than the words before them: `text_id`, `review_date`."""
_NUMBERING = frozenset("id ids nr no num number nummer index idx key code".split())
"""Endings that mean the label's number, after a word for a label."""
_NAMING = frozenset("name names text texts str string names title desc description bezeichnung".split())
"""Endings that mean the label's name instead of its number, after a word for a label."""
_BOOLEAN = frozenset(("is", "has", "was", "same", "ist", "hat", "est", "es"))
_TRANSLATED = str.maketrans({"ß": "ss", "ø": "o", "ł": "l", "æ": "ae"})

_PAIRS: Sequence[tuple[str, str]] = (
    ("premise", "hypothesis"),
    ("text", "hypothesis"),
    ("query", "passage"),
    ("query", "document"),
    ("query", "doc"),
    ("query", "text"),
    ("question", "passage"),
    ("question", "sentence"),
    ("question", "context"),
    ("claim", "evidence"),
    ("pramisse", "hypothese"),
    ("premisse", "hypothese"),
    ("premisa", "hipotesis"),
    ("frage", "absatz"),
)
"""Names of two texts that belong together, in order."""
_PAIR_ENDS = (("1", "2"), ("a", "b"), ("", "pair"), ("", "2"), ("left", "right"), ("first", "second"), ("one", "two"))


def parts_of(name: str) -> tuple[str, ...]:
    """The words of a name in lower case, without accents; numbers are words: `reviewText2` is review, text, 2."""
    apart = re.sub(r"(?<=[a-zà-ÿ])(?=[A-ZÀ-Þ])|(?<=[A-Z])(?=[A-Z][a-z])", " ", name.translate(_TRANSLATED))
    bare = "".join(char for char in unicodedata.normalize("NFKD", apart) if not unicodedata.combining(char))
    return tuple(re.findall(r"[^\W\d_]+|\d+", bare.lower()))


def label_rank(name: str) -> int:
    """The rank of a name as the label's: TARGET, TELLING, RIVAL, UNKNOWN or ABOUT_ROW."""
    parts = parts_of(name)
    before, end = set(parts[:-1]), parts[-1:]
    numbers_label = set(end) <= _NUMBERING and before & (_TARGETS | _TELLING)
    if numbers_label or (set(end) <= _NAMING and before & (_TARGETS | _TELLING | _RIVALS)):
        parts = parts[:-1]
    if not parts:
        return UNKNOWN
    ranks = (
        (parts[-1] in _MEASURES, ABOUT_ROW),
        (_has(parts, _TARGETS), TARGET),
        (parts[0] in _BOOLEAN, TELLING),
        (parts[-1] in _ABOUT_ROW, ABOUT_ROW),
        (_has(parts, _TELLING), TELLING),
        (_has(parts, _RIVALS), RIVAL),
        (_has(parts, _ABOUT_ROW), ABOUT_ROW),
    )
    return next((rank for holds, rank in ranks if holds), UNKNOWN)


def is_prime(name: str) -> bool:
    """Whether a name means the main label: `label` alone, or `gold_label`."""
    parts = parts_of(name)
    return label_rank(name) == TARGET and (len(parts) == 1 or "gold" in parts)


def text_rank(name: str) -> int:
    """The rank of a name as the text's: PLAIN_TEXT, FULL_TEXT, OTHER_TEXT or HEADING."""
    parts = parts_of(name)
    if parts and parts[-1] in _MEASURES:
        return HEADING
    if len(parts) == 1 and parts[0] in _PLAIN:
        return PLAIN_TEXT
    if parts and (parts[-1] in _HEADINGS or parts[0] in _HEADINGS - {"name"}) and parts[-1] not in _FULL_TEXTS:
        return HEADING
    if _has(parts, _FULL_TEXTS):
        return FULL_TEXT
    return HEADING if _has(parts, _HEADINGS) else OTHER_TEXT


def names_text(name: str) -> bool:
    """Whether a name means a text or its heading."""
    return text_rank(name) in {PLAIN_TEXT, FULL_TEXT} or bool(_has(parts_of(name), _HEADINGS))


def is_measure(name: str) -> bool:
    """Whether a name means a number, a date, an address or an id."""
    parts = parts_of(name)
    return bool(parts) and parts[-1] in _MEASURES


def names_label_in_words(name: str) -> bool:
    """Whether a name means the label's name instead of its number: `label_text`."""
    parts = parts_of(name)
    return len(parts) > 1 and parts[-1] in _NAMING


def pairs_by_words(names: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Pairs of names that are known to belong together, in order: premise and hypothesis."""
    parts = {name: set(parts_of(name)) for name in names}
    for one, other in _PAIRS:
        first = [name for name in names if one in parts[name] and other not in parts[name]]
        second = [name for name in names if other in parts[name] and one not in parts[name]]
        if len(first) == len(second) == 1:
            yield first[0], second[0]


def pairs_by_number(names: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Pairs of names that differ only in their number: sentence1 and sentence2; names of few words first."""
    by_words = sorted(names, key=lambda name: len(parts_of(name)))
    for one_name, other_name in combinations(by_words, 2):
        for first, second in ((one_name, other_name), (other_name, one_name)):
            if _belong(parts_of(first), parts_of(second)):
                yield first, second


def _belong(first: tuple[str, ...], second: tuple[str, ...]) -> bool:
    """Whether two names differ only in one number, letter or word that counts them."""
    if any(second == (*first, other) for one, other in _PAIR_ENDS if not one):
        return bool(first)
    differing = [pair for pair in zip(first, second, strict=False) if pair[0] != pair[1]]
    return len(first) == len(second) > 1 and len(differing) == 1 and differing[0] in _PAIR_ENDS


def _has(parts: Sequence[str], words: frozenset[str]) -> bool:
    """Whether a name has one of the words, or ends in a compound of one: `textinhalt`, `kundennachricht`."""
    return any(part in words or any(_ends(part, word) for word in words) for part in parts)


def _ends(part: str, word: str) -> bool:
    return len(word) >= 5 and len(part) > len(word) + 1 and part.endswith(word)
