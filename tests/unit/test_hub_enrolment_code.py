"""An enrolment code carries a secret for the hub and the hub key's fingerprint for the node."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atoll_schemas.enrolment import (
    NotAnEnrolmentCode,
    fingerprint,
    key_id,
    new_code,
    parse_code,
    thumbprint,
)

# The EC P-256 key of RFC 7517 appendix A.1.
KEY = {
    "kty": "EC",
    "crv": "P-256",
    "x": "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4",
    "y": "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM",
    "use": "enc",
    "kid": "1",
}
OTHER = KEY | {"x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU"}


@given(st.binary(min_size=20, max_size=20))
def test_a_code_reads_back_as_it_was_made(random):
    code = new_code(random, KEY)
    assert parse_code(code.text()) == code


def test_white_space_and_letter_case_do_not_matter():
    code = new_code(b"s" * 20, KEY)
    assert parse_code(f"  {code.text().upper()}\n") == code


def test_a_cut_code_is_refused_without_repeating_it():
    text = new_code(b"s" * 20, KEY).text()
    with pytest.raises(NotAnEnrolmentCode) as refusal:
        parse_code(text[:-3])
    assert text[10:20] not in str(refusal.value)


@pytest.mark.parametrize("text", ["", "hello", "atoll2-aa-bb", "atoll1-!!-??", "atoll1-é-é", "-" * 40])
def test_other_text_is_not_a_code(text):
    with pytest.raises(NotAnEnrolmentCode):
        parse_code(text)


def test_the_code_trusts_only_the_key_it_names():
    code = new_code(b"s" * 20, KEY)
    assert code.trusted([OTHER, KEY, {"kty": "oct"}]) == (KEY,)
    assert code.trusted([OTHER]) == ()


def test_the_thumbprint_ignores_members_that_rfc_7638_leaves_out():
    assert thumbprint(KEY) == thumbprint({name: KEY[name] for name in ("y", "x", "crv", "kty")})
    assert len(key_id(KEY)) == 43
    assert len(fingerprint(KEY)) == 32


def test_a_secret_key_without_its_public_half_has_no_thumbprint():
    with pytest.raises(ValueError, match="complete EC public key"):
        thumbprint({"kty": "EC", "crv": "P-256", "d": "x"})


def test_the_secret_does_not_show_in_a_repr():
    code = new_code(b"s" * 20, KEY)
    assert code.secret not in repr(code)


def test_a_secret_of_another_length_is_refused():
    with pytest.raises(ValueError, match="20 bytes"):
        new_code(b"short", KEY)
