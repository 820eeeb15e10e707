"""The hub's audit chain holds every decision, and shows any flip, deletion or cut end."""

import os

import pytest
import sqlalchemy as sa

from atoll_hub.audit.rules import Action, Decision
from atoll_hub.audit.store import audit_entries, audit_head
from atoll_schemas.audit import EMPTY, AuditEntry
from atoll_schemas.people import Role
from tests.support.hub_consortium import Consortium, submission


def lived(hub: Consortium) -> list[AuditEntry]:
    """Let a few decisions be made and return their entries."""
    olga, ada = hub.person("olga", Role.OPERATOR), hub.person("ada")
    north = hub.node("north")
    hub.project(ada, north)
    query_id = ada.ask()
    (lease,) = north.leases()
    outcome = {"kind": "refusal", "code": "permit.period", "detail": "constant"}
    message = {"task_id": lease.task_id, "fence": lease.fence, "outcome": outcome}
    north.post(f"tasks/{lease.task_id}/answer", message)
    north.post(f"tasks/{lease.task_id}/answer", message | {"fence": 9})
    ada.post("/v1/queries", submission(project="P-999"))
    ada.post(f"/v1/queries/{query_id}/cancel")
    olga.delete("/v1/users/ada")
    hub.hub.journal.sign_end()
    return hub.hub.journal.entries()


def change(hub: Consortium, *statements: sa.Executable) -> None:
    with hub.hub.database.write() as connection:
        for statement in statements:
            connection.execute(statement)


def test_every_decision_is_on_record_and_the_chain_holds(hub: Consortium):
    actions = [entry.action for entry in lived(hub)]
    assert actions == [
        Action.PERSON_ADDED,
        Action.PERSON_ADDED,
        Action.SITE_INVITED,
        Action.NODE_ENROLLED,
        Action.TOKEN_ISSUED,
        Action.CATALOG_REPLACED,
        Action.PROJECT_APPLIED,
        Action.PERMIT_KEPT,
        Action.QUERY_SUBMITTED,
        Action.TASK_CLAIMED,
        Action.ANSWER_ACCEPTED,
        Action.QUERY_FINISHED,
        Action.ANSWER_REFUSED,
        Action.QUERY_REFUSED,
        Action.PERSON_REVOKED,
    ]
    found = hub.hub.journal.verify()
    assert found.holds
    assert (found.entries, found.beyond_head) == (15, 0)


def test_a_flipped_letter_is_found(hub: Consortium):
    lived(hub)
    row = audit_entries.c.sequence == 3
    change(
        hub,
        sa.update(audit_entries)
        .where(row)
        .values(entry=sa.func.replace(audit_entries.c.entry, "north", "nortH")),
    )
    assert [flaw.sequence for flaw in hub.hub.journal.verify().flaws] == [3]


def test_added_white_space_is_found(hub: Consortium):
    lived(hub)
    row = audit_entries.c.sequence == 4
    change(hub, sa.update(audit_entries).where(row).values(entry=audit_entries.c.entry + " "))
    assert not hub.hub.journal.verify().holds


def test_a_deleted_entry_is_found(hub: Consortium):
    lived(hub)
    change(hub, sa.delete(audit_entries).where(audit_entries.c.sequence == 5))
    assert not hub.hub.journal.verify().holds


def test_a_cut_end_is_found(hub: Consortium):
    lived(hub)
    change(hub, sa.delete(audit_entries).where(audit_entries.c.sequence > 10))
    assert not hub.hub.journal.verify().holds


def test_a_cut_end_is_found_even_when_the_head_in_the_database_is_moved_with_it(hub: Consortium):
    tenth = lived(hub)[9]
    change(
        hub,
        sa.delete(audit_entries).where(audit_entries.c.sequence > 10),
        sa.update(audit_head).values(sequence=10, hash=tenth.hash),
    )
    (flaw,) = hub.hub.journal.verify().flaws
    assert "signed end" in flaw.what


def test_a_whole_chain_that_was_thrown_away_is_found(hub: Consortium):
    lived(hub)
    change(
        hub, sa.delete(audit_entries), sa.update(audit_head).values(sequence=EMPTY.sequence, hash=EMPTY.hash)
    )
    assert not hub.hub.journal.verify().holds


def test_a_signed_end_that_was_removed_or_forged_is_found(hub: Consortium):
    lived(hub)
    file = hub.home.audit_head
    token = file.read_text()
    file.write_text(token[:-4] + ("AAAA" if not token.endswith("AAAA") else "BBBB"))
    assert not hub.hub.journal.verify().holds
    os.remove(file)
    assert not hub.hub.journal.verify().holds


def test_entries_written_just_before_a_crash_are_signed_at_the_next_start(hub: Consortium):
    lived(hub)
    old = hub.home.audit_head.read_text()
    hub.person("late", Role.STEWARD)
    hub.hub.journal.sign_end()
    hub.home.audit_head.write_text(old)
    found = hub.hub.journal.verify()
    assert (found.holds, found.beyond_head) == (True, 1)
    hub.hub.journal.catch_up()
    assert hub.hub.journal.verify().beyond_head == 0


def test_what_a_power_cut_may_undo_is_signed_with_the_next_durable_decision(hub: Consortium):
    """Else the chain would lack, after the cut, what its signed end says."""
    lived(hub)
    with hub.hub.journal.deciding(durable=False) as act:
        act.record(Decision("node:north", Action.TASK_CLAIMED, "t-0123456789abcdef", {"fence": 1}))
    hub.hub.journal.sign_end()
    assert hub.hub.journal.verify().beyond_head == 1
    hub.hub.journal.note(Decision("olga", Action.PERSON_ADDED, "max"))
    hub.hub.journal.sign_end()
    found = hub.hub.journal.verify()
    assert (found.holds, found.beyond_head) == (True, 0)


@pytest.mark.parametrize("durable, sqlite, postgresql", [(True, 2, "on"), (False, 1, "off")])
def test_only_durable_work_waits_for_the_disk(hub: Consortium, durable: bool, sqlite: int, postgresql: str):
    """SQLite's FULL is 2 and NORMAL is 1; the next durable work waits again."""
    database = hub.hub.database
    for wanted in (durable, True):
        with database.write(durable=wanted) as connection:
            if database.engine.dialect.name == "sqlite":
                assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == (
                    sqlite if wanted is durable else 2
                )
            else:
                found = connection.exec_driver_sql("SHOW synchronous_commit").scalar()
                assert found == (postgresql if wanted is durable else "on")


def test_no_answer_and_no_token_stands_in_the_chain(hub: Consortium):
    text = "\n".join(entry.model_dump_json() for entry in lived(hub))
    assert "atoll_pat_" not in text
    assert "atoll_node_" not in text
    assert "atoll1-" not in text
    assert "constant" not in text
