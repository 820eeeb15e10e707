"""Keep people and the hashes of their tokens."""

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from atoll_hub.accounts.rules import KeptToken
from atoll_hub.database import Moment, metadata
from atoll_schemas.people import Person, Role

people = sa.Table(
    "people",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("role", sa.Text, nullable=False),
    sa.Column("added_at", Moment, nullable=False),
    sa.Column("revoked_at", Moment),
)
person_tokens = sa.Table(
    "person_tokens",
    metadata,
    sa.Column("hash", sa.Text, primary_key=True),
    sa.Column("name", sa.Text, sa.ForeignKey("people.name"), nullable=False, index=True),
    sa.Column("issued_at", Moment, nullable=False),
    sa.Column("expires_at", Moment, nullable=False),
)


def find_token(connection: Connection, token_hash: str) -> KeptToken | None:
    """Return the token that has this hash."""
    row = connection.execute(
        sa.select(people.c.name, people.c.role, people.c.revoked_at, person_tokens.c.expires_at)
        .join(people, people.c.name == person_tokens.c.name)
        .where(person_tokens.c.hash == token_hash)
    ).first()
    if row is None:
        return None
    return KeptToken(row.name, Role(row.role), row.expires_at, row.revoked_at)


def find_person(connection: Connection, name: str) -> Person | None:
    """Return one person."""
    found = _people(connection, people.c.name == name)
    return found[0] if found else None


def all_people(connection: Connection) -> list[Person]:
    """Return everybody, by name."""
    return _people(connection, sa.true())


def active_names(connection: Connection, names: set[str]) -> set[str]:
    """Return those of ``names`` that are people who have not been revoked."""
    chosen = people.c.name.in_(names) & people.c.revoked_at.is_(None)
    return set(connection.execute(sa.select(people.c.name).where(chosen)).scalars())


def put_person(connection: Connection, name: str, role: Role, now: datetime) -> None:
    """Add a person, or bring a revoked one back with a new role."""
    changed = connection.execute(
        sa.update(people).where(people.c.name == name).values(role=role.value, added_at=now, revoked_at=None)
    )
    if changed.rowcount == 0:
        connection.execute(sa.insert(people).values(name=name, role=role.value, added_at=now))


def put_token(connection: Connection, token_hash: str, name: str, now: datetime, until: datetime) -> None:
    """Keep the hash of a new token."""
    connection.execute(
        sa.insert(person_tokens).values(hash=token_hash, name=name, issued_at=now, expires_at=until)
    )


def revoke(connection: Connection, name: str, now: datetime) -> None:
    """Shut a person out: their tokens are forgotten at once."""
    connection.execute(sa.delete(person_tokens).where(person_tokens.c.name == name))
    connection.execute(sa.update(people).where(people.c.name == name).values(revoked_at=now))


def _people(connection: Connection, chosen: sa.ColumnElement[bool]) -> list[Person]:
    last = sa.func.max(person_tokens.c.expires_at, type_=Moment).label("token_expires_at")
    rows = connection.execute(
        sa.select(people, last)
        .outerjoin(person_tokens, person_tokens.c.name == people.c.name)
        .where(chosen)
        .group_by(people.c.name)
        .order_by(people.c.name)
    )
    return [_person(row) for row in rows]


def _person(row: sa.Row[Any]) -> Person:
    return Person(
        name=row.name,
        role=Role(row.role),
        added_at=row.added_at,
        revoked_at=row.revoked_at,
        token_expires_at=row.token_expires_at,
    )
