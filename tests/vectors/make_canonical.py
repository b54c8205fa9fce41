"""Cases of kind ``canonical`` (docs/format.md, section 1)."""

from __future__ import annotations

from collections.abc import Iterator

from oracle import Case, b64, case


def cases() -> Iterator[Case]:
    """Section 1: one spelling of everything."""

    def read(name: str, comment: str, text: str | bytes, expect: str = "malformed", form: str = "compact") -> Case:
        data = text if isinstance(text, bytes) else text.encode()
        given = {"form": form, "data": b64(data)}
        return case(f"canonical/{name}", expect, comment, given, {} if expect == "ok" else None)

    for name, comment, text in (
        ("scalars", "null, true, false, numbers, text", '[null,true,false,0,-1,9007199254740991,-9007199254740991,""]'),
        ("empty", "an empty object", "{}"),
        ("name-any", "names that are empty or hold control characters", '{"":0,"\\u0000":1,"\\n":2,"\x7f":3}'),
        ("order", "members by name, not as numbers", '{"":0,"1":1,"10":2,"2":3,"A":4,"B":5,"_":6,"__proto__":7,"a":8}'),
        ("escapes", "the only escapes", r'"\"\\\b\f\n\r\t\u0000\u001f"'),
        ("raw", "all else stands for itself", '"/\x7f\x80é\u2028\u2029\ufeff\uffff😀"'),
        ("depth-8", "eight lists in one another", "[" * 8 + "]" * 8),
        ("text", "a text alone", '"x"'),
    ):
        yield read(name, comment, text, "ok")
    for name, comment, text in (
        ("file", "file form", '{\n  "a": [\n    1,\n    {\n      "b": ""\n    }\n  ],\n  "c": {},\n  "d": []\n}\n'),
        ("file-scalar", "file form of a number", "0\n"),
    ):
        yield read(name, comment, text, "ok", "file")
    for name, comment, data in (
        ("nothing", "no byte", b""),
        ("bom", "a byte order mark", b"\xef\xbb\xbf{}"),
        ("not-utf8", "a byte that is no UTF-8", b'"\xff"'),
        ("overlong", "UTF-8 longer than needed", b'"\xc0\xaf"'),
        ("surrogate-utf8", "a surrogate in UTF-8", b'"\xed\xa0\x80"'),
        ("utf16", "UTF-16", '"x"'.encode("utf-16-le")),
        ("space-before", "a space before", " {}"),
        ("space-after", "a space after", "{} "),
        ("newline-after", "a line feed after compact form", "{}\n"),
        ("space-inside", "a space after a colon", '{"a": 1}'),
        ("trailing", "a second value", "{}{}"),
        ("trailing-nul", "a zero byte after", "{}\x00"),
        ("unsorted", "members out of order", '{"b":1,"a":2}'),
        ("unsorted-numeric", "members in the order of numbers", '{"2":1,"10":2}'),
        ("duplicate", "one member twice", '{"a":1,"a":2}'),
        ("duplicate-same", "one member twice with one value", '{"a":1,"a":1}'),
        ("name-not-ascii", "a member's name that is not ASCII", '{"é":1}'),
        ("name-escaped", "a member's name with an escape that is not needed", r'{"\u0061":1}'),
        ("float", "a float", "1.5"),
        ("float-whole", "a float without a fraction", "1.0"),
        ("exponent", "an exponent", "1e2"),
        ("exponent-huge", "a number beyond all floats", "1e400"),
        ("minus-zero", "minus zero", "-0"),
        ("plus", "a plus sign", "+1"),
        ("leading-zero", "a leading zero", "01"),
        ("hex", "a number in hex", "0x10"),
        ("too-large", "2^53", "9007199254740992"),
        ("too-small", "-2^53", "-9007199254740992"),
        ("digits-many", "a number of 5,000 digits", "1" * 5000),
        ("nan", "not a number", "NaN"),
        ("infinity", "infinity", "-Infinity"),
        ("escape-upper", "an escape in upper case", r'"\u001F"'),
        ("escape-slash", "a slash escaped", r'"\/"'),
        ("escape-long", "a long escape where a short one exists", r'"\u000a"'),
        ("escape-letter", "a letter escaped", r'"\u0041"'),
        ("escape-del", "U+007F escaped", r'"\u007f"'),
        ("escape-pair", "a character beyond the first plane as two escapes", r'"\ud83d\ude00"'),
        ("surrogate", "a lone surrogate", r'"\ud800"'),
        ("surrogate-low", "a lone low surrogate", r'"\udc00"'),
        ("control", "a raw control character", '"\x01"'),
        ("single-quotes", "single quotes", "{'a':1}"),
        ("comma-after", "a comma after the last member", '{"a":1,}'),
        ("comment", "a comment", "/**/{}"),
        ("true-upper", "True", "True"),
        ("depth-9", "nine lists in one another", "[" * 9 + "]" * 9),
        ("depth-many", "20,000 lists in one another", "[" * 20_000),
        ("unfinished", "an object that does not end", '{"a":1'),
        ("only-name", "a member without a value", '{"a"}'),
    ):
        yield read(name, comment, data)
    for name, comment, text in (
        ("file-compact", "compact form where file form is asked for", '{"a":1}'),
        ("file-no-newline", "no line feed at the end", "{}"),
        ("file-two-newlines", "two line feeds at the end", "{}\n\n"),
        ("file-crlf", "line ends of another system", '{\r\n  "a": 1\r\n}\r\n'),
        ("file-indent-4", "indented by four", '{\n    "a": 1\n}\n'),
        ("file-tabs", "indented by tabs", '{\n\t"a": 1\n}\n'),
        ("file-one-line", "a list on one line", '{\n  "a": [1]\n}\n'),
        ("file-empty-spread", "an empty list over two lines", '{\n  "a": [\n  ]\n}\n'),
        ("file-space-at-end", "a space at the end of a line", '{\n  "a": 1, \n  "b": 2\n}\n'),
    ):
        yield read(name, comment, text, form="file")
