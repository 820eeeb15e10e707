"""Tell the main job from the first check to the last byte: every figure on the way is computed."""

import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import atoll
from atoll_schemas.people import ProjectApplication
from atoll_schemas.results import MergedKaplanMeier, StratifiedLogRank
from demo.checks import Check, DemoStopped
from demo.hospitals import built, exported, ingested
from demo.outbound import left_the_hospitals
from demo.parts import Federation, Hospital, wait_until
from demo.screen import Screen

COHORTS = Path(__file__).parent / "cohorts"
COLUMNS = ("site", "state", "release", "engine", "from task to answer")


@dataclass
class Tale:
    """What the chapters share."""

    screen: Screen
    out: Path
    federation: Federation
    hub: atoll.Hub
    project: str = ""


def opening(screen: Screen, checks: Sequence[Check]) -> None:
    """Say what was looked at on this machine."""
    screen.chapter("This machine")
    screen.say(" · ".join(f"{check.name}: {check.found}" for check in checks))
    screen.facts("checks", {check.name: check.found for check in checks})


WORK = "work"
"""The folder of what the hub and the hospitals keep."""


def hospitals_and_hub(
    screen: Screen, out: Path, seed: int, port: int, running: list[Federation]
) -> Federation:
    """Export each hospital's files, start the hub, make and enrol three nodes."""
    screen.chapter("One hub and three hospitals, each its own process on loopback")
    sites = exported(out / WORK, seed)
    for line in sites.notes:
        screen.say(line)
    federation = built(out / WORK, sites, port, running)
    rows = [(h.title, h.site, str(h.node.home.relative_to(out))) for h in federation.hospitals]
    screen.table("hospitals", ("hospital", "site", "home folder of its node"), rows)
    screen.say(f"the hub listens on {federation.url}; the nodes listen nowhere, they only call out")
    screen.facts("hub", {"url": federation.url})
    screen.facts("sites", [h.site for h in federation.hospitals])
    screen.facts("notes", list(sites.notes))
    return federation


def ingest(screen: Screen, federation: Federation) -> None:
    """Ingest and release at every node."""
    screen.chapter("Each hospital ingests its own files: read = written + quarantined + opted out")
    columns = ("hospital", "dataset", "read", "written", "quarantined", "opted out", "")
    with screen.board("ingest", columns) as board:
        ingested(federation.hospitals, board.show)
    rows, facts = [], []
    for hospital in federation.hospitals:
        for item in hospital.reports["quarantined"]:
            rows.append(
                (hospital.site, item["file"], str(item["record"]), item["field"] or "", item["reason"])
            )
            facts.append({"site": hospital.site, **item})
    screen.table("in quarantine, and why", ("site", "file", "record", "field", "reason"), rows)
    screen.facts("ingest", {h.site: h.reports["datasets"] for h in federation.hospitals})
    screen.facts("quarantine", facts)
    releases = [
        (hospital.site, release["dataset"], release["release"], release["content_digest"][:19] + "…")
        for hospital in federation.hospitals
        for release in hospital.reports["releases"]
    ]
    screen.table(
        "releases: exact Delta versions under one name", ("site", "dataset", "release", "digest"), releases
    )
    screen.facts("releases", [r for h in federation.hospitals for r in h.reports["releases"]])


def catalog(tale: Tale) -> None:
    """Wait until every release is in the hub's catalog, and say what that cost."""
    tale.screen.chapter("The catalog is federated")
    for hospital in tale.federation.hospitals:
        hospital.node.up()
    expected = {(h.site, r["dataset"]) for h in tale.federation.hospitals for r in h.reports["releases"]}

    def complete() -> bool:
        offered = {(at.site, view.dataset) for view in tale.hub.datasets() for at in view.sites}
        return expected <= offered

    wait_until(complete, 30, "the catalog did not reach the hub", "read the up.log files below demo-out")
    rows = [
        (
            view.dataset,
            view.title,
            at.site,
            at.release,
            cell_text(at.persons),
            f"{at.first_year}–{at.last_year}",
        )
        for view in tale.hub.datasets()
        for at in view.sites
    ]
    tale.screen.table("datasets", ("dataset", "title", "site", "release", "persons", "years"), rows)
    kilobytes = left_the_hospitals(tale.federation.hospitals, search=False).bytes / 1000
    tale.screen.say(f"only metadata left the nodes: {kilobytes:,.1f} KB")
    found = tale.hub.datasets("levamisole")
    tale.screen.say(
        f"a search for “levamisole” finds: {', '.join(view.dataset for view in found) or 'nothing'}"
    )
    tale.screen.facts(
        "catalog", {"kilobytes": round(kilobytes, 1), "datasets": sorted({row[0] for row in rows})}
    )


