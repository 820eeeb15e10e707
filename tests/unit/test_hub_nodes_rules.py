"""Who may enrol, whose assertion holds, whose clock is right and who is there: each rule as a table."""

from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atoll_hub.errors import Forbidden, Malformed, Unauthenticated
from atoll_hub.nodes.rules import (
    LONGEST_JTI,
    Assertion,
    KeptInvitation,
    KeptNode,
    Presence,
    check_assertion,
    check_clock,
    check_invitation,
    check_protocol,
    is_news,
    site_state,
)

NOW = datetime(2026, 5, 1, 12, 0, tzinfo=UTC)
SECOND = timedelta(seconds=1)
NODE = KeptNode("node-1", "north", "kid-1", {}, "https://hub.example/v1/token")


def claims(**changes: Any) -> dict[str, Any]:
    """Return the claims of an assertion that holds; ``None`` leaves one out."""
    whole = {
        "iss": "node-1",
        "sub": "node-1",
        "aud": NODE.audience,
        "iat": int(NOW.timestamp()),
        "exp": int(NOW.timestamp()) + 120,
        "jti": "once",
    }
    return {name: value for name, value in (whole | changes).items() if value is not None}


def invitation(used_by: str | None = None, left: timedelta = timedelta(hours=1)) -> KeptInvitation:
    return KeptInvitation("north", NOW + left, used_by)


@pytest.mark.parametrize(
    "kept",
    [
        pytest.param(invitation(), id="a fresh code"),
        pytest.param(invitation("kid-1"), id="the code that this key used, for a reply that was lost"),
        pytest.param(invitation(left=SECOND), id="the last second"),
    ],
)
def test_a_code_that_holds_lets_its_node_in(kept: KeptInvitation):
    assert check_invitation(kept, "kid-1", NOW) is kept


@pytest.mark.parametrize(
    "kept, code",
    [
        (None, "enrolment.code"),
        (invitation("kid-2"), "enrolment.used"),
        (invitation(left=timedelta(0)), "enrolment.expired"),
        (invitation(left=-SECOND), "enrolment.expired"),
        (invitation("kid-1", left=-SECOND), "enrolment.expired"),
        # Of a code that is both used and over, another key learns only that it was used.
        (invitation("kid-2", left=-SECOND), "enrolment.used"),
    ],
)
def test_a_code_that_does_not_hold_says_why(kept: KeptInvitation | None, code: str):
    with pytest.raises(Forbidden) as refusal:
        check_invitation(kept, "kid-1", NOW)
    assert refusal.value.code == code
    assert refusal.value.next_step == "ask the operator for a new code"


def test_the_hubs_own_protocol_passes():
    check_protocol("1")


@pytest.mark.parametrize(
    "version, shown",
    [
        (None, "no protocol version"),
        ("", "no protocol version"),
        ("2", "protocol 2"),
        ("1.0", "protocol of another form"),
        (" 1", "protocol of another form"),
        ("x" * 16, "protocol " + "x" * 16),
        ("x" * 17, "protocol of another form"),
        ("١", "protocol of another form"),
        ("1\n2", "protocol of another form"),
        ("<b>", "protocol of another form"),
    ],
)
def test_another_protocol_is_refused_and_shown_only_when_it_is_short_and_plain(
    version: str | None, shown: str
):
    with pytest.raises(Malformed) as refusal:
        check_protocol(version)
    assert refusal.value.detail == f"the node speaks {shown}, the hub speaks protocol 1"


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({}, id="as it should be"),
        pytest.param({"aud": [NODE.audience]}, id="a list of one audience"),
        pytest.param({"aud": ["https://elsewhere.example", NODE.audience]}, id="one of several audiences"),
        pytest.param({"exp": int(NOW.timestamp()) + 300}, id="the longest life"),
        pytest.param({"exp": NOW.timestamp() + 0.5}, id="a fraction of a second"),
        pytest.param({"jti": "x" * LONGEST_JTI}, id="the longest jti"),
        pytest.param({"nbf": 0, "scope": "all"}, id="claims that the hub does not read"),
    ],
)
def test_an_assertion_that_holds_gives_its_jti_and_end(changes: dict[str, Any]):
    whole = claims(**changes)
    expected = Assertion(whole["jti"], datetime.fromtimestamp(whole["exp"], UTC))
    assert check_assertion(whole, NODE, NOW) == expected


ISSUED = int(NOW.timestamp())


