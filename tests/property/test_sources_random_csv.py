"""Random files with random defects: every record is either staged with equal values or in quarantine."""

import tempfile
from datetime import date, timedelta
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from atoll_node.sources.csv_text import records
from tests.support.source_files import MEASUREMENT, stage_files

TEXT = st.text(
    alphabet=st.characters(
        codec="utf-8", exclude_characters="\0\r\x85\ufffd", exclude_categories=("Cs", "Zl", "Zp")
    ),
    max_size=12,
).filter(lambda text: not text or text.strip("\n") != "")
GOOD = st.tuples(
    st.integers(-(2**62), 2**62),
    st.dates(date(1800, 1, 1), date(2024, 7, 1)),
    st.none() | st.floats(allow_nan=False, allow_infinity=False),
    TEXT,
)
BAD = st.sampled_from(
    [
        (",{id},3,2020-01-01,0,1,x", "value.required"),
        ("x{id},1,3,2020-01-01,0,1,x", "value.integer"),
        ("{id},1,3.5,2020-01-01,0,1,x", "value.integer"),
        ("{id},1,3,2020-02-30,0,1,x", "value.date"),
        ("{id},1,3,2999-01-01,0,1,x", "value.date_range"),
        ("{id},1,3,2020-01-01,0,one,x", "value.number"),
        ("{id},1,3,2020-01-01,0,1", "structure.ragged"),
        ("{id},1,3,2020-01-01,0,1,x,y", "structure.ragged"),
        ('{id},1,3,2020-01-01,0,1,"x"y', "structure.quotes"),
        ("{id},1,3,2020-01-01,0,1,\0", "structure.nul"),
    ]
)


def quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"' if text else ""


def line(place: int, good: tuple) -> str:
    person, day, number, text = good
    value = "" if number is None else repr(number)
    return f"{place},{person},3,{day.isoformat()},0,{value},{quoted(text)}"


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(GOOD | BAD, max_size=12))
def test_every_record_is_staged_with_equal_values_or_in_quarantine(items):
    texts: list[str] = []
    good: list[tuple] = []
    bad: list[tuple[int, str]] = []
    for place, item in enumerate(items, 1):
        if len(item) == 4:
            texts.append(line(place, item))
            good.append((place, *item[:3], item[3] or None))
        else:
            texts.append(item[0].format(id=place))
            bad.append((place, item[1]))
    with tempfile.TemporaryDirectory() as folder:
        content = "\n".join([MEASUREMENT, *texts]) + "\n"
        found = stage_files(Path(folder), {"measurement.csv": content})
        table = found.table("measurement")
        assert table.read == len(items) == table.written + table.quarantined
        assert sorted((q.record, q.code) for q in found.staged.quarantined) == sorted(bad)
        fields = ("measurement_id", "person_id", "measurement_date", "value_as_number", "value_source_value")
        assert found.rows("measurement", *fields) == good
        assert len(found.kept()) == table.quarantined


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(GOOD, min_size=1, max_size=8), st.sampled_from([",", ";", "\t", "|"]))
def test_the_fast_and_the_careful_reading_agree(items, delimiter):
    """A record with a defect at the end makes the whole file be read carefully; the others stay equal."""
    texts = [line(place, item).split(",", 6) for place, item in enumerate(items, 1)]
    body = [delimiter.join(fields) for fields in texts]
    header = MEASUREMENT.replace(",", delimiter)
    careful = delimiter.join([str(len(items) + 1), "1", "3", "never", "0", "", ""])
    ragged = str(len(items) + 2)
    found = []
    for extra in ([], [careful], [careful, ragged]):
        with tempfile.TemporaryDirectory() as folder:
            content = "\n".join([header, *body, *extra]) + "\n"
            outcome = stage_files(Path(folder), {"measurement.csv": content})
            assert outcome.table("measurement").quarantined == len(extra)
            found.append(outcome.rows("measurement"))
    assert found[0] == found[1] == found[2]
    assert len(found[0]) == len(items)


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet='a1,"\n\0 ', max_size=60))
def test_the_reader_never_stops_and_numbers_every_record(text):
    found = list(records(("a,b\n" + text).splitlines(keepends=True), ",", 2))
    assert [record.number for record in found] == list(range(1, len(found) + 1))
    assert all(record.fields is None or len(record.fields) == 2 for record in found)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.integers(0, 6), max_size=12))
def test_one_record_of_each_key_stays(keys):
    day = date(2020, 1, 1)
    texts = [f"{key},1,3,{day + timedelta(days=place)},0,," for place, key in enumerate(keys)]
    with tempfile.TemporaryDirectory() as folder:
        found = stage_files(Path(folder), {"measurement.csv": "\n".join([MEASUREMENT, *texts]) + "\n"})
        rows = found.rows("measurement", "measurement_id", "measurement_date")
        assert rows == sorted((key, day + timedelta(days=keys.index(key))) for key in set(keys))
        assert found.table("measurement").quarantined == len(keys) - len(set(keys))
