"""Wire what writes tables and describes them: ingest, releases and the catalog."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from functools import partial
from pathlib import Path

from atoll_node.audit import Decision
from atoll_node.bootstrap import Node
from atoll_node.bootstrap.lake import maintain_if_wanted
from atoll_node.bootstrap.releases import s3_of
from atoll_node.bootstrap.store import require_safe_store
from atoll_node.catalog import describe, profile_of
from atoll_node.catalog.duckdb_adapter import opened
from atoll_node.catalog.settling import Described, figures_of, settled
from atoll_node.disclosure import clear_parts
from atoll_node.engine.connection import reach
from atoll_node.ingest import ingest, release
from atoll_node.ingest_report import IngestReport, TableReport, WriteProgress, last_ingest
from atoll_node.release import Release
from atoll_node.releases import Releases
from atoll_node.settings import DatasetSettings
from atoll_node.sources import SourceProgress, stage
from atoll_node.staging import Quarantined, SourceWarning, Staged
from atoll_schemas.catalog import CatalogEntry, CatalogPush


@dataclass(frozen=True)
class Ingested:
    """What one ingest did, and which records it did not take."""

    report: IngestReport
    quarantined: tuple[Quarantined, ...]
    warnings: tuple[SourceWarning, ...]


def ingest_dataset(
    node: Node,
    dataset: DatasetSettings,
    reading: Callable[[SourceProgress], None],
    written: Callable[[TableReport], None],
    writing: Callable[[WriteProgress], None],
) -> Ingested:
    """Bring a dataset's files into its tables, and put it on record. Refuses a store that loses commits."""
    require_safe_store(node)
    seen: list[Staged] = []

    def staged(
        dataset: DatasetSettings,
        *,
        scratch: Path,
        quarantine: Path,
        progress: Callable[[SourceProgress], None],
        today: date,
        known: Callable[[str], bool],
    ) -> Staged:
        found = stage(
            dataset, scratch=scratch, quarantine=quarantine, progress=progress, today=today, known=known
        )
        seen.append(found)
        return found

    report = ingest(
        dataset,
        node=node.settings,
        home=node.home,
        clock=node.world.clock,
        reading=reading,
        writing=writing,
        written=written,
        stage=staged,
    )
    facts = {"batch": report.batch, "changed": report.changed}
    node.audit.record(Decision("ingest.completed", "operator", dataset.name, facts))
    maintain_if_wanted(node, dataset)
    return Ingested(report, seen[-1].quarantined, seen[-1].warnings)


def release_dataset(node: Node, dataset: DatasetSettings) -> Release:
    """Freeze a dataset, describe it through the gate, and queue the catalog for the hub."""
    before = Releases(node.home).names(dataset.name)
    frozen = release(dataset, node=node.settings, home=node.home, clock=node.world.clock)
    if frozen.name not in before:
        facts = {"digest": frozen.content_digest}
        node.audit.record(Decision("release.created", "operator", frozen.name, facts))
    push = _catalog_with(node, _entry(node, dataset, frozen))
    described = Decision("catalog.described", "operator", frozen.name, {"catalog": push.digest()})
    with node.audit.recorded(described) as connection:
        node.outbox.post(connection, "catalog", push.model_dump_json(by_alias=True, exclude_none=True))
    return frozen


def _entry(node: Node, dataset: DatasetSettings, frozen: Release) -> CatalogEntry:
    s3 = s3_of(node)
    prepare = None if s3 is None else partial(reach, s3=s3)
    scratch = node.home.scratch / "catalog"
    with opened(frozen, node.settings.engine, scratch=scratch, prepare=prepare) as view:
        found = profile_of(view, frozen)
    described = Described(node.state)
    profile = settled(found, described.last(dataset.name), node.settings.gate.minimum_persons)
    described.keep(dataset.name, figures_of(profile))
    return describe(
        profile,
        frozen,
        title=dataset.title,
        description=dataset.description,
        settings=node.settings.gate,
        clear_parts=clear_parts,
    )


def _catalog_with(node: Node, entry: CatalogEntry) -> CatalogPush:
    """Return the node's whole catalog: the one before with this entry in the place of its dataset."""
    offered = {dataset.name for dataset in node.settings.datasets}
    last = node.outbox.newest("catalog")
    before = CatalogPush.model_validate_json(last).entries if last else ()
    kept = tuple(one for one in before if one.dataset != entry.dataset and one.dataset in offered)
    return CatalogPush(
        site=node.settings.site,
        entries=tuple(sorted((*kept, entry), key=lambda one: one.dataset)),
        pushed_at=node.world.clock(),
        last_ingest=last_ingest(entry.dataset, node.home).finished_at.date(),
    )