@pytest.mark.parametrize(
    "changes, code",
    [
        ({"iss": None}, "assertion.invalid"),
        ({"sub": None}, "assertion.invalid"),
        ({"sub": "node-2"}, "assertion.invalid"),
        ({"iss": ["node-1"]}, "assertion.invalid"),
        ({"aud": None}, "assertion.audience"),
        ({"aud": []}, "assertion.audience"),
        ({"aud": NODE.audience + "/"}, "assertion.audience"),
        ({"aud": {"x": NODE.audience}}, "assertion.audience"),
        ({"iat": None}, "assertion.invalid"),
        ({"iat": True}, "assertion.invalid"),
        ({"iat": str(ISSUED)}, "assertion.invalid"),
        ({"iat": -1}, "assertion.invalid"),
        ({"iat": 10**400}, "assertion.invalid"),
        ({"iat": float("inf")}, "assertion.invalid"),
        ({"iat": float("nan")}, "assertion.invalid"),
        ({"exp": None}, "assertion.invalid"),
        ({"exp": 253_402_300_800}, "assertion.invalid"),
        ({"exp": ISSUED}, "assertion.invalid"),
        ({"exp": ISSUED - 1}, "assertion.invalid"),
        ({"exp": ISSUED + 301}, "assertion.invalid"),
        ({"iat": ISSUED - 61}, "clock.skew"),
        ({"iat": ISSUED + 61}, "clock.skew"),
        ({"iat": 0}, "clock.skew"),
        ({"jti": None}, "assertion.invalid"),
        ({"jti": ""}, "assertion.invalid"),
        ({"jti": 7}, "assertion.invalid"),
        ({"jti": "x" * (LONGEST_JTI + 1)}, "assertion.invalid"),
        ({"jti": "a\nb"}, "assertion.invalid"),
        ({"jti": "a\x00"}, "assertion.invalid"),
    ],
)
def test_an_assertion_with_a_wrong_claim_says_which_rule_it_breaks(changes: dict[str, Any], code: str):
    with pytest.raises(Unauthenticated) as refusal:
        check_assertion(claims(**changes), NODE, NOW)
    assert refusal.value.code == code


@given(
    st.dictionaries(st.sampled_from(sorted(claims())), st.none() | st.integers() | st.text() | st.floats())
)
def test_whatever_the_claims_are_the_hub_decides_and_never_fails(changes: dict[str, Any]):
    found = None
    with suppress(Unauthenticated):
        found = check_assertion(claims(**changes), NODE, NOW)
    assert found is None or NOW - 60 * SECOND < found.expires_at <= NOW + 360 * SECOND


@pytest.mark.parametrize("seconds", [-60, -59.9, 0, 59.9, 60])
def test_a_clock_within_a_minute_is_right(seconds: float):
    check_clock(NOW + timedelta(seconds=seconds), NOW)


@pytest.mark.parametrize(
    "seconds, said",
    [(60.5, "60 s ahead of"), (61, "61 s ahead of"), (-61, "61 s behind"), (-86_400, "86400 s behind")],
)
def test_a_clock_that_is_off_is_told_by_how_much_and_to_which_side(seconds: float, said: str):
    with pytest.raises(Unauthenticated) as refusal:
        check_clock(NOW + timedelta(seconds=seconds), NOW)
    assert f"the node's clock is {said} the hub's" in refusal.value.detail
    assert "timedatectl" in str(refusal.value.next_step)


@pytest.mark.parametrize(
    "presence, state",
    [
        (None, "invited"),
        (Presence(NOW, "node 1", "1"), "online"),
        (Presence(NOW - 45 * SECOND, "node 1", "1"), "online"),
        (Presence(NOW - 46 * SECOND, "node 1", "1"), "offline"),
        (Presence(NOW + 5 * SECOND, "node 1", "1"), "online"),
        (Presence(NOW, "node 2", "2"), "incompatible"),
        (Presence(NOW - timedelta(days=9), "node 2", "2"), "incompatible"),
        (Presence(NOW, None, None), "incompatible"),
    ],
)
def test_how_a_site_stands_follows_from_when_and_how_it_last_spoke(presence: Presence | None, state: str):
    assert site_state(presence, NOW, offline_after=45) == state


@pytest.mark.parametrize(
    "noted, news",
    [
        (None, True),
        (Presence(NOW, "node 1", "1"), False),
        (Presence(NOW - 4.9 * SECOND, "node 1", "1"), False),
        (Presence(NOW - 5 * SECOND, "node 1", "1"), True),
        (Presence(NOW + 5 * SECOND, "node 1", "1"), True),
        (Presence(NOW, "node 2", "1"), True),
        (Presence(NOW, "node 1", "2"), True),
    ],
)
def test_presence_is_noted_again_when_it_changed_or_is_five_seconds_old(noted: Presence | None, news: bool):
    assert is_news(noted, "node 1", "1", NOW) is news
