"""Each pass of the Spark dialect, by a statement before and after it."""

import re

import pytest
import sqlglot

from atoll_node.engine.spark import dialect
from atoll_node.engine.spark.dialect import Pass, translated
from atoll_node.engine.sql import Binder, Statement


def after(step: Pass, text: str) -> str:
    return step(sqlglot.parse_one(text, read="duckdb")).sql(dialect="spark")


def spark(text: str, **values: object) -> str:
    return translated(Statement(text, values)).text.replace("`", "")


def test_a_row_number_by_chance_becomes_the_persons_and_the_place_among_the_persons_rows():
    said = after(dialect.rows_numbered, "SELECT rowid AS event_id, * FROM entry_events")
    assert said.startswith(
        "SELECT CAST(person_id AS DECIMAL(38, 0)) * 4294967296 + "
        "ROW_NUMBER() OVER (PARTITION BY person_id ORDER BY source NULLS LAST, record_id NULLS LAST,"
    )


def test_a_row_number_with_an_order_of_its_own_stays():
    text = "SELECT ROW_NUMBER() OVER (PARTITION BY a ORDER BY b NULLS LAST) AS own_id FROM t"
    assert after(dialect.rows_numbered, text) == text


def test_a_join_on_shared_names_is_spelt_out_with_the_left_sides_columns():
    said = after(
        dialect.joins_spelt_out, "SELECT person_id, o.x FROM o JOIN d USING (person_id, day) ORDER BY day"
    )
    assert said == (
        "SELECT o.person_id, o.x FROM o JOIN d ON o.person_id = d.person_id AND o.day = d.day "
        "ORDER BY o.day NULLS LAST"
    )


def test_a_membership_as_a_value_becomes_a_join():
    said = after(
        dialect.memberships_joined,
        "SELECT q.id, q.id IN (SELECT x.id FROM x GROUP BY x.id HAVING count(*) > 1) AS held FROM q",
    )
    assert said == (
        "SELECT q.id, NOT met_1.met_event_1 IS NULL AS held FROM q LEFT JOIN (SELECT DISTINCT id AS "
        "met_event_1 FROM (SELECT x.id FROM x GROUP BY x.id HAVING COUNT(*) > 1) AS all_1) AS met_1 "
        "ON met_1.met_event_1 = q.id"
    )


def test_a_star_beside_a_joined_membership_means_the_table_that_was_read():
    said = after(dialect.memberships_joined, "SELECT * FROM entry q WHERE q.id IN (SELECT x.id FROM x)")
    assert said.startswith("SELECT q.* FROM entry AS q LEFT JOIN")


def test_memberships_within_memberships_are_joined_too():
    said = after(
        dialect.memberships_joined,
        "SELECT w.id FROM w WHERE w.id IN (SELECT n.id FROM n WHERE n.k NOT IN (SELECT x.k FROM x))",
    )
    assert " IN (" not in said
    assert said.count("LEFT JOIN") == 2


def test_a_chosen_place_is_given_within_and_chosen_outside():
    said = after(
        dialect.places_nested,
        "SELECT a, b FROM t QUALIFY row_number() OVER (PARTITION BY a ORDER BY b NULLS FIRST) = 1",
    )
    assert said == (
        "SELECT a, b FROM (SELECT a, b, ROW_NUMBER() OVER (PARTITION BY a ORDER BY b) AS place_1_in_t "
        "FROM t) AS ranked_place_1_in_t WHERE place_1_in_t = 1"
    )


def test_a_table_of_all_columns_takes_no_name_twice_when_places_are_chosen_again():
    once = spark("CREATE TEMP TABLE q AS SELECT * FROM entry QUALIFY row_number() OVER (ORDER BY a) = 1")
    twice = spark("CREATE TEMP TABLE i AS SELECT * FROM q QUALIFY row_number() OVER (ORDER BY a) = 1")
    assert set(re.findall("place_\\w+", once)).isdisjoint(re.findall("place_\\w+", twice))


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("arg_min_null(a, b)", "MIN_BY(a, b)"),
        ("arg_max_null(a, b)", "MAX_BY(a, b)"),
        ("CASE WHEN isfinite(a) THEN a END", "CASE WHEN ABS(a) < CAST('infinity' AS DOUBLE) THEN a END"),
        ("(b - a)::BIGINT", "CAST(DATEDIFF(b, a) AS BIGINT)"),
        ("(b - a)", "(b - a)"),
        ("least(a)", "a"),
        ("least(least(a), least(b, c))", "LEAST(a, LEAST(b, c))"),
    ],
)
def test_what_spark_names_otherwise_has_sparks_name(said: str, meant: str):
    assert spark(f"SELECT {said} FROM t") == f"SELECT {meant} FROM t"


def test_many_members_are_joined_in_a_condition_and_looked_through_elsewhere():
    binder = Binder()
    members = binder.members(tuple(range(100)))
    text = translated(binder.statement(f"SELECT a IN {members} AS b FROM t WHERE a IN {members}")).text
    assert text == (
        "SELECT ARRAY_CONTAINS(CAST(:p0 AS ARRAY<BIGINT>), `a`) AS `b` FROM `t` "
        "WHERE `a` IN (SELECT EXPLODE(CAST(:p0 AS ARRAY<BIGINT>)))"
    )


def test_nulls_are_sorted_where_duckdb_sorts_them():
    assert spark("SELECT a FROM t ORDER BY a, b DESC, c NULLS FIRST") == (
        "SELECT a FROM t ORDER BY a NULLS LAST, b DESC, c"
    )


def test_a_value_never_becomes_text():
    binder = Binder()
    hostile = "'; DROP TABLE person; --"
    told = translated(binder.statement(f"SELECT a FROM t WHERE a = {binder.bind(hostile)}"))
    assert hostile not in told.text
    assert told.arguments == {"p0": hostile}
    assert hostile not in repr(told)


def test_a_backslash_of_a_pattern_stays_a_letter_and_one_of_a_text_too():
    told = translated(
        Statement("SELECT a LIKE $p0::VARCHAR, a = $p1::VARCHAR FROM t", {"p0": "\\", "p1": "\\"})
    )
    assert told.arguments == {"p0": "\\\\", "p1": "\\"}


def test_what_is_read_more_than_once_is_kept():
    def kept(text: str) -> bool:
        return translated(Statement(text)).kept

    assert kept("CREATE TEMP TABLE passed AS SELECT a FROM t")
    assert kept("CREATE TEMP VIEW entry AS SELECT rowid AS event_id, * FROM entry_events")
    assert not kept("CREATE TEMP TABLE entry_events AS SELECT a FROM t")
    assert not kept("CREATE TEMP TABLE frame AS SELECT a FROM t")
    assert not kept("CREATE TEMP VIEW included AS SELECT a FROM t")


def test_only_queries_and_tables_of_queries_are_translated():
    with pytest.raises(TypeError):
        translated(Statement("DROP TABLE person"))
