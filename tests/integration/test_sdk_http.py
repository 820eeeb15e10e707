"""The SDK over real HTTP: what it sends, how it resumes, waits, trusts and fails."""

import asyncio
import json
import os
import pty
import socket
import ssl
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from typer.testing import CliRunner

import atoll
from atoll.cli import app
from tests.support import answers
from tests.support.small_hub import Reply, event, events, project, small_hub, summary

TOKEN = "atp_0123456789abcdef"
COHORT = atoll.Cohort.of(condition=4180790)
SIGNED_IN = {
    "name": "ada",
    "role": "researcher",
    "projects": ["P-001"],
    "hub_id": "hub",
    "token_expires_at": "2026-12-31T00:00:00Z",
}
TOLD = [
    event(1, "submitted"),
    event(2, "claimed", "north"),
    event(3, "stage", "north", stage="running"),
    event(4, "answered", "north"),
    event(5, "late", "south"),
    event(6, "finished", detail="partial"),
]
STREAM = "text/event-stream"


@pytest.fixture
def server(monkeypatch):
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    with small_hub() as running:
        running.says("GET", "/v1/me", Reply(SIGNED_IN))
        running.says("GET", "/v1/projects/P-001", Reply(project()))
        running.says("POST", "/v1/queries", Reply(summary(), 201))
        running.says("GET", "/v1/queries/Q-1/events", Reply(events(*TOLD), kind=STREAM))
        partial = answers.result(answers.COUNT, silent=("south",))
        running.says("GET", "/v1/queries/Q-1/result", Reply(partial.wire()))
        running.says("GET", "/v1/queries/Q-1", Reply(view()))
        running.says("POST", "/v1/queries/Q-1/cancel", Reply(summary(state="cancelled")))
        yield running


def view():
    query = {
        "project": "P-001",
        "dataset": "colon",
        "cohort": COHORT.to_circe(),
        "analysis": {"method": "count"},
    }
    return {
        "summary": summary(),
        "submission": {"query": query},
        "query_digest": "sha256:00",
        "deadline_at": "2026-03-04T12:05:00Z",
        "sites": [{"site": site, "state": "waiting"} for site in answers.SITES],
    }


@pytest.fixture
def hub(server):
    with atoll.Hub(server.url, TOKEN) as opened:
        yield opened


def test_every_request_carries_token_and_protocol(server, hub):
    assert hub.me().name == "ada"
    headers = server.asked[0].headers
    assert headers["Authorization"] == f"Bearer {TOKEN}"
    assert headers["Atoll-Protocol"] == "1"


def test_a_question_is_asked_followed_and_answered(server, hub):
    run = hub.count(COHORT, project="P-001")
    assert run.id == "Q-1"
    assert [it.kind for it in run.events()] == [it["kind"] for it in TOLD]
    assert run.result().headline == "2 of 3 sites"


def test_the_event_stream_resumes_after_the_last_event(server, hub):
    broken = Reply(events(*TOLD[:3], tail='data: {"seq'), kind=STREAM, cut=True)
    server.says("GET", "/v1/queries/Q-1/events", broken, Reply(events(*TOLD[3:]), kind=STREAM))
    assert [it.sequence for it in hub.run("Q-1").events()] == [1, 2, 3, 4, 5, 6]
    sent = [it.headers["Last-Event-ID"] for it in server.asked]
    assert sent == ["0", "3"]


def test_a_hub_that_is_not_ready_is_waited_for(server, hub):
    away = Reply({"title": "Not ready", "status": 503, "code": "hub.not_ready"}, 503)
    server.says("POST", "/v1/queries", away, Reply(summary(), 201))
    assert hub.count(COHORT, project="P-001", dataset="colon").id == "Q-1"
    bodies = {it.body for it in server.asked if it.path == "/v1/queries"}
    assert len(bodies) == 1


def test_refusals_arrive_with_cause_and_next_step(server, hub):
    problem = {
        "title": "Refused",
        "status": 403,
        "code": "permit.missing",
        "detail": "no site has an active permit",
        "next_step": "Ask the stewards.",
        "trace_id": "t-1",
    }
    server.says("POST", "/v1/queries", Reply(problem, 403))
    with pytest.raises(atoll.Refused, match=r"no site has an active permit\. Ask the stewards\.") as caught:
        hub.count(COHORT, project="P-001", dataset="colon")
    assert (caught.value.code, caught.value.trace_id) == ("permit.missing", "t-1")


