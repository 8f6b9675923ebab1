"""Files of customers as people export them."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pixeltwin.enrich.records import Record, Refused, csv_records, json_records


def read(text: str):
    return list(csv_records(io.StringIO(text, newline="")))


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_any_usual_delimiter_is_found(delimiter):
    text = f"id{delimiter}em\r\n1{delimiter}a@example.com\r\n"
    assert read(text) == [Record(2, {"id": "1", "em": "a@example.com"})]


def test_a_line_is_where_its_row_begins():
    text = 'id,note\n1,"two\nlines"\n\n2,x\n'
    assert [record.line for record in read(text)] == [2, 5]


def test_rows_of_another_length_are_refused_by_line_and_the_rest_goes_on():
    assert read("id,em\n1\n2,b,c\n3,d\n") == [
        Refused(2, "has 1 columns, the header has 2"),
        Refused(3, "has 3 columns, the header has 2"),
        Record(4, {"id": "3", "em": "d"}),
    ]


def test_broken_quoting_is_refused_without_its_text():
    found = read('id,em\n1,"a"b\n2,c\n')
    assert found[0] == Refused(2, "is no CSV")
    assert Record(3, {"id": "2", "em": "c"}) in found


@pytest.mark.parametrize("text", ["", "\n", ",,\n1,2,3\n", "id,id\n1,2\n"])
def test_a_header_that_cannot_be_used_is_an_error(text):
    with pytest.raises(ValueError, match="header"):
        read(text)


def test_json_lines_are_read_one_by_one():
    found = list(json_records(['{"id": 1}\n', "\n", "[1]\n", "{\n", '{"id": 2}']))
    assert found == [
        Record(1, {"id": 1}),
        Refused(3, "is no JSON object"),
        Refused(4, "is no JSON"),
        Record(5, {"id": 2}),
    ]


@given(st.text())
def test_any_text_is_read_to_its_end(text):
    for made in read("id,em\n" + text):
        assert made.line >= 2
    assert isinstance(list(json_records(text.splitlines())), list)
