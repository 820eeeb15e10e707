"""Give the operator the hub's commands."""

import getpass
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, TypeVar

import typer
from pydantic import BaseModel, TypeAdapter, ValidationError

from atoll_hub import __version__
from atoll_hub.access import PersonCaller
from atoll_hub.app import create_app
from atoll_hub.bootstrap import open_hub
from atoll_hub.console import out, print_json, print_table, reported
from atoll_hub.errors import SettingsError
from atoll_hub.home import HubHome
from atoll_hub.server import Listening, check_listening, open_socket, serve
from atoll_hub.settings import read_settings
from atoll_hub.setup import prepare
from atoll_hub.wiring import Hub
from atoll_schemas.people import NewInvitation, NewPerson, ProjectApplication, ProjectView, Role
from atoll_schemas.problems import ExitCode
from atoll_schemas.query import METHODS, SiteName

M = TypeVar("M", bound=BaseModel)
DEFAULT_HOME = Path("~/.atoll-hub")
SQLITE = "sqlite:///state/hub.sqlite"
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def _commands(text: str) -> typer.Typer:
    return typer.Typer(help=text, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)


app = _commands("Run an Atoll hub: people, sites, projects, queries and their audit chain.")
users_app = _commands("People, their roles and tokens.")
sites_app = _commands("Sites and their enrolment codes.")
projects_app = _commands("Projects, and how each site stands to them.")
audit_app = _commands("The chain of the hub's decisions.")
for name, commands in (
    ("users", users_app),
    ("sites", sites_app),
    ("projects", projects_app),
    ("audit", audit_app),
):
    app.add_typer(commands, name=name)


def _print_version(wanted: bool) -> None:
    if wanted:
        out.print(f"atoll-hub {__version__}")
        raise typer.Exit


