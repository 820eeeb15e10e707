"""`explain`: which engine a question goes to here, and what that engine is told."""

from pathlib import Path
from typing import Annotated

import typer

from atoll_node.bootstrap.answering import chosen_engine
from atoll_node.cli.screen import DEFAULT_HOME, HomeOption, JsonOption, node_of, print_json, print_lines
from atoll_node.errors import LakeError
from atoll_node.local_question import read_question
from atoll_node.release import Release
from atoll_node.releases import Releases
from atoll_schemas.query import Query


def explain(
    context: typer.Context,
    question: Annotated[Path, typer.Argument(help="A query's JSON, or a cohort definition's.")],
    dataset: Annotated[
        str | None, typer.Option("--dataset", help="The dataset of a cohort definition.")
    ] = None,
    release: Annotated[str | None, typer.Option("--release", help="Else the dataset's newest.")] = None,
    home: HomeOption = DEFAULT_HOME,
    as_json: JsonOption = False,
) -> None:
    """Show which engine a question goes to on this node, how it is answered, and every statement of its plan.

    Values stand as placeholders. Concept sets are expanded in the release; nothing else of it is read, and
    nothing is answered or sent.

    Examples:

      atoll-node explain question.json

      atoll-node explain 10.json --dataset colon --release colon-0001
    """
    node = node_of(context, home)
    query = read_question(question, dataset)
    found = _release(Releases(node.home), query, release or query.release)
    engine = chosen_engine(node)
    try:
        plan = engine.explain(query, found)
    finally:
        engine.close()
    if as_json:
        print_json({"dataset": query.dataset, "release": found.name, "plan": plan})
    else:
        print_lines(f"-- release: {found.name}", plan.rstrip("\n"))


def add_to(above: typer.Typer) -> None:
    """Add the command of this module."""
    above.command()(explain)


def _release(releases: Releases, query: Query, name: str | None) -> Release:
    found = releases.latest(query.dataset) if name is None else releases.load(name)
    if found is None:
        raise LakeError(
            "release.none",
            f"{query.dataset} has no release that answers",
            "run: atoll-node ingest, then release",
        )
    return found
