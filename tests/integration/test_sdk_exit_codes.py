"""The command over real HTTP: each exit code provoked, JSON that parses, files, encodings, settings."""

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

import atoll
from atoll.cli import app
from tests.support import answers
from tests.support.examples import EXAMPLES
from tests.support.small_hub import Reply, SmallHub, event, events, project, small_hub, summary

TOKEN = "atp_0123456789abcdef"
COHORT = atoll.Cohort.of(condition=4180790)
COMPLETE = answers.result(answers.COUNT)
PARTIAL = answers.result(answers.COUNT, silent=("south",))
NOBODY = answers.result(None, silent=answers.SITES)
STREAM = "text/event-stream"
BY_NAME = {kind.__name__: wire for kind, wire in EXAMPLES.items()}


def failed(state):
    """Return the answer that nobody gave, all sites in one state."""
    wire = NOBODY.wire()
    return {**wire, "sites": [{**site, "state": state} for site in wire["sites"]]}


def able(entry, *without):
    """Return a catalog entry whose tables are those that the cohort needs."""
    table = entry["tables"][0]
    names = {"person", "observation_period", "condition_occurrence"} - set(without)
    tables = [{**table, "name": name} for name in sorted(names)]
    return {**entry, "tables": tables, "shared_tables": ["concept_ancestor"]}


@pytest.fixture
def server(monkeypatch):
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    with small_hub() as running:
        running.says("GET", "/v1/me", Reply(BY_NAME["Me"]))
        running.says("GET", "/v1/sites", Reply([BY_NAME["SiteView"]]))
        running.says("GET", "/v1/datasets", Reply([BY_NAME["DatasetView"]]))
        running.says("GET", "/v1/datasets/colon", Reply([able(BY_NAME["CatalogEntry"])]))
        running.says("GET", "/v1/datasets/colon/variables", Reply(BY_NAME["DatasetVariables"]))
        running.says("GET", "/v1/projects", Reply([BY_NAME["ProjectView"]]))
        running.says("GET", "/v1/projects/P-001", Reply(project()))
        running.says("GET", "/v1/queries", Reply([BY_NAME["QuerySummary"]]))
        running.says("POST", "/v1/queries", Reply(summary(), 201))
        running.says("POST", "/v1/queries/Q-1/cancel", Reply(summary(state="cancelled")))
        running.says("GET", "/v1/queries/Q-1", Reply({**BY_NAME["QueryView"], "summary": summary()}))
        answered(running, COMPLETE.wire())
        yield running


def answered(server: SmallHub, wire):
    told = [event(1, "claimed", "north"), event(2, "finished")]
    server.says("GET", "/v1/queries/Q-1/events", Reply(events(*told), kind=STREAM))
    server.says("GET", "/v1/queries/Q-1/result", Reply(wire))


@pytest.fixture
def cohort(tmp_path):
    return COHORT.save(tmp_path / "cohort.json")


@pytest.fixture
def shell(server, tmp_path):
    given = {
        "ATOLL_CREDENTIALS": str(tmp_path / "none.json"),
        "ATOLL_HUB": server.url,
        "ATOLL_TOKEN": TOKEN,
        "ATOLL_TOKEN_FILE": "",
        "ATOLL_PROJECT": "",
    }

    def run(*words, stdin=None, **more):
        return CliRunner().invoke(app, [str(word) for word in words], env={**given, **more}, input=stdin)

    return run


LISTS = {
    "sites": ("north", "online"),
    "datasets": ("colon (synthetic)", "2015 to 2025"),
    "variables colon": ("trial arm", "relapse_or_death", "any_of"),
    "projects": ("P-001", "north active"),
    "queries": ("q-0123456789abcdef", "1 of 2"),
}


@pytest.mark.parametrize("command", LISTS)
def test_a_list_is_a_table_of_text_in_a_pipe(shell, command):
    said = shell(*command.split())
    assert said.exit_code == 0
    assert all(word in said.stdout for word in LISTS[command])
    assert said.stderr == ""


