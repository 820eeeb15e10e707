"""Parts of a known whole keep their small ones, and moments never leave a small group by subtraction."""

from hypothesis import given, settings
from hypothesis import strategies as st

from atoll_node.disclosure import clear_parts
from atoll_node.disclosure.attrition import too_close
from atoll_node.disclosure.numbers import held_moments
from atoll_node.raw import RawNumber, RawNumberGroup
from atoll_node.settings import GateSettings
from atoll_schemas.cells import Counted

NUMBERS = st.one_of(st.integers(0, 12), st.integers(0, 300))
MINIMUM = 10


@settings(max_examples=150, deadline=None)
@given(st.lists(NUMBERS, min_size=1, max_size=6), st.data())
def test_no_hidden_part_can_be_bounded(numbers: list[int], data: st.DataObject) -> None:
    """With one sum the bounds are plain: the whole less what the other parts can at most and least be."""
    parts = {f"p{place}": number for place, number in enumerate(numbers)}
    soft = frozenset(data.draw(st.sets(st.sampled_from(sorted(parts)))))
    whole = sum(numbers)
    cells = clear_parts(whole, parts, GateSettings(), soft)
    shown = {name: cell for name, cell in cells.items() if isinstance(cell, Counted)}
    assert all(parts[name] >= MINIMUM for name in shown)
    assert all(abs(parts[name] - cell.value) <= cell.half_width for name, cell in shown.items())
    hidden = [name for name in cells if name not in shown]
    if whole < MINIMUM or not hidden:
        return
    least = sum(max(MINIMUM, cell.value - cell.half_width) for cell in shown.values())
    most = sum(cell.value + cell.half_width for cell in shown.values())
    lower = max(0, whole - most) if len(hidden) == 1 else 0
    assert whole - least - lower + 1 >= MINIMUM


@given(st.lists(st.integers(0, 500), min_size=1, max_size=8), st.integers(2, 30))
def test_shown_steps_differ_by_the_minimum(removed: list[int], minimum: int) -> None:
    persons = [sum(removed[place:]) for place in range(len(removed))]
    hidden = too_close(persons, minimum)
    shown = [number for place, number in enumerate(persons) if place not in hidden]
    assert all(number >= minimum for number in shown)
    assert all(a - b >= minimum for place, a in enumerate(shown) for b in shown[place + 1 :])


@st.composite
def groups(draw: st.DrawFn) -> RawNumber:
    parts = []
    for place in range(draw(st.integers(1, 5))):
        n, missing = draw(NUMBERS), draw(st.sampled_from([0, 0, 3, 15]))
        largest = draw(st.sampled_from([2.0, 2.0, 1e6]))
        name = draw(st.sampled_from([f"g{place}", f"g{place}", "other"])) if place == 0 else f"g{place}"
        total = n + largest
        tops = tuple([largest, 1.0][: min(n, 2)])
        parts.append(RawNumberGroup(name, n + missing, n, 1.0, float(n), total, tops))
    n = sum(part.n for part in parts)
    tops = tuple(sorted((top for part in parts for top in part.largest), reverse=True)[:2])
    everybody = RawNumberGroup(
        "*", sum(part.persons for part in parts), n, 1.0, float(n), sum(p.absolute_sum for p in parts), tops
    )
    return RawNumber("x", None, (everybody, *parts))


@settings(max_examples=300)
@given(groups())
def test_what_is_left_after_subtraction_is_never_small(number: RawNumber) -> None:
    held = held_moments(number, frozenset(), GateSettings())
    for group in number.groups:
        if group.group not in held:
            assert group.n >= MINIMUM
            assert not 0 < group.persons - group.n < MINIMUM
    shown = [group for group in number.groups[1:] if group.group not in held]
    rest = number.groups[0].n - sum(group.n for group in shown)
    lacking = number.groups[0].persons - sum(group.persons for group in shown) - rest
    if "*" not in held and shown:
        assert rest == 0 or rest >= MINIMUM
        assert lacking == 0 or lacking >= MINIMUM
