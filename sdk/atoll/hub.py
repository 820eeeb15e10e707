"""Ask a hub from Python: ``Hub`` asks, ``Run`` is one question under way."""

import os
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Self, Unpack

from atoll import calls, flows
from atoll.cohort import Cohort
from atoll.credentials import Account, checked, from_environment
from atoll.errors import Unreachable
from atoll.options import Options, asking
from atoll.question import Ask, Attrition, OutcomeLike, VariableLike
from atoll.result import Result
from atoll.sse import Following
from atoll.wire import Wire
from atoll_schemas.catalog import CatalogEntry, SiteView
from atoll_schemas.people import DatasetVariables, DatasetView, Me, ProjectApplication, ProjectView, QueryView
from atoll_schemas.protocol import QueryEvent, QuerySummary

if TYPE_CHECKING:
    import httpx


class Run:
    """One question under way, or answered. It lives at the hub: its ``id`` finds it again."""

    def __init__(self, wire: Wire, query_id: str) -> None:
        self._wire = wire
        self.id = query_id

    def events(self, after: int = 0) -> Iterator[QueryEvent]:
        """Yield what happens, each event once, until the query is finished; broken connections resume."""
        following = Following(after)
        while not following.ended():
            error: Unreachable | None = None
            try:
                with self._wire.stream(calls.events_path(self.id), following.last) as chunks:
                    following.connected()
                    for chunk in chunks:
                        yield from following.read(chunk)
                        if following.ended():
                            return
            except Unreachable as broken:
                error = broken
            time.sleep(following.interrupted(error))

    def result(self, timeout: float | None = None) -> Result:
        """Wait for the answer. Two of three sites is a result that says so.

        Raises ``StillRunning`` after ``timeout`` seconds; the query goes on.
        """
        return Result(self._wire.follow(flows.finished(self.id, timeout, time.monotonic)))

    def peek(self) -> Result:
        """Return the result as it stands now."""
        return Result(self._wire.send(calls.result(self.id)))

    def cancel(self) -> QuerySummary:
        """Stop the query at the hub and at every site."""
        return self._wire.send(calls.cancel(self.id))

    def __repr__(self) -> str:
        return f"<atoll.Run {self.id}>"


class Hub:
    """A consortium's hub, as one person sees it. Close it, or use it in a ``with`` block."""

    def __init__(
        self,
        url: str,
        token: str,
        *,
        ca_file: str | None = None,
        plain_http: bool = False,
        transport: "httpx.BaseTransport | None" = None,
        new_key: Callable[[], str] = lambda: uuid.uuid4().hex,
    ) -> None:
        self._wire = Wire(checked(url, token, ca_file, plain_http=plain_http), transport)
        self._new_key = new_key

    @classmethod
    def from_env(cls, environment: Mapping[str, str] = os.environ) -> Self:
        """Return the hub of ATOLL_HUB and ATOLL_TOKEN, or of ``atoll login``. Raises ``SignInError``."""
        return cls.of(from_environment(environment))

    @classmethod
    def of(cls, account: Account) -> Self:
        """Return the hub of a checked account."""
        return cls(account.hub, account.token, ca_file=account.ca_file, plain_http=True)

    @property
    def url(self) -> str:
        """The hub's address."""
        return self._wire.account.hub

    def me(self) -> Me:
        """Return who the token stands for."""
        return self._wire.send(calls.me())

    def sites(self) -> tuple[SiteView, ...]:
        """Return the hospitals and whether their nodes are online."""
        return self._wire.send(calls.sites())

    def datasets(self, q: str | None = None) -> tuple[DatasetView, ...]:
        """Return the datasets, or those that match the words ``q``."""
        return self._wire.send(calls.datasets(q))

    def entries(self, dataset: str) -> tuple[CatalogEntry, ...]:
        """Return what each site's release of a dataset holds: tables, years, concepts, vocabulary."""
        return self._wire.send(calls.entries(dataset))

    def variables(self, dataset: str) -> DatasetVariables:
        """Return the variables and outcomes of a dataset, and which sites declare each."""
        return self._wire.send(calls.variables(dataset))

    def projects(self) -> tuple[ProjectView, ...]:
        """Return the projects and how each site's permit stands."""
        return self._wire.send(calls.projects())

    def apply(self, application: ProjectApplication) -> ProjectView:
        """Apply for a project; each site's steward decides."""
        return self._wire.send(calls.apply(application))

    def count(
        self,
        cohort: Cohort,
        *,
        by: Sequence[VariableLike] = (),
        attrition: Attrition | None = None,
        **options: Unpack[Options],
    ) -> Run:
        """Count persons with attrition per inclusion rule, and by up to two variables.

        A rule leaves a person while any event passes it and those before; ``attrition="best_event"`` follows
        each person's best event instead, as ATLAS's person view does.
        """
        return self.ask(asking(cohort, "count", options, by=by, attrition=attrition))

    def table1(
        self,
        cohort: Cohort,
        variables: Sequence[VariableLike],
        *,
        by: VariableLike | None = None,
        **options: Unpack[Options],
    ) -> Run:
        """Describe a cohort at its index date: levels, mean and SD, quartiles from bins."""
        return self.ask(asking(cohort, "table1", options, variables=variables, by=by))

    def crosstab(self, cohort: Cohort, variables: Sequence[VariableLike], **options: Unpack[Options]) -> Run:
        """Count persons by two or three variables, with totals."""
        return self.ask(asking(cohort, "crosstab", options, variables=variables))

    def kaplan_meier(
        self,
        cohort: Cohort,
        outcome: OutcomeLike,
        *,
        by: VariableLike | None = None,
        max_days: int | None = None,
        **options: Unpack[Options],
    ) -> Run:
        """Draw survival per site and group, and test the groups stratified by site."""
        return self.ask(asking(cohort, "kaplan_meier", options, by=by, outcome=outcome, max_days=max_days))

    def ask(self, ask: Ask) -> Run:
        """Resolve the names in a question and submit it."""
        summary = self._wire.follow(flows.asked(ask, self._new_key()))
        return Run(self._wire, summary.query_id)

    def queries(self, project: str | None = None, limit: int = 50) -> tuple[QuerySummary, ...]:
        """Return the latest queries, newest first."""
        return self._wire.send(calls.queries(project, limit))

    def query(self, query_id: str) -> QueryView:
        """Return what was asked and how each site fares."""
        return self._wire.send(calls.query(query_id))

    def run(self, query_id: str) -> Run:
        """Return a question that was asked before."""
        return Run(self._wire, query_id)

    def cancel(self, query_id: str) -> QuerySummary:
        """Stop a query."""
        return self._wire.send(calls.cancel(query_id))

    def close(self) -> None:
        """Close the connections."""
        self._wire.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<atoll.Hub {self.url}>"
