"""The SQL of de-identification gives what the pure rules give, for random records under random choices."""

import tempfile
from collections import Counter
from datetime import date, datetime
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from atoll_node.deidentify.duckdb_adapter import Deidentification
from atoll_node.deidentify.policy import Policy
from atoll_node.deidentify.pseudonyms import Pseudonyms
from atoll_node.deidentify.rules import Person, deidentified
from atoll_schemas.tables import Content, Datatype, Field, Table, core_1
from tests.support.staged import staged_of

TODAY = date(2026, 1, 1)
PSEUDONYMS = Pseudonyms(bytes(range(32)), "atoll-a")
NAMES = ("person", "measurement", "note", "note_nlp", "fact_relationship", "cost", "provider", "cdm_source")
BOUNDED = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def unfolded(moment: datetime) -> datetime:
    return moment.replace(fold=0)


IDS = st.integers(-3, 6)
DATES = st.dates(date(1990, 1, 1), date(2027, 12, 31))
VALUES = {
    Datatype.BIGINT: st.integers(-(2**40), 2**40),
    Datatype.INTEGER: st.integers(-3, 3000),
    # Parquet dictionaries hold 0.0 and -0.0 as one value.
    Datatype.DOUBLE: st.floats(allow_nan=False, allow_infinity=False, width=32).map(lambda x: x + 0.0),
    Datatype.DATE: DATES,
    Datatype.TIMESTAMP: st.datetimes(datetime(1990, 1, 1), datetime(2027, 12, 31)).map(unfolded),
    Datatype.VARCHAR: st.text(alphabet="aZ 9é\n'\"\\", max_size=60),
}
BIRTH = {
    "year_of_birth": st.integers(1895, 2020),
    "month_of_birth": st.integers(1, 12),
    "day_of_birth": st.integers(1, 31),
    "birth_datetime": st.datetimes(datetime(1895, 1, 1), datetime(2020, 1, 1)).map(unfolded),
}


def value_of(field: Field) -> st.SearchStrategy[Any]:
    if field.person_key:
        return IDS
    if field.content is Content.BIRTH:
        return st.none() | BIRTH[field.name]
    if field.name.startswith("domain_concept_id"):
        return st.sampled_from([56, 57, 21, None])
    if field.content is Content.KEY:
        return st.none() | IDS
    return st.none() | VALUES[field.datatype]


@st.composite
def rows_of(draw: st.DrawFn, table: Table) -> list[dict[str, Any]]:
    count = draw(st.integers(0, 5))
    rows = [
        {field.name: draw(value_of(field)) for field in table.fields if field.name != table.key[0]}
        for _ in range(count)
    ]
    return [row | {table.key[0]: key_of(table, number)} for number, row in enumerate(rows, start=1)]


def key_of(table: Table, number: int) -> Any:
    if table.name == "fact_relationship":
        return (56, 57, 21)[number % 3]
    return str(number) if table.field(table.key[0]).datatype is Datatype.VARCHAR else number


BATCHES = st.fixed_dictionaries({name: rows_of(core_1().table(name)) for name in NAMES})
POLICIES = st.builds(
    Policy,
    date_shift=st.booleans(),
    date_shift_days=st.integers(1, 400),
    cap_ages=st.booleans(),
    safe_text=st.sets(st.sampled_from(["note.note_title", "measurement.measurement_time"])).map(frozenset),
)


def stored_of(batch: dict[str, Any], policy: Policy, opt_outs: frozenset[int]) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder, duckdb.connect() as connection:
        staged = staged_of(batch, Path(folder) / "staged")
        work = Deidentification(
            connection, staged, pseudonyms=PSEUDONYMS, policy=policy, opt_outs=opt_outs, today=TODAY
        )
        work.prepare()
        stored: dict[str, Any] = {}
        for name in batch:
            files = work.write(name, Path(folder) / name, "part")
            stored[name] = [row for file in files for row in pq.read_table(file.path).to_pylist()]
            assert len(batch[name]) == len(stored[name]) + work.opted_out(name)
        return stored


def last_date(batch: dict[str, Any], person: int) -> date | None:
    found = [
        value.date() if isinstance(value, datetime) else value
        for name, rows in batch.items()
        for row in rows
        if core_1().table(name).person_field and row[core_1().table(name).person_field] == person
        for field in core_1().table(name).fields
        if field.content is Content.DATE and (value := row[field.name]) is not None
    ]
    return max((day for day in found if day <= TODAY), default=None)


def expected(batch: dict[str, Any], name: str, policy: Policy) -> list[dict[str, Any]]:
    table = core_1().table(name)
    return [
        deidentified(
            table, row, person=person_of(batch, table, row, policy), pseudonyms=PSEUDONYMS, policy=policy
        )
        for row in batch[name]
    ]


def person_of(batch: dict[str, Any], table: Table, row: dict[str, Any], policy: Policy) -> Person | None:
    if table.person_field is None:
        return None
    number = row[table.person_field]
    shift = PSEUDONYMS.date_shift(number, policy.date_shift_days) if policy.date_shift else 0
    return Person(shift, last_date(batch, number))


def counted(rows: list[dict[str, Any]]) -> Counter[str]:
    return Counter(repr(sorted(row.items())) for row in rows)


@BOUNDED
@given(BATCHES, POLICIES)
def test_the_sql_of_every_table_equals_the_rules(batch, policy):
    stored = stored_of(batch, policy, frozenset())

    for name in NAMES:
        assert counted(expected(batch, name, policy)) == counted(stored[name])


@BOUNDED
@given(BATCHES, POLICIES, st.sets(IDS, min_size=1, max_size=3).map(frozenset))
def test_opted_out_persons_stand_in_no_table(batch, policy, opt_outs):
    stored = stored_of(batch, policy, opt_outs)

    gone = {PSEUDONYMS.of("person", number) for number in opt_outs}
    for name in ("person", "measurement", "note"):
        assert not gone & {row["person_id"] for row in stored[name]}
        kept = [row for row in batch[name] if row["person_id"] not in opt_outs]
        assert len(kept) == len(stored[name])
    notes = {row["note_id"] for row in stored["note"]}
    assert {row["note_id"] for row in stored["note_nlp"]} <= notes
    facts = {row["fact_id_1"] for row in stored["fact_relationship"] if row["domain_concept_id_1"] == 56}
    assert not gone & facts


def test_a_fact_about_an_opted_out_person_stays_away_though_the_batch_has_no_other_record_of_them():
    row = dict.fromkeys((field.name for field in core_1().table("fact_relationship").fields), 0)
    named = row | {"domain_concept_id_1": 56, "fact_id_1": 5, "domain_concept_id_2": 57}
    other = named | {"fact_id_1": 6}
    batch = dict.fromkeys(NAMES, ()) | {"fact_relationship": [named, other]}

    stored = stored_of({name: list(rows) for name, rows in batch.items()}, Policy(), frozenset({5}))

    assert [row["fact_id_1"] for row in stored["fact_relationship"]] == [PSEUDONYMS.of("person", 6)]