ALL = [
    *LISTS,
    "cohort check COHORT",
    "cohort check COHORT --dataset colon",
    "count --cohort COHORT -p P-001",
    "datasets colon cancer",
    "queries -p P-001 --limit 3",
    "show Q-1",
    "show Q-1 --no-wait",
    "show Q-1 --timeout 5",
    "cancel Q-1",
    "count COHORT -p P-001",
    "count COHORT -p P-001 --no-wait",
    "count COHORT -p P-001 --by sex --site north",
    "table1 COHORT -p P-001 -v age -v sex --by race",
    "crosstab COHORT -p P-001 -v sex -v race",
    "km COHORT -p P-001 --by sex --max-days 365",
]


@pytest.mark.parametrize("command", ALL)
def test_json_output_is_one_text_that_parses(shell, cohort, command):
    said = shell(*(str(cohort) if word == "COHORT" else word for word in command.split()), "--json")
    assert said.exit_code == 0, said.stderr
    assert json.loads(said.stdout)


@pytest.mark.parametrize("command", ALL)
def test_a_hub_that_fails_is_one_problem_in_json_too(server, shell, cohort, command):
    server.routes.clear()
    words = [str(cohort) if word == "COHORT" else word for word in command.split()]
    said = shell(*words, "--json")
    assert said.exit_code == 6
    assert json.loads(said.stdout)["code"] == "query.unknown"
    assert "[query.unknown]" in said.stderr


PROBLEM = {"title": "T", "detail": "the cause", "next_step": "do this", "trace_id": "t-7"}
CODES = [
    (400, "request.malformed", 2),
    (401, "token.expired", 4),
    (403, "permit.missing", 5),
    (404, "query.unknown", 6),
    (404, "route.unknown", 1),
    (409, "query.finished", 1),
    (413, "request.too_large", 2),
    (422, "request.invalid", 2),
    (422, "site.not_offering", 2),
    (500, "hub.fault", 1),
    (503, "hub.not_ready", 7),
]


@pytest.mark.parametrize("status, code, exit_code", CODES)
def test_what_the_hub_refuses_with_becomes_the_exit_code(server, shell, status, code, exit_code):
    server.says("GET", "/v1/sites", Reply({**PROBLEM, "status": status, "code": code}, status))
    said = shell("sites")
    assert said.exit_code == exit_code
    assert said.stderr == f"atoll: the cause [{code}]\n  do this\n  trace t-7\n"
    assert said.stdout == ""


@pytest.mark.parametrize("command", ["show", "cancel", "show --no-wait", "show --timeout 1", "show --json"])
def test_an_id_of_no_valid_form_ends_with_6(server, shell, command):
    problem = {"title": "T", "status": 422, "code": "request.invalid", "detail": "path.query_id: pattern"}
    for method, path in (("GET", ""), ("GET", "/result"), ("GET", "/events"), ("POST", "/cancel")):
        server.says(method, f"/v1/queries/nonsense{path}", Reply(problem, 422))
    name, *options = command.split()
    said = shell(name, "nonsense", *options)
    assert said.exit_code == 6
    assert "there is no such query [query.unknown]" in said.stderr


@pytest.mark.parametrize(
    "wire, exit_code",
    [
        (COMPLETE.wire(), 0),
        (PARTIAL.wire(), 3),
        (failed("no_permit"), 5),
        (failed("refused"), 5),
        (failed("failed"), 1),
        (failed("late"), 1),
        ({**NOBODY.wire(), "state": "cancelled"}, 1),
        ({**COMPLETE.wire(), "merged": None, "problem": BY_NAME["Problem"]}, 1),
    ],
    ids=["complete", "partial", "no permit", "refused", "failed", "late", "cancelled", "not merged"],
)
@pytest.mark.parametrize("as_json", [False, True], ids=["text", "json"])
def test_an_answer_has_its_exit_code(server, shell, wire, exit_code, as_json):
    answered(server, wire)
    said = shell("show", "Q-1", *(["--json"] if as_json else []))
    assert said.exit_code == exit_code
    if as_json:
        assert json.loads(said.stdout) == {key: it for key, it in wire.items() if it is not None}


