"""Declare the ``atoll`` command. What it does is in ``commands``, which loads only when it is needed."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

import atoll

if TYPE_CHECKING:
    from atoll.options import Options

app = typer.Typer(
    name="atoll",
    help="Ask hospitals a question; get a cleared answer and how many sites stand behind it.",
    epilog=(
        "Exit codes: 0 ok, 1 error, 2 usage, 3 partial (some sites did not answer), 4 sign-in, "
        "5 refused, 6 not found, 7 unreachable."
    ),
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

cohort_app = typer.Typer(
    help="Check a cohort, tell it in words, compare two.",
    no_args_is_help=True,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(cohort_app, name="cohort")

Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")]
CohortFile = Annotated[
    Path, typer.Argument(help="A file of Circe JSON, as ATLAS exports it.", metavar="COHORT")
]
Project = Annotated[
    str, typer.Option("--project", "-p", envvar="ATOLL_PROJECT", help="The project, such as P-001.")
]
Dataset = Annotated[
    str | None, typer.Option("--dataset", "-d", help="The dataset; may be left out if the project has one.")
]
Site = Annotated[list[str] | None, typer.Option("--site", "-s", help="Ask only this site; may be repeated.")]
Deadline = Annotated[int, typer.Option("--deadline", help="Seconds after which an answer is late.")]
Minimum = Annotated[
    int | None,
    typer.Option("--minimum-persons", help="Withhold cells below this, if stricter than the sites."),
]
Edges = Annotated[
    list[str] | None, typer.Option("--edges", help="Bin edges of a number, such as age=40,50,60.")
]
Variables = Annotated[
    list[str], typer.Option("--variable", "-v", help="A variable of the dataset; may be repeated.")
]
NoWait = Annotated[bool, typer.Option("--no-wait", help="Print the query's id and leave.")]
Csv = Annotated[Path | None, typer.Option("--csv", help="Write the figures to this file.")]
Svg = Annotated[Path | None, typer.Option("--svg", help="Draw the chart into this file (needs atoll[plot]).")]
QueryId = Annotated[str, typer.Argument(help="The query's id.", metavar="QUERY")]


def _options(
    project: str, dataset: str | None, site: list[str] | None, deadline: int, minimum: int | None
) -> "Options":
    options: Options = {"project": project, "deadline": deadline}
    if dataset is not None:
        options["dataset"] = dataset
    if site:
        options["sites"] = site
    if minimum is not None:
        options["minimum_persons"] = minimum
    return options


def _one_cohort(argument: Path | None, option: Path | None) -> Path:
    if (argument is None) == (option is None):
        raise typer.BadParameter("name one cohort: as COHORT or with --cohort FILE")
    return argument or option or Path()


@app.command(epilog="Example: atoll login --hub https://hub.example.org --token-file token.txt")
def login(
    hub: Annotated[str, typer.Option("--hub", envvar="ATOLL_HUB", help="The hub's address.")],
    token_file: Annotated[
        Path | None, typer.Option("--token-file", help="Read the token from a file; - is standard input.")
    ] = None,
    ca_file: Annotated[
        Path | None,
        typer.Option("--ca-file", envvar="ATOLL_CA_FILE", help="PEM file of your own certificate authority."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Sign in: check a token at the hub and keep it in a file that only you can read."""
    atoll.commands.login(as_json, hub, token_file, ca_file)


@app.command(epilog="Example: atoll sites --json")
def sites(as_json: Json = False) -> None:
    """List the hospitals and whether their nodes are online."""
    atoll.commands.sites(as_json)


@app.command(epilog="Example: atoll datasets colon cancer")
def datasets(
    words: Annotated[list[str] | None, typer.Argument(help="Words to search for.")] = None,
    as_json: Json = False,
) -> None:
    """List the datasets, or search them."""
    atoll.commands.datasets(as_json, " ".join(words) if words else None)


@app.command(epilog="Example: atoll variables colon")
def variables(
    dataset: Annotated[str, typer.Argument(help="The dataset's name.")], as_json: Json = False
) -> None:
    """List the variables and outcomes that may be asked of a dataset by name."""
    atoll.commands.variables(as_json, dataset)


@app.command(epilog="Example: atoll projects")
def projects(as_json: Json = False) -> None:
    """List your projects and how each site's permit stands."""
    atoll.commands.projects(as_json)


@cohort_app.command(epilog="Example: atoll cohort check stage3_colon.json --dataset colon")
def check(
    file: CohortFile,
    dataset: Annotated[
        str | None, typer.Option("--dataset", "-d", help="Only the sites that offer this dataset.")
    ] = None,
    offline: Annotated[bool, typer.Option("--offline", help="Read the file only; ask no hub.")] = False,
    as_json: Json = False,
) -> None:
    """Say whether a file holds a cohort, and which sites can run it, or why not.

    Exit codes: 0 every site can run it, 3 some can, 1 none can, 2 the file holds no cohort.
    """
    atoll.cohort_commands.check(as_json, file, dataset, offline)


@cohort_app.command(epilog="Example: atoll cohort explain stage3_colon.json --lang fr")
def explain(
    file: CohortFile,
    lang: Annotated[Literal["en", "fr"], typer.Option("--lang", "-l", help="English or French.")] = "en",
    as_json: Json = False,
) -> None:
    """Tell a cohort in plain words: who enters, who stays, when it ends."""
    atoll.cohort_commands.explain(as_json, file, lang)


@cohort_app.command(epilog="Example: atoll cohort diff stage3_colon.json stage3_colon_v2.json")
def diff(
    before: CohortFile,
    after: Annotated[Path, typer.Argument(help="The cohort to compare with.", metavar="OTHER")],
    as_json: Json = False,
) -> None:
    """Compare two cohorts by what they mean. Exit codes: 0 the same, 1 different."""
    atoll.cohort_commands.diff(as_json, before, after)


