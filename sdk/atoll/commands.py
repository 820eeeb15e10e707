"""Do what the ``atoll`` command is told: ask the hub, show the answer, return an exit code."""

import json
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import wraps
from getpass import getpass
from io import TextIOWrapper
from pathlib import Path
from typing import Concatenate, NoReturn, ParamSpec

from atoll import credentials, terminal
from atoll.cohort import Cohort
from atoll.errors import AtollError, Invalid, MissingExtra, NoAnswer
from atoll.hub import Hub, Run
from atoll.options import Options, asking
from atoll.question import Attrition
from atoll.result import Result
from atoll.views import View, shown
from atoll_schemas.contract import Contract
from atoll_schemas.people import DatasetView, ProjectView
from atoll_schemas.problems import ExitCode
from atoll_schemas.protocol import QuerySummary
from atoll_schemas.query import CategoryValue, Demographic, Method, Presence, TrialArm, Variable

P = ParamSpec("P")
_NOBODY_MAY = frozenset({"refused", "no_permit"})


def told(command: Callable[Concatenate[bool, P], int]) -> Callable[Concatenate[bool, P], NoReturn]:
    """Run a command and leave with its exit code; say an error on standard error, or as JSON."""

    @wraps(command)
    def run(as_json: bool, /, *args: P.args, **kwargs: P.kwargs) -> NoReturn:
        _speak_any_encoding()
        try:
            code = command(as_json, *args, **kwargs)
            sys.stdout.flush()
        except AtollError as error:
            _explain(error, as_json)
            code = error.exit_code
        except BrokenPipeError:
            # The reader of our output has left; there is nobody to tell.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            code = ExitCode.ERROR
        except OSError as error:
            _explain(_of_a_file(error), as_json)
            code = ExitCode.ERROR
        raise SystemExit(int(code))

    return run


def _speak_any_encoding() -> None:
    """Write what an old terminal's or pipe's encoding lacks (``≥``) as an escape instead of failing."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _of_a_file(error: OSError) -> AtollError:
    return Invalid("file", f"a file cannot be written or read: {error.strerror or type(error).__name__}")


def _explain(error: AtollError, as_json: bool) -> None:
    if as_json:
        print_json(error.problem().wire())
    trace = f"\n  trace {terminal.clean(error.trace_id)}" if error.trace_id else ""
    step = f"\n  {terminal.clean(error.next_step)}" if error.next_step else ""
    sys.stderr.write(f"atoll: {terminal.clean(error.message)} [{terminal.clean(error.code)}]{step}{trace}\n")


def print_json(value: object) -> None:
    """Print JSON, in escapes where the output's encoding does not hold every sign."""
    unicode = (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=not unicode) + "\n")


def _listed(as_json: bool, items: Iterable[Contract], view: Callable[[], View]) -> int:
    if as_json:
        print_json([item.wire() for item in items])
    else:
        terminal.show([view()])
    return ExitCode.OK


@told
def login(as_json: bool, hub: str, token_file: Path | None, ca_file: Path | None) -> int:
    """Check a token at the hub and keep it."""
    account = credentials.checked(
        hub,
        _given_token(token_file),
        None if ca_file is None else str(ca_file),
        plain_http=os.environ.get("ATOLL_PLAIN_HTTP") == "1",
    )
    with Hub.of(account) as opened:
        me = opened.me()
    path = credentials.file_path(os.environ)
    credentials.save(account, path)
    if as_json:
        print_json(me.wire())
    else:
        projects = ", ".join(me.projects) or "no project yet"
        sys.stdout.write(
            f"Signed in to {account.hub} as {terminal.clean(me.name)} ({me.role.value}); {projects}.\n"
            f"The token is valid until {me.token_expires_at:%Y-%m-%d} and kept in {path}.\n"
        )
    return ExitCode.OK


def _given_token(token_file: Path | None) -> str:
    if token_file is not None and str(token_file) != "-":
        return credentials.read_token(token_file)
    if token_file is None and sys.stdin.isatty():
        return getpass("Token: ")
    return sys.stdin.readline().strip()


