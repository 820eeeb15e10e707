"""Search the catalog, and line up what the sites offer. Counts stay side by side: nothing is pooled."""

from collections.abc import Iterable, Sequence
from datetime import date

from atoll_hub.errors import Unprocessable
from atoll_schemas.catalog import CatalogEntry, CatalogPush
from atoll_schemas.people import (
    DatasetAtSite,
    DatasetVariables,
    DatasetView,
    OutcomeAtSites,
    VariableAtSites,
)
from atoll_schemas.query import Outcome, Variable

MOST_MATCHES = 10


def check_push(push: CatalogPush, site: str) -> None:
    """Raise ``Unprocessable`` when a catalog speaks for another site or names a dataset twice."""
    if push.site != site or any(entry.site != site for entry in push.entries):
        raise Unprocessable(
            "catalog.site", "the catalog names another site than the node's", "push this site's own catalog"
        )
    names = [entry.dataset for entry in push.entries]
    if len(set(names)) != len(names):
        raise Unprocessable(
            "catalog.site", "the catalog names a dataset twice", "send each dataset's current release only"
        )


def words_of(text: str) -> tuple[str, ...]:
    """Return the words of a search, each once."""
    return tuple(dict.fromkeys(text.casefold().split()))


def search_lines(entry: CatalogEntry) -> list[str]:
    """Return what a search looks through: names of the dataset, its tables, fields, concepts, variables."""
    lines = [entry.dataset, entry.title, entry.description, entry.site]
    for table in entry.tables:
        lines += [table.name, *(f"{table.name}.{field.name}" for field in table.fields)]
    for concept in entry.concepts:
        parts = (concept.name, concept.vocabulary, concept.code, str(concept.concept_id or ""))
        lines.append(" ".join(part for part in parts if part))
    lines += [f"{one.name} {one.label or ''}" for one in entry.variables]
    lines += [f"{one.name} {one.label or ''}" for one in entry.outcomes]
    return [" ".join(line.split()) for line in lines if line]


def matches(lines: Sequence[str], words: Sequence[str]) -> tuple[str, ...] | None:
    """Return the lines that hold a word of the search; ``None`` unless every word is found somewhere."""
    folded = [(line, line.casefold()) for line in lines]
    if not all(any(word in line for _, line in folded) for word in words):
        return None
    found = [line for line, low in folded if any(word in low for word in words)]
    return tuple(dict.fromkeys(found))[:MOST_MATCHES]


def dataset_view(
    entries: Sequence[CatalogEntry], last_ingests: dict[str, date | None], found: Iterable[str] = ()
) -> DatasetView:
    """Line up one dataset's releases, site by site; title and description are the first site's."""
    first = entries[0]
    return DatasetView(
        dataset=first.dataset,
        title=first.title,
        description=first.description,
        sites=tuple(_at_site(entry, last_ingests.get(entry.site)) for entry in entries),
        matches=tuple(dict.fromkeys(found))[:MOST_MATCHES],
    )


def dataset_variables(entries: Sequence[CatalogEntry]) -> DatasetVariables:
    """List declared variables and outcomes, with the sites that declare each in exactly the same way."""
    variables: dict[str, tuple[Variable, list[str]]] = {}
    outcomes: dict[str, tuple[Outcome, list[str]]] = {}
    for entry in entries:
        for variable in entry.variables:
            variables.setdefault(variable.digest(), (variable, []))[1].append(entry.site)
        for outcome in entry.outcomes:
            outcomes.setdefault(outcome.digest(), (outcome, []))[1].append(entry.site)
    return DatasetVariables(
        dataset=entries[0].dataset,
        variables=tuple(VariableAtSites(variable=one, sites=tuple(at)) for one, at in variables.values()),
        outcomes=tuple(OutcomeAtSites(outcome=one, sites=tuple(at)) for one, at in outcomes.values()),
    )


def _at_site(entry: CatalogEntry, last_ingest: date | None) -> DatasetAtSite:
    return DatasetAtSite(
        site=entry.site,
        release=entry.release,
        released_at=entry.released_at,
        persons=entry.persons,
        first_year=entry.first_year,
        last_year=entry.last_year,
        synthetic=entry.synthetic,
        date_shift=entry.date_shift,
        last_ingest=last_ingest,
    )
