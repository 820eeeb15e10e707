"""Whatever order batches come in, a table holds what its last full export holds, once."""

import tempfile
from collections import Counter
from pathlib import Path

import duckdb
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.hospital import hospital, small_export

EXPORTS = st.lists(st.tuples(st.integers(1, 4), st.integers(1, 3)), min_size=1, max_size=4)


def keys(release):
    found = {}
    for table in release.tables:
        key = f"{table.name}_id"
        found[table.name] = [
            row[0] for row in duckdb.read_parquet(list(table.paths())).project(key).fetchall()
        ]
    return found


@settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(EXPORTS)
def test_the_last_export_is_what_the_tables_hold(exports):
    with tempfile.TemporaryDirectory() as folder:
        place = hospital(Path(folder) / "node")
        for persons, labs in exports:
            place.export(small_export(persons=persons, labs=labs))
            place.ingest()
        found = keys(place.release())

    persons, labs = exports[-1]
    assert {name: len(rows) for name, rows in found.items()} == {
        "person": persons,
        "observation_period": persons,
        "visit_occurrence": persons,
        "measurement": persons * labs,
    }
    assert all(max(Counter(rows).values()) == 1 for rows in found.values())