@told
def sites(as_json: bool) -> int:
    """List the hospitals."""
    with Hub.from_env() as hub:
        found = hub.sites()
    rows = tuple(
        (
            site.site,
            site.title,
            site.state,
            f"{site.last_seen:%Y-%m-%d %H:%M}" if site.last_seen else "–",
            ", ".join(site.datasets),
        )
        for site in found
    )
    return _listed(
        as_json, found, lambda: View("Sites", ("site", "title", "state", "last seen", "datasets"), rows)
    )


@told
def datasets(as_json: bool, words: str | None) -> int:
    """List or search the datasets."""
    with Hub.from_env() as hub:
        found = hub.datasets(words)
    header = ("dataset", "site", "persons", "years", "release", "found in")
    return _listed(as_json, found, lambda: View("Datasets", header, tuple(_dataset_rows(found))))


def _dataset_rows(found: Sequence[DatasetView]) -> Iterable[tuple[str, ...]]:
    for view in found:
        for entry in view.sites:
            years = "–" if entry.first_year is None else f"{entry.first_year} to {entry.last_year}"
            banner = " (synthetic)" if entry.synthetic else ""
            yield (
                view.dataset + banner,
                entry.site,
                shown(entry.persons),
                years,
                entry.release,
                ", ".join(view.matches),
            )


@told
def variables(as_json: bool, dataset: str) -> int:
    """List what may be asked of a dataset by name."""
    with Hub.from_env() as hub:
        found = hub.variables(dataset)
    if as_json:
        print_json(found.wire())
        return ExitCode.OK
    header = ("name", "label", "kind", "levels or edges", "sites")
    rows = [
        (at.variable.name, at.variable.label or "", *_described(at.variable), ", ".join(at.sites))
        for at in found.variables
    ]
    outcomes = tuple(
        (at.outcome.name, at.outcome.label or "", at.outcome.definition.kind, "", ", ".join(at.sites))
        for at in found.outcomes
    )
    notes = ("Everywhere: sex, age, race, ethnicity, birth_year, index_year; the outcome death.",)
    terminal.show([View("Variables", header, tuple(rows), notes), View("Outcomes", header, outcomes)])
    return ExitCode.OK


def _described(variable: Variable) -> tuple[str, str]:
    definition = variable.definition
    if isinstance(definition, CategoryValue | TrialArm):
        return definition.kind.replace("_", " "), ", ".join(level.label for level in definition.levels)
    if isinstance(definition, Presence):
        return "presence", "yes, no"
    edges = ", ".join(f"{edge:g}" for edge in variable.edges)
    unit = f" {variable.unit}" if variable.unit else ""
    kind = definition.field if isinstance(definition, Demographic) else "number"
    return kind, f"{edges}{unit}"


@told
def projects(as_json: bool) -> int:
    """List the projects and how each site's permit stands."""
    with Hub.from_env() as hub:
        found = hub.projects()
    header = ("project", "title", "datasets", "permits")
    return _listed(as_json, found, lambda: View("Projects", header, tuple(map(_project_row, found))))


def _project_row(project: ProjectView) -> tuple[str, ...]:
    permits = ", ".join(f"{permit.site} {permit.state}" for permit in project.permits)
    return (project.id, project.title, ", ".join(project.scope.datasets), permits)


@told
def queries(as_json: bool, project: str | None, limit: int) -> int:
    """List the latest queries."""
    with Hub.from_env() as hub:
        found = hub.queries(project, limit)
    header = ("query", "project", "dataset", "method", "state", "sites", "asked at", "by")
    return _listed(as_json, found, lambda: View("Queries", header, tuple(map(_query_row, found))))


def _query_row(query: QuerySummary) -> tuple[str, ...]:
    return (
        query.query_id,
        query.project,
        query.dataset,
        query.method,
        query.state,
        f"{query.answered} of {query.asked}",
        f"{query.submitted_at:%Y-%m-%d %H:%M}",
        query.submitted_by,
    )


@dataclass(frozen=True)
class Output:
    """Where an answer goes besides the screen, and whether to wait for it."""

    csv: Path | None = None
    svg: Path | None = None
    wait: bool = True
    timeout: float | None = None


