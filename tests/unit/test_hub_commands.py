"""The operator's commands say what they did, what is wrong and what to do, with a steady exit code."""

import json
import os
import re
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from typer.testing import CliRunner, Result

from atoll_hub import __version__
from atoll_hub.audit.store import audit_entries
from atoll_hub.bootstrap import open_hub
from atoll_hub.cli import app
from atoll_hub.home import HubHome
from atoll_schemas.problems import ExitCode
from tests.support.hub import free_port


@pytest.fixture
def home(tmp_path: Path) -> HubHome:
    """A prepared home."""
    found = HubHome(tmp_path / "hub")
    assert run(found, "init").exit_code == 0
    return found


def run(home: HubHome, *arguments: str) -> Result:
    """Run one command in this process."""
    return CliRunner().invoke(app, ["--home", str(home.root), *arguments])


def told(result: Result, code: ExitCode) -> str:
    """Check the exit code and return what stands on stderr."""
    assert result.exit_code == code, result.output
    return " ".join(result.stderr.split())


def edited(home: HubHome, old: str, new: str) -> None:
    text = home.settings.read_text()
    assert old in text
    home.settings.write_text(text.replace(old, new))


# init


def test_init_says_what_it_made_and_what_comes_next(tmp_path: Path):
    result = run(HubHome(tmp_path), "init")
    assert re.search(r"hub-[0-9a-f]{8} is ready", result.stdout)
    assert "key fingerprint" in result.stdout
    assert "users add NAME --role operator" in " ".join(result.stdout.split())


def test_init_again_keeps_the_key_the_name_and_the_chain(home: HubHome):
    run(home, "users", "add", "ada")
    before = [file.read_bytes() for file in (home.settings, home.signing_key)]
    again = run(home, "init", "--json")
    assert again.exit_code == 0
    assert [file.read_bytes() for file in (home.settings, home.signing_key)] == before
    assert json.loads(run(home, "audit", "verify", "--json").stdout)["entries"] == 1
    assert json.loads(again.stdout)["hub_id"] in home.settings.read_text()


def test_no_secret_of_the_home_is_open_to_others(home: HubHome):
    assert home.root.stat().st_mode & 0o077 == 0
    assert home.secrets.stat().st_mode & 0o777 == 0o700
    assert home.signing_key.stat().st_mode & 0o777 == 0o600


# Homes that are not ready

COMMANDS = [
    ("users", "list"),
    ("users", "add", "ada"),
    ("users", "revoke", "ada"),
    ("sites", "list"),
    ("sites", "invite", "north"),
    ("projects", "list"),
    ("projects", "show", "P-001"),
    ("audit", "verify"),
    ("audit", "export"),
    ("up",),
]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_without_a_home_every_command_says_to_run_init(tmp_path: Path, command: tuple[str, ...]):
    assert "atoll-hub init" in told(run(HubHome(tmp_path), *command), ExitCode.USAGE)


def test_a_key_that_is_gone_is_not_made_anew_by_stealth(home: HubHome):
    home.signing_key.unlink()
    assert "signing key is absent" in told(run(home, "users", "list"), ExitCode.USAGE)
    assert not home.signing_key.exists()


def test_a_key_that_others_can_read_stops_every_command(home: HubHome):
    home.signing_key.chmod(0o640)
    assert "chmod 600" in told(run(home, "users", "list"), ExitCode.USAGE)


def test_a_file_that_is_no_key_is_named(home: HubHome):
    home.signing_key.write_text("hello")
    assert "not an EC P-256 key" in told(run(home, "users", "list"), ExitCode.USAGE)


def test_a_database_of_other_software_says_to_run_init(home: HubHome):
    hub = open_hub(home)
    with hub.database.write() as connection:
        connection.execute(sa.text("update alembic_version set version_num = '0000'"))
    hub.close()
    assert "atoll-hub init" in told(run(home, "users", "list"), ExitCode.UNREACHABLE)


def test_a_database_that_is_no_database_says_where_to_look(home: HubHome):
    for file in home.state.glob("hub.sqlite*"):
        file.unlink()
    (home.state / "hub.sqlite").write_text("this is no database, and it is long enough to be read as one")
    said = told(run(home, "users", "list"), ExitCode.UNREACHABLE)
    assert "[database] in atoll-hub.toml" in said


def test_a_setting_that_is_unknown_names_the_one_that_was_meant(home: HubHome):
    edited(home, "lease_seconds = 30", "lease_second = 30")
    assert "did you mean lease_seconds?" in told(run(home, "users", "list"), ExitCode.USAGE)


# People


def test_a_persons_token_is_printed_once_and_alone_on_its_line(home: HubHome):
    result = run(home, "users", "add", "ada", "--days", "7")
    first, *rest = result.stdout.splitlines()
    assert first.startswith("atoll_pat_")
    assert "not shown again" in " ".join(rest)
    assert first not in run(home, "users", "list", "--json").stdout


