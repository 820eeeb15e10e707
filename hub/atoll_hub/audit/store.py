"""Keep the chain in the database and its signed end in a file apart from it."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy as sa
from pydantic import ValidationError
from sqlalchemy.engine import Connection

from atoll_hub.database import metadata
from atoll_hub.keys import BadSignature, SigningKey, verified
from atoll_schemas.audit import EMPTY, AuditEntry, AuditHead

HEAD_TYPE = "atoll-audit-head+jws"

audit_entries = sa.Table(
    "audit_entries",
    metadata,
    sa.Column("sequence", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("entry", sa.Text, nullable=False),
)
audit_head = sa.Table(
    "audit_head",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("sequence", sa.BigInteger, nullable=False),
    sa.Column("hash", sa.Text, nullable=False),
)


def lock_head(connection: Connection) -> AuditHead:
    """Return the chain's head and keep others from appending until the transaction ends."""
    row = connection.execute(sa.select(audit_head).where(audit_head.c.id == 1).with_for_update()).one()
    return AuditHead(sequence=row.sequence, hash=row.hash)


def append(connection: Connection, entries: list[AuditEntry], head: AuditHead) -> None:
    """Add entries at the chain's end and move its head."""
    rows = [{"sequence": entry.sequence, "entry": entry.model_dump_json()} for entry in entries]
    connection.execute(sa.insert(audit_entries), rows)
    connection.execute(
        sa.update(audit_head).where(audit_head.c.id == 1).values(sequence=head.sequence, hash=head.hash)
    )


def read_head(connection: Connection) -> AuditHead:
    """Return the head that the database keeps; the empty chain's when it keeps none."""
    row = connection.execute(sa.select(audit_head).where(audit_head.c.id == 1)).first()
    return EMPTY if row is None else AuditHead(sequence=row.sequence, hash=row.hash)


def read_entries(connection: Connection) -> list[AuditEntry | None]:
    """Return the chain in order; ``None`` stands for an entry that cannot be read."""
    rows = connection.execute(sa.select(audit_entries).order_by(audit_entries.c.sequence))
    return [_read(row.sequence, row.entry) for row in rows]


def _read(sequence: int, text: str) -> AuditEntry | None:
    try:
        entry = AuditEntry.model_validate_json(text)
    except ValidationError:
        return None
    # A change that the model reads as the same value, such as white space, is a change all the same.
    return entry if entry.sequence == sequence and entry.model_dump_json() == text else None


class HeadFile:
    """The chain's end, signed by the hub, in a file apart from the database; it only moves forward."""

    def __init__(self, file: Path, key: SigningKey) -> None:
        self._file = file
        self._key = key

    def advance(self, head: AuditHead) -> None:
        """Write ``head`` unless the file already names a later one."""
        with self._locked():
            present = self.read()
            if present is not None and present.sequence >= head.sequence:
                return
            fresh = self._file.with_suffix(".new")
            fresh.write_text(self._key.sign(head.canonical(), HEAD_TYPE), encoding="ascii")
            os.replace(fresh, self._file)

    def read(self) -> AuditHead | None:
        """Return the signed head; ``None`` when the file is absent or not signed by this hub."""
        try:
            token = self._file.read_text(encoding="ascii")
            return AuditHead.model_validate_json(verified(token, self._key.public, HEAD_TYPE))
        except (OSError, UnicodeDecodeError, BadSignature, ValidationError):
            return None

    @contextmanager
    def _locked(self) -> Iterator[None]:
        self._file.parent.mkdir(parents=True, exist_ok=True)
        with self._file.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
