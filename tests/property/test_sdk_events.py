"""Server-sent events are read whole and once, however the network cuts them."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

import atoll
from atoll.sse import Following, Reader
from tests.support.small_hub import event, events

texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n"), min_size=1, max_size=20)
ends = st.sampled_from(["\n", "\r\n", "\r"])


@st.composite
def cut(draw, data):
    places = sorted(draw(st.lists(st.integers(0, len(data)), max_size=12)))
    return [data[a:b] for a, b in zip([0, *places], [*places, len(data)], strict=True)]


@given(st.lists(texts, min_size=1, max_size=5), ends, st.data())
def test_data_comes_out_as_it_went_in(payloads, end, data):
    stream = "".join(f": ping{end}event: x{end}data: {it}{end}{end}" for it in payloads).encode()
    reader = Reader()
    found = [it for chunk in data.draw(cut(stream)) for it in reader.feed(chunk)]
    # A lone carriage return at the very end may still become CRLF, so the last event waits for more.
    found += list(reader.feed(b"\n"))
    assert found == payloads


@given(st.integers(0, 6), st.data())
def test_a_broken_stream_resumes_without_loss_or_repetition(broken_after, data):
    told = [event(n, "finished" if n == 6 else "claimed", "north") for n in range(1, 7)]
    following = Following()
    seen = []
    for stream in (events(*told[:broken_after], tail="data: {hal"), events(*told)):
        following.connected()
        for chunk in data.draw(cut(stream)):
            seen += [it.sequence for it in following.read(chunk)]
    assert seen == [1, 2, 3, 4, 5, 6]
    assert following.ended()


def test_several_data_lines_are_one_text():
    assert list(Reader().feed(b"data: a\ndata: b\n\n")) == ["a\nb"]


def test_unicode_line_separators_do_not_end_a_line():
    assert list(Reader().feed("data: a\u2028b\x85c\n\n".encode())) == ["a\u2028b\x85c"]


def test_an_endless_event_is_not_read():
    reader = Reader()
    for _ in range(10):
        list(reader.feed(b"x" * 100_000))
    with pytest.raises(atoll.ProtocolMismatch):
        list(reader.feed(b"x"))


def test_an_event_of_another_protocol_is_refused():
    unknown = f"data: {json.dumps(event(1, 'teleported'))}\n\n".encode()
    with pytest.raises(atoll.ProtocolMismatch):
        list(Following().read(unknown))


def test_waits_grow_and_patience_ends():
    following = Following(patience=3)
    assert [following.interrupted(None) for _ in range(3)] == [0.25, 0.5, 1.0]
    with pytest.raises(atoll.Unreachable, match="keeps breaking off"):
        following.interrupted(None)
