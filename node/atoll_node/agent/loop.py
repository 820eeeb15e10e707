"""Keep the node in touch with the hub: poll, work, renew, answer, and keep trying when the hub is away.

Three kinds of threads: the caller's polls, workers answer tasks (one by default), and a courier sends
permit statements, catalogs and stages, so that neither a long task nor a long poll holds the others up.
"""

import json
import logging
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from pydantic import BaseModel

from atoll_node.agent.backoff import Backoff
from atoll_node.agent.client import HubClient, HubDeclined, HubUnreachable, read_reply
from atoll_node.agent.ports import Answering, Mail, Mailbox, TakeRequest
from atoll_node.errors import HubError
from atoll_node.settings import AgentSettings
from atoll_schemas.catalog import CatalogPush
from atoll_schemas.permits import PermitRequest
from atoll_schemas.protocol import (
    PROTOCOL,
    Accepted,
    Answer,
    Cancelled,
    Inbox,
    Lease,
    PermitApplication,
    PermitStatement,
    Poll,
    Progress,
    Stage,
)

log = logging.getLogger(__name__)

POLL_PATH = "/v1/node/poll"
POLL_GRACE_SECONDS = 10.0
RENEW_SECONDS = 10.0
"""How long a poll waits while a task runs: shorter than any sensible lease."""
COURIER_SECONDS = 0.25
LARGEST_SKEW_SECONDS = 60.0
MAIL: dict[str, tuple[str, str, type[BaseModel]]] = {
    "permit": ("permit decision", "/v1/node/permits", PermitStatement),
    "catalog": ("catalog", "/v1/node/catalog", CatalogPush),
}


@dataclass(frozen=True)
class Standing:
    """How the node stands with the hub, for ``atoll-node status``."""

    state: Literal["connected", "unreachable", "declined", "stopped"]
    code: str | None = None
    detail: str | None = None
    next_step: str | None = None


