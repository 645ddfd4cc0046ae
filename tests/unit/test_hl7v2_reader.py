"""HL7 v2 chapter 2.5 and 2.6, and what real senders make of it."""

from __future__ import annotations

import dataclasses

import pytest

from gateway.finding import Finding
from gateway.hl7v2 import NULL, Delimiters, Message, read

HEADER = b"MSH|^~\\&|ENGINE|QVV|DEX|X|20260401120000||ADT^A01^ADT_A01|00042|P|2.5.1"


def message(*segments: bytes, charset: bytes = b"", end: bytes = b"\r") -> bytes:
    header = HEADER + b"||||||" + charset if charset else HEADER
    return end.join([header, *segments]) + end


def rules(read_message: Message) -> list[tuple[str, str | None, str | None]]:
    return [(f.severity, f.rule, f.expression) for f in read_message.findings]


def only(read_message: Message) -> Finding:
    assert len(read_message.findings) == 1
    return read_message.findings[0]


# Header and paths


def test_the_header_is_at_hand() -> None:
    found = read(message(b"EVN|A01"))
    assert found.readable
    assert found.findings == ()
    assert (found.type, found.structure, found.version, found.control_id) == ("ADT^A01", "ADT_A01", "2.5.1", "00042")
    assert found.delimiters == Delimiters("|", "^", "~", "\\", "&")
    assert found.codec == "utf-8"
    assert found.text("MSH", 1) == "|"
    assert found.text("MSH", 2) == "^~\\&"
    assert found.text("MSH", 3) == "ENGINE"
    assert bytes(found) == found.raw == message(b"EVN|A01")


def test_a_header_may_say_less() -> None:
    found = read(b"MSH|^~\\&||||||")
    assert (found.type, found.structure, found.version, found.control_id) == (None, None, None, None)
    assert read(b"MSH|^~\\&|||||||ACK").type == "ACK"
    assert read(b"MSH|^~\\&|||||||^A01").type is None


def test_a_control_id_is_taken_whole_and_a_null_is_none() -> None:
    assert read(b"MSH|^~\\&||||||||A^B~C&D\\F\\").control_id == "A^B~C&D|"
    assert read(b'MSH|^~\\&||||||||""').control_id is None


def test_paths_lead_to_leaves() -> None:
    found = read(message(b"PID|1||111^^^NHS&2.16&ISO^NH~222^^^R0D^MR|| Smith \\T\\ Son ^Ann"))
    assert found.text("PID", 3) == "111"
    assert found.text("PID", 3, 4) == "NHS"
    assert found.text("PID", 3, 4, 3) == "ISO"
    assert found.text("PID", 3, 4, 4) is None
    assert found.text("PID", 3, 5, repetition=2) == "MR"
    assert found.text("PID", 3, 9) is None
    assert found.text("PID", 3, repetition=3) is None
    assert found.text("PID", 3, 0) is None
    assert found.text("PID", 5) == " Smith & Son "
    assert found.text("PID", 8) is None
    assert found.text("PID", 0) is None
    assert found.text("PV1", 2) is None


def test_repetitions_and_parts_are_elements() -> None:
    found = read(message(b"PID|1||111^^^NHS&2.16&ISO~~222"))
    first, empty, last = found.repetitions("PID", 3)
    assert (first.present, empty.present, last.present) == (True, False, True)
    assert (first.text, empty.text, last.text) == ("111", None, "222")
    authority = first.at(4)
    assert authority is not None
    assert authority.text == "NHS"
    assert authority.whole == "NHS&2.16&ISO"
    assert [part.text for part in authority.parts] == ["NHS", "2.16", "ISO"]
    leaf = authority.at(2)
    assert leaf is not None
    assert leaf.parts == (leaf,)
    assert leaf.at(1) is leaf
    assert leaf.at(2) is None
    assert first.at(2) is None
    assert first.at(5) is None
    assert first.at(0) is None
    assert empty.at(1) is None
    assert found.repetitions("PID", 4) == ()
    assert found.repetitions("PV1", 1) == ()


