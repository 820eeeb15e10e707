"""Measure one hub process: polls and answers a second, and what the long polls of 1,000 nodes cost it.

A few enrolled nodes hold many connections each, so the hub sees as many polls as of so many nodes. The load
comes from this process and shares the machine. Run: ``python -m bench.hub``.
"""

import asyncio
import json
import os
import statistics
import tempfile
import time
from collections.abc import Coroutine, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from atoll_schemas.protocol import PROTOCOL, PROTOCOL_HEADER, Answer, Lease
from atoll_schemas.query import Query
from bench.figure import Figure
from tests.support.hub import HubProcess, PlainNode, start_hub
from tests.support.hub_consortium import catalog, cleared, project, submission
from tests.support.postgres import find_programs, postgres_server

NODES, HELD, QUICK_HELD = 10, 1_000, 200
CONNECTIONS = 16
SECONDS, HOLD_SECONDS = 5.0, 15.0
POLL_SECONDS = 25.0
"""How long a node lets the hub hold its poll."""
QUERIES = 20
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Measured:
    """What was seen of one hub process."""

    polls: float
    """Polls that come back at once, a second."""
    answers: float
    """Answers a second, each with its claim checked, kept, and in the chain."""
    held: int
    processor: float
    """The share of one processor that the held polls take."""
    megabytes: float
    milliseconds: float
    """A poll that comes back at once, at the median, while the others are held."""


def figures(quick: bool) -> tuple[Figure, ...]:
    """Return a line for each database."""
    held = QUICK_HELD if quick else HELD
    found = {}
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        found["SQLite"] = measured(Path(folder) / "sqlite", None, held)
        if find_programs() is not None:
            server = stack.enter_context(postgres_server())
            found["PostgreSQL"] = measured(Path(folder) / "postgres", server.new_database("bench"), held)
    return tuple(_line(name, one) for name, one in found.items())


def _line(name: str, found: Measured) -> Figure:
    enough = found.held / POLL_SECONDS
    return Figure(
        f"one hub process on {name}",
        f"{found.polls:.0f} polls/s, {found.answers:.0f} answers/s; {found.held:,} held polls take "
        f"{found.processor:.2f} of a processor and {found.megabytes:.0f} MB",
        f"reported; {found.held:,} nodes poll {enough:.0f} times/s",
        None,
        f"a poll that comes back at once takes {found.milliseconds:.0f} ms at the median while they are held",
    )


def measured(folder: Path, database_url: str | None, held: int) -> Measured:
    """Start a hub with a few nodes, and load it."""
    folder.mkdir(parents=True)
    hub = start_hub(folder, database_url=database_url)
    try:
        nodes = [_enrolled(hub, f"site-{number:02d}") for number in range(NODES)]
        polls = asyncio.run(_rate(hub, [_poll(node, 0) for node in nodes]))
        answers = _answers(hub, nodes)
        processor, milliseconds = asyncio.run(_held(hub, nodes, held))
        assert hub.process is not None
        megabytes = _resident(hub.process.pid)
    finally:
        hub.kill()
    return Measured(polls, answers, held, processor, megabytes, milliseconds)


def _enrolled(hub: HubProcess, site: str) -> PlainNode:
    node = PlainNode.at(hub.url)
    node.enrol(hub.invite(site)).raise_for_status()
    node.sign_in()
    node.post("catalog", catalog(site).wire()).raise_for_status()
    return node


