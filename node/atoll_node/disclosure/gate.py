"""Clear a raw aggregate, or refuse: every figure that leaves a node passes :func:`clear`."""

from collections.abc import Iterable, Iterator, Sequence

from atoll_node.disclosure.earlier import STAYED, Figure, standing
from atoll_node.disclosure.footprints import Footprints, traced
from atoll_node.disclosure.layout import laid_out
from atoll_node.disclosure.ledger import Ledger, Verdict
from atoll_node.disclosure.payload import written
from atoll_node.disclosure.rules import RULES, Case, Rule
from atoll_node.disclosure.sheet import Held
from atoll_node.disclosure.strictness import tightened
from atoll_node.errors import Refused
from atoll_node.raw import RawAggregate
from atoll_node.release import Release
from atoll_node.settings import GateSettings
from atoll_schemas.query import Query, SiteName
from atoll_schemas.results import ClearedResult, Gate, SitePayload

__all__ = ["RULES", "Rule", "clear"]

ATTEMPTS = 5
"""How often an answer is judged anew because another one of the project was remembered meanwhile."""


def clear(
    raw: RawAggregate,
    *,
    query: Query,
    release: Release,
    site: SiteName,
    settings: GateSettings,
    ledger: Ledger,
) -> ClearedResult:
    """Return what may leave. Raises ``Refused``, also on any fault, whose cause is never told."""
    try:
        return _cleared(raw, query, release, site, settings, ledger)
    except Refused:
        raise
    except Exception:  # noqa: BLE001 - whatever fails in the gate is a refusal, and its text may hold data
        fault = Refused(
            "disclosure.fault",
            "the disclosure gate could not judge the answer, so nothing leaves",
            "ask the site; the query itself may be sound",
        )
    # Raised outside the handler, so that the cause is not carried along as its context.
    raise fault


def _cleared(
    raw: RawAggregate, query: Query, release: Release, site: SiteName, settings: GateSettings, ledger: Ledger
) -> ClearedResult:
    effective = tightened(settings, query.tighten)
    sheet = laid_out(raw, query, effective)
    prints = traced(raw, query, sheet, effective.minimum_persons)
    for _ in range(ATTEMPTS):
        verdict = ledger.judge(query.project, raw.members, effective.minimum_persons)
        earlier = ledger.figures(query.project)
        known = standing(prints, earlier, effective.minimum_persons, settings.round_to)
        case = Case(raw, sheet, query, effective, verdict.too_near or known.too_near, known)
        held = decided(case)
        result = _result(case, held, release, site)
        figures = decided_figures(held, prints, settings.round_to)
        if held.everything or _kept(case, figures, verdict, earlier, ledger):
            return result
    raise Refused(
        "disclosure.busy", "other answers of the project were cleared at the same time", "ask once more"
    )


def _kept(
    case: Case, figures: Iterable[Figure], verdict: Verdict, earlier: Sequence[Figure], ledger: Ledger
) -> bool:
    """Remember the answer; ``False`` when another of the project was remembered since it was judged."""
    seen = {figure.footprint.name for figure in earlier}
    named: dict[int, Figure] = {}
    # The same persons can stand in two places of an answer; what is shown in one of them is known.
    for figure in sorted(figures, key=lambda one: (one.base != STAYED, -one.base)):
        named[figure.footprint.name] = figure
    new = [figure for name, figure in named.items() if name not in seen]
    project = case.query.project
    return ledger.keep_figures(project, new, len(earlier)) and ledger.keep(
        project, case.query.dataset, case.raw.members, verdict
    )


def decided_figures(held: Held, prints: Footprints, base: int) -> Iterator[Figure]:
    """Yield what the answer shows, and what it withholds though it is large enough.

    ``base`` is the site's own rounding: what a stricter question shows counts as shown so finely.
    """
    for key, found in prints.counts.items():
        yield Figure(found, STAYED if key in held.counts else held.bases.get(key, base), prints.leading(key))
    for place, found in prints.moments.items():
        yield Figure(found, STAYED if place in held.moments else 1, leading=True)
    for group, parts in prints.curves.items():
        if group not in held.curves:
            yield from (Figure(part, 1, leading=True) for part in parts if part.size)


def decided(case: Case) -> Held:
    """Apply every rule in turn."""
    held = Held()
    for rule in RULES:
        held = rule.apply(case, held)
    return held


def _result(case: Case, held: Held, release: Release, site: SiteName) -> ClearedResult:
    payload = written(case, held)
    return ClearedResult(
        site=site,
        query_digest=case.query.digest(),
        release=release.name,
        release_digest=release.content_digest,
        payload=payload,
        gate=Gate(
            minimum_persons=case.settings.minimum_persons,
            round_to=case.settings.round_to,
            minimum_events=case.settings.minimum_events,
            rules=tuple(rule.name for rule in RULES),
            withheld_cells=_withheld(payload),
        ),
        engine_milliseconds=case.raw.engine_milliseconds,
    )


def _withheld(payload: SitePayload) -> int:
    """Count the withheld figures of an answer."""
    waiting: list[object] = [payload.model_dump()]
    found = 0
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            found += value.get("kind") == "withheld"
            waiting.extend(value.values())
        elif isinstance(value, tuple | list):
            waiting.extend(value)
    return found