def test_an_element_without_delimiters_is_its_own_first_part() -> None:
    (element,) = read(message(b"PID|1|||||||F")).repetitions("PID", 8)
    part = element.at(1)
    assert part is not None
    below = part.at(1)
    assert below is not None
    assert below.text == "F"
    assert element.at(2) is None


def test_null_is_kept_apart_from_empty() -> None:
    found = read(message(b'PID|1||""|""^Ann||^Bea'))
    assert found.text("PID", 3) == NULL
    assert found.repetitions("PID", 3)[0].is_null
    (name,) = found.repetitions("PID", 4)
    assert not name.is_null
    family = name.at(1)
    assert family is not None
    assert family.is_null
    assert family.text == NULL
    assert found.text("PID", 5) is None
    assert found.text("PID", 6) is None
    assert found.text("PID", 6, 2) == "Bea"


def test_msh_2_is_never_cut_or_unescaped() -> None:
    found = read(message())
    (separator,), (characters,) = found.repetitions("MSH", 1), found.repetitions("MSH", 2)
    assert (separator.text, characters.text, characters.whole) == ("|", "^~\\&", "^~\\&")
    assert [part.text for part in characters.parts] == ["^~\\&"]
    assert found.text("MSH", 2, 2) is None
    header = found.first("MSH")
    assert header is not None
    assert header.whole(2) == "^~\\&"
    assert header.whole(8) is None


def test_segments_keep_order_number_and_place() -> None:
    found = read(message(b"PID|1", b"OBX|1", b"ZAX|x", b"OBX|2", b"PV1"))
    assert [(s.name, s.number, s.position) for s in found.segments] == [
        ("MSH", 1, 1),
        ("PID", 1, 2),
        ("OBX", 1, 3),
        ("ZAX", 1, 4),
        ("OBX", 2, 5),
        ("PV1", 1, 6),
    ]
    assert [s.text(1) for s in found.all("OBX")] == ["1", "2"]
    assert found.first("ZZZ") is None
    assert found.all("ZZZ") == ()
    assert (found.segments[0].last, found.segments[1].last, found.segments[-1].last) == (12, 1, 0)
    assert found.readable


def test_escapes_are_undone_below_fields_alone() -> None:
    found = read(message(b"NTE|1||one\\.br\\two \\X263A\\ \\Zx\\"))
    assert found.text("NTE", 3) == "one\ntwo &: \\Zx\\"
    (element,) = found.repetitions("NTE", 3)
    assert element.text == element.whole == "one\ntwo &: \\Zx\\"
    assert element.raw == "one\\.br\\two \\X263A\\ \\Zx\\"
    note = found.first("NTE")
    assert note is not None
    assert note.whole(3) == "one\ntwo &: \\Zx\\"


def test_repr_shows_no_patient() -> None:
    found = read(message(b"PID|1||999^^^NHS"))
    assert "999" not in repr(found) + repr(found.first("PID")) + repr(found.repetitions("PID", 3))


# Line ends