def cell_text(cell: Any) -> str:
    """Return a cell as people read it; a withheld one is never a number."""
    match cell.kind:
        case "counted":
            return f"{cell.value:,}"
        case "pooled":
            return f"{'≥ ' if cell.withheld else ''}{cell.value:,}"
        case "measured":
            return f"{cell.value:,.2f}"
        case _:
            return "withheld"


def refused(tale: Tale) -> None:
    """Ask before any steward has permitted anything."""
    tale.screen.chapter("A query without a permit is refused")
    application = ProjectApplication(
        title="Adjuvant therapy of colon cancer",
        purpose="Survival by treatment arm after resection of stage B/C colon cancer",
        people=("ada",),
        datasets=("colon", "lung"),
        methods=("count", "table1", "crosstab", "kaplan_meier"),
        valid_until=datetime.now(UTC) + timedelta(days=90),
    )
    tale.project = tale.hub.apply(application).id
    tale.screen.say(f"ada applies for project {tale.project} and, not waiting, asks at once …")
    try:
        tale.hub.count(colon(), dataset="colon", project=tale.project)
    except atoll.Refused as refusal:
        tale.screen.say(f"[red]refused[/] ({refusal.code}): {refusal}")
        tale.screen.facts("refused", {"code": refusal.code, "detail": str(refusal)})
        return
    raise DemoStopped("a query without a permit was answered", "this is a bug in Atoll: please report it")


def colon() -> atoll.Cohort:
    """Return the cohort of all colon trial patients."""
    return atoll.Cohort.from_circe(COHORTS / "colon_all.json")


def permits(tale: Tale) -> None:
    """Each site's steward reads the application at the node and approves it there."""
    tale.screen.chapter("Each site's steward approves at the node")
    rows = []
    for hospital in tale.federation.hospitals:
        permit = _requested(hospital, tale.project)
        hospital.node.call("permits", "approve", permit, "--yes", "--by", f"steward of {hospital.title}")
        rows.append((hospital.site, permit, "approved", "colon, lung", "90 days"))
    tale.screen.table("permits", ("site", "permit", "decision", "datasets", "period"), rows)
    _wait_for_permits(tale)
    tale.screen.facts("permits", [{"site": row[0], "permit": row[1], "decision": row[2]} for row in rows])


def _requested(hospital: Hospital, project: str) -> str:
    found: list[str] = []

    def arrived() -> bool:
        held = hospital.node.call("permits", "list")
        found[:] = [one["permit_id"] for one in held if one["request"]["project"] == project]
        return bool(found)

    wait_until(
        arrived, 30, f"the application did not reach {hospital.site}", "read the up.log files below demo-out"
    )
    return found[0]


def _wait_for_permits(tale: Tale) -> None:
    def granted() -> bool:
        project = next(p for p in tale.hub.projects() if p.id == tale.project)
        return all(permit.state == "active" for permit in project.permits)

    wait_until(
        granted, 30, "the stewards' decisions did not reach the hub", "read the up.log files below demo-out"
    )