def test_people_are_listed_as_lines_for_a_pipe(home: HubHome):
    run(home, "users", "add", "ada")
    run(home, "users", "add", "olga", "--role", "operator")
    run(home, "users", "revoke", "ada")
    rows = [line.split("\t")[:3] for line in run(home, "users", "list").stdout.splitlines()]
    assert rows == [
        ["name", "role", "state"],
        ["ada", "researcher", "revoked"],
        ["olga", "operator", "active"],
    ]


@pytest.mark.parametrize(
    "arguments, code, said",
    [
        (("add", "bad name"), ExitCode.USAGE, "name:"),
        (("add", ""), ExitCode.USAGE, "name:"),
        (("add", "ada", "--days", "0"), ExitCode.USAGE, "token_days"),
        (("add", "ada", "--days", "367"), ExitCode.USAGE, "token_days"),
        (("add", "ada", "--role", "king"), ExitCode.USAGE, "king"),
        (("add", "known"), ExitCode.REFUSED, "choose another name"),
        (("revoke", "nobody"), ExitCode.NOT_FOUND, "no person of this name"),
        (("remove", "ada"), ExitCode.USAGE, "remove"),
    ],
)
def test_a_wrong_command_on_people_says_why(
    home: HubHome, arguments: tuple[str, ...], code: ExitCode, said: str
):
    run(home, "users", "add", "known")
    assert said in told(run(home, "users", *arguments), code)


def test_revoking_twice_changes_nothing(home: HubHome):
    run(home, "users", "add", "ada")
    assert run(home, "users", "revoke", "ada").exit_code == 0
    assert run(home, "users", "revoke", "ada").exit_code == 0
    assert json.loads(run(home, "audit", "verify", "--json").stdout)["entries"] == 2


def test_a_revoked_person_can_come_back_in_another_role(home: HubHome):
    run(home, "users", "add", "ada")
    run(home, "users", "revoke", "ada")
    assert run(home, "users", "add", "ada", "--role", "steward").exit_code == 0
    (ada,) = json.loads(run(home, "users", "list", "--json").stdout)
    assert (ada["role"], "revoked_at" in ada) == ("steward", False)


# Sites


def test_an_invitation_prints_the_code_alone_and_where_to_use_it(home: HubHome):
    result = run(home, "sites", "invite", "north", "--title", "North Hospital")
    assert re.fullmatch(r"atoll1-[a-z2-7]+-[a-z2-7]+", result.stdout.splitlines()[0])
    assert "atoll-node enroll CODE" in " ".join(result.stdout.split())
    assert run(home, "sites", "list").stdout.splitlines()[1].split("\t")[:3] == [
        "north",
        "North Hospital",
        "invited",
    ]


@pytest.mark.parametrize("site", ["North", "north_1", "1north", "n" * 32, "nörth", " north"])
def test_a_site_of_another_form_is_refused_with_an_example(home: HubHome, site: str):
    assert "for example: north" in told(run(home, "sites", "invite", site), ExitCode.USAGE)


@pytest.mark.parametrize("hours", ["0", "721", "x"])
def test_an_invitation_lasts_an_hour_to_a_month(home: HubHome, hours: str):
    assert run(home, "sites", "invite", "north", "--hours", hours).exit_code == ExitCode.USAGE


# Projects


def opened(home: HubHome, *more: str) -> Result:
    whole = ("add", "Stage III", "--purpose", "Survival", "--dataset", "colon", "--by", "ada", *more)
    return run(home, "projects", *whole)


def test_a_project_is_opened_for_a_person_and_shown(home: HubHome):
    run(home, "users", "add", "ada")
    run(home, "sites", "invite", "north")
    assert opened(home).stdout.splitlines()[1].split("\t") == ["P-001", "Stage III", "ada", "0 active"]
    shown = run(home, "projects", "show", "P-001").stdout.splitlines()
    assert shown[-1].split("\t") == ["north", "P-001.north", "requested", "0"]
    assert json.loads(run(home, "projects", "list", "--json").stdout)[0]["id"] == "P-001"


@pytest.mark.parametrize(
    "more, code, said",
    [
        (("--person", "bob"), ExitCode.USAGE, "not known to the hub"),
        (("--site", "west"), ExitCode.USAGE, "site of the project is not known"),
        (("--method", "magic"), ExitCode.USAGE, "methods"),
        (("--dataset", "Not A Name"), ExitCode.USAGE, "datasets"),
    ],
)
def test_a_wrong_project_says_why(home: HubHome, more: tuple[str, ...], code: ExitCode, said: str):
    run(home, "users", "add", "ada")
    assert said in told(opened(home, *more), code)


