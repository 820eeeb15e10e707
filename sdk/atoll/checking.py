"""Say at which sites a cohort can run, and if not, why: tables, vocabulary, protocol."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from atoll_schemas.catalog import CatalogEntry, SiteView
from atoll_schemas.cells import Withheld
from atoll_schemas.circe import CohortExpression
from atoll_schemas.circe.needs import Needs, needs_of

Code = Literal["attribute", "table", "vocabulary", "version"]


@dataclass(frozen=True)
class Obstacle:
    """One reason why a site cannot run a cohort, and what would help."""

    code: Code
    reason: str
    fix: str


@dataclass(frozen=True)
class SiteCheck:
    """How a cohort fares at one site's release of a dataset."""

    site: str
    dataset: str
    release: str
    vocabulary_version: str | None
    obstacles: tuple[Obstacle, ...]
    notes: tuple[str, ...] = ()

    @property
    def runs(self) -> bool:
        """Whether the site can run it."""
        return not self.obstacles

    def to_dict(self) -> dict[str, Any]:
        """Return the check as JSON-ready values."""
        return {"runs": self.runs, **asdict(self)}


def check_sites(
    expression: CohortExpression, entries: Iterable[CatalogEntry], sites: Iterable[SiteView]
) -> tuple[SiteCheck, ...]:
    """Return one check per catalog entry, in the order of the entries."""
    needs, views = needs_of(expression), {view.site: view for view in sites}
    return tuple(_checked(needs, entry, views) for entry in entries)


def _checked(needs: Needs, entry: CatalogEntry, views: Mapping[str, SiteView]) -> SiteCheck:
    view = views.get(entry.site)
    return SiteCheck(
        site=entry.site,
        dataset=entry.dataset,
        release=entry.release,
        vocabulary_version=entry.vocabulary_version,
        obstacles=(*_version(view), *_attributes(needs), *_tables(needs, entry), *_vocabulary(needs, entry)),
        notes=(*_sparse(needs, entry), *_absent(view)),
    )


def _version(view: SiteView | None) -> Iterable[Obstacle]:
    if view is not None and view.state == "incompatible":
        yield Obstacle(
            "version",
            f"its node ({view.software or 'unknown'}) speaks protocol {view.protocol or 'unknown'}",
            "the site installs a newer atoll-node",
        )


def _attributes(needs: Needs) -> Iterable[Obstacle]:
    for path in needs.without_field:
        yield Obstacle("attribute", f"OMOP CDM v5.4 has no field for {path}", "leave it out")


def _tables(needs: Needs, entry: CatalogEntry) -> Iterable[Obstacle]:
    held = {table.name for table in entry.tables} | set(entry.shared_tables)
    for table in sorted(needs.tables - held):
        yield Obstacle("table", f"its release has no table {table}", f"the site ingests {table}")


def _vocabulary(needs: Needs, entry: CatalogEntry) -> Iterable[Obstacle]:
    for names, table, what in (
        (needs.descendants, "concept_ancestor", "descendants"),
        (needs.mapped, "concept_relationship", "mapped concepts"),
    ):
        if names and table not in entry.shared_tables:
            sets = ", ".join(f"«{name}»" for name in names[:3]) + (" …" if len(names) > 3 else "")
            yield Obstacle(
                "vocabulary",
                f"it has no {table}, and the cohort asks for {what} of {sets}",
                "the site ingests the OMOP vocabularies, or the concept sets name their concepts or "
                "source codes without them",
            )


def _sparse(needs: Needs, entry: CatalogEntry) -> Iterable[str]:
    for table in entry.tables:
        if table.name in needs.tables and isinstance(table.persons, Withheld):
            yield f"{table.name} holds few persons or none"


def _absent(view: SiteView | None) -> Iterable[str]:
    if view is not None and view.state == "offline":
        yield "its node is offline"
