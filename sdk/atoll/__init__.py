"""Ask hospitals a question and get a cleared answer: cohorts, analyses, results.

Names load when they are first used, so that ``import atoll`` is quick.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from atoll import cohort_commands as cohort_commands
    from atoll import commands as commands
    from atoll.async_hub import AsyncHub, AsyncRun
    from atoll.cohort import Cohort, code
    from atoll.concept_sets import ConceptSet, codes, concepts
    from atoll.errors import (
        AtollError,
        Conflict,
        HubFailed,
        Invalid,
        MissingExtra,
        NoAnswer,
        NotFound,
        ProtocolMismatch,
        Refused,
        SignInError,
        StillRunning,
        Unreachable,
    )
    from atoll.events import (
        above,
        all_of,
        any_of,
        at_least,
        at_most,
        below,
        containing,
        ending,
        event,
        person,
        starting,
        without,
    )
    from atoll.hub import Hub, Run
    from atoll.result import Result

_HOMES = {
    "AsyncHub": "atoll.async_hub",
    "AsyncRun": "atoll.async_hub",
    "AtollError": "atoll.errors",
    "Cohort": "atoll.cohort",
    "ConceptSet": "atoll.concept_sets",
    "Conflict": "atoll.errors",
    "Hub": "atoll.hub",
    "HubFailed": "atoll.errors",
    "Invalid": "atoll.errors",
    "MissingExtra": "atoll.errors",
    "NoAnswer": "atoll.errors",
    "NotFound": "atoll.errors",
    "ProtocolMismatch": "atoll.errors",
    "Refused": "atoll.errors",
    "Result": "atoll.result",
    "Run": "atoll.hub",
    "SignInError": "atoll.errors",
    "StillRunning": "atoll.errors",
    "Unreachable": "atoll.errors",
    "above": "atoll.events",
    "all_of": "atoll.events",
    "any_of": "atoll.events",
    "at_least": "atoll.events",
    "at_most": "atoll.events",
    "below": "atoll.events",
    "code": "atoll.cohort",
    "codes": "atoll.concept_sets",
    "concepts": "atoll.concept_sets",
    "containing": "atoll.events",
    "ending": "atoll.events",
    "event": "atoll.events",
    "person": "atoll.events",
    "starting": "atoll.events",
    "without": "atoll.events",
}

__all__ = [
    "AsyncHub",
    "AsyncRun",
    "AtollError",
    "Cohort",
    "ConceptSet",
    "Conflict",
    "Hub",
    "HubFailed",
    "Invalid",
    "MissingExtra",
    "NoAnswer",
    "NotFound",
    "ProtocolMismatch",
    "Refused",
    "Result",
    "Run",
    "SignInError",
    "StillRunning",
    "Unreachable",
    "above",
    "all_of",
    "any_of",
    "at_least",
    "at_most",
    "below",
    "code",
    "codes",
    "concepts",
    "containing",
    "ending",
    "event",
    "person",
    "starting",
    "without",
]


def __getattr__(name: str) -> Any:
    if name in ("commands", "cohort_commands"):
        return import_module(f"atoll.{name}")
    if name not in _HOMES:
        raise AttributeError(f"module 'atoll' has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
