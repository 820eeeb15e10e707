"""Keep projects, their applications at the sites, and permits as the sites signed them."""

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from atoll_hub.database import Moment, metadata
from atoll_hub.governance.rules import Applied, KeptProject
from atoll_schemas.people import ProjectApplication
from atoll_schemas.permits import Permit, Scope

projects = sa.Table(
    "projects",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("number", sa.Integer, nullable=False, unique=True),
    sa.Column("application", sa.Text, nullable=False),
    sa.Column("scope", sa.Text, nullable=False),
    sa.Column("applied_by", sa.Text, nullable=False),
    sa.Column("applied_at", Moment, nullable=False),
    sa.Column("idempotency_key", sa.Text),
    sa.UniqueConstraint("applied_by", "idempotency_key", name="one_project_per_key"),
)
project_people = sa.Table(
    "project_people",
    metadata,
    sa.Column("project", sa.Text, sa.ForeignKey("projects.id"), primary_key=True),
    sa.Column("name", sa.Text, sa.ForeignKey("people.name"), primary_key=True, index=True),
    sa.Column("place", sa.Integer, nullable=False),
)
applications = sa.Table(
    "applications",
    metadata,
    sa.Column("permit_id", sa.Text, primary_key=True),
    sa.Column("project", sa.Text, sa.ForeignKey("projects.id"), nullable=False),
    sa.Column("site", sa.Text, sa.ForeignKey("sites.site"), nullable=False, index=True),
    sa.Column("sent", sa.Integer, nullable=False),
    sa.Column("due_at", Moment, nullable=False),
)
permits = sa.Table(
    "permits",
    metadata,
    sa.Column("permit_id", sa.Text, primary_key=True),
    sa.Column("project", sa.Text, sa.ForeignKey("projects.id"), nullable=False, index=True),
    sa.Column("site", sa.Text, sa.ForeignKey("sites.site"), nullable=False, index=True),
    sa.Column("revision", sa.BigInteger, nullable=False),
    sa.Column("permit", sa.Text, nullable=False),
    sa.Column("token", sa.Text, nullable=False),
    sa.Column("received_at", Moment, nullable=False),
)


def next_number(connection: Connection) -> int:
    """Return the number of the next project."""
    return (
        int(connection.execute(sa.select(sa.func.coalesce(sa.func.max(projects.c.number), 0))).scalar_one())
        + 1
    )


def put_project(connection: Connection, project: KeptProject, number: int) -> None:
    """Keep a new project and its people."""
    connection.execute(
        sa.insert(projects).values(
            id=project.id,
            number=number,
            application=project.application.model_dump_json(exclude_none=True),
            scope=project.scope.model_dump_json(),
            applied_by=project.applied_by,
            applied_at=project.applied_at,
            idempotency_key=project.application.idempotency_key,
        )
    )
    rows = [
        {"project": project.id, "name": name, "place": place} for place, name in enumerate(project.people)
    ]
    connection.execute(sa.insert(project_people), rows)


def find_project(connection: Connection, identity: str) -> KeptProject | None:
    """Return one project."""
    found = _projects(connection, projects.c.id == identity)
    return found[0] if found else None


def find_by_key(connection: Connection, applied_by: str, key: str) -> KeptProject | None:
    """Return the project that a person applied for with an idempotency key."""
    found = _projects(connection, (projects.c.applied_by == applied_by) & (projects.c.idempotency_key == key))
    return found[0] if found else None


def all_projects(connection: Connection) -> list[KeptProject]:
    """Return every project, oldest first."""
    return _projects(connection, sa.true())


def projects_of(connection: Connection, name: str) -> list[str]:
    """Return the ids of the projects that a person belongs to."""
    rows = sa.select(project_people.c.project).where(project_people.c.name == name)
    return list(connection.execute(rows.order_by(project_people.c.project)).scalars())


def projects_without_application(connection: Connection, site: str) -> list[KeptProject]:
    """Return the projects for which this site has no application on record."""
    applied = sa.select(applications.c.project).where(applications.c.site == site)
    return _projects(connection, projects.c.id.not_in(applied))


def put_application(connection: Connection, permit_id: str, project: str, site: str, due: datetime) -> None:
    """Note that a site is to be sent a project's application."""
    connection.execute(
        sa.insert(applications).values(permit_id=permit_id, project=project, site=site, sent=0, due_at=due)
    )


def due_applications(connection: Connection, site: str, now: datetime) -> list[tuple[Applied, str]]:
    """Return (application, project) of those that a site is to be sent now: due and without a statement."""
    rows = connection.execute(
        sa.select(applications)
        .outerjoin(permits, permits.c.permit_id == applications.c.permit_id)
        .where((applications.c.site == site) & (applications.c.due_at <= now) & permits.c.permit_id.is_(None))
        .order_by(applications.c.permit_id)
    )
    return [(Applied(row.permit_id, row.sent, row.due_at), row.project) for row in rows]


def sent_application(connection: Connection, permit_id: str, due: datetime) -> None:
    """Note that an application was sent, and when to send it again."""
    connection.execute(
        sa.update(applications)
        .where(applications.c.permit_id == permit_id)
        .values(sent=applications.c.sent + 1, due_at=due)
    )


def find_permit(connection: Connection, permit_id: str) -> Permit | None:
    """Return a permit as its site last stated it."""
    row = connection.execute(sa.select(permits.c.permit).where(permits.c.permit_id == permit_id)).first()
    return None if row is None else Permit.model_validate_json(row.permit)


def put_permit(connection: Connection, permit: Permit, token: str, now: datetime) -> None:
    """Keep a statement in the place of the one before."""
    connection.execute(sa.delete(permits).where(permits.c.permit_id == permit.permit_id))
    connection.execute(
        sa.insert(permits).values(
            permit_id=permit.permit_id,
            project=permit.project,
            site=permit.site,
            revision=permit.revision,
            permit=permit.model_dump_json(),
            token=token,
            received_at=now,
        )
    )


def permits_of(connection: Connection, project: str) -> dict[str, Permit]:
    """Return a project's permits by site."""
    rows = connection.execute(sa.select(permits.c.site, permits.c.permit).where(permits.c.project == project))
    return {row.site: Permit.model_validate_json(row.permit) for row in rows}


def _projects(connection: Connection, chosen: sa.ColumnElement[bool]) -> list[KeptProject]:
    rows = connection.execute(sa.select(projects).where(chosen).order_by(projects.c.number)).all()
    members: dict[str, list[str]] = {row.id: [] for row in rows}
    if not rows:
        return []
    people = sa.select(project_people).where(project_people.c.project.in_(list(members)))
    for row in connection.execute(people.order_by(project_people.c.place)):
        members[row.project].append(row.name)
    return [_project(row, members[row.id]) for row in rows]


def _project(row: sa.Row[Any], people: list[str]) -> KeptProject:
    return KeptProject(
        id=row.id,
        application=ProjectApplication.model_validate_json(row.application),
        people=tuple(people),
        scope=Scope.model_validate_json(row.scope),
        applied_by=row.applied_by,
        applied_at=row.applied_at,
    )