def test_a_query_that_runs_beyond_the_timeout_ends_with_1_and_says_how_to_go_on(server, shell):
    answered(server, {**NOBODY.wire(), "state": "running"})
    said = shell("show", "Q-1", "--timeout", "0")
    assert said.exit_code == 1
    assert "It goes on at the hub" in said.stderr


def test_a_hub_that_is_away_ends_with_7(shell):
    said = shell("sites", ATOLL_HUB="http://127.0.0.1:9")
    assert said.exit_code == 7
    assert "[hub.unreachable]" in said.stderr
    assert TOKEN not in said.stderr


USAGE = [
    ("count",),
    ("count", "COHORT"),
    ("count", "none.json", "-p", "P-001"),
    ("count", "COHORT", "-p", "colon"),
    ("count", "COHORT", "-p", "P-001", "--deadline", "soon"),
    ("count", "COHORT", "-p", "P-001", "--deadline", "0"),
    ("count", "COHORT", "-p", "P-001", "--minimum-persons", "0"),
    ("count", "COHORT", "-p", "P-001", "--site", "North Hospital"),
    ("count", "COHORT", "-p", "P-001", "--by", "nosuch"),
    ("count", "COHORT", "-p", "P-001", "--by", "sex", "--by", "sex"),
    ("count", "COHORT", "-p", "P-001", "--by", "sex", "--by", "race", "--by", "ethnicity"),
    ("count", "COHORT", "-p", "P-001", "--by", "age", "--edges", "age=old,older"),
    ("count", "COHORT", "-p", "P-001", "--by", "age", "--edges", "age"),
    ("count", "COHORT", "-p", "P-001", "--by", "age", "--edges", "age=nan,1"),
    ("crosstab", "COHORT", "-p", "P-001", "-v", "sex"),
    ("table1", "COHORT", "-p", "P-001"),
    ("km", "COHORT", "-p", "P-001", "--outcome", "cure"),
    ("km", "COHORT", "-p", "P-001", "--max-days", "0"),
    ("queries", "--limit", "0"),
    ("queries", "--limit", "501"),
    ("show",),
    ("sites", "extra"),
    ("sites", "--no-such-option"),
    ("lagoon",),
]


@pytest.mark.parametrize("words", USAGE, ids=" ".join)
def test_what_is_wrong_in_the_command_ends_with_2_and_asks_no_site(server, shell, cohort, words):
    said = shell(*(cohort if word == "COHORT" else word for word in words))
    assert said.exit_code == 2, said.output
    assert said.stderr
    assert not any(asked.method == "POST" for asked in server.asked)


@pytest.mark.parametrize("command", ["", "-h", "--help"])
def test_help_needs_no_hub(shell, command):
    said = shell(*command.split(), ATOLL_HUB="", ATOLL_TOKEN="")
    assert "Exit codes" in said.output
    assert "login" in said.output


def test_files_are_written_beside_the_answer(shell, cohort, tmp_path):
    csv, svg = tmp_path / "out.csv", tmp_path / "out.svg"
    said = shell("count", cohort, "-p", "P-001", "--csv", csv, "--svg", svg)
    assert said.exit_code == 0
    assert csv.read_text() == atoll.Result(COMPLETE).to_csv()
    assert svg.read_text().startswith("<svg")


@pytest.mark.parametrize("option", ["--csv", "--svg"])
def test_a_file_that_cannot_be_written_leaves_one_json_text_and_ends_with_1(shell, tmp_path, option):
    said = shell("show", "Q-1", "--json", option, tmp_path / "no" / "such" / "folder")
    assert said.exit_code == 1
    assert json.loads(said.stdout) == COMPLETE.wire()
    assert "a file cannot be written or read: No such file or directory [file]" in said.stderr


