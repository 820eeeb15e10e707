"""Join a node's disclosure settings with the stricter ones that a question asks for.

The same count asked again under many minima and roundings would give its true value away: 23 persons are
shown under a minimum of 23 and withheld under 24. So a question moves the settings in steps, and every step
is chosen such that what is shown under it follows from what is shown without it.
"""

from atoll_node.errors import Refused
from atoll_node.settings import GateSettings
from atoll_schemas.query import Tighten


def tightened(settings: GateSettings, asked: Tighten | None) -> GateSettings:
    """Return the settings that hold for one question, at least as strict as it asks.

    Raises ``Refused`` when it asks for looser ones than the node's.
    """
    if asked is None:
        return _settled(settings, settings.minimum_persons, settings.round_to)
    minimum = settings.minimum_persons if asked.minimum_persons is None else asked.minimum_persons
    base = settings.round_to if asked.round_to is None else asked.round_to
    if minimum < settings.minimum_persons or base % settings.round_to:
        raise Refused(
            "disclosure.loosened",
            "the query asks for looser disclosure settings than this site allows",
            "ask for a larger minimum, or for a rounding that is a multiple of the site's",
        )
    return _settled(settings, _stepped(settings, minimum), _nested(settings, base))


def _settled(settings: GateSettings, minimum: int, base: int) -> GateSettings:
    """The minimum is at least half of the rounding, so that no shown count is rounded to 0."""
    stricter = minimum > settings.minimum_persons
    return settings.model_copy(
        update={
            "minimum_persons": max(minimum, base - base // 2),
            "round_to": base,
            "minimum_events": max(settings.minimum_events, minimum if stricter else 0),
        }
    )


def _stepped(settings: GateSettings, minimum: int) -> int:
    """Double the node's minimum until it suffices, then go on to where a rounded value begins."""
    step = settings.minimum_persons
    while step < minimum:
        step *= 2
    if step == settings.minimum_persons:
        return step
    base, half = settings.round_to, settings.round_to // 2
    return -(-(step + half) // base) * base - half


def _nested(settings: GateSettings, base: int) -> int:
    """An odd multiple: only then each coarse interval is made of whole fine ones."""
    times = base // settings.round_to
    return base if times % 2 or settings.round_to == 1 else base + settings.round_to
