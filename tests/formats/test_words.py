"""Access codes as words: every list, forgiving reading, and what is said of typing errors."""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from support.organisations import FEW, QUICK, cases
from tipbox.errors import BadPassphrase, NotFound
from tipbox.formats import wordlists
from tipbox.formats.access_code import AccessCode, Doubt, doubt
from tipbox.formats.wordlists import PINS, WordList, fold, language_of, load

ROOT = Path(__file__).resolve().parents[2]
SECRETS = st.integers(0, 2**100 - 1)
LANGUAGES = st.sampled_from(sorted(PINS))
KAZAKH = {"а": "ә", "г": "ғ", "к": "қ", "н": "ң", "о": "ө", "у": "ұ", "х": "һ", "и": "і", "е": "ё"}  # noqa: RUF001


@QUICK
@given(st.data(), SECRETS, LANGUAGES)
def test_words_read_as_any_keyboard_writes_them(data: Any, secret: int, language: str) -> None:
    """In any case, with or without accents, divided by anything, with Kazakh letters, or only by their beginnings."""
    passphrase = AccessCode._of(secret)
    listed = load(language)

    def typed(word: str) -> str:
        folded = fold(word)
        lengths = [
            size for size in range(2, len(folded)) if "-" not in folded and listed.find(folded[:size]) is not None
        ]
        own = [size for size in lengths if listed.words[listed.find(folded[:size]) or 0] == word]
        forms = [word, word.upper(), unicodedata.normalize("NFD", word), folded, folded[: min(own, default=20)]]
        form: str = data.draw(st.sampled_from(forms))
        if language == "ru" and data.draw(st.booleans()):
            form = "".join(KAZAKH.get(letter, letter) for letter in form)
        return form

    gaps = st.text("-._, \t\r\n\u00a0\u2009\u3000", min_size=1, max_size=3)
    words = [typed(word) for word in passphrase.words(language)]
    text = "".join(word + data.draw(gaps) for word in words)

    assert AccessCode.parse(text) == passphrase
    assert doubt(text) == Doubt("words", doubt(text).language, len(words), len(words), ())


@FEW
@given(SECRETS)
@example(0)
@example(2**100 - 1)
def test_every_spelling_is_the_same_passphrase(secret: int) -> None:
    passphrase = AccessCode._of(secret)
    texts = [passphrase.digits(), *(" ".join(passphrase.words(language)) for language in PINS)]

    assert {AccessCode.parse(text) for text in texts} == {passphrase}
    assert len({text.lower() for text in texts}) == 5
    assert [len(text.split()) for text in texts] == [6, 9, 11, 11, 11]


@QUICK
@given(
    st.lists(st.sampled_from([word for name in PINS for word in load(name).words]), min_size=8, max_size=12), st.text()
)
def test_other_words_are_refused_without_a_word_of_them(words: list[str], behind: str) -> None:
    with pytest.raises(BadPassphrase) as caught:
        AccessCode.parse(" ".join([*words, behind]))

    assert str(caught.value) == BadPassphrase.__doc__
    assert caught.value.__context__ is None


def test_two_letters_are_enough_where_one_word_begins_with_them() -> None:
    found = 0
    for listed in map(load, PINS):
        folded = [fold(word) for word in listed.words]
        for start in {word[:2] for word in folded}:
            begun = [number for number, word in enumerate(folded) if word.startswith(start)]
            if len(begun) == 1:
                assert listed.find(start) == begun[0]
                found += 1
            elif start not in folded:
                assert listed.find(start) is None

    assert found > 20


@pytest.mark.parametrize("language", PINS)
def test_lists_are_unambiguous_and_what_the_build_checked(language: str) -> None:
    listed = load(language)

    listed.check_unambiguous()
    assert WordList.read(language, listed.encode()) == listed
    assert len(listed.words) ** (listed.length - 1) < 2**116 <= len(listed.words) ** listed.length
    with pytest.raises(NotFound):
        WordList.read(language, listed.encode() + b"more\n")
    assert [listed.find(fold(word)) for word in listed.words] == list(range(len(listed.words)))


