"""Gate, chapter 9: a question may ask for stricter settings, never for looser ones, and wins nothing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atoll_node.disclosure.rounding import reach, rounded
from atoll_node.disclosure.strictness import tightened
from atoll_node.errors import Refused
from atoll_node.settings import GateSettings
from atoll_schemas.query import Tighten
from tests.support.gate_chapters import clear_count, clear_table, drawn, settings_of


def in_force(minimum: int | None = None, base: int | None = None, **site: float) -> tuple[int, int]:
    """Return the minimum of persons and the rounding that hold for a question that asks for these."""
    found = tightened(settings_of(**site), Tighten(minimum_persons=minimum, round_to=base))
    return found.minimum_persons, found.round_to


def test_without_a_wish_the_sites_settings_hold() -> None:
    assert tightened(GateSettings(), None) == GateSettings()


@pytest.mark.parametrize("minimum, holds", [(10, 10), (11, 23), (20, 23), (21, 43), (40, 43), (41, 83)])
def test_the_minimum_moves_in_steps_that_begin_where_a_rounded_value_begins(minimum: int, holds: int) -> None:
    assert in_force(minimum) == (holds, 5)


@pytest.mark.parametrize("base, holds", [(5, 5), (10, 15), (15, 15), (20, 25), (25, 25), (50, 55)])
def test_the_rounding_moves_in_odd_multiples(base: int, holds: int) -> None:
    assert in_force(base=base)[1] == holds


def test_a_site_that_shows_exact_counts_may_be_asked_for_any_rounding() -> None:
    assert in_force(base=7, round_to=1) == (10, 7)


@pytest.mark.parametrize("minimum", range(2, 10))
def test_a_smaller_minimum_than_the_sites_is_refused(minimum: int) -> None:
    with pytest.raises(Refused) as refused:
        in_force(minimum)
    assert refused.value.code == "disclosure.loosened"
    assert refused.value.next_step


@pytest.mark.parametrize("base", [1, 2, 3, 4, 6, 7, 8, 9, 11, 12])
def test_a_rounding_that_is_no_multiple_of_the_sites_is_refused(base: int) -> None:
    with pytest.raises(Refused) as refused:
        in_force(base=base)
    assert refused.value.code == "disclosure.loosened"


def test_the_refusal_comes_before_any_figure_is_judged() -> None:
    with pytest.raises(Refused) as small:
        clear_count(3, tighten=Tighten(minimum_persons=2))
    with pytest.raises(Refused) as large:
        clear_count(3000, tighten=Tighten(minimum_persons=2))
    assert small.value.args == large.value.args


def test_a_tightened_table() -> None:
    assert clear_table(
        """
        sex | persons
        F   | 31
        M   | 68
        X   | 95
        """,
        totals=True,
        tighten=Tighten(round_to=15),
    ) == drawn("""
        sex | persons
        F   | 30±7
        M   | 75±7
        X   | 90±7
        *   | 195±7
    """)


def test_more_events_are_asked_for_with_more_persons() -> None:
    settings = tightened(GateSettings(), Tighten(minimum_persons=20))
    assert settings.minimum_events == settings.minimum_persons
    assert tightened(GateSettings(minimum_events=90), Tighten(minimum_persons=20)).minimum_events == 90


def test_sums_are_judged_by_the_same_shares() -> None:
    strict = tightened(GateSettings(dominance_share=0.8, p_ratio=0.2), Tighten(minimum_persons=50))
    assert (strict.dominance_share, strict.p_ratio) == (0.8, 0.2)


sites = st.builds(
    GateSettings,
    minimum_persons=st.integers(2, 40),
    round_to=st.integers(1, 25),
    minimum_events=st.integers(2, 40),
)


@given(sites, st.none() | st.integers(2, 200), st.none() | st.integers(1, 12))
def test_whatever_is_asked_nothing_is_looser_than_at_the_site(
    site: GateSettings, minimum: int | None, times: int | None
) -> None:
    base = None if times is None else times * site.round_to
    plain = tightened(site, None)
    try:
        strict = tightened(site, Tighten(minimum_persons=minimum, round_to=base))
    except Refused:
        assert minimum is not None
        assert minimum < site.minimum_persons
        return
    assert strict.minimum_persons >= max(plain.minimum_persons, minimum or 0)
    assert strict.round_to >= max(site.round_to, base or 0)
    assert strict.minimum_events >= site.minimum_events
    assert strict.dominance_share <= site.dominance_share
    assert strict.p_ratio >= site.p_ratio


@given(sites, st.integers(2, 200), st.integers(0, 6), st.integers(0, 400))
def test_what_a_stricter_answer_shows_follows_from_what_the_plain_one_shows(
    site: GateSettings, minimum: int, odd: int, persons: int
) -> None:
    """Two counts that look the same plainly look the same strictly: asking again cannot part them."""
    minimum = max(minimum, site.minimum_persons)
    plain = tightened(site, None)
    strict = tightened(site, Tighten(minimum_persons=minimum, round_to=(2 * odd + 1) * site.round_to))

    def looks(count: int, settings: GateSettings) -> int | None:
        return rounded(count, settings.round_to) if count >= settings.minimum_persons else None

    if looks(persons, plain) is None:
        assert looks(persons, strict) is None
        return
    low, high = reach(persons, plain.round_to, plain.minimum_persons)
    assert len({looks(count, strict) for count in range(low, high + 1)}) == 1
