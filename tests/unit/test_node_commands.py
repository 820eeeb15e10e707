"""What hospital IT and stewards type, and what they see; one line an error, never a traceback."""

import io
import json
import stat
from datetime import timedelta
from pathlib import Path

import pytest

from atoll_node.agent import Standing
from atoll_node.audit import Decision
from atoll_node.bootstrap import open_node, running_alone, take_request
from atoll_node.bootstrap.network import write_standing
from atoll_node.cli import app
from atoll_node.cli.main import declared
from atoll_node.home import Home
from atoll_node.wizard import check
from atoll_schemas.permits import Permit
from atoll_schemas.problems import ExitCode, Problem
from tests.support.node_records import NOW, Clock, a_node, a_request, a_scope, frozen_world, settings_text

WORLD = frozen_world(Clock())


@pytest.fixture
def node(tmp_path):
    node = a_node(tmp_path)
    take_request(node, a_request(scope=a_scope(datasets=("colon", "lung"))))
    return node


@pytest.fixture
def run(node, capsys):
    """Type a command at the node's home; return exit code, stdout and stderr."""

    def typed(*arguments: str) -> tuple[int, str, str]:
        code = app([*arguments, "--home", str(node.home.root)], WORLD)
        said = capsys.readouterr()
        return code, said.out, said.err

    return typed


def test_init_makes_a_private_home_from_an_answers_file(tmp_path, capsys):
    answers = tmp_path / "answers.toml"
    answers.write_text(settings_text())
    home = tmp_path / "home"
    assert app(["init", "--from", str(answers), "--home", str(home)], WORLD) == 0
    assert stat.S_IMODE(home.stat().st_mode) == 0o700
    assert stat.S_IMODE((home / "secrets").stat().st_mode) == 0o700
    assert len((home / "secrets" / "pseudonym.key").read_bytes()) == 32
    assert "enroll" in capsys.readouterr().out


def test_init_takes_nothing_away(run, node):
    before = node.home.pseudonym_key.read_bytes()
    answers = node.home.root.parent / "answers.toml"
    answers.write_text(settings_text())
    code, _, error = run("init", "--from", str(answers))
    assert code == ExitCode.USAGE
    assert error.startswith("settings.exists: ")
    assert node.home.pseudonym_key.read_bytes() == before


def test_init_names_files_that_are_not_there_yet(tmp_path, capsys):
    answers = tmp_path / "answers.toml"
    answers.write_text(
        settings_text(extra='[[datasets]]\nname = "colon"\ntitle = "Colon"\nformat = "omop"\npath = "gone"\n')
    )
    assert app(["init", "--from", str(answers), "--home", str(tmp_path / "home"), "--json"], WORLD) == 0
    assert json.loads(capsys.readouterr().out)["missing"] == ["datasets.colon.path"]


def test_a_mistyped_setting_is_named_with_the_nearest_known_one(tmp_path, capsys):
    answers = tmp_path / "answers.toml"
    answers.write_text(settings_text(extra="[gate]\nminimum_person = 5\n"))
    code = app(["init", "--from", str(answers), "--home", str(tmp_path / "home")], WORLD)
    assert code == ExitCode.USAGE
    assert "did you mean minimum_persons?" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("typed", "code", "exit_code"),
    [
        (("enroll", "nonsense"), "enrolment.code", ExitCode.USAGE),
        (("up",), "node.not_enrolled", ExitCode.USAGE),
        (("ingest", "colom"), "dataset.unknown", ExitCode.NOT_FOUND),
        (("permits", "approve", "P-404.north", "--yes"), "permit.unknown", ExitCode.NOT_FOUND),
        (("permits", "approve", "P-001.north"), "permits.confirm", ExitCode.USAGE),
        (
            ("permits", "approve", "P-001.north", "--yes", "--methods", "cox"),
            "permits.method",
            ExitCode.USAGE,
        ),
        (("permits", "suspend", "P-001.north", "--yes"), "permit.not_active", ExitCode.REFUSED),
        (("outbound", "99"), "outbound.unknown", ExitCode.NOT_FOUND),
        (("outbound", "--last", "0"), "usage", ExitCode.USAGE),
        (("dance",), "usage", ExitCode.USAGE),
    ],
)
def test_an_error_is_one_line_with_its_code_and_an_exit_code(run, typed, code, exit_code):
    ended, out, error = run(*typed)
    assert ended == exit_code
    assert error.startswith(f"{code}: ")
    assert error.count("\n") == 1
    assert "Traceback" not in out + error


