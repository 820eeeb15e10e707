"""Take projects from people and permits from sites. The hub keeps permits and can make none."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from pydantic import ValidationError
from sqlalchemy.engine import Connection

from atoll_hub.access import NodeCaller, PersonCaller
from atoll_hub.accounts import store as accounts_store
from atoll_hub.audit.rules import Action, Decision
from atoll_hub.audit.service import Clock, Deciding, Journal
from atoll_hub.database import Database
from atoll_hub.errors import Conflict, HubError, Missing, Unprocessable
from atoll_hub.governance import rules, store
from atoll_hub.keys import BadSignature, verified
from atoll_hub.nodes import store as nodes_store
from atoll_schemas.people import ProjectApplication, ProjectView
from atoll_schemas.permits import Permit
from atoll_schemas.protocol import PERMIT_TYPE, PermitApplication, PermitStatement

Ring = Callable[[str], None]


class Governance:
    """The consortium's projects and permits."""

    def __init__(self, database: Database, journal: Journal, clock: Clock, ring: Ring) -> None:
        self._database = database
        self._journal = journal
        self._clock = clock
        self._ring = ring

    def apply(self, application: ProjectApplication, caller: PersonCaller) -> ProjectView:
        """Open a project and ask the sites for permits; an idempotency key replays."""
        with self._journal.deciding() as act:
            project = self._replayed(act.connection, application, caller)
            if project is None:
                project = self._opened(act, application, caller)
            view = self._view(act.connection, project)
        for permit in view.permits:
            self._ring(site_topic(permit.site))
        return view

    def projects(self, caller: PersonCaller) -> list[ProjectView]:
        """Return the projects that a person may see."""
        with self._database.read() as connection:
            return [
                self._view(connection, project)
                for project in store.all_projects(connection)
                if project.visible_to(caller.name, caller.role)
            ]

    def project(self, identity: str, caller: PersonCaller) -> ProjectView:
        """Return one project. Raises ``Missing``, also when the caller may not see it."""
        with self._database.read() as connection:
            project = store.find_project(connection, identity)
            if project is None or not project.visible_to(caller.name, caller.role):
                raise _no_project()
            return self._view(connection, project)

    def projects_of(self, name: str) -> list[str]:
        """Return the ids of the projects that a person belongs to."""
        with self._database.read() as connection:
            return store.projects_of(connection, name)

    def keep(self, statement: PermitStatement, caller: NodeCaller, key: dict[str, Any]) -> None:
        """Keep a permit that the site's node signed. Raises ``Unprocessable`` or ``Conflict``."""
        try:
            self._keep(statement, caller, key)
        except HubError as refusal:
            self._journal.note(
                Decision(caller.actor, Action.PERMIT_REFUSED, caller.site, {"code": refusal.code})
            )
            raise

    def has_due(self, connection: Connection, site: str, now: datetime) -> bool:
        """Whether there is an application to send to a site."""
        return bool(
            store.due_applications(connection, site, now)
            or any(project.concerns(site) for project in store.projects_without_application(connection, site))
        )

    def send_due(self, connection: Connection, site: str, now: datetime) -> list[PermitApplication]:
        """Return the applications that a site is to be sent now, and note that they were sent."""
        for project in store.projects_without_application(connection, site):
            if project.concerns(site):
                identity = rules.permit_id(project.id, site)
                store.put_application(connection, identity, project.id, site, now)
        sent = []
        for applied, project_id in store.due_applications(connection, site, now):
            asking = store.find_project(connection, project_id)
            if asking is not None:
                store.sent_application(connection, applied.permit_id, rules.next_due(applied.sent, now))
                sent.append(PermitApplication(request=rules.permit_request(asking, site)))
        return sent

    def _replayed(
        self, connection: Connection, application: ProjectApplication, caller: PersonCaller
    ) -> rules.KeptProject | None:
        if application.idempotency_key is None:
            return None
        known = store.find_by_key(connection, caller.name, application.idempotency_key)
        if known is not None and known.application.digest() != application.digest():
            raise Conflict("idempotency.differs", "this key was used for another project", "use a new key")
        return known

    def _opened(
        self, act: Deciding, application: ProjectApplication, caller: PersonCaller
    ) -> rules.KeptProject:
        people = tuple(dict.fromkeys((caller.name, *application.people)))
        self._check_known(act.connection, people, application.sites or ())
        number = store.next_number(act.connection)
        project = rules.KeptProject(
            id=rules.project_id(number),
            application=application,
            people=people,
            scope=rules.scope_of(application, act.now),
            applied_by=caller.name,
            applied_at=act.now,
        )
        store.put_project(act.connection, project, number)
        act.record(
            Decision(caller.actor, Action.PROJECT_APPLIED, project.id, {"digest": application.digest()})
        )
        return project

    def _check_known(self, connection: Connection, people: tuple[str, ...], sites: tuple[str, ...]) -> None:
        if set(people) - accounts_store.active_names(connection, set(people)):
            raise Unprocessable(
                "project.unknown_person",
                "a person of the project is not known to the hub",
                "an operator adds people: atoll-hub users add NAME",
            )
        if set(sites) - {kept.site for kept in nodes_store.all_sites(connection)}:
            raise Unprocessable(
                "site.unknown", "a site of the project is not known", "list them: GET /v1/sites"
            )

    def _keep(self, statement: PermitStatement, caller: NodeCaller, key: dict[str, Any]) -> None:
        permit = _stated(statement.token, key)
        with self._journal.deciding() as act:
            project = store.find_project(act.connection, permit.project)
            if project is None or not project.concerns(caller.site):
                raise Missing(
                    "permit.unknown",
                    "no project asks this site for this permit",
                    "decide on sent requests only",
                )
            rules.check_statement(permit, project, caller.site)
            if rules.supersedes(permit, store.find_permit(act.connection, permit.permit_id)):
                store.put_permit(act.connection, permit, statement.token, act.now)
                detail = {"state": permit.state, "revision": permit.revision, "digest": permit.digest()}
                act.record(Decision(caller.actor, Action.PERMIT_KEPT, permit.permit_id, detail))

    def _view(self, connection: Connection, project: rules.KeptProject) -> ProjectView:
        sites = [kept.site for kept in nodes_store.all_sites(connection)]
        return rules.project_view(project, sites, store.permits_of(connection, project.id))


def site_topic(site: str) -> str:
    """Return the topic on which a site's node waits for news."""
    return f"site:{site}"


def _stated(token: str, key: dict[str, Any]) -> Permit:
    try:
        return Permit.model_validate_json(verified(token, key, PERMIT_TYPE))
    except (BadSignature, ValidationError) as error:
        raise Unprocessable(
            "permit.signature",
            "the statement is not a permit signed by this node's key",
            "enrol the node again",
        ) from error


def _no_project() -> Missing:
    return Missing(
        "project.unknown",
        "there is no such project, or you are not among its people",
        "list yours: GET /v1/projects",
    )
