"""A token is 256 random bits, kept as a hash, and opens the door until it ends or is taken back."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atoll_hub.accounts.rules import (
    NODE_TOKEN_PREFIX,
    PERSON_TOKEN_PREFIX,
    TOKEN_BYTES,
    KeptToken,
    check_token,
    token_hash,
    token_text,
)
from atoll_hub.errors import Unauthenticated
from atoll_schemas.people import Role

NOW = datetime(2026, 5, 1, tzinfo=UTC)
SECOND = timedelta(seconds=1)


def kept(left: timedelta = SECOND, revoked: datetime | None = None) -> KeptToken:
    return KeptToken("ada", Role.RESEARCHER, NOW + left, revoked)


@given(st.binary(min_size=TOKEN_BYTES, max_size=TOKEN_BYTES))
def test_a_token_is_one_word_that_no_shell_or_header_changes(random: bytes):
    text = token_text(PERSON_TOKEN_PREFIX, random)
    assert text.startswith("atoll_pat_")
    assert text.removeprefix("atoll_pat_").replace("-", "").replace("_", "").isalnum()
    assert len(text) == len("atoll_pat_") + 43


@given(st.lists(st.binary(min_size=TOKEN_BYTES, max_size=TOKEN_BYTES), unique=True, max_size=5))
def test_different_randomness_makes_different_tokens_and_hashes(randoms: list[bytes]):
    texts = {token_text(NODE_TOKEN_PREFIX, random) for random in randoms}
    assert len(texts) == len({token_hash(text) for text in texts}) == len(randoms)


@pytest.mark.parametrize("length", [0, 16, 31, 33])
def test_less_or_more_randomness_is_refused(length: int):
    with pytest.raises(ValueError, match="32 random bytes"):
        token_text(PERSON_TOKEN_PREFIX, b"r" * length)


def test_people_and_nodes_can_tell_their_tokens_apart():
    random = b"r" * TOKEN_BYTES
    assert token_hash(token_text(PERSON_TOKEN_PREFIX, random)) != (
        token_hash(token_text(NODE_TOKEN_PREFIX, random))
    )


@pytest.mark.parametrize("token", ["", "é", "atoll_pat_x", "☃" * 100])
def test_any_text_that_is_shown_has_a_hash(token: str):
    assert len(token_hash(token)) == 64


def test_a_token_holds_until_its_last_moment():
    assert check_token(kept(), NOW).name == "ada"


@pytest.mark.parametrize(
    "token, code",
    [
        (None, "token.invalid"),
        (kept(revoked=NOW - SECOND), "token.invalid"),
        (kept(left=timedelta(0)), "token.expired"),
        (kept(left=-SECOND), "token.expired"),
        # Whoever was shut out learns nothing of when the token would have ended.
        (kept(left=-SECOND, revoked=NOW), "token.invalid"),
    ],
)
def test_a_token_that_opens_nothing_says_why_and_whom_to_ask(token: KeptToken | None, code: str):
    with pytest.raises(Unauthenticated) as refusal:
        check_token(token, NOW)
    assert refusal.value.code == code
    assert refusal.value.next_step == "ask an operator for a new token"
