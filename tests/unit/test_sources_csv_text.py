"""The record-by-record reader loses no neighbour of a broken record."""

import pytest

from atoll_node.sources.csv_text import LONGEST, header_of, records, sniffed


def read(text: str, width: int = 2, delimiter: str = ",") -> list[tuple[int, object]]:
    found = records(text.splitlines(keepends=True), delimiter, width)
    return [(record.number, record.fields if record.defect is None else record.defect) for record in found]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a,b\n1,2\n3,4\n", [(1, ("1", "2")), (2, ("3", "4"))]),
        ("a,b\n1,2", [(1, ("1", "2"))]),
        ("\n\na,b\n\n1,2\n", [(1, ("1", "2"))]),
        ('a,b\n"1,5",2\n', [(1, ("1,5", "2"))]),
        ('a,b\n1,"x\ny"\n3,4\n', [(1, ("1", "x\ny")), (2, ("3", "4"))]),
        ('a,b\n1,"say ""no"""\n', [(1, ("1", 'say "no"'))]),
        ('a,b\n1,5" nail\n', [(1, ("1", '5" nail'))]),
        ("a,b\n1,2,\n", [(1, ("1", "2"))]),
        ("a,b\n1\n3,4\n", [(1, "structure.ragged"), (2, ("3", "4"))]),
        ('a,b\n1,"x\n3,4\n', [(1, "structure.quotes"), (2, ("3", "4"))]),
        ('a,b\n1,"x\n3,"y"\n', [(1, "structure.quotes"), (2, ("3", "y"))]),
        ('a,b\n1,"x" y\n3,4\n', [(1, "structure.quotes"), (2, ("3", "4"))]),
        ("a,b\n1,\0\n3,4\n", [(1, "structure.nul"), (2, ("3", "4"))]),
        ('"a\nx",b\n1,2\n', [(1, ("1", "2"))]),
        ("a,b\n", []),
        ("", []),
    ],
)
def test_records_are_read(text, expected):
    assert read(text) == expected


def test_a_quote_open_for_too_long_counts_as_never_closed():
    text = 'a,b\n1,"x\n' + "3,4\n" * (LONGEST + 1) + '5,y"\n'
    found = read(text)
    assert found[0] == (1, "structure.quotes")
    assert found[1] == (2, ("3", "4"))
    assert len(found) == LONGEST + 3


def test_the_text_of_a_broken_record_is_kept_as_it_was():
    (record,) = records(["a,b\n", '1,"x\n'], ",", 2)
    assert record.text == '1,"x'


def test_the_separator_is_the_one_whose_header_names_known_columns():
    assert sniffed("person_id;remark, long\n1;2\n", ("person_id", "death_date")) == ";"
    assert sniffed("PERSON_ID\tx\n", ("person_id",)) == "\t"


def test_a_header_is_trimmed_and_may_be_quoted():
    assert header_of('\n"person_id" , sex\n', ",") == ("person_id", "sex")