def _message(node: PlainNode, path: str, content: Any) -> bytes:
    """Return a request as it goes over the wire."""
    body = json.dumps(content).encode()
    head = (
        f"POST /v1/node/{path} HTTP/1.1\r\nHost: hub\r\nAuthorization: Bearer {node.token}\r\n"
        f"{PROTOCOL_HEADER}: {PROTOCOL}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def _poll(node: PlainNode, wait: float) -> bytes:
    return _message(node, "poll", {"wait_seconds": wait, "running": [], "software": "bench 1"})


class _Line:
    """A kept-alive connection that sends what is given and reads whole replies."""

    def __init__(self, hub: HubProcess) -> None:
        self._address = urlsplit(hub.url)

    async def __aenter__(self) -> "_Line":
        self._reader, self._writer = await asyncio.open_connection(self._address.hostname, self._address.port)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._writer.close()

    async def send(self, message: bytes) -> bytes:
        """Return the reply's body. Raises ``ValueError`` for any status but success."""
        self._writer.write(message)
        head = await self._reader.readuntil(b"\r\n\r\n")
        lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
        body = await self._reader.readexactly(int(lengths[0].split(b":")[1]) if lengths else 0)
        if not head.startswith(b"HTTP/1.1 2"):
            raise ValueError(head.split(b"\r\n")[0].decode())
        return body


async def _rate(hub: HubProcess, messages: Sequence[bytes]) -> float:
    """Return how many messages a second are answered over some connections."""
    end = time.monotonic() + SECONDS

    async def client(number: int) -> int:
        done = 0
        async with _Line(hub) as line:
            while time.monotonic() < end:
                await line.send(messages[(number + done) % len(messages)])
                done += 1
        return done

    return sum(await _together(client(number) for number in range(CONNECTIONS))) / SECONDS


async def _together(work: Iterable[Coroutine[Any, Any, Any]]) -> list[Any]:
    return list(await asyncio.gather(*work))


def _answers(hub: HubProcess, nodes: Sequence[PlainNode]) -> float:
    """Let every node claim its share of some queries; return answers a second over all connections."""
    with hub.client(hub.add_user("ada")) as ada:
        name = ada.post("/v1/projects", json=project()).raise_for_status().json()["id"]
        for node in nodes:
            for request in node.applications():
                node.state_permit(node.decide(request)).raise_for_status()
        asked = {}
        for number in range(QUERIES):
            sent = submission(project=name)
            sent["query"]["cohort"] = sent["query"]["cohort"] | {"Title": f"{number}"}
            reply = ada.post("/v1/queries", json=sent).raise_for_status().json()
            asked[reply["query_id"]] = Query.from_wire(sent["query"])
    query = next(iter(asked.values()))
    messages: list[list[bytes]] = []
    for node in nodes:
        leases: list[Lease] = []
        while found := node.leases(running=tuple(lease.task_id for lease in leases)):
            leases += found
        site = str(node.enrolled.site) if node.enrolled else ""
        messages.append([_answer(node, lease, cleared(site, query)) for lease in leases])
    begun = time.monotonic()
    done = asyncio.run(_sent(hub, messages))
    return done / (time.monotonic() - begun)


def _answer(node: PlainNode, lease: Lease, outcome: Any) -> bytes:
    answer = Answer(task_id=lease.task_id, fence=lease.fence, outcome=outcome)
    return _message(node, f"tasks/{lease.task_id}/answer", answer.wire())


async def _sent(hub: HubProcess, messages: Sequence[Sequence[bytes]]) -> int:
    async def client(own: Sequence[bytes]) -> int:
        async with _Line(hub) as line:
            for message in own:
                await line.send(message)
        return len(own)

    return sum(await _together(client(own) for own in messages))


async def _held(hub: HubProcess, nodes: Sequence[PlainNode], held: int) -> tuple[float, float]:
    """Hold so many polls; return the processors that the hub takes meanwhile, and how soon it answers."""
    assert hub.process is not None
    messages = [_poll(node, 60) for node in nodes]
    opened = [_waiting(hub, messages[number % len(messages)]) for number in range(held)]
    waiting = [asyncio.create_task(one) for one in opened]
    await asyncio.sleep(HOLD_SECONDS / 3)
    before, begun, taken = _spent(hub.process.pid), time.monotonic(), []
    async with _Line(hub) as line:
        while time.monotonic() - begun < HOLD_SECONDS:
            asked = time.monotonic()
            await line.send(_poll(nodes[0], 0))
            taken.append(time.monotonic() - asked)
            await asyncio.sleep(0.25)
    processor = (_spent(hub.process.pid) - before) / (time.monotonic() - begun)
    for one in waiting:
        one.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    return processor, statistics.median(taken) * 1000


async def _waiting(hub: HubProcess, message: bytes) -> None:
    async with _Line(hub) as line:
        await line.send(message)


def _spent(process: int) -> float:
    """Return the processor seconds of a process so far."""
    parts = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(parts[11]) + int(parts[12])) / TICKS


def _resident(process: int) -> float:
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmRSS")).split()[1]) / 1024


if __name__ == "__main__":
    for line in figures(quick=False):
        print(f"{line.work}: {line.measured} ({line.to_reach}); {line.detail}")