def test_without_figures_a_csv_is_refused_and_the_answer_still_shown(server, shell, tmp_path):
    answered(server, failed("no_permit"))
    said = shell("show", "Q-1", "--json", "--csv", tmp_path / "out.csv")
    assert said.exit_code == 5
    assert json.loads(said.stdout)["state"] == "failed"
    assert "[result.empty]" in said.stderr
    assert not (tmp_path / "out.csv").exists()


def test_the_project_may_stand_in_the_environment(server, shell, cohort):
    assert shell("count", cohort, ATOLL_PROJECT="P-001").exit_code == 0
    (body,) = [json.loads(asked.body) for asked in server.asked if asked.method == "POST"]
    assert body["query"]["project"] == "P-001"


def test_an_option_goes_before_the_environment(server, shell, cohort):
    server.says("GET", "/v1/projects/P-002", Reply({**project(), "id": "P-002"}))
    assert shell("count", cohort, "-p", "P-002", ATOLL_PROJECT="P-001").exit_code == 0
    assert not any(asked.path == "/v1/projects/P-001" for asked in server.asked)


def test_options_travel_with_the_question(server, shell, cohort):
    words = ["--by", "age", "--edges", "age=40,60,80", "-s", "north", "-s", "south", "--deadline", "60"]
    asked = shell(
        "count", cohort, "-p", "P-001", "-d", "colon", *words, "--minimum-persons", "25", "--no-wait"
    )
    assert asked.stdout == "Q-1\n"
    (body,) = [json.loads(asked.body) for asked in server.asked if asked.method == "POST"]
    assert body["query"]["analysis"]["by"][0]["edges"] == [40.0, 60.0, 80.0]
    assert (body["sites"], body["deadline_seconds"]) == (["north", "south"], 60)
    assert body["query"]["tighten"] == {"minimum_persons": 25}


def test_labels_of_hospitals_cannot_drive_the_terminal(server, shell):
    evil = {**BY_NAME["SiteView"], "title": "\x1b[2J\x1b]0;owned\x07\u202egnirts"}
    server.says("GET", "/v1/sites", Reply([evil]))
    said = shell("sites")
    assert not {"\x1b", "\x07", "\u202e"} & set(said.stdout)
    assert "owned" in said.stdout


def test_a_problem_of_the_hub_cannot_drive_the_terminal(server, shell):
    problem = {**PROBLEM, "status": 403, "code": "x\x1b[31m", "detail": "a\nb\x1b[2J", "next_step": "c\rd"}
    server.says("GET", "/v1/sites", Reply(problem, 403))
    assert "\x1b" not in shell("sites").stderr


def process(server, *words, tmp_path, **more):
    """Run the command as a process of its own, with pipes; return what it wrote, as bytes."""
    given = os.environ | {
        "ATOLL_HUB": server.url,
        "ATOLL_TOKEN": TOKEN,
        "ATOLL_CREDENTIALS": str(tmp_path / "none.json"),
        **more,
    }
    script = f"import sys; sys.argv = ['atoll', *{list(words)!r}]; from atoll.cli import app; app()"
    return subprocess.run([sys.executable, "-c", script], capture_output=True, env=given, check=False)


@pytest.mark.parametrize(
    "encoding, floor", [("utf-8", "≥ 905"), ("cp1252", "\\u2265 905"), ("ascii", "\\u2265 905")]
)
def test_a_pipe_of_an_older_encoding_still_gets_the_floor(server, tmp_path, encoding, floor):
    answered(server, PARTIAL.wire())
    said = process(server, "show", "Q-1", tmp_path=tmp_path, PYTHONIOENCODING=encoding)
    assert said.returncode == 3, said.stderr
    assert floor in said.stdout.decode(encoding)
    assert b"Traceback" not in said.stderr