def test_a_project_that_is_not_there_is_not_found(home: HubHome):
    assert run(home, "projects", "show", "P-404").exit_code == ExitCode.NOT_FOUND


# Problems for programs


def test_with_json_a_problem_is_json_on_stderr_and_stdout_stays_empty(home: HubHome):
    result = run(home, "users", "add", "bad name", "--json")
    problem = json.loads(result.stderr)
    assert (problem["code"], problem["next_step"]) == ("command.invalid", "see --help")
    assert result.stdout == ""


# Audit


def test_a_whole_chain_is_told_in_one_line(home: HubHome):
    run(home, "users", "add", "ada")
    result = run(home, "audit", "verify")
    assert (result.exit_code, result.stdout) == (0, "1 entries, the chain holds\n")


def test_a_broken_chain_names_the_entry_and_ends_with_one(home: HubHome):
    for name in ("ada", "bob", "cyd"):
        run(home, "users", "add", name)
    hub = open_hub(home)
    with hub.database.write() as connection:
        connection.execute(sa.delete(audit_entries).where(audit_entries.c.sequence == 2))
    hub.close()
    result = run(home, "audit", "verify")
    assert result.exit_code == ExitCode.ERROR
    assert "entry 2: an entry is missing" in result.stdout
    assert "the chain is broken" in result.stdout
    found = json.loads(run(home, "audit", "verify", "--json").stdout)
    assert (found["holds"], found["flaws"][0]["sequence"]) == (False, 2)


def test_a_signed_end_that_is_gone_breaks_the_chain(home: HubHome):
    run(home, "users", "add", "ada")
    os.remove(home.audit_head)
    assert run(home, "audit", "verify").exit_code == ExitCode.ERROR


def test_the_chain_is_exported_as_lines_of_json_oldest_first(home: HubHome):
    run(home, "users", "add", "ada")
    run(home, "sites", "invite", "north")
    lines = [json.loads(line) for line in run(home, "audit", "export").stdout.splitlines()]
    assert [line["action"] for line in lines] == ["person.added", "site.invited"]
    assert lines[1]["previous"] == lines[0]["hash"]
    assert all(line["actor"].startswith("shell:") for line in lines)


# Serving


@pytest.fixture
def taken() -> Iterator[int]:
    """A port on which somebody else listens."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        yield int(other.getsockname()[1])


def test_a_busy_port_is_named_with_how_to_find_who_has_it(home: HubHome, taken: int):
    said = told(run(home, "up", "--port", str(taken)), ExitCode.BLOCKER)
    assert f"port {taken} on 127.0.0.1 is taken by another process" in said
    assert f"ss -ltnp 'sport = :{taken}'" in said
    assert "--port" in said


def test_an_address_of_no_machine_here_is_named(home: HubHome, tmp_path: Path):
    for name in ("tls.crt", "tls.key"):
        (tmp_path / name).write_text("not read before the address is")
    tls = ("--tls-cert", str(tmp_path / "tls.crt"), "--tls-key", str(tmp_path / "tls.key"))
    said = told(run(home, "up", "--host", "192.0.2.1", "--port", str(free_port()), *tls), ExitCode.BLOCKER)
    assert "192.0.2.1" in said
    assert "an address of this machine" in said


@pytest.mark.parametrize(
    "arguments, said",
    [
        (("--host", "0.0.0.0"), "loopback only"),
        (("--host", "hub.example.org"), "loopback only"),
        (("--host", "::"), "loopback only"),
        (("--tls-cert", "/nowhere/tls.crt"), "tls_cert and tls_key come together"),
        (("--tls-key", "/nowhere/tls.key"), "tls_cert and tls_key come together"),
        (("--tls-cert", "/nowhere/tls.crt", "--tls-key", "/nowhere/tls.key"), "there is no file /nowhere"),
        (("--port", "0"), "greater than or equal to 1"),
        (("--port", "65536"), "less than or equal to 65535"),
    ],
)
def test_a_wrong_way_to_serve_is_refused_before_anything_opens(
    home: HubHome, arguments: tuple[str, ...], said: str
):
    assert said in told(run(home, "up", *arguments), ExitCode.USAGE)


# The program itself


def test_the_version_is_told_without_a_home(tmp_path: Path):
    result = run(HubHome(tmp_path / "nothing"), "--version")
    assert (result.exit_code, result.stdout) == (0, f"atoll-hub {__version__}\n")
    assert not (tmp_path / "nothing").exists()


@pytest.mark.parametrize("command", [(), ("users",), ("sites",), ("projects",), ("audit",)])
def test_a_command_without_its_verb_shows_help(tmp_path: Path, command: tuple[str, ...]):
    assert "Usage" in run(HubHome(tmp_path), *command).output