@pytest.mark.parametrize(
    "reply, kind",
    [
        (Reply(b"<html>login</html>", kind="text/html"), atoll.ProtocolMismatch),
        (Reply({"surprise": 1}), atoll.ProtocolMismatch),
        (Reply(b"", 302), atoll.ProtocolMismatch),
        (Reply(b"proxy says no", 502), atoll.Unreachable),
        (Reply(b"", 500), atoll.HubFailed),
        (Reply(b"no", 401), atoll.SignInError),
    ],
    ids=["a login page", "another shape", "a redirect", "a proxy's fault", "a bare 500", "a bare 401"],
)
def test_an_address_that_is_no_hub_is_told_apart(server, hub, reply, kind):
    server.says("GET", "/v1/me", reply)
    with pytest.raises(kind):
        hub.me()


def test_a_redirect_never_takes_the_token_along(server, hub):
    server.says("GET", "/v1/me", Reply(b"", 302))
    with pytest.raises(atoll.AtollError):
        hub.me()
    assert len(server.asked) == 1


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def test_a_hub_that_is_down_is_named_without_the_token():
    with atoll.Hub(f"http://127.0.0.1:{free_port()}", TOKEN) as hub:
        with pytest.raises(atoll.Unreachable) as caught:
            hub.me()
        assert "127.0.0.1" in str(caught.value)
        assert TOKEN not in str(caught.value)


