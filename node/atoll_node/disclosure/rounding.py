"""Round counts of persons, and say what a reader can conclude from a rounded one."""

from atoll_schemas.cells import Counted


def rounded(persons: int, base: int) -> int:
    """Return the nearest multiple of ``base``; a tie goes up."""
    return (persons + base // 2) // base * base


def reach(persons: int, base: int, minimum: int) -> tuple[int, int]:
    """Return the smallest and largest count that is shown as the same number."""
    value = rounded(persons, base)
    return max(minimum, value - base // 2), value + base - 1 - base // 2


def counted(persons: int, base: int) -> Counted:
    """Return the cell as it leaves: rounded, with the half-width that its rounding leaves open."""
    return Counted(value=rounded(persons, base), half_width=base // 2)