def test_json_in_a_pipe_of_an_older_encoding_still_parses(server, tmp_path):
    server.says("GET", "/v1/sites", Reply([{**BY_NAME["SiteView"], "title": "Charité ≥ 1"}]))
    said = process(server, "sites", "--json", tmp_path=tmp_path, PYTHONIOENCODING="ascii")
    assert json.loads(said.stdout)[0]["title"] == "Charité ≥ 1"


def test_a_reader_that_leaves_early_is_no_fault(server, tmp_path):
    server.says("GET", "/v1/queries", Reply([{**BY_NAME["QuerySummary"], "submitted_by": "a" * 1000}] * 4000))
    script = "import sys; sys.argv = ['atoll', 'queries']; from atoll.cli import app; app()"
    given = os.environ | {"ATOLL_HUB": server.url, "ATOLL_TOKEN": TOKEN}
    # Unbuffered, Python takes a write that a leaving reader cut short for a whole one.
    given.pop("PYTHONUNBUFFERED", None)
    with subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=given
    ) as running:
        running.stdout.read(10)
        running.stdout.close()
        said = running.stderr.read()
        assert running.wait(30) == 1
    assert said == b""


def test_a_token_is_asked_for_without_echo_on_a_terminal(server, tmp_path):
    kept = tmp_path / "atoll" / "credentials.json"
    script = "import sys; sys.argv = ['atoll', 'login']; from atoll.cli import app; app()"
    given = os.environ | {"ATOLL_HUB": server.url, "ATOLL_CREDENTIALS": str(kept), "ATOLL_TOKEN": ""}
    child, terminal = pty.fork()
    if child == 0:  # pragma: no cover
        os.execvpe(sys.executable, [sys.executable, "-c", script], given)
    written = b""
    while b"Token:" not in written:
        written += os.read(terminal, 1024)
    os.write(terminal, TOKEN.encode() + b"\n")
    try:
        while chunk := os.read(terminal, 1024):
            written += chunk
    except OSError:
        pass
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert TOKEN.encode() not in written
    assert json.loads(kept.read_text())["token"] == TOKEN


@pytest.mark.parametrize("content", ["", "\n", "two words", "\x00", "ü"])
def test_a_token_file_without_a_token_ends_with_4(server, shell, tmp_path, content):
    path = tmp_path / "token"
    path.write_text(content)
    assert shell("login", "--hub", server.url, "--token-file", path).exit_code == 4
    assert server.asked == []


def test_a_token_file_that_is_missing_ends_with_4(server, shell, tmp_path):
    said = shell("login", "--hub", server.url, "--token-file", tmp_path / "none")
    assert said.exit_code == 4
    assert "[token.file]" in said.stderr


def test_login_without_a_hub_is_a_usage_error(shell):
    assert shell("login", ATOLL_HUB="", stdin=TOKEN).exit_code == 2


@pytest.mark.parametrize(
    "address", ["http://hub.example.org", "https://[bad", "hub.example.org", "https://h:x"]
)
def test_login_at_an_address_that_is_none_ends_with_2_and_keeps_nothing(shell, tmp_path, address):
    said = shell("login", "--hub", address, stdin=TOKEN + "\n")
    assert said.exit_code == 2
    assert not (tmp_path / "none.json").exists()


def test_login_in_json_says_who_and_never_the_token(server, shell, tmp_path):
    said = shell("login", "--hub", server.url, "--json", stdin=TOKEN + "\n")
    assert json.loads(said.stdout)["name"] == "ada"
    assert TOKEN not in said.output
    assert json.loads(Path(tmp_path / "none.json").read_text())["hub"] == server.url


def test_a_cohort_that_every_site_can_run_is_checked_with_zero(shell, cohort):
    said = shell("cohort", "check", cohort)
    assert said.exit_code == 0, said.output
    assert "cohort.json is a cohort" in said.stdout
    assert "condition_occurrence, observation_period, person" in said.stdout
    assert "yes" in said.stdout