def test_a_proxy_of_the_environment_is_used(server, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", server.url)
    monkeypatch.setenv("NO_PROXY", "")
    with atoll.Hub("http://hub.internal", TOKEN, plain_http=True) as hub:
        assert hub.me().name == "ada"
    assert server.asked[0].target == "http://hub.internal/v1/me"


def authority(folder):
    """Write a self-signed certificate of 127.0.0.1 with its key; return both files."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test authority")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    public = certificate.public_bytes(serialization.Encoding.PEM)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "ca.pem").write_bytes(public)
    (folder / "both.pem").write_bytes(private + public)
    return folder / "ca.pem", folder / "both.pem"


def test_an_own_certificate_authority_is_trusted_when_named(tmp_path):
    ca_file, both = authority(tmp_path)
    with small_hub(both) as server:
        server.says("GET", "/v1/me", Reply(SIGNED_IN))
        given = {"ATOLL_HUB": server.url, "ATOLL_TOKEN": TOKEN, "ATOLL_CA_FILE": str(ca_file)}
        with atoll.Hub.from_env(given) as hub:
            assert hub.me().name == "ada"


def test_an_unknown_certificate_authority_is_not_trusted(tmp_path):
    _, both = authority(tmp_path)
    with (
        small_hub(both) as server,
        atoll.Hub(server.url, TOKEN) as hub,
        pytest.raises(atoll.Unreachable, match="ATOLL_CA_FILE"),
    ):
        hub.me()
    assert server.asked == []


def test_a_missing_authority_file_is_named(tmp_path):
    with pytest.raises(atoll.Invalid) as caught:
        atoll.Hub("https://127.0.0.1:1", TOKEN, ca_file=str(tmp_path / "none.pem"))
    assert caught.value.code == "ca.file"
    assert issubclass(ssl.SSLError, OSError)


def test_the_asynchronous_hub_does_the_same(server):
    broken = Reply(events(*TOLD[:2]), kind=STREAM, cut=True)
    server.says("GET", "/v1/queries/Q-1/events", broken, Reply(events(*TOLD[2:]), kind=STREAM))

    async def story():
        async with atoll.AsyncHub(server.url, TOKEN) as hub:
            run = await hub.count(COHORT, project="P-001")
            seen = [it.sequence async for it in run.events()]
            result = await run.result(timeout=30)
            stopped = await run.cancel()
            return (await hub.me()).name, seen, result.headline, stopped.state

    assert asyncio.run(story()) == ("ada", [1, 2, 3, 4, 5, 6], "2 of 3 sites", "cancelled")


@pytest.fixture
def shell(server, tmp_path):
    """Run the command as someone who is signed in."""
    given = {
        "ATOLL_CREDENTIALS": str(tmp_path / "c" / "credentials.json"),
        "ATOLL_HUB": "",
        "ATOLL_TOKEN": "",
    }
    COHORT.save(tmp_path / "cohort.json")
    (tmp_path / "token").write_text(TOKEN)

    def run(*words, stdin=None):
        return CliRunner().invoke(app, [str(word) for word in words], env=given, input=stdin)

    assert run("login", "--hub", server.url, "--token-file", tmp_path / "token").exit_code == 0
    return run


def test_login_says_who_and_until_when_and_never_the_token(server, shell, tmp_path):
    said = shell("login", "--hub", server.url, stdin=TOKEN + "\n")
    assert "Signed in" in said.output
    assert "as ada (researcher); P-001." in said.output
    assert "2026-12-31" in said.output
    assert TOKEN not in said.output
    assert (tmp_path / "c" / "credentials.json").stat().st_mode & 0o077 == 0


def test_a_token_that_the_hub_does_not_take_is_not_kept(server, shell, tmp_path):
    (tmp_path / "c" / "credentials.json").unlink()
    problem = {"title": "Sign in", "status": 401, "code": "token.invalid", "detail": "the token is unknown"}
    server.says("GET", "/v1/me", Reply(problem, 401))
    assert shell("login", "--hub", server.url, stdin="wrong\n").exit_code == 4
    assert not (tmp_path / "c" / "credentials.json").exists()


def test_a_partial_count_in_a_pipe_is_plain_text_with_exit_code_3(shell, tmp_path):
    said = shell("count", tmp_path / "cohort.json", "-p", "P-001", "--csv", tmp_path / "out.csv")
    assert said.exit_code == 3
    assert "2 of 3 sites · partial · Q-1" in said.stdout
    assert "≥ 905" in said.stdout
    assert "\x1b" not in said.stdout
    assert "north  running" in said.stderr
    assert "withheld" in (tmp_path / "out.csv").read_text()


def test_json_prints_the_whole_answer(shell, tmp_path):
    said = shell("count", tmp_path / "cohort.json", "-p", "P-001", "--json")
    assert answers.result(answers.COUNT, silent=("south",)).wire() == json.loads(said.stdout)


def test_a_query_may_be_left_and_shown_later(shell, tmp_path):
    assert shell("count", tmp_path / "cohort.json", "-p", "P-001", "--no-wait").stdout == "Q-1\n"
    assert shell("show", "Q-1", "--no-wait").exit_code == 3
    assert shell("cancel", "Q-1").stdout == "Q-1 is cancelled.\n"


def test_a_query_that_is_unknown_has_exit_code_6(shell):
    said = shell("cancel", "Q-2")
    assert said.exit_code == 6
    assert "no such query [query.unknown]" in said.stderr


def test_a_cohort_file_that_is_missing_has_exit_code_2(shell, tmp_path):
    assert shell("km", tmp_path / "none.json", "-p", "P-001").exit_code == 2


def test_on_a_terminal_progress_is_live_and_the_answer_a_table(server):
    command = "import sys; sys.argv = ['atoll', 'show', 'Q-1']; from atoll.cli import app; app()"
    given = os.environ | {"ATOLL_HUB": server.url, "ATOLL_TOKEN": TOKEN, "TERM": "xterm-256color"}
    given.pop("NO_COLOR", None)
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-c", command], stdin=theirs, stdout=theirs, stderr=theirs, env=given
    ) as process:
        os.close(theirs)
        written = read_all(ours)
        assert process.wait(30) == 3
    assert "✓ north" in written
    assert "┏" in written
    assert "≥ 905" in written


def read_all(descriptor):
    """Read a terminal until the program behind it ends."""
    found = b""
    while True:
        try:
            chunk = os.read(descriptor, 65536)
        except OSError:
            chunk = b""
        if not chunk:
            os.close(descriptor)
            return found.decode("utf-8", "replace")
        found += chunk
