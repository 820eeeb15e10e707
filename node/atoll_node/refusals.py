"""List every refusal that may leave the node: a closed list of codes, each with one constant text.

A fault whose code is not listed leaves as the general refusal of its stage, so that no text made at run time
ever travels.
"""

from collections.abc import Mapping

from atoll_schemas.protocol import Refusal
from atoll_schemas.tables import core_1

_ASK_STEWARD = "ask the site's steward"
_ASK_HUB = "tell the hub's operator"
REFUSALS: Mapping[str, tuple[str, str | None]] = {
    "task.signature": ("the task's signature does not hold against the hub's pinned key", _ASK_HUB),
    "task.type": ("the signed text is not a task", _ASK_HUB),
    "task.malformed": ("the signed task is not of this protocol's shape", _ASK_HUB),
    "task.protocol": ("the task speaks another protocol version", "bring node and hub to the same version"),
    "task.hub": ("the task comes from another hub", _ASK_HUB),
    "task.site": ("the task is meant for another site", _ASK_HUB),
    "task.mismatch": ("the lease names another task than the signed one", _ASK_HUB),
    "task.digest": ("the task's query is not the one its digest names", _ASK_HUB),
    "task.future": ("the task was issued in this node's future", "compare the clocks of hub and node"),
    "task.expired": (
        "the task's time is over",
        "ask again; if it repeats, compare the clocks of hub and node",
    ),
    "task.replayed": ("another task was already seen under this id", _ASK_HUB),
    "task.fenced": ("the task was claimed again since this lease", None),
    "permit.unknown": ("this site has no such permit", "apply for one"),
    "permit.not_active": ("the permit is not active at this site", _ASK_STEWARD),
    "permit.project": ("the permit is another project's", "ask under the permit's project"),
    "permit.purpose": ("the permit is for another purpose", "apply for this purpose"),
    "permit.dataset": ("the permit does not cover the dataset", "apply for the dataset"),
    "permit.method": ("the permit does not cover the method", "apply for the method"),
    "permit.period": ("the permit's period does not include now", "apply for a longer period"),
    "release.none": ("the site has no release of the dataset", _ASK_STEWARD),
    "release.unknown": ("the site has no release of this name", "leave the release out"),
    "release.withdrawn": ("the release was withdrawn", "ask for its successor"),
    "release.failed": ("the site's release cannot be read", _ASK_STEWARD),
    "engine.unsupported": ("the query uses a construct that this node cannot run", "simplify the cohort"),
    "engine.time": ("the query took longer than the site allows", "narrow the cohort or the variables"),
    "engine.dataset": ("the release is of another dataset than the query", _ASK_STEWARD),
    "engine.variable": ("two variables have the same name", "rename one of them"),
    "engine.levels": ("the query's levels cannot be told apart", "see the variables that the site declares"),
    "engine.edges": ("a number without bin edges stands where levels are needed", "give it edges"),
    "engine.vocabulary": (
        "the query asks for descendants or mapped concepts, and the site has no vocabularies",
        "ask for concepts or source codes without them",
    ),
    "engine.missing_table": (
        "the release lacks a table that the query needs",
        "see: atoll cohort check, or leave the site out",
    ),
    "engine.files": ("a file of the release cannot be read", _ASK_STEWARD),
    "engine.deadline": ("the query's deadline passed while it ran", "ask again with a longer deadline"),
    "engine.memory": (
        "the query needs more memory than the site allows",
        "narrow the cohort or the variables",
    ),
    "engine.failed": ("the query could not be run at this site", _ASK_STEWARD),
    "disclosure.fault": ("the disclosure gate could not judge the answer, so nothing leaves", _ASK_STEWARD),
    "disclosure.busy": ("other answers of the project were cleared at the same time", "ask once more"),
    "disclosure.ledger_full": (
        "the project has asked about as many cohorts as the site allows",
        _ASK_STEWARD,
    ),
    "disclosure.loosened": ("the query asks for looser disclosure settings", "leave tighten out"),
    "disclosure.refused": ("the disclosure gate let nothing go", "ask about more persons or fewer groups"),
    "node.failed": ("the node failed on this task; nothing was released", _ASK_STEWARD),
}
_TABLES = frozenset(table.name for table in core_1().tables)
_GENERAL = {
    "task": "task.malformed",
    "permit": "permit.not_active",
    "release": "release.failed",
    "lake": "release.failed",
    "engine": "engine.failed",
    "disclosure": "disclosure.refused",
}


def refusal(code: str, *, successor: str | None = None, table: str | None = None) -> Refusal:
    """Return the refusal of ``code``, or the general one of its stage when the code is not of the list.

    ``successor`` is the release that answers in the place of a withdrawn one. ``table`` is the table that the
    release lacks; only a name of the data model is told.
    """
    known = code if code in REFUSALS else _GENERAL.get(code.partition(".")[0], "node.failed")
    detail, next_step = REFUSALS[known]
    if table is not None and table in _TABLES:
        detail = f"{detail}: {table}"
    return Refusal(code=known, detail=detail, next_step=next_step, successor=successor)
