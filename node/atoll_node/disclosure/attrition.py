"""Keep the persons that one inclusion rule removes from being worked out."""

from collections.abc import Sequence

from atoll_node.disclosure.sheet import COHORT, Key


def step_key(index: int, steps: int) -> Key:
    """Name a step's count; the last step is the cohort itself."""
    return COHORT if index == steps - 1 else ((" step", f"{index:04}"),)


def too_close(persons: Sequence[int], minimum: int) -> tuple[int, ...]:
    """Return the places of counts that differ by less than the minimum from one that is shown.

    The last count is shown first, then the first, then the others in order. Two shown steps differ by at
    least the minimum of persons, so a hidden step between them keeps more than that many possible values.
    """
    shown: list[int] = []
    hidden = []
    last = len(persons) - 1
    for place in dict.fromkeys((last, 0, *range(len(persons)))):
        if all(abs(persons[place] - other) >= minimum for other in shown) and persons[place] >= minimum:
            shown.append(persons[place])
        else:
            hidden.append(place)
    return tuple(sorted(hidden))
