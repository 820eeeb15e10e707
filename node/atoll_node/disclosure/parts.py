"""Clear counts that belong together outside an analysis, such as a catalog's: parts of one whole."""

from collections.abc import Mapping

from atoll_node.disclosure.protection import protect
from atoll_node.disclosure.rounding import counted
from atoll_node.disclosure.sheet import COHORT, Contradiction, Held, Line, Sheet
from atoll_node.settings import GateSettings
from atoll_schemas.cells import Cell, Withheld


def clear_parts(
    whole: int,
    parts: Mapping[str, int],
    settings: GateSettings,
    soft: frozenset[str] = frozenset(),
) -> dict[str, Cell]:
    """Return the parts of ``whole`` as they may leave; they add up to it.

    The whole is taken as known exactly. Beside a small ``soft`` part the others are rounded more coarsely
    before one of them is withheld. Raises ``Unprotectable``, or ``Contradiction`` when they do not add up.
    """
    if sum(parts.values()) != whole:
        raise Contradiction
    least = settings.minimum_persons
    keys = {name: (("part", name),) for name in parts}
    if whole < least:
        return dict.fromkeys(parts, Withheld())
    if min(parts.values(), default=least) >= least:
        return {name: counted(number, settings.round_to) for name, number in parts.items()}
    sheet = Sheet(figures={COHORT: whole}, soft={keys[name] for name in soft})
    for name, number in parts.items():
        sheet.add(keys[name], number)
    held = Held().holding(keys[name] for name, number in parts.items() if number < least)
    held = protect(sheet, held, [Line(COHORT, tuple(keys.values()))], keys.values(), settings)
    return {name: held.cell(sheet, key, settings.round_to) for name, key in keys.items()}