@app.command(epilog="Example: atoll count --cohort stage3_colon.json -p P-001 --by sex --by arm")
def count(
    project: Project,
    cohort: Annotated[
        Path | None, typer.Argument(help="A file of Circe JSON, as ATLAS exports it.", metavar="COHORT")
    ] = None,
    cohort_file: Annotated[
        Path | None, typer.Option("--cohort", "-c", help="The same, as an option.", metavar="FILE")
    ] = None,
    by: Annotated[
        list[str] | None, typer.Option("--by", "-b", help="Count by this variable; at most two.")
    ] = None,
    best_event: Annotated[
        bool,
        typer.Option(
            "--best-event", help="Let attrition follow each person's best event, as ATLAS's person view does."
        ),
    ] = False,
    dataset: Dataset = None,
    site: Site = None,
    edges: Edges = None,
    deadline: Deadline = 300,
    minimum: Minimum = None,
    no_wait: NoWait = False,
    csv: Csv = None,
    svg: Svg = None,
    as_json: Json = False,
) -> None:
    """Count persons, with attrition after each inclusion rule."""
    file = _one_cohort(cohort, cohort_file)
    question = atoll.commands.Question(
        "count",
        file,
        by=tuple(by or ()),
        edges=tuple(edges or ()),
        attrition="best_event" if best_event else None,
    )
    output = atoll.commands.Output(csv, svg, wait=not no_wait)
    atoll.commands.ask(as_json, question, _options(project, dataset, site, deadline, minimum), output)


@app.command(epilog="Example: atoll table1 stage3_colon.json -p P-001 -v age -v sex --by arm")
def table1(
    cohort: CohortFile,
    project: Project,
    variable: Variables,
    by: Annotated[str | None, typer.Option("--by", "-b", help="Group by this variable.")] = None,
    dataset: Dataset = None,
    site: Site = None,
    edges: Edges = None,
    deadline: Deadline = 300,
    minimum: Minimum = None,
    no_wait: NoWait = False,
    csv: Csv = None,
    svg: Svg = None,
    as_json: Json = False,
) -> None:
    """Describe a cohort at its index date: levels, mean and SD, quartiles."""
    question = atoll.commands.Question(
        "table1", cohort, tuple(variable), by=(by,) if by else (), edges=tuple(edges or ())
    )
    output = atoll.commands.Output(csv, svg, wait=not no_wait)
    atoll.commands.ask(as_json, question, _options(project, dataset, site, deadline, minimum), output)


@app.command(epilog="Example: atoll crosstab stage3_colon.json -p P-001 -v sex -v arm")
def crosstab(
    cohort: CohortFile,
    project: Project,
    variable: Variables,
    dataset: Dataset = None,
    site: Site = None,
    edges: Edges = None,
    deadline: Deadline = 300,
    minimum: Minimum = None,
    no_wait: NoWait = False,
    csv: Csv = None,
    svg: Svg = None,
    as_json: Json = False,
) -> None:
    """Count persons by two or three variables, with totals."""
    question = atoll.commands.Question("crosstab", cohort, tuple(variable), edges=tuple(edges or ()))
    output = atoll.commands.Output(csv, svg, wait=not no_wait)
    atoll.commands.ask(as_json, question, _options(project, dataset, site, deadline, minimum), output)


@app.command(epilog="Example: atoll km stage3_colon.json -p P-001 --outcome death --by arm --svg km.svg")
def km(
    cohort: CohortFile,
    project: Project,
    outcome: Annotated[str, typer.Option("--outcome", "-o", help="The outcome.")] = "death",
    by: Annotated[str | None, typer.Option("--by", "-b", help="Compare the groups of this variable.")] = None,
    max_days: Annotated[int | None, typer.Option("--max-days", help="Censor after this many days.")] = None,
    dataset: Dataset = None,
    site: Site = None,
    edges: Edges = None,
    deadline: Deadline = 300,
    minimum: Minimum = None,
    no_wait: NoWait = False,
    csv: Csv = None,
    svg: Svg = None,
    as_json: Json = False,
) -> None:
    """Draw Kaplan-Meier curves per site, and test the groups by a log-rank stratified by site."""
    question = atoll.commands.Question(
        "kaplan_meier",
        cohort,
        by=(by,) if by else (),
        outcome=outcome,
        max_days=max_days,
        edges=tuple(edges or ()),
    )
    output = atoll.commands.Output(csv, svg, wait=not no_wait)
    atoll.commands.ask(as_json, question, _options(project, dataset, site, deadline, minimum), output)


@app.command(epilog="Example: atoll queries -p P-001 --limit 10")
def queries(
    project: Annotated[str | None, typer.Option("--project", "-p", help="Only this project.")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=500, help="At most so many.")] = 50,
    as_json: Json = False,
) -> None:
    """List the latest queries, newest first."""
    atoll.commands.queries(as_json, project, limit)


@app.command(epilog="Example: atoll show QUERY --csv result.csv --svg km.svg")
def show(
    query: QueryId,
    no_wait: Annotated[bool, typer.Option("--no-wait", help="Show what there is, finished or not.")] = False,
    timeout: Annotated[float | None, typer.Option("--timeout", help="Wait at most so many seconds.")] = None,
    csv: Csv = None,
    svg: Svg = None,
    as_json: Json = False,
) -> None:
    """Show the answer to a query, waiting for it if it runs."""
    atoll.commands.show(as_json, query, atoll.commands.Output(csv, svg, not no_wait, timeout))


@app.command(epilog="Example: atoll cancel QUERY")
def cancel(query: QueryId, as_json: Json = False) -> None:
    """Stop a query at the hub and at every site."""
    atoll.commands.cancel(as_json, query)