@app.callback()
def choose_home(
    context: typer.Context,
    home: Annotated[Path, typer.Option(envvar="ATOLL_HUB_HOME", help="The hub's folder.")] = DEFAULT_HOME,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Run an Atoll hub: people, sites, projects, queries and their audit chain."""
    del version
    context.obj = HubHome(home.expanduser().resolve())


@app.command()
def init(
    context: typer.Context,
    database_url: Annotated[
        str, typer.Option(help="For example postgresql+pg8000://atoll@127.0.0.1:5432/atoll")
    ] = SQLITE,
    as_json: JsonOption = False,
) -> None:
    """Make settings, signing key and database; safe to run again, and after an update.

    Example: atoll-hub --home /srv/atoll-hub init
    """
    home: HubHome = context.obj
    with reported(as_json):
        made = prepare(home, database_url)
    if as_json:
        print_json({"hub_id": made.hub_id, "fingerprint": made.fingerprint, "home": str(home.root)})
        return
    out.print(f"{made.hub_id} is ready in {home.root}")
    out.print(f"key fingerprint {made.fingerprint}")
    out.print("→ atoll-hub users add NAME --role operator, then: atoll-hub up")


@app.command()
def up(
    context: typer.Context,
    host: Annotated[str | None, typer.Option(help="Else [server] host.")] = None,
    port: Annotated[int | None, typer.Option(min=1, max=65_535, help="Else [server] port.")] = None,
    tls_cert: Annotated[Path | None, typer.Option(help="A certificate chain (PEM).")] = None,
    tls_key: Annotated[Path | None, typer.Option(help="The certificate's key (PEM).")] = None,
) -> None:
    """Serve until stopped. Plain http only on loopback.

    Example: atoll-hub up --port 8700
    """
    home: HubHome = context.obj
    with reported():
        settings = read_settings(home)
        listening = Listening(
            host=host or settings.server.host,
            port=port or settings.server.port,
            tls_cert=tls_cert or _below(home, settings.server.tls_cert),
            tls_key=tls_key or _below(home, settings.server.tls_key),
        )
        check_listening(listening)
        hub = open_hub(home, listening.address)
        hub.database.require_revision()
        opened = open_socket(listening)
        out.print(f"{hub.hub_id} listens on {listening.address} (Ctrl-C stops it)")
        serve(create_app(hub), opened, listening, hub.wakes, settings.log_level)
        hub.close()


@users_app.command("add")
def add_user(
    context: typer.Context,
    name: str,
    role: Annotated[Role, typer.Option(help="What the person may do.")] = Role.RESEARCHER,
    days: Annotated[int, typer.Option(help="How long the token lasts.")] = 90,
    as_json: JsonOption = False,
) -> None:
    """Add a person and print their token, this once.

    Example: atoll-hub users add ada --role researcher
    """
    with _opened(context, as_json) as hub:
        new = _checked(NewPerson, {"name": name, "role": role, "token_days": days})
        made = hub.accounts.add(new, _operator())
    if as_json:
        print_json(made)
        return
    out.print(made.token)
    out.print(f"→ {name} keeps this token; it is not shown again and ends {made.expires_at:%Y-%m-%d}")


@users_app.command("list")
def list_users(context: typer.Context, as_json: JsonOption = False) -> None:
    """List people."""
    with _opened(context, as_json) as hub:
        people = hub.accounts.everybody()
    if as_json:
        print_json(people)
        return
    rows = [
        (one.name, one.role.value, "revoked" if one.revoked_at else "active", one.token_expires_at or "-")
        for one in people
    ]
    print_table(("name", "role", "state", "token ends"), rows)


@users_app.command("revoke")
def revoke_user(context: typer.Context, name: str) -> None:
    """Shut a person out; their tokens end at once."""
    with _opened(context) as hub:
        hub.accounts.revoke(name, _operator())
    out.print(f"{name} is shut out")


@sites_app.command("invite")
def invite_site(
    context: typer.Context,
    site: str,
    title: Annotated[str | None, typer.Option(help="The hospital's name.")] = None,
    hours: Annotated[int, typer.Option(help="How long the code holds.")] = 72,
    as_json: JsonOption = False,
) -> None:
    """Print a one-time enrolment code for a site, this once.

    Example: atoll-hub sites invite north --title "North Hospital"
    """
    with _opened(context, as_json) as hub:
        _checked_site(site)
        made = hub.nodes.invite(
            site, _checked(NewInvitation, {"title": title, "valid_hours": hours}), _operator()
        )
    if as_json:
        print_json(made)
        return
    out.print(made.code)
    out.print(f"→ at the site: atoll-node enroll CODE (until {made.expires_at:%Y-%m-%d %H:%M} UTC)")


@sites_app.command("list")
def list_sites(context: typer.Context, as_json: JsonOption = False) -> None:
    """List sites, whether their nodes are there, and what they offer."""
    with _opened(context, as_json) as hub:
        offers = hub.catalog.offers()
        sites = [one.model_copy(update={"datasets": offers.get(one.site, ())}) for one in hub.nodes.sites()]
    if as_json:
        print_json(sites)
        return
    rows = [(one.site, one.title, one.state, one.last_seen or "-", " ".join(one.datasets)) for one in sites]
    print_table(("site", "title", "state", "last seen", "datasets"), rows)


@projects_app.command("add")
def add_project(
    context: typer.Context,
    title: str,
    purpose: Annotated[str, typer.Option(help="What the answers are for; stewards read it.")],
    dataset: Annotated[list[str], typer.Option(help="May be given several times.")],
    by: Annotated[str, typer.Option(help="The person who applies.")],
    person: Annotated[list[str] | None, typer.Option(help="Further people; several times.")] = None,
    method: Annotated[list[str] | None, typer.Option(help="Else every method.")] = None,
    site: Annotated[list[str] | None, typer.Option(help="Else every site.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Open a project for a person and ask the sites for permits; each site's steward decides.

    Example: atoll-hub projects add "Stage III colon" --purpose "…" --dataset colon --by ada
    """
    facts = {
        "title": title,
        "purpose": purpose,
        "datasets": dataset,
        "people": person or [],
        "methods": method or METHODS,
        "sites": site,
    }
    with _opened(context, as_json) as hub:
        made = hub.governance.apply(
            _checked(ProjectApplication, facts), PersonCaller(name=by, role=Role.RESEARCHER)
        )
    _print_projects([made], as_json, single=True)


@projects_app.command("list")
def list_projects(context: typer.Context, as_json: JsonOption = False) -> None:
    """List projects."""
    with _opened(context, as_json) as hub:
        found = hub.governance.projects(PersonCaller(name=_operator(), role=Role.OPERATOR))
    _print_projects(found, as_json)


@projects_app.command("show")
def show_project(context: typer.Context, project: str, as_json: JsonOption = False) -> None:
    """Show one project and how each site stands to it."""
    with _opened(context, as_json) as hub:
        found = hub.governance.project(project, PersonCaller(name=_operator(), role=Role.OPERATOR))
    _print_projects([found], as_json, single=True)
    if not as_json:
        print_table(
            ("site", "permit", "state", "revision"),
            [(one.site, one.permit_id, one.state, one.revision) for one in found.permits],
        )


@audit_app.command("verify")
def verify_audit(context: typer.Context, as_json: JsonOption = False) -> None:
    """Check the whole chain offline: any flip, deletion or cut end is found (exit code 1)."""
    with _opened(context, as_json) as hub:
        found = hub.journal.verify()
    if as_json:
        flaws = [{"sequence": flaw.sequence, "what": flaw.what} for flaw in found.flaws]
        print_json({"holds": found.holds, "entries": found.entries, "flaws": flaws})
    else:
        for flaw in found.flaws:
            out.print(f"entry {flaw.sequence}: {flaw.what}", style="red")
        out.print(f"{found.entries} entries, {'the chain holds' if found.holds else 'the chain is broken'}")
        if found.beyond_head:
            out.print(f"{found.beyond_head} of them are not signed yet; the hub signs them when it starts")
    if not found.holds:
        raise typer.Exit(ExitCode.ERROR)


@audit_app.command("export")
def export_audit(context: typer.Context) -> None:
    """Print the chain as JSON lines, oldest first."""
    with _opened(context) as hub:
        for entry in hub.journal.entries():
            print_json(entry)


@contextmanager
def _opened(context: typer.Context, as_json: bool = False) -> Iterator[Hub]:
    with reported(as_json):
        hub = open_hub(context.obj)
        try:
            hub.database.require_revision()
            yield hub
        finally:
            hub.close()


def _checked(kind: type[M], facts: Mapping[str, object]) -> M:
    try:
        return kind.model_validate(facts)
    except ValidationError as error:
        places = "; ".join(f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors())
        raise SettingsError("command.invalid", places, "see --help") from error


def _checked_site(site: str) -> None:
    try:
        TypeAdapter(SiteName).validate_python(site)
    except ValidationError as error:
        raise SettingsError(
            "command.invalid", "a site's name is lower-case letters, digits and dashes", "for example: north"
        ) from error


def _print_projects(found: list[ProjectView], as_json: bool, single: bool = False) -> None:
    if as_json:
        print_json(found[0] if single else found)
        return
    rows = [
        (one.id, one.title, " ".join(one.people), f"{sum(p.state == 'active' for p in one.permits)} active")
        for one in found
    ]
    print_table(("project", "title", "people", "permits"), rows)


def _below(home: HubHome, file: Path | None) -> Path | None:
    return None if file is None else home.root / file


def _operator() -> str:
    return f"shell:{getpass.getuser()}"
