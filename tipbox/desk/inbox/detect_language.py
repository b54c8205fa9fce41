"""Which of six languages a message is in, by its script, its letters and its small words.

A guess for a list of tips, made without models and without a table of frequencies: people read the message anyway.
Kazakh and Kyrgyz are often typed on Russian keyboards, without their own letters; small words tell them apart then.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import Final

from tipbox.desk.inbox.folding import fold

LANGUAGES: Final = ("en", "es", "fr", "kk", "ky", "ru")
_LOOKED_AT: Final = 4000
"""Characters from the start of a message: more would change nothing."""

_WORD: Final = re.compile(r"[^\W\d_]+")
# ruff: noqa: RUF001 (Cyrillic words have letters that look like Latin ones)
_SMALL_WORDS: Final = {
    "en": "the and of to in was is that they we it were he she on at for with from not have had this there my our who",
    "es": "el la los las de y que en un una por con no se es del al fue para su como pero estaba nos hay muy",
    "fr": "le la les de des et est un une dans que qui il elle nous ils pas pour sur avec sont au du ce ont mais",
    "kk": "жане мен бул бир ушин деп болды емес бар жок кейин биз сол олар осы менин казир керек туралы адам болып "
    "деген кеше бугин келди екен еди гой оларды бизди алып",
    "ky": "жана мен бул бир учун деп болду эмес бар жок кийин биз ошол алар ушул менин азыр керек тууралуу киши болуп "
    "деген кечээ бугун келди экен эле аларды бизди алып",
    "ru": "и в не на что я с он как это по но они мы из у за был было были меня их его там вчера нас от до к все так "
    "для когда нет есть",
}
_WORDS: Final = {language: frozenset(fold(words).split()) for language, words in _SMALL_WORDS.items()}
_LETTERS: Final = {
    "kk": frozenset("әғқұһі"),
    "ky": frozenset("өүң"),  # and of Kazakh, which has those above besides
    "ru": frozenset("ёъ"),
    "fr": frozenset("àâçèêëîïôùûœ"),
    "es": frozenset("ñ¿¡áíóú"),
}
_OF_SCRIPT: Final = {"CYRILLIC": ("kk", "ky", "ru"), "LATIN": ("en", "es", "fr")}


def detect(text: str) -> str:
    """The language of a message, one of ``LANGUAGES``; empty when nothing tells."""
    begins = text[:_LOOKED_AT].lower()
    words = _WORD.findall(begins)
    cyrillic = sum("\u0400" <= character <= "\u04ff" for word in words for character in word)
    latin = sum(character < "\u0250" for word in words for character in word)
    if not cyrillic and not latin:
        return ""
    scores: Counter[str] = Counter()
    for language in _OF_SCRIPT["CYRILLIC" if cyrillic >= latin else "LATIN"]:
        letters = _LETTERS.get(language, frozenset[str]())
        scores[language] = sum(fold(word) in _WORDS[language] for word in words) + 2 * sum(
            not letters.isdisjoint(word) for word in words
        )
    if "kk" in scores and scores["kk"] and not _LETTERS["kk"].isdisjoint(begins):
        # A word that both alphabets can write counts for both: of Kyrgyz is none with a letter of Kazakh alone.
        scores["kk"] += sum(not _LETTERS["ky"].isdisjoint(word) for word in words) * 2
    (first, best), (_, second) = scores.most_common(2)
    return first if best > second else ""