def test_an_error_as_json_is_a_problem(run):
    _, _, error = run("outbound", "99", "--json")
    problem = Problem.from_wire(json.loads(error))
    assert problem.code == "outbound.unknown"
    assert problem.next_step


def test_a_fault_of_the_node_shows_its_place_and_no_value(run, node):
    node.home.standing.write_text('{"state": "SECRET-VALUE')
    ended, _, error = run("status")
    assert ended == ExitCode.ERROR
    assert error.startswith("node.failed: ")
    assert "SECRET-VALUE" not in error


def test_a_second_up_is_refused_while_one_runs(run, node):
    with running_alone(node.home):
        code, _, error = run("up")
    assert code == ExitCode.ERROR
    assert error.startswith("node.running: ")


def test_permits_list_shows_what_is_asked(run):
    _, out, _ = run("permits", "list")
    assert "P-001.north" in out
    assert "requested" in out
    _, listed, _ = run("permits", "list", "--json")
    assert json.loads(listed)[0]["request"]["purpose"] == "Compare arms"


def test_a_steward_approves_less_than_was_asked(run, node):
    until = (NOW + timedelta(days=9)).date().isoformat()
    typed = ("--methods", "count", "--datasets", "lung", "--until", until, "--yes", "--by", "Dr Hana")
    code, out, _ = run("permits", "approve", "P-001.north", *typed, "--json")
    assert code == 0
    permit = Permit.from_wire(json.loads(out))
    assert permit.scope.methods == ("count",)
    assert permit.scope.datasets == ("lung",)
    assert permit.scope.valid_until.date().isoformat() == until
    assert permit.decided_by == "Dr Hana"
    assert node.permits.latest("P-001.north") == permit
    assert len(node.outbox.waiting()) == 1


def test_a_steward_cannot_approve_more_than_was_asked(run, node):
    code, _, error = run("permits", "approve", "P-001.north", "--datasets", "liver", "--yes")
    assert code == ExitCode.REFUSED
    assert error.startswith("permit.wider: ")
    assert node.permits.latest("P-001.north") is None


def test_each_decision_is_a_new_revision_a_statement_and_an_entry(run, node):
    for verb in ("approve", "suspend", "approve", "reject"):
        assert run("permits", verb, "P-001.north", "--yes", "--by", "hana")[0] == 0
    assert node.permits.latest("P-001.north").revision == 4
    assert node.permits.latest("P-001.north").state == "rejected"
    assert len(node.outbox.waiting()) == 4
    actions = [entry.action for entry in node.audit.entries()]
    assert actions == [
        "permit.requested",
        "permit.approved",
        "permit.suspended",
        "permit.approved",
        "permit.rejected",
    ]
    assert {entry.actor for entry in node.audit.entries()[1:]} == {"hana"}


def test_outbound_shows_when_to_whom_why_how_many_bytes_and_what(run, node):
    body = b'{"wait_seconds":25,"running":[],"software":"atoll-node/0.1.0"}'
    number = node.journal.sending(
        recipient="https://hub.example", method="POST", path="/v1/node/catalog", why="catalog", body=body
    )
    node.journal.answered(number, "204")
    _, out, _ = run("outbound")
    assert all(word in out for word in ("2026-05-04 12:00:00", "https://hub.example", "catalog", "204"))
    assert str(len(body)) in out
    _, listed, _ = run("outbound", "--json")
    assert json.loads(listed)["messages"][0]["content"] == body.decode()
    assert json.loads(listed)["totals"] == [{"why": "catalog", "messages": 1, "bytes": len(body)}]


def test_one_outbound_message_is_shown_byte_for_byte(node, capfdbinary):
    body = '{"purpose":"Größe"}'.encode()
    number = node.journal.sending(
        recipient="https://hub.example", method="POST", path="/v1/node/catalog", why="catalog", body=body
    )
    app(["outbound", str(number), "--home", str(node.home.root)], WORLD)
    assert capfdbinary.readouterr().out.endswith(b"\n" + body + b"\n")


