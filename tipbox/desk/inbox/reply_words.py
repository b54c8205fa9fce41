"""Words to begin an answer with, in the languages of sources. Staff read them before they go, and change what is wrong.

Native speakers have read none of them but the English ones: docs/staff-guide.md says so.
"""
# ruff: noqa: RUF001 (Cyrillic words have letters that look like Latin ones)

from __future__ import annotations

from typing import Final

NAMES: Final = ("received", "more", "safety", "when")
"""What the words are for, in the order of their keys."""

WORDS: Final = {
    "en": (
        "We have read your message. Thank you. Please come back in a week to see our answer.",
        "Thank you. Please tell us more: where and when was it, and who else saw it? Send no names of others here.",
        "Thank you. Before you go on: is it safe for you to write now? Delete what you do not need on your device.",
        "Thank you. On which day did this happen, and at about what time?",
    ),
    "ru": (
        "Мы прочитали ваше сообщение. Спасибо. Зайдите, пожалуйста, через неделю: здесь будет наш ответ.",
        "Спасибо. Расскажите подробнее: где и когда это было и кто ещё это видел? Чужих имён здесь не называйте.",
        "Спасибо. Прежде чем продолжать: безопасно ли вам сейчас писать? Удалите с устройства всё лишнее.",
        "Спасибо. В какой день это произошло и примерно в котором часу?",
    ),
    "kk": (
        "Хабарламаңызды оқыдық. Рақмет. Бір аптадан кейін осында қайта кіріңіз: жауабымыз сонда болады.",
        "Рақмет. Толығырақ айтыңыз: бұл қайда, қашан болды, тағы кім көрді? Басқалардың атын жазбаңыз.",
        "Рақмет. Жалғастырмас бұрын: қазір жазу сізге қауіпсіз бе? Құрылғыңыздан керексіздің бәрін өшіріңіз.",
        "Рақмет. Бұл қай күні, шамамен сағат нешеде болды?",
    ),
    "ky": (
        "Билдирүүңүздү окудук. Рахмат. Бир жумадан кийин ушул жерге кайра кириңиз: жообубуз ошондо болот.",
        "Рахмат. Кеңири айтыңыз: бул кайда, качан болду, дагы ким көрдү? Башкалардын атын жазбаңыз.",
        "Рахмат. Улантуудан мурун: азыр жазуу сиз үчүн коопсузбу? Түзмөгүңүздөн керексизин өчүрүңүз.",
        "Рахмат. Бул кайсы күнү, болжол менен саат канчада болду?",
    ),
    "fr": (
        "Nous avons lu votre message. Merci. Revenez dans une semaine : notre réponse sera ici.",
        "Merci. Dites-nous en plus : où et quand était-ce, et qui d’autre l’a vu ? Ne donnez ici aucun nom.",
        "Merci. Avant de continuer : pouvez-vous écrire sans danger ? Effacez de votre téléphone ce qui est inutile.",
        "Merci. Quel jour cela s’est-il passé, et vers quelle heure ?",
    ),
    "es": (
        "Hemos leído su mensaje. Gracias. Vuelva dentro de una semana: nuestra respuesta estará aquí.",
        "Gracias. Cuéntenos más: ¿dónde y cuándo fue, y quién más lo vio? No dé aquí nombres de otras personas.",
        "Gracias. Antes de seguir: ¿puede escribir ahora sin peligro? Borre de su aparato lo que no necesite.",
        "Gracias. ¿Qué día ocurrió y hacia qué hora?",
    ),
}
"""By language; each has as many as NAMES."""


def words_for(*languages: str) -> tuple[str, tuple[str, ...]]:
    """The first of these languages that there are words in, or English, and its words."""
    language = next((one for one in languages if one in WORDS), "en")
    return language, WORDS[language]
