"""Join a node's disclosure settings with the stricter ones that a question asks for."""

from atoll_node.errors import Refused
from atoll_node.settings import GateSettings
from atoll_schemas.query import Tighten


def tightened(settings: GateSettings, asked: Tighten | None) -> GateSettings:
    """Return the settings that hold for one question. Raises ``Refused`` when it asks for looser ones.

    Rounding can only become a multiple of the node's, since two roundings that do not nest would
    together be finer than either. The minimum is never below half of the rounding, so that no released
    count is rounded to 0.
    """
    asked = asked or Tighten()
    minimum = settings.minimum_persons if asked.minimum_persons is None else asked.minimum_persons
    base = settings.round_to if asked.round_to is None else asked.round_to
    if minimum < settings.minimum_persons or base % settings.round_to:
        raise Refused(
            "disclosure.loosened",
            "the query asks for looser disclosure settings than this site allows",
            "ask for a larger minimum, or for a rounding that is a multiple of the site's",
        )
    return settings.model_copy(
        update={
            "minimum_persons": max(minimum, base - base // 2),
            "round_to": base,
            "minimum_events": max(minimum if asked.minimum_persons else 0, settings.minimum_events),
        }
    )