@pytest.mark.parametrize("words", [("ёлка", "елка"), ("one", "two", "One"), ("ab-cd", "ab", "cd")])
def test_an_ambiguous_list_is_not_built(words: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="ambiguous"):
        WordList("xx", 9, words).check_unambiguous()


@pytest.mark.parametrize(
    ("tag", "language"),
    [
        ("en", "en"),
        ("ru-KZ", "ru"),
        ("FR", "fr"),
        ("es-419", "es"),
        ("kk", None),
        ("kk-Cyrl", None),
        ("", None),
        ("eng", None),
    ],
)
def test_which_list_a_reader_gets(tag: str, language: str | None) -> None:
    passphrase = AccessCode.generate()

    assert language_of(tag) == language
    assert passphrase.words(tag) == (passphrase.words(language) if language else ())


def test_both_languages_and_the_format_pin_the_same_lists() -> None:
    script = (ROOT / "client" / "src" / "formats" / "wordlists.ts").read_text(encoding="utf-8")
    table = (ROOT / "docs" / "format.md").read_text(encoding="utf-8")
    pinned = {name: (pin.length, pin.sha256) for name, pin in PINS.items()}

    found = re.findall(r'^  (\w\w): \{ length: (\d+), sha256: "([0-9a-f]{64})" \}', script, re.MULTILINE)
    rows = re.findall(r"^\| `(\w\w)` \| [0-9,]+ \| (\d+) \|.*`([0-9a-f]{64})` \|$", table, re.MULTILINE)
    assert [(name, (int(length), digest)) for name, length, digest in found] == list(pinned.items())
    assert [(name, (int(length), digest)) for name, length, digest in rows] == list(pinned.items())


def test_a_wrong_word_is_pointed_out_by_its_number_and_nothing_else() -> None:
    words = list(AccessCode.generate().words("ru"))
    words[2], words[7] = "щщщщ", "word"
    found = doubt(" ".join(words[:10]))

    assert found == Doubt("words", "ru", 10, 11, (2, 7))
    assert not set(words) & set(re.findall(r"\w+", repr(found)))


def test_words_of_two_lists_are_pointed_out() -> None:
    passphrase = AccessCode.generate()
    mixed = [*passphrase.words("fr")[:8], *passphrase.words("ru")[8:]]

    assert doubt(" ".join(mixed)) == Doubt("words", "fr", 11, 11, (8, 9, 10))


def test_a_first_word_that_no_passphrase_has_is_pointed_out() -> None:
    assert doubt("zoom").wrong == (0,)
    assert doubt("абзац абзац").wrong == (0,)
    assert doubt(AccessCode.generate().words("es")[0]).wrong == ()


@pytest.mark.parametrize(
    ("typed", "count", "wrong"),
    [
        ("", 0, ()),
        ("005192", 1, ()),
        ("005191 123456", 2, (0,)),
        ("010384", 1, ()),
        ("010385", 1, (0,)),
        ("006000 005191 999999", 3, ()),
        ("006000 12345 1234567 123456", 4, (1, 2)),
        ("006000 1234 123456", 3, (2,)),  # not in groups of six: these are 006000 123412 3456
        ("006000 123456 12", 3, (2,)),
        ("006000-12345.123456", 3, (1,)),
        ("006000-1234O6_123456", 3, (1,)),
        ("006000123456", 2, ()),
        ("00600012345", 2, (1,)),
        ("0-0-6-0-0-0-1", 2, (1,)),
        ("٠٠٦٠٠٠ ١٢٣٤٥٦", 2, ()),
    ],
)
def test_a_wrong_group_is_pointed_out_by_its_number(typed: str, count: int, wrong: tuple[int, ...]) -> None:
    assert repr(doubt(typed)) == repr(Doubt("digits", "", count, 6, wrong))


