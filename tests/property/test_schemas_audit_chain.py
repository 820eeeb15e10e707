"""Any flip, deletion, swap or cut in an audit chain is found; an untouched chain holds."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from atoll_schemas.audit import (
    EMPTY,
    GENESIS,
    AuditEntry,
    AuditHead,
    chained,
    entry_hash,
    flaws,
    head_of,
)

START = datetime(2026, 1, 1, tzinfo=UTC)
words = st.text("abcdefghij.-é", min_size=1, max_size=8)
details = st.dictionaries(words, st.integers(-1000, 1000) | words | st.booleans(), max_size=3)


@st.composite
def chains(draw, least=1):
    facts = draw(st.lists(st.tuples(words, words, words, details), min_size=least, max_size=8))
    head, entries = EMPTY, []
    for number, (actor, action, subject, detail) in enumerate(facts):
        entry = chained(
            head,
            at=START + timedelta(seconds=number),
            actor=actor,
            action=action,
            subject=subject,
            detail=detail,
        )
        entries.append(entry)
        head = head_of(entry)
    return entries, head


def changed(entry: AuditEntry, **facts: object) -> AuditEntry:
    return AuditEntry.model_validate({**entry.model_dump(), **facts})


@given(chains(least=0))
def test_an_untouched_chain_holds(chain):
    entries, head = chain
    assert flaws(entries, head) == []


@given(chains(), st.data())
def test_a_chain_read_back_from_its_wire_form_holds(chain, data):
    entries, head = chain
    assert flaws([AuditEntry.from_wire(entry.wire()) for entry in entries], head) == []


@given(chains(), st.data(), st.sampled_from(["actor", "action", "subject"]), words)
def test_a_flipped_word_is_found(chain, data, field, word):
    entries, head = chain
    place = data.draw(st.integers(0, len(entries) - 1))
    assume(getattr(entries[place], field) != word)
    entries[place] = changed(entries[place], **{field: word})
    assert flaws(entries, head)


@given(chains(), st.data(), details)
def test_a_flipped_detail_is_found(chain, data, detail):
    entries, head = chain
    place = data.draw(st.integers(0, len(entries) - 1))
    tampered = changed(entries[place], detail=detail)
    assume(tampered.canonical() != entries[place].canonical())
    entries[place] = tampered
    assert flaws(entries, head)


@given(chains(), st.data(), st.integers(1, 10_000))
def test_a_moved_time_is_found(chain, data, seconds):
    entries, head = chain
    place = data.draw(st.integers(0, len(entries) - 1))
    entries[place] = changed(entries[place], at=entries[place].at + timedelta(seconds=seconds))
    assert flaws(entries, head)


@given(chains(), st.data())
def test_a_flipped_bit_of_a_hash_is_found(chain, data):
    entries, head = chain
    place = data.draw(st.integers(0, len(entries) - 1))
    field = data.draw(st.sampled_from(["hash", "previous"]))
    old = getattr(entries[place], field)
    letter = data.draw(st.integers(0, 63))
    new = old[:letter] + ("0" if old[letter] != "0" else "1") + old[letter + 1 :]
    entries[place] = changed(entries[place], **{field: new})
    assert flaws(entries, head)


@given(chains(), st.data())
def test_a_forged_entry_with_a_right_hash_of_its_own_is_found(chain, data):
    entries, head = chain
    place = data.draw(st.integers(0, len(entries) - 1))
    forged = changed(entries[place], subject=entries[place].subject + "x")
    entries[place] = changed(forged, hash=entry_hash(forged))
    assert flaws(entries, head)


@given(chains(), st.data())
def test_a_deleted_entry_is_found(chain, data):
    entries, head = chain
    del entries[data.draw(st.integers(0, len(entries) - 1))]
    assert flaws(entries, head)


@given(chains(least=2), st.data())
def test_swapped_entries_are_found(chain, data):
    entries, head = chain
    left, right = data.draw(st.lists(st.integers(0, len(entries) - 1), min_size=2, max_size=2, unique=True))
    entries[left], entries[right] = entries[right], entries[left]
    assert flaws(entries, head)


@given(chains(), st.data())
def test_a_doubled_entry_is_found(chain, data):
    entries, head = chain
    place = data.draw(st.integers(0, len(entries) - 1))
    entries.insert(place, entries[place])
    assert flaws(entries, head)


@given(chains(), st.data())
def test_a_cut_end_is_found(chain, data):
    entries, head = chain
    assert flaws(entries[: data.draw(st.integers(0, len(entries) - 1))], head)


@given(chains(), words)
def test_an_entry_added_behind_the_head_is_found(chain, word):
    entries, head = chain
    entries.append(chained(head, at=START, actor=word, action=word, subject=word))
    assert flaws(entries, head)


@given(chains(least=2), st.data())
def test_a_chain_that_starts_late_is_found(chain, data):
    entries, head = chain
    assert flaws(entries[data.draw(st.integers(1, len(entries) - 1)) :], head)


def test_an_empty_chain_with_a_later_head_is_found():
    assert [flaw.what for flaw in flaws([], AuditHead(sequence=3, hash=GENESIS))] == [
        "the chain does not end where its head says"
    ]


def test_the_flaw_says_where_the_chain_breaks():
    first = chained(EMPTY, at=START, actor="steward", action="permit.approved", subject="P-001")
    second = chained(head_of(first), at=START, actor="steward", action="permit.suspended", subject="P-001")
    broken = changed(second, actor="nobody")
    assert [(flaw.sequence, flaw.what) for flaw in flaws([first, broken], head_of(second))] == [
        (2, "the entry was changed after it was written")
    ]


@pytest.mark.parametrize("sequence", [0, -1])
def test_sequences_start_at_one(sequence):
    with pytest.raises(ValueError, match="sequence"):
        AuditEntry(
            sequence=sequence,
            at=START,
            actor="a",
            action="b",
            subject="c",
            previous=GENESIS,
            hash=GENESIS,
        )
