"""Build the federation from nothing: exports, hub, people, invitations, nodes, ingest, releases."""

import json
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from demo.checks import DemoStopped
from demo.make_data import DemoDataset, DemoSite, DemoSites, write_site_files
from demo.parts import Federation, Hospital, Program, wait_until

Rows = Iterable[tuple[str, ...]]


def exported(work: Path, seed: int) -> DemoSites:
    """Write what each hospital's systems export."""
    return write_site_files(work / "hospitals", seed)


def built(work: Path, sites: DemoSites, port: int, running: list[Federation]) -> Federation:
    """Start the hub, then make and enrol one node per site; ``running`` learns of it before it starts."""
    hub = Program("atoll-hub", work / "hub")
    hub.call("init")
    for person, role in (("ada", "researcher"), ("olga", "operator")):
        token = hub.call("users", "add", person, "--role", role)["token"]
        file = work / f"{person}.token"
        file.touch(mode=0o600)
        file.write_text(token, encoding="utf-8")
    url = f"http://127.0.0.1:{port}"
    federation = Federation(hub, url, [])
    running.append(federation)
    hub.up("--port", str(port))
    wait_until(
        lambda: _listening(hub), 20, f"the hub did not start: {hub.log_tail()}",
        "name another port: make demo ARGS='--port 8471'",
    )  # fmt: skip
    for site in sites.sites:
        federation.hospitals.append(_hospital(work, site, hub, url))
    return federation


def _listening(hub: Program) -> bool:
    if not hub.alive():
        raise DemoStopped(f"the hub did not start: {hub.log_tail()}", "name another port, or none")
    return "listens on" in hub.log_tail()


def _hospital(work: Path, site: DemoSite, hub: Program, url: str) -> Hospital:
    code = hub.call("sites", "invite", site.site, "--title", site.title)["code"]
    node = Program("atoll-node", work.parent / site.site / "node")
    answers = work / f"{site.site}.toml"
    answers.write_text(_settings(site, url), encoding="utf-8")
    node.call("init", "--from", str(answers))
    node.call("enroll", code)
    return Hospital(site.site, site.title, site.datasets[0].path.parent, node)


def _settings(site: DemoSite, url: str) -> str:
    head = f'site = "{site.site}"\ntitle = "{site.title}"\nhub = "{url}"\n'
    return head + "".join(_dataset(dataset) for dataset in site.datasets)


def _dataset(dataset: DemoDataset) -> str:
    values = {
        "name": dataset.name,
        "title": dataset.title,
        "format": "flat",
        "path": str(dataset.path.resolve()),
        "mapping": str(dataset.mapping.resolve()),
    }
    return "\n[[datasets]]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in values.items())


def ingested(hospitals: list[Hospital], show: Callable[[Rows], None]) -> None:
    """Ingest and release at every node at once; ``show`` gets one row per site and dataset as they go."""
    progress: dict[tuple[str, str], tuple[str, ...]] = {}
    failures: list[BaseException] = []

    def work(hospital: Hospital) -> None:
        try:
            _ingest(hospital, lambda key, row: progress.__setitem__(key, row))
        except DemoStopped as failure:
            failures.append(failure)

    threads = [threading.Thread(target=work, args=(hospital,)) for hospital in hospitals]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        show([row for _, row in sorted(progress.items())])
        threads[0].join(0.1) if threads[0].is_alive() else threads[-1].join(0.1)
    show([row for _, row in sorted(progress.items())])
    if failures:
        raise failures[0]


def _ingest(hospital: Hospital, note: Callable[[tuple[str, str], tuple[str, ...]], None]) -> None:
    reports: list[Any] = []
    releases: list[Any] = []
    for study in ("colon", "lung"):
        note((hospital.site, study), (hospital.site, study, "", "", "", "", "[cyan]━━━━╺[/]"))
        report = hospital.node.call("ingest", study)
        reports.append(report)
        tables = report["tables"]
        total = {key: sum(t[key] for t in tables) for key in ("read", "written", "quarantined", "opted_out")}
        note(
            (hospital.site, study),
            (hospital.site, study, *(f"{total[key]:,}" for key in total), "[green]━━━━━ done[/]"),
        )
        releases.append(hospital.node.call("release", study))
    hospital.reports["datasets"] = reports
    hospital.reports["quarantined"] = [item for report in reports for item in report["quarantined"]]
    hospital.reports["releases"] = releases
