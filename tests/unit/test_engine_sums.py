"""Sums are exact, so that neither the order of persons nor their site can change a figure."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from atoll_node.engine.sums import exact_squares, exact_sums

numbers = st.lists(st.floats(-1e9, 1e9, width=32) | st.integers(-(10**12), 10**12).map(float), max_size=60)


def array(values):
    return np.array(values, dtype=np.float64)


@given(numbers)
def test_a_sum_is_that_of_fractions(values):
    values = [value for value in values if value == 0 or abs(value) > 1e-12]
    assert exact_sums(array(values), None, 1) == (sum(map(Fraction, values), start=Fraction(0)),)


@given(numbers)
def test_a_sum_of_squares_is_that_of_fractions(values):
    wide = [value for value in values if value == 0 or abs(value) > 1e-4]
    expected = sum((Fraction(value) ** 2 for value in wide), start=Fraction(0))
    assert exact_squares(array(wide), None, 1) == (expected,)


@given(numbers, st.integers(1, 4), st.randoms())
def test_groups_add_up_to_everybody_in_any_order(values, count, draw):
    groups = [draw.randrange(count) for _ in values]
    order = draw.sample(range(len(values)), len(values))
    shuffled = array([values[place] for place in order])
    places = np.array([groups[place] for place in order], dtype=np.int64)
    assert sum(exact_sums(shuffled, places, count)) == exact_sums(array(values), None, 1)[0]
    assert sum(exact_squares(shuffled, places, count)) == exact_squares(array(values), None, 1)[0]


def test_more_numbers_than_one_block_are_added():
    values = np.random.default_rng(3).normal(170, 12, 100_000)
    places = np.arange(100_000) % 3
    expected = [sum(map(Fraction, values[places == group].tolist())) for group in range(3)]
    assert list(exact_sums(values, places, 3)) == expected


@pytest.mark.parametrize("add", [exact_sums, exact_squares])
def test_nothing_adds_up_to_nothing(add):
    assert add(array([]), None, 1) == (0,)
    assert add(array([0.0, -0.0]), np.array([1, 1]), 2) == (0, 0)


def test_numbers_near_the_largest_and_the_smallest_are_added():
    assert exact_sums(array([1.7e308, 1.7e308]), None, 1)[0] == 2 * Fraction(1.7e308)
    assert exact_sums(array([5e-324, 5e-324]), None, 1)[0] == 2 * Fraction(5e-324)
    assert exact_squares(array([1.7e308]), None, 1)[0] == Fraction(1.7e308) ** 2
