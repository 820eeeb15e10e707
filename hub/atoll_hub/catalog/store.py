"""Keep each site's catalog as it was last pushed."""

from datetime import date, datetime

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from atoll_hub.database import Moment, metadata
from atoll_schemas.catalog import CatalogEntry, CatalogPush

catalogs = sa.Table(
    "catalogs",
    metadata,
    sa.Column("site", sa.Text, sa.ForeignKey("sites.site"), primary_key=True),
    sa.Column("pushed_at", Moment, nullable=False),
    sa.Column("last_ingest", sa.Text),
)
catalog_entries = sa.Table(
    "catalog_entries",
    metadata,
    sa.Column("site", sa.Text, sa.ForeignKey("sites.site"), primary_key=True),
    sa.Column("dataset", sa.Text, primary_key=True, index=True),
    sa.Column("entry", sa.Text, nullable=False),
    sa.Column("search", sa.Text, nullable=False),
)


def replace(connection: Connection, push: CatalogPush, searches: dict[str, str], now: datetime) -> None:
    """Put a site's whole catalog in the place of the one before."""
    connection.execute(sa.delete(catalog_entries).where(catalog_entries.c.site == push.site))
    connection.execute(sa.delete(catalogs).where(catalogs.c.site == push.site))
    last = push.last_ingest.isoformat() if push.last_ingest else None
    connection.execute(sa.insert(catalogs).values(site=push.site, pushed_at=now, last_ingest=last))
    if push.entries:
        rows = [
            {
                "site": push.site,
                "dataset": entry.dataset,
                "entry": entry.model_dump_json(by_alias=True, exclude_none=True),
                "search": searches[entry.dataset],
            }
            for entry in push.entries
        ]
        connection.execute(sa.insert(catalog_entries), rows)


def entries(connection: Connection, dataset: str | None = None) -> list[CatalogEntry]:
    """Return entries by dataset and site, of one dataset or of all."""
    wanted = sa.true() if dataset is None else catalog_entries.c.dataset == dataset
    rows = connection.execute(
        sa.select(catalog_entries.c.entry)
        .where(wanted)
        .order_by(catalog_entries.c.dataset, catalog_entries.c.site)
    )
    return [CatalogEntry.model_validate_json(row.entry) for row in rows]


def offers(connection: Connection) -> list[tuple[str, str]]:
    """Return every (site, dataset) that is offered."""
    rows = connection.execute(
        sa.select(catalog_entries.c.site, catalog_entries.c.dataset).order_by(
            catalog_entries.c.site, catalog_entries.c.dataset
        )
    )
    return [(row.site, row.dataset) for row in rows]


def sites_offering(connection: Connection, dataset: str) -> list[str]:
    """Return the sites that offer a dataset, by name."""
    return list(
        connection.execute(
            sa.select(catalog_entries.c.site)
            .where(catalog_entries.c.dataset == dataset)
            .order_by(catalog_entries.c.site)
        ).scalars()
    )


def search_texts(connection: Connection) -> list[tuple[str, str, str]]:
    """Return (site, dataset, search text) of every entry."""
    rows = connection.execute(
        sa.select(catalog_entries.c.site, catalog_entries.c.dataset, catalog_entries.c.search)
    )
    return [(row.site, row.dataset, row.search) for row in rows]


def last_ingests(connection: Connection) -> dict[str, date | None]:
    """Return the day of each site's last ingest."""
    rows = connection.execute(sa.select(catalogs.c.site, catalogs.c.last_ingest))
    return {row.site: date.fromisoformat(row.last_ingest) if row.last_ingest else None for row in rows}