def test_words_are_held_to_the_first_list_of_those_that_fit_best() -> None:
    spanish, french = load("es"), load("fr")
    words = [word for word in spanish.words if french.find(fold(word)) is not None and "-" not in fold(word)][:3]
    text = f"{spanish.spell(1 << 112)[0]} {' '.join(words)}"

    assert doubt(" ".join(words[:1]), [french, spanish]).language == "fr"
    assert doubt(" ".join(words[:1]), [spanish, french]).language == "es"
    assert doubt(text, [french, spanish]).language == "es"


@pytest.mark.parametrize("unit", ["6", "zoom"])
def test_no_more_is_looked_at_than_a_code_can_take(unit: str) -> None:
    """What is pasted by mistake may be of any size."""
    text = f"{unit} " * 1024

    assert doubt(text) == doubt(text[:1024])


@pytest.mark.parametrize(("gap", "read"), [(1024, True), (1025, False)])
def test_a_typed_code_has_a_bound(gap: int, read: bool) -> None:  # noqa: FBT001
    passphrase = AccessCode._of(7)
    text = passphrase.digits().ljust(gap)

    if read:
        assert AccessCode.parse(text) == passphrase
    else:
        with pytest.raises(BadPassphrase):
            AccessCode.parse(text)


def test_words_that_two_lists_share_are_read_in_the_one_where_the_check_holds() -> None:
    """French is tried first, and these eleven are words, or beginnings of words, of both."""
    text = "abor sala pais util fila limite coco gamba paro placa copa"  # codespell:ignore
    french, spanish = load("fr"), load("es")
    assert all(french.find(word) is not None for word in text.split())

    assert AccessCode.parse(text).value == spanish.value([spanish.find(word) or 0 for word in text.split()])


def test_what_is_right_leaves_no_doubt() -> None:
    for case in cases("passphrase"):
        if case["expect"] == "ok":
            assert doubt(case["input"]["text"]).wrong == (), case["name"]


@FEW
@given(SECRETS, LANGUAGES, st.data())
def test_one_exchanged_word_in_4096_passes(secret: int, language: str, data: Any) -> None:
    """The check has 12 bits: of 60 exchanged words none or one passes."""
    words = list(AccessCode._of(secret).words(language))
    at = data.draw(st.integers(1, len(words) - 1))
    start = data.draw(st.integers(0, 1900))
    passed = 0
    for other in load(language).words[start : start + 60]:
        if other != words[at]:
            try:
                AccessCode.parse(" ".join([*words[:at], other, *words[at + 1 :]]))
                passed += 1
            except BadPassphrase:
                continue

    assert passed <= 1


def one_letter_wrong(word: str, letters: list[str]) -> set[str]:
    cuts = [(word[:at], word[at:]) for at in range(len(word) + 1)]
    wrong = {one + two[1:] for one, two in cuts if two} | {
        one + two[1] + two[0] + two[2:] for one, two in cuts if two[1:]
    }
    wrong |= {one + letter + two for one, two in cuts for letter in letters}
    return (wrong | {one + letter + two[1:] for one, two in cuts if two for letter in letters}) - {word}


@pytest.mark.parametrize(("language", "percent"), [("en", 0.30), ("ru", 0.12), ("fr", 0.04), ("es", 0.65)])
def test_one_wrong_letter_seldom_makes_another_word(language: str, percent: float) -> None:
    """The figures of docs/format.md, on every 8th word."""
    listed = load(language)
    letters = sorted({letter for word in listed.words for letter in fold(word)})
    typed = [
        (number, wrong)
        for number in range(0, len(listed.words), 8)
        for wrong in one_letter_wrong(fold(listed.words[number]), letters)
    ]
    other = sum(listed.find(wrong) not in (None, number) for number, wrong in typed)

    assert 100 * other / len(typed) == pytest.approx(percent, rel=0.35)
    assert f"{percent:.2f} % (`{language}`)" in (ROOT / "docs" / "format.md").read_text(encoding="utf-8")


def test_a_missing_list_says_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(wordlists, "files", lambda _: tmp_path)

    with pytest.raises(NotFound, match="make setup"):
        load.__wrapped__("en")