def questions(tale: Tale) -> None:
    """Count with attrition, Table 1, Kaplan-Meier with log-rank."""
    tale.screen.chapter("Count, with attrition per inclusion rule")
    stage3 = atoll.Cohort.from_circe(COHORTS / "stage3_colon.json")
    counted = asked(tale, "count", lambda: tale.hub.count(stage3, dataset="colon", project=tale.project))
    show(tale, "count", counted)
    tale.screen.say("withheld: at a site the rule removed, or left, fewer than 10 persons; 0 looks like 1–9")
    tale.screen.chapter("Table 1 by treatment arm")
    described = asked(
        tale,
        "table1",
        lambda: tale.hub.table1(
            colon(), ["age", "sex", "nodes", "extent"], by="arm", dataset="colon", project=tale.project
        ),
    )
    show(tale, "table1", described)
    tale.screen.chapter("Kaplan–Meier by arm, with the log-rank test stratified by site")
    run = asked(tale, "kaplan_meier", lambda: survival(tale))
    show(tale, "kaplan_meier", run)
    log_rank(tale, run)
    keep(tale, run)


def survival(tale: Tale, deadline: int = 60) -> atoll.Run:
    """Ask for survival by arm."""
    return tale.hub.kaplan_meier(
        colon(), outcome="death", by="arm", dataset="colon", project=tale.project, deadline=deadline
    )


def asked(tale: Tale, name: str, ask: Callable[[], atoll.Run]) -> atoll.Result:
    """Submit, show one line per site while it runs, and return the result."""
    began = time.perf_counter()
    run = ask()
    with tale.screen.board(f"query {run.id}", COLUMNS) as board:
        with followed(run) as done:
            while not done.wait(0.1):
                board.show(site_rows(run.peek()))
        result = run.result(timeout=90)
        board.show(site_rows(result))
    seconds = time.perf_counter() - began
    tale.screen.say(f"{result.headline}, {seconds:.2f} s from question to answer")
    tale.screen.facts(f"{name}_seconds", round(seconds, 3))
    return result


@contextmanager
def followed(run: atoll.Run) -> Iterator[threading.Event]:
    """Follow the query's events in the background; the event is set when it has finished."""
    done = threading.Event()

    def follow() -> None:
        try:
            for _ in run.events():
                pass
        finally:
            done.set()

    thread = threading.Thread(target=follow, daemon=True)
    thread.start()
    yield done
    thread.join(5)


def site_rows(result: atoll.Result) -> list[tuple[str, ...]]:
    """Return one line per site."""
    return [
        (
            site.site,
            site.state,
            site.release or "",
            "" if site.engine_milliseconds is None else f"{site.engine_milliseconds} ms",
            "" if site.milliseconds is None else f"{site.milliseconds} ms",
        )
        for site in result.contract.sites
    ]


def show(tale: Tale, name: str, result: atoll.Result) -> None:
    """Show the merged answer, and keep it for machines."""
    columns, rows = result.rows()
    tale.screen.table(f"{name.replace('_', ' ')} · {result.headline}", columns, rows)
    tale.screen.facts(name, result.contract.wire())


def log_rank(tale: Tale, result: atoll.Result) -> None:
    """Say the stratified test in a line."""
    merged = result.contract.merged
    if not isinstance(merged, MergedKaplanMeier) or not isinstance(merged.log_rank, StratifiedLogRank):
        tale.screen.say("the log-rank test is withheld")
        return
    test = merged.log_rank
    groups = "; ".join(
        f"{group}: O {o:.0f}, E {e:.2f}"
        for group, o, e in zip(test.groups, test.observed, test.expected, strict=True)
    )
    tale.screen.say(f"{groups}")
    tale.screen.say(
        f"χ² = {test.chi_square:.4f} on {test.degrees_of_freedom} degrees of freedom, p = {test.p:.4g}, "
        f"stratified by {', '.join(test.sites)}; exact: the sum of the sites' O, E and V"
    )


def keep(tale: Tale, result: atoll.Result) -> None:
    """Write the files that the newcomer finds."""
    result.save_svg(tale.out / "km.svg")
    (tale.out / "result.json").write_text(result.to_json(), encoding="utf-8")
    (tale.out / "result.csv").write_text(result.to_csv(), encoding="utf-8")


