"""Canonical JSON is RFC 8785 to the byte."""

import json
import struct

import pytest

from atoll_schemas.canonical import NotCanonical, canonical_json, digest_of

# RFC 8785 appendix B, table 1: IEEE 754 bits and the text that they must have.
NUMBERS = [
    ("0000000000000000", "0"),
    ("8000000000000000", "0"),
    ("0000000000000001", "5e-324"),
    ("8000000000000001", "-5e-324"),
    ("7fefffffffffffff", "1.7976931348623157e+308"),
    ("ffefffffffffffff", "-1.7976931348623157e+308"),
    ("4340000000000000", "9007199254740992"),
    ("c340000000000000", "-9007199254740992"),
    ("4430000000000000", "295147905179352830000"),
    ("44b52d02c7e14af5", "9.999999999999997e+22"),
    ("44b52d02c7e14af6", "1e+23"),
    ("44b52d02c7e14af7", "1.0000000000000001e+23"),
    ("444b1ae4d6e2ef4e", "999999999999999700000"),
    ("444b1ae4d6e2ef4f", "999999999999999900000"),
    ("444b1ae4d6e2ef50", "1e+21"),
    ("3eb0c6f7a0b5ed8c", "9.999999999999997e-7"),
    ("3eb0c6f7a0b5ed8d", "0.000001"),
    ("41b3de4355555553", "333333333.3333332"),
    ("41b3de4355555554", "333333333.33333325"),
    ("41b3de4355555555", "333333333.3333333"),
    ("41b3de4355555556", "333333333.3333334"),
    ("41b3de4355555557", "333333333.33333343"),
    ("becbf647612f3696", "-0.0000033333333333333333"),
    ("43143ff3c1cb0959", "1424953923781206.2"),
]


@pytest.mark.parametrize("bits, text", NUMBERS)
def test_numbers_are_written_as_appendix_b_lists_them(bits, text):
    (value,) = struct.unpack(">d", bytes.fromhex(bits))
    assert canonical_json(value).decode() == text


@pytest.mark.parametrize("bits", ["7fffffffffffffff", "7ff0000000000000", "fff0000000000000"])
def test_nan_and_infinities_have_no_form(bits):
    (value,) = struct.unpack(">d", bytes.fromhex(bits))
    with pytest.raises(NotCanonical):
        canonical_json(value)


def test_the_sample_of_section_3_2_2_is_serialised_as_printed():
    value = {
        "numbers": [333333333.33333329, 1e30, 4.50, 2e-3, 0.000000000000000000000000001],
        "string": '\u20ac$\u000f\nA\'B"\\\\"/',
        "literals": [None, True, False],
    }
    assert canonical_json(value).decode() == (
        '{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],'
        '"string":"€$\\u000f\\nA\'B\\"\\\\\\\\\\"/"}'
    )


def test_keys_sort_by_utf_16_code_units():
    # RFC 8785 section 3.2.3: the smiley's surrogates sort before U+FB33, though its code point is higher.
    value = {
        "€": "Euro Sign",
        "\r": "Carriage Return",
        "\ufb33": "Hebrew Letter Dalet With Dagesh",
        "1": "One",
        "😀": "Emoji: Grinning Face",
        "\u0080": "Control",
        "ö": "Latin Small Letter O With Diaeresis",
    }
    text = canonical_json(value).decode()
    order = [
        "Carriage Return",
        "One",
        "Control",
        "Latin Small Letter O With Diaeresis",
        "Euro Sign",
        "Emoji: Grinning Face",
        "Hebrew Letter Dalet With Dagesh",
    ]
    places = [text.index(f'"{name}"') for name in order]
    assert sorted(places) == places


def test_only_what_must_be_escaped_is_escaped():
    assert canonical_json('\b\t\n\f\r"\\/\u0000\u001f\u007f\u2028é') == (
        b'"\\b\\t\\n\\f\\r\\"\\\\/\\u0000\\u001f\x7f\xe2\x80\xa8\xc3\xa9"'
    )


def test_empty_values():
    assert canonical_json({}) == b"{}"
    assert canonical_json([]) == b"[]"
    assert canonical_json("") == b'""'


def test_tuples_are_arrays():
    assert canonical_json((1, (2,))) == b"[1,[2]]"


def test_a_boolean_is_not_a_number():
    assert canonical_json([True, 1, 1.0]) == b"[true,1,1]"


@pytest.mark.parametrize("value", [2**53 + 1, -(2**53) - 1, 10**30, 2**68])
def test_an_integer_that_a_double_may_not_hold_is_refused(value):
    with pytest.raises(NotCanonical, match="beyond"):
        canonical_json(value)


@pytest.mark.parametrize("bits, text", NUMBERS)
def test_a_number_that_was_read_as_an_integer_keeps_its_text(bits, text):
    value = json.loads(text)
    assert canonical_json(value).decode() == text


def test_the_largest_exact_integer_is_written():
    assert canonical_json(2**53 - 1) == b"9007199254740991"


@pytest.mark.parametrize("value", ["\ud83d", {"\ude00": 1}, ["a\ud800b"]])
def test_a_lone_surrogate_is_refused(value):
    with pytest.raises(NotCanonical, match="surrogate"):
        canonical_json(value)


@pytest.mark.parametrize("value", [{1: "a"}, {"a": {2, 3}}, b"bytes", object()])
def test_what_json_cannot_say_is_refused(value):
    with pytest.raises(NotCanonical):
        canonical_json(value)


def test_the_refusal_does_not_carry_the_value():
    with pytest.raises(NotCanonical) as caught:
        canonical_json({"name": b"Anna Muster"})
    assert "Muster" not in str(caught.value)


def test_a_digest_names_its_function():
    assert digest_of(b"") == "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