@pytest.mark.parametrize("bom", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize(
    ("end", "tail"),
    [
        *((end, tail) for end in (b"\r", b"\r\n") for tail in (b"", b"\r", b"\r\n", b"\r  \r\n", b"\r\r\r")),
        *((b"\n", tail) for tail in (b"", b"\n", b"\n  \n", b"\n\n\n")),
    ],
)
def test_line_ends_marks_and_blanks(end: bytes, bom: bytes, tail: bytes) -> None:
    raw = bom + end.join([HEADER, b"PID|1", b"PV1|1|E"]) + tail
    found = read(raw)
    assert found.findings == ()
    assert [s.name for s in found.segments] == ["MSH", "PID", "PV1"]
    assert found.text("PV1", 2) == "E"
    assert bytes(found) == raw


def test_blank_lines_before_and_between_are_nothing() -> None:
    found = read(b"\r\n " + HEADER + b"\r\n\r\n  \r\nPID|1\r\n")
    assert found.findings == ()
    assert [s.name for s in found.segments] == ["MSH", "PID"]


def test_with_any_cr_a_bare_lf_is_data() -> None:
    found = read(message(b"NTE|1||one\ntwo"))
    assert found.findings == ()
    assert found.text("NTE", 3) == "one\ntwo"


def test_a_segment_behind_a_bare_lf_is_pointed_out() -> None:
    found = read(message(b"EVN|A01\nPID|1", b"PV1|1"))
    assert found.readable
    assert rules(found) == [("warning", "HL7-LINE-ENDS", None)]
    assert "line 2" in only(found).diagnostics
    assert found.text("EVN", 1) == "A01\nPID"


def test_a_line_that_is_no_segment_refuses_and_is_kept() -> None:
    found = read(message(b"OBX|1|TX|||one", b"and two", b"PV1|1"))
    assert not found.readable
    assert rules(found) == [("error", "HL7-LINE", None)]
    assert "line 3" in only(found).diagnostics
    assert [s.name for s in found.segments] == ["MSH", "OBX", "and two", "PV1"]


@pytest.mark.parametrize("line", [b"PI|1", b"PIDX|1", b"P-D", b"\xc3\xa9\xc3\xa9\xc3\xa9", b"|", b"  x|"])
def test_what_is_no_segment(line: bytes) -> None:
    assert rules(read(message(line))) == [("error", "HL7-LINE", None)]


def test_blanks_and_marks_before_a_name_are_left_out() -> None:
    found = read(message(b"  PID|1", b"\xef\xbb\xbfPV1|1", b"PD1 ", b"EVN"))
    assert found.findings == ()
    assert [s.name for s in found.segments] == ["MSH", "PID", "PV1", "PD1", "EVN"]


# More than one message


@pytest.mark.parametrize("second", [HEADER, b"\xef\xbb\xbf" + HEADER, b"MSH"])
def test_a_second_msh_refuses_the_message(second: bytes) -> None:
    found = read(message(b"PID|1", second, b"PID|2"))
    assert not found.readable
    assert rules(found) == [("error", "HL7-SECOND-MSH", "MSH[2]")]
    assert len(found.all("MSH")) == 2


def test_msh_in_a_field_is_no_second_message() -> None:
    assert read(message(b"PID|1||MSH|MSH")).findings == ()


@pytest.mark.parametrize("header", [b"FHS", b"BHS"])
def test_a_batch_says_so(header: bytes) -> None:
    found = read(header + b"|^~\\&|\rMSH|^~\\&|")
    assert rules(found) == [("error", "HL7-BATCH", header.decode())]
    assert only(found).code == "not-supported"


# What is no message


@pytest.mark.parametrize("raw", [b"", b"\xef\xbb\xbf", b" \r\n\t "])
def test_nothing(raw: bytes) -> None:
    found = read(raw)
    assert rules(found) == [("error", "HL7-EMPTY", None)]
    assert found.segments == ()
    assert found.type is None
    assert found.repetitions("PID", 3) == ()
    assert bytes(found) == raw


@pytest.mark.parametrize(("raw", "begins"), [(b"hello", "68 65 6c 6c"), (b"MS", "4d 53"), (b"\x00MSH|", "00 4d 53 48")])
def test_what_does_not_begin_with_msh(raw: bytes, begins: str) -> None:
    found = read(raw)
    assert rules(found) == [("error", "HL7-START", None)]
    assert begins in only(found).diagnostics


# Delimiters


def test_custom_delimiters() -> None:
    found = read(b"MSH$%~?*$ENGINE$$$$$$ADT%A01$7$P$2.3\rPID$1$$1%%%A*B~2$$a?T?b?S?\r")
    assert found.readable
    assert found.delimiters == Delimiters("$", "%", "~", "?", "*")
    assert found.type == "ADT^A01"
    assert found.text("PID", 3, 4, 2) == "B"
    assert found.text("PID", 3, repetition=2) == "2"
    assert found.text("PID", 5) == "a*b%"


@pytest.mark.parametrize("version", ["2.3", "2.5.1", "2.8"])
def test_five_encoding_characters_in_any_version(version: str) -> None:
    found = read(f"MSH|^~\\&#|||||||ADT^A01|1|P|{version}\rNTE|1||\\P\\5".encode())
    assert found.readable
    assert found.delimiters.truncation == "#"
    assert found.text("NTE", 3) == "#5"
    assert found.text("MSH", 2) == "^~\\&#"


@pytest.mark.parametrize(
    ("raw", "place", "words"),
    [
        (b"MSH", "MSH-2", "ends before MSH-3"),
        (b"MSH|", "MSH-2", "ends before MSH-3"),
        (b"MSH|^~\\&", "MSH-2", "ends before MSH-3"),
        (b"MSH|^~\\&\rPID|1", "MSH-2", "ends before MSH-3"),
        (b"MSH||", "MSH-2", "has 0 characters"),
        (b"MSH|^~\\|x", "MSH-2", "has 3 characters"),
        (b"MSH|^~\\&#!|x", "MSH-2", "has 6 characters"),
        (b"MSH|" + b"!" * 5000 + b"|x", "MSH-2", "characters"),
        (b"MSH|^^\\&|x", "MSH-2", "a caret stands twice"),
        (b"MSH|^~\\~|x", "MSH-2", "a tilde stands twice"),
        (b"MSH|^~|&|x", "MSH-2", "has 2 characters"),
        (b"MSH|^~X&|x", "MSH-2", "the character X in MSH-2"),
        (b"MSH|^~1&|x", "MSH-2", "the character 1 in MSH-2"),
        (b"MSH|^~ &|x", "MSH-2", "a blank in MSH-2"),
        (b"MSH|^~\t&|x", "MSH-2", "a tab in MSH-2"),
        ("MSH|^~é&|x".encode(), "MSH-2", "in MSH-2"),
        (b"MSH|^~\xac&|x", "MSH-2", "in MSH-2"),
        (b"MSHA^~\\&A", "MSH-1", "the character A in MSH-1"),
        (b"MSH\x00^~\\&\x00", "MSH-1", "U+0000 in MSH-1"),
        (b"MSH ^~\\& ", "MSH-1", "a blank in MSH-1"),
    ],
)
def test_delimiters_that_can_not_be_used(raw: bytes, place: str, words: str) -> None:
    found = read(raw)
    assert rules(found) == [("error", "HL7-DELIMITERS", place)]
    assert words in only(found).diagnostics
    assert found.segments == ()


# Character sets: MSH-18 and HTTP


@pytest.mark.parametrize(
    ("spelling", "name"),
    [
        (b"", "Müller".encode()),
        (b"UNICODE UTF-8", "Müller".encode()),
        (b"unicode utf-8", "Müller".encode()),
        (b"UNICODE", "Müller".encode()),
        (b"UTF-8", "Müller".encode()),
        (b"8859/1", "Müller".encode("iso8859-1")),
        (b" 8859/1 ~8859/2", "Müller".encode("iso8859-1")),
        (b"~8859/15", "Müller".encode("iso8859-15")),
        (b'""', "Müller".encode()),
        (b"ISO-8859-1", "Müller".encode("iso8859-1")),
        (b"8859/9", "Müller".encode("iso8859-9")),
        (b"GB 18030-2000", "Müller".encode("gb18030")),
    ],
)
def test_msh_18_says_what_the_bytes_are(spelling: bytes, name: bytes) -> None:
    found = read(message(b"PID|1||||" + name, charset=spelling))
    assert found.findings == ()
    assert found.text("PID", 5) == "Müller"


def test_japanese_with_escape_sequences() -> None:
    name = "山田".encode("iso2022_jp")
    found = read(message(b"PID|1||||" + name + b"|x", charset=b"~ISO IR87"))
    assert found.findings == ()
    assert found.text("PID", 5) == "山田"
    assert found.text("PID", 6) == "x"


def test_http_s_charset_governs_and_a_disagreeing_msh_18_is_told() -> None:
    found = read(message(b"PID|1||||" + "Müller".encode(), charset=b"8859/1"), charset="UTF-8")
    assert found.readable
    assert rules(found) == [("warning", "HL7-CHARSET", "MSH-18")]
    assert found.text("PID", 5) == "Müller"
    assert rules(read(message(charset=b"KLINGON"), charset="utf-8")) == [("warning", "HL7-CHARSET", "MSH-18")]
    assert rules(read(message(b"NTE|" + "ü".encode(), charset=b"ASCII"), charset="utf-8")) == [
        ("warning", "HL7-CHARSET", "MSH-18")
    ]


@pytest.mark.parametrize("spelling", [b"", b"UNICODE UTF-8", b"ASCII"])
def test_http_s_charset_and_msh_18_may_agree(spelling: bytes) -> None:
    assert read(message(charset=spelling), charset="utf-8").findings == ()


def test_another_charset_of_http_is_refused() -> None:
    found = read(message(), charset="utf-16")
    assert rules(found) == [("error", "HL7-CHARSET", "Content-Type")]


@pytest.mark.parametrize(
    ("charset", "spelling", "byte", "setting"),
    [
        (None, b"", b"\xfc", "default, as MSH-18 is empty"),
        (None, b"UNICODE UTF-8", b"\xfc", "MSH-18"),
        (None, b"ASCII", b"\xfc", "MSH-18"),
        (None, b"8859/8", b"\xff", "MSH-18"),
        ("utf-8", b"", b"\xfc", "Content-Type"),
    ],
)
def test_a_byte_that_does_not_fit_is_named_with_its_place(
    charset: str | None, spelling: bytes, byte: bytes, setting: str
) -> None:
    raw = message(b"OBX|1", b"OBX|2|TX|||a~b^M" + byte + b"ller^x" + byte, charset=spelling)
    found = read(b"\xef\xbb\xbf" + raw, charset)
    assert not found.readable
    bad = only(found)
    assert (bad.rule, bad.expression) == ("HL7-BYTES", "OBX[2]-5[2].2")
    assert f"byte {byte.hex()} (hexadecimal) at offset {raw.index(byte) + 3}, and 1 more places" in bad.diagnostics
    assert setting in bad.diagnostics
    assert found.control_id == "00042"
    assert "\ufffd" in (found.text("OBX", 5) or "") + (found.all("OBX")[1].text(5, 2, repetition=2) or "")


def test_one_bad_byte_in_the_header_is_one() -> None:
    bad = only(read(HEADER.replace(b"ENGINE", b"ENG\xe9")))
    assert bad.expression == "MSH-3[1]"
    assert "more places" not in bad.diagnostics


@pytest.mark.parametrize("spelling", [b"UNICODE UTF-16", b"CNS 11643-1992"])
def test_a_known_set_that_is_not_read_here(spelling: bytes) -> None:
    found = only(read(message(charset=spelling)))
    assert (found.severity, found.code, found.rule) == ("error", "not-supported", "HL7-CHARSET")


def test_an_unknown_set_matters_only_beyond_ascii() -> None:
    assert rules(read(message(charset=b"KLINGON"))) == [("warning", "HL7-CHARSET", "MSH-18")]
    assert rules(read(message(b"PID|1||||M\xc3\xbcller", charset=b"KLINGON"))) == [("error", "HL7-CHARSET", "MSH-18")]
    assert rules(read(message(b"PID|1||||M\xfcller", charset=b"KLINGON"))) == [("error", "HL7-CHARSET", "MSH-18")]


def test_what_is_shown_of_the_sender_s_is_short_and_harmless() -> None:
    found = only(read(message(charset=b"x" * 30 + b'"\\^&\x07' + b"y" * 5000)))
    assert "x" * 30 in found.diagnostics
    assert "y" * 10 not in found.diagnostics
    assert not set(found.diagnostics) & set("\"\\\r\n|^~&\x07'")


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{}",
        b"FHS|",
        b"MSH",
        b"MSH||",
        b"MSH|^^\\&|",
        b"MSH|^~\"'|",
        b"MSH|^~\\\\|",
        b"MSH&^~\\&|&",
        message(b"junk|^~\\&"),
        message(HEADER),
        message(b"NTE|1\nPID|"),
        message(b"\xff"),
        message(charset=b"KLING|ON"),
        message(charset=b"UTF-16"),
    ],
)
def test_our_words_need_no_escape(raw: bytes) -> None:
    found = read(raw, None).findings + read(raw, "x\"'").findings
    assert found
    for finding in found:
        assert not set(finding.diagnostics) & set("\"\\\r\n|^~&'"), finding
        assert {f.name for f in dataclasses.fields(finding)} >= {"rule", "expression"}