def test_a_site_that_cannot_run_a_cohort_says_why(server, shell, cohort):
    entry = BY_NAME["CatalogEntry"]
    south = {**able(entry, "condition_occurrence"), "site": "south"}
    server.says("GET", "/v1/datasets/colon", Reply([able(entry), south]))
    said = shell("cohort", "check", cohort)
    assert said.exit_code == 3
    assert "its release has no table condition_occurrence" in said.stdout
    found = json.loads(shell("cohort", "check", cohort, "--json").stdout)
    assert [(site["site"], site["runs"]) for site in found["sites"]] == [("north", True), ("south", False)]
    assert found["sites"][1]["obstacles"][0]["code"] == "table"
    server.says("GET", "/v1/datasets/colon", Reply([south]))
    assert shell("cohort", "check", cohort).exit_code == 1


def test_a_site_without_a_vocabulary_says_so(server, shell, cohort):
    entry = {**able(BY_NAME["CatalogEntry"]), "shared_tables": []}
    server.says("GET", "/v1/datasets/colon", Reply([entry]))
    said = shell("cohort", "check", cohort)
    assert said.exit_code == 1
    assert "no concept_ancestor" in said.stdout
    assert "ingests the OMOP vocabularies" in said.stdout


def test_different_vocabularies_are_told(server, shell, cohort):
    entry = able(BY_NAME["CatalogEntry"])
    other = {**entry, "site": "south", "vocabulary_version": "v5.0 2024-08"}
    server.says("GET", "/v1/datasets/colon", Reply([entry, other]))
    assert "different vocabularies: v5.0 2024-08, v5.0 2026-02" in shell("cohort", "check", cohort).stdout


def test_what_is_no_cohort_is_refused_by_its_path_without_a_hub(server, shell, tmp_path):
    server.routes.clear()
    wrong = tmp_path / "wrong.json"
    wrong.write_text('{"PrimaryCriteria": {"CriteriaList": [{"ConditionOccurence": {}}]}}', "utf-8")
    said = shell("cohort", "check", wrong)
    assert said.exit_code == 2
    assert "$.PrimaryCriteria.CriteriaList[0].ConditionOccurence" in said.stderr
    assert "did you mean ConditionOccurrence?" in said.stderr
    problem = json.loads(shell("cohort", "check", wrong, "--json").stdout)
    assert problem["code"] == "cohort.invalid"


def test_a_cohort_is_read_and_told_without_a_hub(server, shell, cohort):
    server.routes.clear()
    assert shell("cohort", "check", cohort, "--offline").exit_code == 0
    assert json.loads(shell("cohort", "check", cohort, "--offline", "--json").stdout)["sites"] is None
    assert "Who enters" in shell("cohort", "explain", cohort).stdout
    assert "Qui entre" in shell("cohort", "explain", cohort, "--lang", "fr").stdout
    told = json.loads(shell("cohort", "explain", cohort, "--json").stdout)
    assert told["language"] == "en"
    assert told["lines"][0] == "entry events"
    assert shell("cohort", "explain", cohort, "--lang", "de").exit_code == 2


def test_two_cohorts_are_compared_without_a_hub(server, shell, cohort, tmp_path):
    server.routes.clear()
    other = COHORT.where("adults", age=(18, None)).save(tmp_path / "other.json")
    same = shell("cohort", "diff", cohort, cohort)
    assert (same.exit_code, same.stdout) == (0, "Both mean the same.\n")
    said = shell("cohort", "diff", cohort, other)
    assert said.exit_code == 1
    assert "InclusionRules" in said.stdout
    told = json.loads(shell("cohort", "diff", cohort, other, "--json").stdout)
    assert told["same"] is False
    assert told["changes"][0]["kind"] == "added"


@pytest.mark.parametrize("words", [[], ["COHORT", "--cohort", "COHORT"]], ids=["none", "two"])
def test_a_count_takes_one_cohort(shell, cohort, words):
    named = [str(cohort) if word == "COHORT" else word for word in words]
    said = shell("count", *named, "-p", "P-001")
    assert said.exit_code == 2
    assert "name one cohort" in said.stderr