@dataclass(frozen=True)
class Question:
    """A question as it stands on the command line."""

    method: Method
    cohort: Path
    variables: tuple[str, ...] = ()
    by: tuple[str, ...] = ()
    outcome: str | None = None
    max_days: int | None = None
    attrition: Attrition | None = None
    edges: tuple[str, ...] = ()


@told
def ask(as_json: bool, question: Question, options: Options, output: Output) -> int:
    """Ask, show the progress and the answer."""
    if question.edges:
        options = {**options, "edges": dict(map(_edges, question.edges))}
    asked = asking(
        Cohort.from_circe(question.cohort),
        question.method,
        options,
        variables=question.variables,
        by=question.by,
        outcome=question.outcome,
        max_days=question.max_days,
        attrition=question.attrition,
    )
    with Hub.from_env() as hub:
        run = hub.ask(asked)
        if not output.wait:
            print_json({"query_id": run.id}) if as_json else sys.stdout.write(run.id + "\n")
            return ExitCode.OK
        return _finish(hub, run, as_json, output)


def _edges(text: str) -> tuple[str, list[float]]:
    """Read ``age=40,50,60``."""
    name, _, numbers = text.partition("=")
    try:
        return name.strip(), [float(number) for number in numbers.split(",")]
    except ValueError:
        raise Invalid(
            "edges.form", "edges read NAME=NUMBER,NUMBER,…", "Such as --edges age=40,50,60."
        ) from None


@told
def show(as_json: bool, query_id: str, output: Output) -> int:
    """Show the answer to a query that was asked before."""
    with Hub.from_env() as hub:
        run = hub.run(query_id)
        if output.wait:
            return _finish(hub, run, as_json, output)
        return _report(run.peek(), as_json, output)


def _finish(hub: Hub, run: Run, as_json: bool, output: Output) -> int:
    try:
        if output.timeout is None:
            board = terminal.Board.of(f"Query {run.id}", hub.query(run.id).sites)
            terminal.follow(board, run.events())
        return _report(run.result(output.timeout), as_json, output)
    except KeyboardInterrupt:
        sys.stderr.write(
            f"\nQuery {run.id} goes on at the hub: `atoll show {run.id}`, `atoll cancel {run.id}`.\n"
        )
        return 130


def _report(result: Result, as_json: bool, output: Output) -> int:
    if as_json:
        print_json(result.to_dict())
    else:
        sys.stdout.write(f"{result.headline} · {result.state} · {result.id}\n\n")
        terminal.show(result.views())
        if result.contract.problem is not None:
            problem = result.contract.problem
            sys.stderr.write(f"atoll: {terminal.clean(problem.detail or problem.title)} [{problem.code}]\n")
    try:
        _write_files(result, output)
    except (MissingExtra, NoAnswer, OSError) as error:
        # The answer is printed already: a second JSON text on standard output would spoil it.
        _explain(_of_a_file(error) if isinstance(error, OSError) else error, as_json=False)
        return exit_code(result) or ExitCode.ERROR if isinstance(error, NoAnswer) else ExitCode.ERROR
    return exit_code(result)


def _write_files(result: Result, output: Output) -> None:
    if output.csv is not None:
        result.to_csv(output.csv)
    if output.svg is not None:
        result.save_svg(output.svg)


def exit_code(result: Result) -> int:
    """Return 0 for a complete answer, 3 for a partial one, 5 when every silent site said no, else 1."""
    if result.state in ("complete", "running"):
        return ExitCode.OK if result.contract.problem is None else ExitCode.ERROR
    if result.state == "partial":
        return ExitCode.PARTIAL
    silent = {site.state for site in result.sites if site.state != "answered"}
    return ExitCode.REFUSED if silent and silent <= _NOBODY_MAY else ExitCode.ERROR


@told
def cancel(as_json: bool, query_id: str) -> int:
    """Stop a query."""
    with Hub.from_env() as hub:
        summary = hub.cancel(query_id)
    if as_json:
        print_json(summary.wire())
    else:
        sys.stdout.write(f"{summary.query_id} is {summary.state}.\n")
    return ExitCode.OK
