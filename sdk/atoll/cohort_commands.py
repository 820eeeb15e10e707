"""Do what ``atoll cohort`` is told: check a cohort, tell it in words, compare two."""

import sys
from collections.abc import Sequence
from pathlib import Path

from atoll import terminal
from atoll.checking import SiteCheck, check_sites
from atoll.cohort import Cohort
from atoll.commands import print_json, told
from atoll.differing import differences
from atoll.explaining import explain as in_words
from atoll.hub import Hub
from atoll.views import View
from atoll.words import Language
from atoll_schemas.circe import CohortExpression
from atoll_schemas.circe.needs import Needs, needs_of
from atoll_schemas.problems import ExitCode


@told
def check(as_json: bool, file: Path, dataset: str | None, offline: bool) -> int:
    """Say whether a file holds a cohort, and at which sites it can run."""
    cohort = Cohort.from_circe(file)
    checks = () if offline else _checks(cohort.expression, dataset)
    needs = needs_of(cohort.expression)
    if as_json:
        print_json(
            {
                "valid": True,
                "digest": cohort.digest(),
                "tables": sorted(needs.tables),
                "descendants": list(needs.descendants),
                "sites": None if offline else [item.to_dict() for item in checks],
            }
        )
    else:
        sys.stdout.write(f"{terminal.clean(file.name)} is a cohort ({cohort.digest()[7:19]}).\n")
        sys.stdout.write(f"It reads {', '.join(sorted(needs.tables))}.\n")
        if not offline:
            sys.stdout.write("\n")
            terminal.show([_sites_view(checks)])
            _warn_of_vocabularies(needs, checks)
    return ExitCode.OK if offline else _code(checks)


def _checks(expression: CohortExpression, dataset: str | None) -> tuple[SiteCheck, ...]:
    with Hub.from_env() as hub:
        names = [dataset] if dataset is not None else [view.dataset for view in hub.datasets()]
        sites = hub.sites()
        entries = [entry for name in names for entry in hub.entries(name)]
    return check_sites(expression, entries, sites)


def _code(checks: Sequence[SiteCheck]) -> ExitCode:
    """All sites can run it: 0; some: 3; none: 1."""
    if checks and all(item.runs for item in checks):
        return ExitCode.OK
    return ExitCode.PARTIAL if any(item.runs for item in checks) else ExitCode.ERROR


def _sites_view(checks: Sequence[SiteCheck]) -> View:
    rows = []
    for item in checks:
        reasons = [f"{obstacle.reason} ({obstacle.fix})" for obstacle in item.obstacles]
        rows.append(
            (item.site, item.dataset, item.release, "yes" if item.runs else "no", "; ".join(reasons) or "–")
        )
    notes = tuple(f"{item.site}, {item.dataset}: {note}" for item in checks for note in item.notes)
    return View("Sites", ("site", "dataset", "release", "runs", "why not"), tuple(rows), notes)


def _warn_of_vocabularies(needs: Needs, checks: Sequence[SiteCheck]) -> None:
    """Descendants of one concept may differ between versions."""
    versions = {item.vocabulary_version or "unknown" for item in checks if item.runs}
    if needs.descendants and len(versions) > 1:
        told_ones = ", ".join(sorted(map(terminal.clean, versions)))
        sys.stdout.write(f"The sites expand descendants with different vocabularies: {told_ones}.\n")


@told
def explain(as_json: bool, file: Path, language: Language) -> int:
    """Tell a cohort in plain words."""
    cohort = Cohort.from_circe(file)
    text = in_words(cohort.expression, language)
    if as_json:
        print_json({"language": language, "digest": cohort.digest(), "lines": text.splitlines()})
    else:
        sys.stdout.write("".join(f"{terminal.clean(line)}\n" for line in text.splitlines()))
    return ExitCode.OK


@told
def diff(as_json: bool, before: Path, after: Path) -> int:
    """Say what is different between two cohorts; the exit code is 1 when something is."""
    changes = differences(Cohort.from_circe(before).expression, Cohort.from_circe(after).expression)
    if as_json:
        print_json({"same": not changes, "changes": [change.to_dict() for change in changes]})
    elif not changes:
        sys.stdout.write("Both mean the same.\n")
    else:
        sys.stdout.write("".join(f"{terminal.clean(change.told())}\n" for change in changes))
    return ExitCode.ERROR if changes else ExitCode.OK
