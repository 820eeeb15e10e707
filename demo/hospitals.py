"""Build the federation from nothing: exports, hub, people, invitations, nodes, ingest, releases."""

import json
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor, wait
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


class Progress:
    """How far each site's ingest is: one row a site and dataset, filled from the node's progress lines."""

    def __init__(self) -> None:
        self._rows: dict[tuple[str, str], tuple[str, ...]] = {}
        self._read: dict[tuple[str, str], dict[str, tuple[int, int]]] = {}

    def told(self, site: str, event: dict[str, Any]) -> None:
        """Take one progress line."""
        key = (site, event["dataset"])
        tables = self._read.setdefault(key, {})
        if event["step"] == "reading" and event["of"]:
            tables[event["table"]] = (event["bytes"], event["of"])
        done, total = (sum(part) for part in zip(*tables.values(), strict=True)) if tables else (0, 1)
        self._rows[key] = (*key, "", "", "", "", _bar(done / total, f"{event['step']} {event['table']}"))

    def finished(self, site: str, report: dict[str, Any]) -> None:
        """Take a finished dataset's counts."""
        keys = ("read", "written", "quarantined", "opted_out")
        counts = (f"{sum(table[key] for table in report['tables']):,}" for key in keys)
        self._rows[site, report["dataset"]] = (site, report["dataset"], *counts, _bar(1, "released"))

    def rows(self) -> list[tuple[str, ...]]:
        """Return the rows for the screen."""
        return [row for _, row in sorted(self._rows.items())]


def _bar(part: float, what: str) -> str:
    filled = round(part * 10)
    return f"[green]{'━' * filled}[/][dim]{'━' * (10 - filled)}[/] {what}"


def ingested(hospitals: list[Hospital], show: Callable[[Rows], None]) -> None:
    """Ingest and release at every node at once; ``show`` gets the rows as they change."""
    progress = Progress()
    with ThreadPoolExecutor(len(hospitals)) as pool:
        works = [pool.submit(_ingest, hospital, progress) for hospital in hospitals]
        while wait(works, timeout=0.1).not_done:
            show(progress.rows())
    show(progress.rows())
    for work in works:
        work.result()


def _ingest(hospital: Hospital, progress: Progress) -> None:
    reports = hospital.node.follow(lambda event: progress.told(hospital.site, event), "ingest")
    hospital.reports["releases"] = hospital.node.call("release")
    for report in reports:
        progress.finished(hospital.site, report)
    hospital.reports["datasets"] = reports
    hospital.reports["quarantined"] = [item for report in reports for item in report["quarantined"]]
