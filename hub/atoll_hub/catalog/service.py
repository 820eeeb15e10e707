"""Take catalogs from nodes; show and search them for people."""

from itertools import groupby

from atoll_hub.access import NodeCaller
from atoll_hub.audit.rules import Action, Decision
from atoll_hub.audit.service import Journal
from atoll_hub.catalog import rules, store
from atoll_hub.database import Database
from atoll_hub.errors import Missing, Unprocessable
from atoll_schemas.canonical import NotCanonical
from atoll_schemas.catalog import CatalogEntry, CatalogPush
from atoll_schemas.people import DatasetVariables, DatasetView


class Catalog:
    """What the sites offer, as they say it."""

    def __init__(self, database: Database, journal: Journal) -> None:
        self._database = database
        self._journal = journal

    def replace(self, push: CatalogPush, caller: NodeCaller) -> None:
        """Take a site's whole catalog. Raises ``Unprocessable`` when it speaks for another site."""
        rules.check_push(push, caller.site)
        searches = {entry.dataset: "\n".join(rules.search_lines(entry)) for entry in push.entries}
        digest = _digest(push)
        with self._journal.deciding() as act:
            store.replace(act.connection, push, searches, act.now)
            detail = {
                "digest": digest,
                "releases": {entry.dataset: entry.release for entry in push.entries},
            }
            act.record(Decision(caller.actor, Action.CATALOG_REPLACED, push.site, detail))

    def datasets(self, search: str) -> list[DatasetView]:
        """Return the datasets, of all or of those in which every word of the search is found."""
        words = rules.words_of(search)
        with self._database.read() as connection:
            texts = store.search_texts(connection) if words else []
            entries = store.entries(connection)
            ingests = store.last_ingests(connection)
        found: dict[str, list[str]] = {}
        for _, dataset, text in texts:
            lines = rules.matches(text.split("\n"), words)
            if lines is not None:
                found.setdefault(dataset, []).extend(lines)
        return [
            rules.dataset_view(list(group), ingests, found.get(dataset, ()))
            for dataset, group in groupby(entries, key=lambda entry: entry.dataset)
            if not words or dataset in found
        ]

    def entries(self, dataset: str) -> list[CatalogEntry]:
        """Return one dataset's entries, one a site. Raises ``Missing``."""
        with self._database.read() as connection:
            found = store.entries(connection, dataset)
        if not found:
            raise Missing("dataset.unknown", "no site offers this dataset", "list them: GET /v1/datasets")
        return found

    def variables(self, dataset: str) -> DatasetVariables:
        """Return what may be asked of a dataset by name. Raises ``Missing``."""
        return rules.dataset_variables(self.entries(dataset))

    def offers(self) -> dict[str, tuple[str, ...]]:
        """Return each site's datasets."""
        with self._database.read() as connection:
            pairs = store.offers(connection)
        return {
            site: tuple(dataset for _, dataset in group)
            for site, group in groupby(pairs, key=lambda pair: pair[0])
        }


def _digest(push: CatalogPush) -> str:
    try:
        return push.digest()
    except NotCanonical as error:
        raise Unprocessable(
            "catalog.not_canonical",
            f"the catalog has no canonical form: {error}",
            "keep whole numbers below 2**53",
        ) from error