class Agent:
    """The loop. ``stop`` ends it between two steps; what runs is interrupted and stays unanswered."""

    def __init__(
        self,
        hub: HubClient,
        answering: Answering,
        take_request: TakeRequest,
        mailbox: Mailbox,
        *,
        settings: AgentSettings,
        software: str,
        clock: Callable[[], datetime],
        random: Callable[[], float],
        report: Callable[[Standing], None],
    ) -> None:
        self._hub = hub
        self._answering = answering
        self._take_request = take_request
        self._mailbox = mailbox
        self._settings = settings
        self._software = software
        self._clock = clock
        self._random = random
        self._report = report
        self._leases: dict[str, Lease] = {}
        self._stages: dict[str, Stage] = {}
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._met = False
        """Whether the last poll reached the hub."""
        self._workers = ThreadPoolExecutor(settings.tasks_at_once, thread_name_prefix="task")

    def stop(self) -> None:
        """Ask the loop to end."""
        self._stop.set()

    def run(self) -> None:
        """Poll until stopped. Raises ``HubDeclined`` only for another protocol version."""
        courier = threading.Thread(target=self._courier, name="courier", daemon=True)
        courier.start()
        backoff = Backoff(self._random)
        try:
            while not self._stop.is_set():
                self._poll_or_wait(backoff)
        finally:
            self._end()
            courier.join(timeout=2)

    def _end(self) -> None:
        self._stop.set()
        for task_id in self._running():
            self._answering.cancel(task_id)
        self._workers.shutdown(wait=False, cancel_futures=True)
        self._report(Standing("stopped"))

    def _poll_or_wait(self, backoff: Backoff) -> None:
        try:
            self._poll()
        except HubError as error:
            if error.code == "protocol.version":
                raise
            self._met = False
            self._say(error)
            self._stop.wait(backoff.failed())
        else:
            backoff.worked()

    def _poll(self) -> None:
        running = self._running()
        wait = self._patience(busy=bool(running))
        poll = Poll(wait_seconds=wait, running=running, software=self._software)
        why = "poll, renewing leases" if running else "poll"
        content = self._hub.call(why, POLL_PATH, poll, seconds=wait + POLL_GRACE_SECONDS)
        inbox = self._read_inbox(content)
        self._met = True
        self._report(self._standing(inbox))
        for delivery in inbox.deliveries:
            self._take(delivery)

    def _patience(self, *, busy: bool) -> float:
        """Return how long the hub may hold a poll: the first one not at all, to be soon in touch."""
        if not self._met:
            return 0.0
        return min(self._settings.poll_seconds, RENEW_SECONDS) if busy else self._settings.poll_seconds

    def _read_inbox(self, content: bytes) -> Inbox:
        spoken = _protocol_of(content)
        if spoken not in (None, PROTOCOL):
            raise HubUnreachable(
                "protocol.version",
                f"the hub speaks protocol {spoken[:20] if spoken else ''}, this node speaks {PROTOCOL}",
                "bring node and hub to the same version",
            )
        return read_reply(Inbox, content)

    def _standing(self, inbox: Inbox) -> Standing:
        skew = (self._clock() - inbox.now).total_seconds()
        if abs(skew) <= LARGEST_SKEW_SECONDS:
            return Standing("connected")
        return Standing(
            "connected",
            "clock.skew",
            f"this machine's clock is {abs(skew):.0f} s {'ahead of' if skew > 0 else 'behind'} the hub's",
            "set this machine's clock (NTP)",
        )

    def _take(self, delivery: Lease | PermitApplication | Cancelled) -> None:
        if isinstance(delivery, Lease):
            self._take_lease(delivery)
        elif isinstance(delivery, PermitApplication):
            self._take_application(delivery.request)
        else:
            log.info("task cancelled by the hub", extra={"task": delivery.task_id})
            with self._lock:
                self._leases.pop(delivery.task_id, None)
            self._answering.cancel(delivery.task_id)

    def _take_application(self, request: PermitRequest) -> None:
        log.info("permit requested", extra={"permit": request.permit_id, "project": request.project})
        self._take_request(request)

    def _take_lease(self, lease: Lease) -> None:
        with self._lock:
            known = lease.task_id in self._leases
            self._leases[lease.task_id] = lease
        if not known:
            log.info("task claimed", extra={"task": lease.task_id, "fence": lease.fence})
            self._workers.submit(self._work, lease.task_id)

    def _work(self, task_id: str) -> None:
        lease = self._leases.get(task_id)
        if lease is None:
            return
        try:
            outcome = self._answering.answer(lease, lambda stage: self._at_stage(task_id, stage))
            with self._lock:
                self._stages.pop(task_id, None)
            if outcome is not None and not self._stop.is_set():
                self._send_answer(task_id, Answer(task_id=task_id, fence=lease.fence, outcome=outcome))
        except Exception as error:  # noqa: BLE001 - a thread's boundary: the lease runs out, the node lives on
            log.error("task failed within the node", extra={"task": task_id, "error": type(error).__name__})
        finally:
            with self._lock:
                self._leases.pop(task_id, None)
                self._stages.pop(task_id, None)

    def _send_answer(self, task_id: str, answer: Answer) -> None:
        """Send until the hub takes the answer or says that it is too late; the newest fence counts."""
        backoff = Backoff(self._random)
        while not self._stop.is_set():
            lease = self._leases.get(task_id)
            if lease is None:
                return
            current = answer.model_copy(update={"fence": lease.fence})
            try:
                reply = self._hub.call("answer to a task", f"/v1/node/tasks/{task_id}/answer", current)
                replayed = read_reply(Accepted, reply).replayed
            except HubDeclined as declined:
                if not declined.passing and declined.status != 401:
                    log.warning("answer not taken", extra={"task": task_id, "code": declined.code})
                    return
                self._stop.wait(backoff.failed())
            except HubUnreachable:
                self._stop.wait(backoff.failed())
            else:
                log.info("answer taken", extra={"task": task_id, "replayed": replayed})
                return

    def _at_stage(self, task_id: str, stage: Stage) -> None:
        with self._lock:
            self._stages[task_id] = stage

    def _courier(self) -> None:
        backoff = Backoff(self._random)
        told: dict[str, Stage] = {}
        while not self._stop.wait(COURIER_SECONDS):
            try:
                self._send_mail()
                self._send_stages(told)
            except HubError:
                self._stop.wait(backoff.failed())
            except Exception as error:  # noqa: BLE001 - a thread's boundary: mail stays queued, the node lives on
                log.error("courier failed within the node", extra={"error": type(error).__name__})
                self._stop.wait(backoff.failed())
            else:
                backoff.worked()

    def _send_mail(self) -> None:
        for mail in self._mailbox.waiting():
            self._send_one(mail)

    def _send_one(self, mail: Mail) -> None:
        why, path, kind = MAIL[mail.kind]
        try:
            self._hub.call(why, path, kind.model_validate_json(mail.body))
        except HubDeclined as declined:
            if declined.passing or declined.status in (401, 404):
                raise
            log.error("the hub declined mail", extra={"mail": mail.kind, "code": declined.code})
            self._mailbox.declined(mail.id, declined.code)
        else:
            self._mailbox.delivered(mail.id)

    def _send_stages(self, told: dict[str, Stage]) -> None:
        """Tell stages that last; a task that is over before the courier comes needs none."""
        with self._lock:
            now = {
                task_id: (stage, self._leases[task_id].fence)
                for task_id, stage in self._stages.items()
                if task_id in self._leases
            }
        for task_id in told.keys() - now.keys():
            del told[task_id]
        for task_id, (stage, fence) in now.items():
            if told.get(task_id) != stage:
                told[task_id] = stage
                self._tell(Progress(task_id=task_id, fence=fence, stage=stage))

    def _tell(self, progress: Progress) -> None:
        try:
            self._hub.call("stage of a task", f"/v1/node/tasks/{progress.task_id}/progress", progress)
        except HubDeclined as declined:
            log.info("stage not taken", extra={"task": progress.task_id, "code": declined.code})

    def _running(self) -> tuple[str, ...]:
        with self._lock:
            return tuple(self._leases)

    def _say(self, error: HubError) -> None:
        state: Literal["unreachable", "declined"] = (
            "declined" if isinstance(error, HubDeclined) and not error.passing else "unreachable"
        )
        log.warning("no contact with the hub, trying again", extra={"code": error.code})
        self._report(Standing(state, error.code, error.message, error.next_step))


def _protocol_of(content: bytes) -> str | None:
    """Return the version that a reply names, before its shape is judged."""
    try:
        value = json.loads(content)
    except ValueError:
        return None
    return str(value["protocol"]) if isinstance(value, dict) and "protocol" in value else None
