"""Find every row about some persons: in tables that name them, and in those that only refer to their rows."""

from collections.abc import Iterable, Mapping, Sequence

from atoll_node.deidentify.duckdb_adapter import Connection
from atoll_node.deidentify.rules import PERSON_DOMAIN, domain_field, is_fact
from atoll_node.tables.merge_adapter import Leaving, run, source
from atoll_schemas.tables import Content, Field, Table, table

PERSONS, KEYS = "atoll_forgotten", "atoll_forgotten_keys"


def find_keys(connection: Connection, persons: Iterable[int], files: Mapping[str, Sequence[str]]) -> None:
    """Note the pseudonyms, and the keys of the persons' rows in all these files, on the connection."""
    listed = ", ".join(f"({person})" for person in sorted(persons))
    run(connection, f"CREATE OR REPLACE TEMP TABLE {PERSONS} AS SELECT * FROM (VALUES {listed}) AS t(person)")
    run(connection, f"CREATE OR REPLACE TEMP TABLE {KEYS} (key BIGINT)")
    for name, paths in files.items():
        spec = table(name)
        if not paths or spec.person_field is None or len(spec.key) != 1 or spec.field(spec.key[0]).person_key:
            continue
        run(
            connection,
            f'INSERT INTO {KEYS} SELECT DISTINCT "{spec.key[0]}" FROM {source(paths)}'
            f' WHERE "{spec.person_field}" IN (SELECT person FROM {PERSONS})',
        )


def leaving(spec: Table) -> Leaving | None:
    """Return which rows of a table are about the noted persons; ``None`` for a table about nobody."""
    persons, keys = f"(SELECT person FROM {PERSONS})", f"(SELECT key FROM {KEYS})"
    if spec.person_field is not None:
        return Leaving(spec, f'coalesce(o."{spec.person_field}" IN {persons}, false)')
    if spec.link is not None:
        return Leaving(spec, f'coalesce(o."{spec.link.field}" IN {keys}, false)')
    if spec.scope == "unlinked":
        return Leaving(spec, " OR ".join(_refers(spec, field, persons, keys) for field in _references(spec)))
    return None


def _references(spec: Table) -> tuple[Field, ...]:
    return tuple(field for field in spec.fields if field.content is Content.KEY and not field.primary_key)


def _refers(spec: Table, field: Field, persons: str, keys: str) -> str:
    column = f'o."{field.name}"'
    if not is_fact(spec, field):
        return f"coalesce({column} IN {keys}, false)"
    is_person = f'o."{domain_field(field)}" = {PERSON_DOMAIN}'
    return f"coalesce(CASE WHEN {is_person} THEN {column} IN {persons} ELSE {column} IN {keys} END, false)"
