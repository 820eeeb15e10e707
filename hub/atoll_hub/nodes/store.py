"""Keep sites, invitations, nodes, their tokens, used assertions and presence."""

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlalchemy.exc import IntegrityError

from atoll_hub.database import Moment, metadata
from atoll_hub.nodes.rules import KeptInvitation, KeptNode, Presence

sites = sa.Table(
    "sites",
    metadata,
    sa.Column("site", sa.Text, primary_key=True),
    sa.Column("title", sa.Text, nullable=False),
    sa.Column("invited_at", Moment, nullable=False),
    sa.Column("last_seen", Moment),
    sa.Column("software", sa.Text),
    sa.Column("protocol", sa.Text),
)
invitations = sa.Table(
    "invitations",
    metadata,
    sa.Column("hash", sa.Text, primary_key=True),
    sa.Column("site", sa.Text, sa.ForeignKey("sites.site"), nullable=False),
    sa.Column("expires_at", Moment, nullable=False),
    sa.Column("used_by_key", sa.Text),
)
nodes = sa.Table(
    "nodes",
    metadata,
    sa.Column("node_id", sa.Text, primary_key=True),
    sa.Column("site", sa.Text, sa.ForeignKey("sites.site"), nullable=False, unique=True),
    sa.Column("kid", sa.Text, nullable=False),
    sa.Column("public_key", sa.Text, nullable=False),
    sa.Column("audience", sa.Text, nullable=False),
    sa.Column("enrolled_at", Moment, nullable=False),
)
node_tokens = sa.Table(
    "node_tokens",
    metadata,
    sa.Column("hash", sa.Text, primary_key=True),
    sa.Column("node_id", sa.Text, sa.ForeignKey("nodes.node_id", ondelete="CASCADE"), nullable=False),
    sa.Column("expires_at", Moment, nullable=False, index=True),
)
assertions = sa.Table(
    "assertions",
    metadata,
    sa.Column("node_id", sa.Text, primary_key=True),
    sa.Column("jti", sa.Text, primary_key=True),
    sa.Column("expires_at", Moment, nullable=False, index=True),
)


@dataclass(frozen=True)
class KeptSite:
    """A site as the hub keeps it."""

    site: str
    title: str
    presence: Presence | None


def put_site(connection: Connection, site: str, title: str | None, now: datetime) -> None:
    """Add a site, or give a known one a new title."""
    known = connection.execute(sa.select(sites.c.site).where(sites.c.site == site)).first()
    if known is None:
        connection.execute(sa.insert(sites).values(site=site, title=title or site, invited_at=now))
    elif title is not None:
        connection.execute(sa.update(sites).where(sites.c.site == site).values(title=title))


def put_invitation(connection: Connection, code_hash: str, site: str, until: datetime) -> None:
    """Keep the hash of a new code; codes that this site has not used end now."""
    unused = (invitations.c.site == site) & invitations.c.used_by_key.is_(None)
    connection.execute(sa.delete(invitations).where(unused))
    connection.execute(sa.insert(invitations).values(hash=code_hash, site=site, expires_at=until))


def find_invitation(connection: Connection, code_hash: str) -> KeptInvitation | None:
    """Return the invitation of a code."""
    chosen = sa.select(invitations).where(invitations.c.hash == code_hash).with_for_update()
    row = connection.execute(chosen).first()
    return None if row is None else KeptInvitation(row.site, row.expires_at, row.used_by_key)


def use_invitation(connection: Connection, code_hash: str, kid: str) -> None:
    """Note which key used a code."""
    connection.execute(sa.update(invitations).where(invitations.c.hash == code_hash).values(used_by_key=kid))


def replace_node(connection: Connection, node: KeptNode, now: datetime) -> None:
    """Make ``node`` its site's only node; the one before loses its tokens."""
    connection.execute(sa.delete(nodes).where(nodes.c.site == node.site))
    connection.execute(
        sa.insert(nodes).values(
            node_id=node.node_id,
            site=node.site,
            kid=node.kid,
            public_key=json.dumps(node.public_key),
            audience=node.audience,
            enrolled_at=now,
        )
    )


def find_node(connection: Connection, node_id: str) -> KeptNode | None:
    """Return a node by its id."""
    return _node(connection, nodes.c.node_id == node_id)


def find_node_of(connection: Connection, site: str) -> KeptNode | None:
    """Return a site's node."""
    return _node(connection, nodes.c.site == site)


def take_assertion(connection: Connection, node_id: str, jti: str, until: datetime) -> bool:
    """Note an assertion as used; ``False`` when it was used before."""
    try:
        with connection.begin_nested():
            connection.execute(sa.insert(assertions).values(node_id=node_id, jti=jti, expires_at=until))
    except IntegrityError:
        return False
    return True


def put_node_token(connection: Connection, token_hash: str, node_id: str, until: datetime) -> None:
    """Keep the hash of a new access token."""
    connection.execute(sa.insert(node_tokens).values(hash=token_hash, node_id=node_id, expires_at=until))


def forget_expired(connection: Connection, now: datetime) -> None:
    """Drop access tokens and assertions that can no longer be used."""
    connection.execute(sa.delete(node_tokens).where(node_tokens.c.expires_at <= now))
    connection.execute(sa.delete(assertions).where(assertions.c.expires_at <= now))


def find_node_token(connection: Connection, token_hash: str) -> tuple[str, str, datetime] | None:
    """Return (site, node id, end) of an access token."""
    row = connection.execute(
        sa.select(nodes.c.site, nodes.c.node_id, node_tokens.c.expires_at)
        .join(nodes, nodes.c.node_id == node_tokens.c.node_id)
        .where(node_tokens.c.hash == token_hash)
    ).first()
    return None if row is None else (row.site, row.node_id, row.expires_at)


def see(connection: Connection, site: str, presence: Presence) -> None:
    """Note that a site's node was seen."""
    values: dict[str, Any] = {"last_seen": presence.last_seen, "protocol": presence.protocol}
    if presence.software is not None:
        values["software"] = presence.software
    connection.execute(sa.update(sites).where(sites.c.site == site).values(**values))


def find_site(connection: Connection, site: str) -> KeptSite | None:
    """Return one site."""
    row = connection.execute(sa.select(sites).where(sites.c.site == site)).first()
    return None if row is None else _site(row)


def all_sites(connection: Connection) -> list[KeptSite]:
    """Return every site, by name."""
    return [_site(row) for row in connection.execute(sa.select(sites).order_by(sites.c.site))]


def _site(row: sa.Row[Any]) -> KeptSite:
    seen = None if row.last_seen is None else Presence(row.last_seen, row.software, row.protocol)
    return KeptSite(row.site, row.title, seen)


def _node(connection: Connection, chosen: sa.ColumnElement[bool]) -> KeptNode | None:
    row = connection.execute(sa.select(nodes).where(chosen)).first()
    if row is None:
        return None
    return KeptNode(row.node_id, row.site, row.kid, json.loads(row.public_key), row.audience)