def test_idle_polls_are_shown_only_when_asked_for(run, node):
    for why in ("poll", "poll, renewing leases", "catalog"):
        node.journal.sending(recipient="https://hub", method="POST", path="/", why=why, body=b"{}")
    assert len(json.loads(run("outbound", "--json")[1])["messages"]) == 1
    assert len(json.loads(run("outbound", "--polls", "--json")[1])["messages"]) == 3


def test_audit_verify_says_whether_the_chain_holds(run, node):
    assert run("audit", "verify") == (0, "the chain of 1 entries holds\n", "")
    node.state.connection().execute("DELETE FROM audit")
    code, out, _ = run("audit", "verify", "--json")
    assert code == ExitCode.ERROR
    assert json.loads(out)["holds"] is False


def test_audit_verify_misses_a_chain_that_was_removed_with_its_head(run, node):
    node.audit.record(Decision("node.enrolled", "operator", "north"))
    node.home.enrolment.write_text("{}")
    node.state.connection().execute("DELETE FROM audit")
    node.home.state.with_name("audit-head.json").unlink()
    code, out, _ = run("audit", "verify")
    assert code == ExitCode.ERROR
    assert "enrolled" in out


def test_status_tells_contact_datasets_and_permits(run, node):
    write_standing(node, Standing("unreachable", "hub.timeout", "the hub did not reply", "it keeps trying"))
    _, out, _ = run("status")
    assert "hub.timeout" in out
    assert "P-001.north" in out
    found = json.loads(run("status", "--json")[1])
    assert found["up"] is False
    assert found["enrolment"] is None
    assert found["contact"]["state"] == "unreachable"


def test_home_may_stand_before_the_command_and_in_the_environment(node, capsys, monkeypatch):
    assert app(["--home", str(node.home.root), "status", "--json"], WORLD) == 0
    monkeypatch.setenv("ATOLL_NODE_HOME", str(node.home.root))
    assert app(["status", "--json"], WORLD) == 0
    first, second = capsys.readouterr().out.split("}\n{")
    assert first[1:] == second[:-2] or json.loads(first + "}")["site"] == "north"


def test_version_is_told(capsys):
    assert app(["--version"], WORLD) == 0
    assert capsys.readouterr().out.startswith("atoll-node/")


def every_command() -> list[tuple[str, ...]]:
    found = [(str(command.callback.__name__),) for command in declared([]).registered_commands]
    for group in declared([]).registered_groups:
        for command in group.typer_instance.registered_commands:
            found.append((str(group.name), command.name or command.callback.__name__))
    return found


@pytest.mark.parametrize("command", every_command(), ids=" ".join)
def test_every_command_explains_itself_with_an_example(command, capsys):
    assert app([*command, "--help"], WORLD) == 0
    shown = capsys.readouterr().out
    assert "Examples:" in shown
    assert f"atoll-node {' '.join(command)}" in shown
    assert "--home" in shown


@pytest.mark.parametrize("command", [c for c in every_command() if c != ("up",)], ids=" ".join)
def test_every_command_but_up_speaks_json(command, capsys):
    app([*command, "--help"], WORLD)
    assert "--json" in capsys.readouterr().out


def test_a_reopened_home_knows_what_was_decided(run, node):
    run("permits", "approve", "P-001.north", "--yes")
    again = open_node(Home(node.home.root), WORLD)
    assert again.permits.latest("P-001.north").state == "active"


@pytest.mark.parametrize("command", every_command(), ids=" ".join)
def test_every_command_has_its_place_in_the_reference(command):
    page = Path(__file__).parents[2] / "docs" / "reference" / "node-commands.md"
    assert f"## atoll-node {' '.join(command)}\n" in page.read_text(encoding="utf-8")


def test_the_example_settings_are_valid():
    example = Path(__file__).parents[2] / "deploy" / "atoll-node.example.toml"
    assert check(example.read_text(encoding="utf-8")).gate.minimum_persons == 10


def test_init_without_a_terminal_asks_for_an_answers_file(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    assert app(["init", "--home", str(tmp_path / "home")], WORLD) == ExitCode.USAGE
    assert capsys.readouterr().err.startswith("settings.no_terminal: ")
    assert not (tmp_path / "home").exists()
