"""Whatever is done to the hub's stored chain or to its signed end, the offline check finds it.

The chain is one that a hub really wrote. Each case changes the stored rows as somebody with the database in
their hands could, and rolls the change back afterwards.
"""

import json
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from sqlalchemy.engine import Connection

from atoll_hub.audit import rules, store
from atoll_hub.audit.rules import Verification
from atoll_hub.audit.store import HEAD_TYPE, audit_entries, audit_head
from atoll_schemas.audit import AuditHead, chained, entry_hash, head_of
from tests.integration.test_hub_audit import lived
from tests.support.hub_consortium import Consortium, consortium

LENGTH = 15
PLACES = st.integers(min_value=1, max_value=LENGTH)
FIELDS = ("at", "actor", "action", "subject", "previous", "hash")
MANY = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(scope="module")
def written() -> Iterator[Consortium]:
    """A hub that decided fifteen things and signed the end."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        hub = stack.enter_context(consortium(folder, "sqlite:///state/hub.sqlite"))
        assert len(lived(hub)) == LENGTH
        yield hub


@contextmanager
def undone(hub: Consortium) -> Iterator[Connection]:
    """Give a transaction that never happened."""
    with hub.hub.database.engine.connect() as connection, connection.begin() as transaction:
        yield connection
        transaction.rollback()


def verified(hub: Consortium, connection: Connection) -> Verification:
    """Check what this transaction sees, as ``atoll-hub audit verify`` does."""
    signed = store.HeadFile(hub.home.audit_head, hub.hub.journal._head_file._key).read()
    return rules.verify(store.read_entries(connection), store.read_head(connection), signed)


def text_of(connection: Connection, sequence: int) -> str:
    row = sa.select(audit_entries.c.entry).where(audit_entries.c.sequence == sequence)
    return str(connection.execute(row).scalar_one())


def rewrite(connection: Connection, sequence: int, text: str) -> None:
    row = sa.update(audit_entries).where(audit_entries.c.sequence == sequence)
    connection.execute(row.values(entry=text))


def test_what_the_hub_wrote_holds(written: Consortium):
    with undone(written) as connection:
        found = verified(written, connection)
    assert (found.holds, found.entries, found.beyond_head) == (True, LENGTH, 0)


@MANY
@given(place=PLACES, at=st.integers(min_value=0), bit=st.integers(min_value=0, max_value=6))
def test_one_flipped_bit_anywhere_is_found(written: Consortium, place: int, at: int, bit: int):
    with undone(written) as connection:
        text = text_of(connection, place)
        at %= len(text)
        flipped = text[:at] + chr(ord(text[at]) ^ (1 << bit)) + text[at + 1 :]
        assume("\x00" not in flipped)
        rewrite(connection, place, flipped)
        assert not verified(written, connection).holds


@MANY
@given(place=PLACES, at=st.integers(min_value=0), length=st.integers(min_value=1, max_value=500))
def test_an_entry_cut_anywhere_is_found(written: Consortium, place: int, at: int, length: int):
    with undone(written) as connection:
        text = text_of(connection, place)
        at %= len(text)
        rewrite(connection, place, text[:at] + text[at + length :])
        assert not verified(written, connection).holds


@MANY
@given(place=PLACES, name=st.sampled_from(FIELDS), value=st.text("abcdef0123456789.:TZ-", min_size=1))
def test_a_field_that_says_something_else_is_found(written: Consortium, place: int, name: str, value: str):
    with undone(written) as connection:
        facts: dict[str, Any] = json.loads(text_of(connection, place))
        assume(facts[name] != value)
        rewrite(connection, place, json.dumps(facts | {name: value}, separators=(",", ":")))
        assert not verified(written, connection).holds


@MANY
@given(place=PLACES, actor=st.text("abcdef", min_size=1))
def test_an_entry_with_a_hash_made_anew_is_found(written: Consortium, place: int, actor: str):
    with undone(written) as connection:
        entry = store.read_entries(connection)[place - 1]
        assert entry is not None
        changed = entry.model_copy(update={"actor": actor})
        sealed = changed.model_copy(update={"hash": entry_hash(changed)})
        rewrite(connection, place, sealed.model_dump_json())
        assert not verified(written, connection).holds


@MANY
@given(gone=st.sets(PLACES, min_size=1))
def test_any_set_of_deleted_entries_is_found(written: Consortium, gone: set[int]):
    with undone(written) as connection:
        connection.execute(sa.delete(audit_entries).where(audit_entries.c.sequence.in_(gone)))
        assert not verified(written, connection).holds


@MANY
@given(last=st.integers(min_value=0, max_value=LENGTH - 1))
def test_an_end_cut_together_with_its_head_is_found(written: Consortium, last: int):
    with undone(written) as connection:
        kept = [entry for entry in store.read_entries(connection)[:last] if entry is not None]
        connection.execute(sa.delete(audit_entries).where(audit_entries.c.sequence > last))
        end = head_of(kept[-1]) if kept else AuditHead(sequence=0, hash="0" * 64)
        connection.execute(sa.update(audit_head).values(sequence=end.sequence, hash=end.hash))
        found = verified(written, connection)
        assert [flaw.sequence for flaw in found.flaws] == [LENGTH]


@MANY
@given(one=PLACES, two=PLACES)
def test_two_entries_that_changed_places_are_found(written: Consortium, one: int, two: int):
    assume(one != two)
    with undone(written) as connection:
        first, second = text_of(connection, one), text_of(connection, two)
        rewrite(connection, one, second)
        rewrite(connection, two, first)
        found = {flaw.sequence for flaw in verified(written, connection).flaws}
        assert {one, two} <= found


@MANY
@given(place=PLACES, actor=st.text("abcdef", min_size=1))
def test_a_history_written_anew_from_any_point_is_found(written: Consortium, place: int, actor: str):
    with undone(written) as connection:
        whole = [entry for entry in store.read_entries(connection) if entry is not None]
        head = head_of(whole[place - 2]) if place > 1 else AuditHead(sequence=0, hash="0" * 64)
        for entry in whole[place - 1 :]:
            facts = entry.model_dump(exclude={"sequence", "previous", "hash"}) | {"actor": actor}
            forged = chained(head, **facts)
            rewrite(connection, forged.sequence, forged.model_dump_json())
            head = head_of(forged)
        connection.execute(sa.update(audit_head).values(sequence=head.sequence, hash=head.hash))
        (flaw,) = verified(written, connection).flaws
        assert "signed end" in flaw.what


@MANY
@given(at=st.integers(min_value=0), letter=st.sampled_from("ABCXYZabcxyz019-_."))
def test_a_signed_end_with_another_letter_is_not_believed(
    written: Consortium, tmp_path_factory: pytest.TempPathFactory, at: int, letter: str
):
    token = written.home.audit_head.read_text()
    at %= len(token) - 1  # The last letter carries two bits that stand for nothing.
    assume(token[at] != letter)
    file = tmp_path_factory.mktemp("end") / "head.jws"
    file.write_text(token[:at] + letter + token[at + 1 :])
    assert store.HeadFile(file, written.hub.journal._head_file._key).read() is None


@pytest.mark.parametrize("kind", ["atoll-task+jws", "JWT", "atoll-permit+jws", ""])
def test_what_the_hub_signed_for_another_use_is_no_signed_end(written: Consortium, tmp_path: Path, kind: str):
    key = written.hub.journal._head_file._key
    file = tmp_path / "head.jws"
    file.write_text(key.sign(AuditHead(sequence=1, hash="0" * 64).canonical(), kind))
    assert store.HeadFile(file, key).read() is None
    file.write_text(key.sign(AuditHead(sequence=1, hash="0" * 64).canonical(), HEAD_TYPE))
    assert store.HeadFile(file, key).read() == AuditHead(sequence=1, hash="0" * 64)


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"a.b.c", b"{}", b"eyJhbGciOiJub25lIn0.e30."])
def test_what_is_no_signature_is_no_signed_end(written: Consortium, tmp_path: Path, content: bytes):
    file = tmp_path / "head.jws"
    file.write_bytes(content)
    assert store.HeadFile(file, written.hub.journal._head_file._key).read() is None


@given(steps=st.lists(st.integers(min_value=0, max_value=40), min_size=1, max_size=8))
@settings(max_examples=25, deadline=None)
def test_a_signed_end_only_moves_forward(
    written: Consortium, tmp_path_factory: pytest.TempPathFactory, steps: list[int]
):
    end = store.HeadFile(tmp_path_factory.mktemp("end") / "head.jws", written.hub.journal._head_file._key)
    for step in steps:
        end.advance(AuditHead(sequence=step, hash="0" * 64))
    found = end.read()
    assert found is not None
    assert found.sequence == max(steps)