def absence(tale: Tale) -> None:
    """Stop one node, ask again, restart it, see it catch up."""
    tale.screen.chapter("One node is stopped, and the question is asked again")
    away = tale.federation.hospitals[-1]
    away.node.stop()
    tale.screen.say(f"{away.site} is stopped (its process ended)")
    partial = asked(tale, "partial", lambda: survival(tale, deadline=8))
    log_rank(tale, partial)
    if partial.contract.answered != len(tale.federation.hospitals) - 1:
        raise DemoStopped(
            f"expected two answers, saw {partial.headline}", "read the up.log files below demo-out"
        )
    tale.screen.say(f"[bold]{partial.headline}[/]: the answer says so, and is not pooled as if it were all")
    tale.screen.say("asked once more with time to wait; meanwhile the node is started again …")
    began = time.perf_counter()
    run = survival(tale)
    away.node.up()
    with tale.screen.board(f"query {run.id}", COLUMNS) as board, followed(run) as done:
        while not done.wait(0.1):
            board.show(site_rows(run.peek()))
        whole = run.result(timeout=60)
        board.show(site_rows(whole))
    seconds = time.perf_counter() - began
    tale.screen.say(f"{away.site} caught up {seconds:.1f} s after its start: {whole.headline}")
    if whole.contract.answered != len(tale.federation.hospitals):
        raise DemoStopped(
            f"the restarted node did not answer: {whole.headline}", "read the up.log files below demo-out"
        )
    tale.screen.facts(
        "absence", {"partial": partial.headline, "whole": whole.headline, "seconds": round(seconds, 2)}
    )


def what_left(tale: Tale) -> None:
    """Count what left, and search it for anything of a patient."""
    tale.screen.chapter("What left the hospitals")
    left = left_the_hospitals(tale.federation.hospitals)
    tale.screen.table("outbound messages", ("site", "what", "messages", "KB"), left.table())
    tale.screen.say(
        f"{left.messages:,} messages, {left.bytes / 1000:,.1f} KB, "
        f"[bold]{left.rows} patient rows[/] ({left.searched:,} medical record numbers, names and pseudonyms "
        "were searched for in every byte)"
    )
    home = tale.federation.hospitals[0].node.home.relative_to(tale.out)
    tale.screen.say(f"look yourself: .venv/bin/atoll-node outbound --home {tale.out.name}/{home}")
    tale.screen.facts("outbound", left.facts())


def audit(tale: Tale) -> None:
    """Verify every chain and write the entries down."""
    tale.screen.chapter("Every decision is on record")
    verified: dict[str, int] = {}
    with (tale.out / "audit.jsonl").open("w", encoding="utf-8") as file:
        for name, program in tale.federation.programs():
            report = program.call("audit", "verify")
            if not report["holds"]:
                raise DemoStopped(
                    f"the audit chain of {name} is broken", "this is a bug in Atoll: please report it"
                )
            verified[name] = report["entries"]
            for entry in program.entries():
                file.write(json.dumps({"chain": name, **entry}) + "\n")
    counts = ", ".join(f"{name} {count} entries" for name, count in verified.items())
    tale.screen.say(f"the hash chains hold: {counts}")
    tale.screen.facts("audit", verified)


def ending(tale: Tale, stays: bool) -> None:
    """Say where things are and how to go on."""
    tale.screen.chapter("Yours now")
    names = ("km.svg", "result.json", "result.csv", "audit.jsonl")
    tale.screen.say("files: " + ", ".join(f"{tale.out.name}/{name}" for name in names))
    if stays:
        tale.screen.say(
            f"the hub listens on {tale.federation.url} until you press Ctrl-C, which stops everything"
        )
        tale.screen.say(
            f"ask it: ATOLL_HUB={tale.federation.url} ATOLL_TOKEN=$(cat {tale.out.name}/{WORK}/ada.token) "
            ".venv/bin/atoll datasets"
        )
    else:
        tale.screen.say("everything is stopped; `make demo` in a terminal keeps the hub up until Ctrl-C")
    tale.screen.say("your own CSV: docs/how-to/add-a-csv.md tells how in ten minutes")
    tale.screen.facts("files", [f"{tale.out.name}/{name}" for name in names])


CHAPTERS = (catalog, refused, permits, questions, absence, what_left, audit)
