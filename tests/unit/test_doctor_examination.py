"""The doctor goes down its lines whatever happens, says what comes first, and keeps to its time."""

import threading

from atoll_node.doctor.examination import Line, blocker, examine, exit_code, ok, warning
from atoll_node.errors import LakeError
from atoll_schemas.problems import ExitCode

GOOD = Line("good", lambda: ok("all is well"))


def states(*lines: Line, **bounds: float) -> dict[str, str]:
    return {one.line: one.state for one in examine(lines, **bounds)}


def raising(error: Exception):
    def check():
        raise error

    return check


def test_every_line_is_told_in_its_order():
    found = examine([GOOD, Line("odd", lambda: warning("hm", "mend it"))])

    assert [(one.line, one.state, one.fix) for one in found] == [
        ("good", "ok", None), ("odd", "warning", "mend it"),
    ]  # fmt: skip


def test_an_error_of_the_node_is_a_blocker_with_the_error_s_fix():
    (found,) = examine([Line("store", raising(LakeError("store.keys", "unknown key pair", "check it")))])

    assert (found.state, found.told, found.fix) == ("blocker", "unknown key pair", "check it")


def test_any_other_fault_is_a_blocker_that_shows_no_value():
    (found,) = examine([Line("odd", raising(ValueError("PLANTED-VALUE")))])

    assert found.state == "blocker"
    assert "PLANTED-VALUE" not in found.told + str(found.fix)


def test_a_blocker_always_has_a_fix():
    (found,) = examine([Line("store", raising(LakeError("x", "y")))])

    assert found.fix


def test_what_leans_on_a_blocked_line_is_not_looked_at_and_says_so():
    looked = []
    lines = (
        Line("first", lambda: blocker("broken", "mend it")),
        Line("second", lambda: looked.append(1) or ok(""), ("first",)),
        Line("third", lambda: looked.append(1) or ok(""), ("second",)),
        GOOD,
    )

    found = {one.line: one for one in examine(lines)}

    assert looked == []
    assert found["second"].told == "not checked: first comes first"
    assert not found["third"].checked
    assert found["good"].state == "ok"


def test_a_warning_holds_nothing_up():
    assert states(Line("a", lambda: warning("hm", "x")), Line("b", lambda: ok(""), ("a",)))["b"] == "ok"


def test_a_line_that_hangs_is_a_blocker_and_the_others_go_on():
    forever = threading.Event()

    found = states(Line("hangs", lambda: forever.wait() and ok("")), GOOD, line_seconds=0.05)

    assert found == {"hangs": "blocker", "good": "ok"}


def test_when_time_is_over_the_rest_is_not_looked_at():
    ticks = iter(range(0, 1000, 10))

    found = examine([GOOD, GOOD], all_seconds=5, monotonic=lambda: float(next(ticks)))

    assert found[0].told == "not checked: no time was left"
    assert not found[0].checked


def test_only_a_blocker_ends_with_8():
    assert exit_code(examine([GOOD, Line("w", lambda: warning("hm", "x"))])) == ExitCode.OK
    assert exit_code(examine([GOOD, Line("b", lambda: blocker("no", "x"))])) == 8
