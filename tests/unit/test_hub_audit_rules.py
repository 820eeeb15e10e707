"""Verify a chain against its head in the database and the signed head apart from it."""

from datetime import UTC, datetime

import pytest

from atoll_hub.audit.rules import Action, Decision, verify
from atoll_schemas.audit import EMPTY, AuditEntry, AuditHead, chained, head_of

NOW = datetime(2026, 5, 1, tzinfo=UTC)


def chain(length: int) -> list[AuditEntry]:
    """Return an untouched chain."""
    entries: list[AuditEntry] = []
    head = EMPTY
    for number in range(length):
        entry = chained(
            head,
            at=NOW,
            actor="hub",
            action=Action.TASK_LATE.value,
            subject=f"t-{number}",
            detail={"n": number},
        )
        entries.append(entry)
        head = head_of(entry)
    return entries


FIVE = chain(5)
HEADS = [EMPTY, *map(head_of, FIVE)]


@pytest.mark.parametrize("signed", range(6))
def test_a_signed_end_may_lie_behind_the_chain_and_says_how_far(signed: int):
    found = verify(FIVE, HEADS[5], HEADS[signed])
    assert found.holds
    assert (found.entries, found.beyond_head) == (5, 5 - signed)


def test_an_empty_chain_holds():
    found = verify([], EMPTY, EMPTY)
    assert (found.holds, found.entries, found.beyond_head) == (True, 0, 0)


@pytest.mark.parametrize("left", range(5))
def test_a_cut_end_is_found_by_the_head_in_the_database(left: int):
    assert not verify(FIVE[:left], HEADS[5], HEADS[left]).holds


@pytest.mark.parametrize("left", range(5))
def test_a_cut_end_whose_head_was_moved_with_it_is_found_by_the_signed_end(left: int):
    found = verify(FIVE[:left], HEADS[left], HEADS[5])
    assert [flaw.what for flaw in found.flaws] == [
        "the chain does not hold the entry that its signed end names"
    ]
    assert found.beyond_head == 0


@pytest.mark.parametrize("place", range(5))
def test_an_entry_that_cannot_be_read_is_named_by_its_place(place: int):
    broken: list[AuditEntry | None] = [*FIVE]
    broken[place] = None
    found = verify(broken, HEADS[5], HEADS[5])
    assert (place + 1, "the entry cannot be read") in [(flaw.sequence, flaw.what) for flaw in found.flaws]
    assert found.entries == 5


def test_a_chain_without_a_signed_end_is_not_believed():
    (flaw,) = verify(FIVE, HEADS[5], None).flaws
    assert (flaw.sequence, "not signed by this hub" in flaw.what) == (5, True)


def test_a_signed_end_of_another_history_is_found():
    other = AuditHead(sequence=3, hash="f" * 64)
    (flaw,) = verify(FIVE, HEADS[5], other).flaws
    assert flaw.sequence == 3


def test_a_whole_chain_that_was_written_anew_is_found_by_the_signed_end():
    forged: list[AuditEntry] = []
    for entry in FIVE:
        head = head_of(forged[-1]) if forged else EMPTY
        facts = entry.model_dump(exclude={"sequence", "previous", "hash"}) | {"actor": "person:mallory"}
        forged.append(chained(head, **facts))
    found = verify(forged, head_of(forged[-1]), HEADS[5])
    assert [flaw.sequence for flaw in found.flaws] == [5]


def test_the_list_of_actions_is_dotted_and_each_stands_once():
    values = [action.value for action in Action]
    assert len(set(values)) == len(values)
    assert all(value.count(".") == 1 and value == value.lower() for value in values)


def test_a_decision_needs_no_detail_and_shares_none():
    one, two = (Decision("hub", Action.TASK_LATE, "t-1") for _ in range(2))
    assert one.detail == {}
    assert one.detail is not two.detail
