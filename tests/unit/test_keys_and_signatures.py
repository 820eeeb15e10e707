"""Secrets are made once, kept to their owner, and sign what others can check."""

import stat

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey

from atoll_node.errors import Refused, SettingsError
from atoll_node.home import Home
from atoll_node.keys import make_secrets, opened, read_node_key, read_pseudonym_key
from atoll_schemas.enrolment import key_id
from tests.support.node_records import NOW, a_hub_key


@pytest.fixture
def home(tmp_path):
    home = Home(tmp_path)
    make_secrets(home, b"k" * 32)
    return home


def test_secrets_are_readable_by_their_owner_alone(home):
    assert stat.S_IMODE(home.secrets.stat().st_mode) == 0o700
    assert {stat.S_IMODE(file.stat().st_mode) for file in home.secrets.iterdir()} == {0o600}


def test_a_second_making_replaces_nothing(home):
    before = read_node_key(home).public_jwk()
    make_secrets(home, b"x" * 32)
    assert read_pseudonym_key(home) == b"k" * 32
    assert read_node_key(home).public_jwk() == before


@pytest.mark.parametrize("name", ["node_key", "pseudonym_key"])
def test_a_secret_that_others_may_read_is_refused(home, name):
    getattr(home, name).chmod(0o640)
    with pytest.raises(SettingsError) as refused:
        (read_node_key if name == "node_key" else read_pseudonym_key)(home)
    assert refused.value.code == "keys.mode"
    assert "chmod 600" in (refused.value.next_step or "")


def test_an_absent_or_damaged_secret_is_named(home):
    home.pseudonym_key.write_bytes(b"short")
    with pytest.raises(SettingsError) as damaged:
        read_pseudonym_key(home)
    assert damaged.value.code == "keys.pseudonym"
    home.node_key.write_bytes(b"no key")
    with pytest.raises(SettingsError) as wrong:
        read_node_key(home)
    assert wrong.value.code == "keys.node"
    home.node_key.unlink()
    with pytest.raises(SettingsError) as absent:
        read_node_key(home)
    assert absent.value.code == "keys.missing"


def test_the_public_key_shows_no_private_part(home):
    public = read_node_key(home).public_jwk()
    assert set(public) == {"kty", "crv", "x", "y", "kid"}
    assert public["kid"] == key_id(public)
    assert public["crv"] == "P-256"


def test_a_signature_opens_with_the_key_and_the_type_it_was_made_with():
    key = a_hub_key()
    token = key.sign("atoll-task+jws", b"content")
    assert opened(token, kind="atoll-task+jws", keys=[key.public_jwk()]) == b"content"


def test_an_assertion_says_who_to_whom_and_for_one_minute():
    key = a_hub_key()
    token = key.assertion(node_id="node-1", audience="https://hub/v1/token", now=NOW, token_id="once")
    read = jwt.decode(token, ECKey.import_key(key.public_jwk()), algorithms=["ES256"])
    issued = int(NOW.timestamp())
    assert read.claims == {
        "iss": "node-1",
        "sub": "node-1",
        "aud": "https://hub/v1/token",
        "iat": issued,
        "exp": issued + 60,
        "jti": "once",
    }
    assert read.header["kid"] == key.public_jwk()["kid"]


@pytest.mark.parametrize("token", ["", "a", "a.b", "a.b.c", "é.é.é", "eyJhbGciOiJub25lIn0.e30."])
def test_text_that_is_no_signature_is_refused(token):
    with pytest.raises(Refused):
        opened(token, kind="atoll-task+jws", keys=[a_hub_key().public_jwk()])
