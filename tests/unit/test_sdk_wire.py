"""Each call has its path, and each reply its meaning: values, problems, proxies' pages, hostile bodies."""

import asyncio
import json

import httpx
import pytest

import atoll
from atoll import calls
from atoll.credentials import checked
from tests.support import answers
from tests.support.small_hub import event, events, project, summary

HUB = "https://hub.example.org"
TOKEN = "atp_0123456789abcdef"
COHORT = atoll.Cohort.of(condition=4180790)
ILL_FORMED = {
    "title": "The request cannot be taken",
    "status": 422,
    "code": "request.invalid",
    "detail": "path.query_id: string_pattern_mismatch",
    "trace_id": "t-9",
}


def hub_that(answer):
    """Return a hub behind a transport that answers with ``answer(request)``."""
    return atoll.Hub(HUB, TOKEN, transport=httpx.MockTransport(answer))


def always(status, body, kind="application/problem+json"):
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return hub_that(lambda request: httpx.Response(status, content=content, headers={"Content-Type": kind}))


@pytest.mark.parametrize(
    "call, method, target",
    [
        (calls.me(), "GET", "/v1/me"),
        (calls.sites(), "GET", "/v1/sites"),
        (calls.datasets(), "GET", "/v1/datasets"),
        (calls.datasets("colon & lung"), "GET", "/v1/datasets?q=colon%20%26%20lung"),
        (calls.variables("colon"), "GET", "/v1/datasets/colon/variables"),
        (calls.variables("../me"), "GET", "/v1/datasets/..%2Fme/variables"),
        (calls.projects(), "GET", "/v1/projects"),
        (calls.project("P-001"), "GET", "/v1/projects/P-001"),
        (calls.queries(), "GET", "/v1/queries?limit=50"),
        (calls.queries("P-001", 3), "GET", "/v1/queries?limit=3&project=P-001"),
        (calls.query("Q-1"), "GET", "/v1/queries/Q-1"),
        (calls.query("a/b?c#d"), "GET", "/v1/queries/a%2Fb%3Fc%23d"),
        (calls.result("Q-1"), "GET", "/v1/queries/Q-1/result?wait=0"),
        (calls.result("Q-1", 30), "GET", "/v1/queries/Q-1/result?wait=30"),
        (calls.cancel("Q-1"), "POST", "/v1/queries/Q-1/cancel"),
    ],
    ids=lambda it: it if isinstance(it, str) else "",
)
def test_each_call_goes_to_its_place(call, method, target):
    url = httpx.URL(HUB + call.path).copy_merge_params(dict(call.query))
    assert (call.method, url.raw_path.decode().replace("+", "%20")) == (method, target)


BY_ID = {
    "query": lambda hub: hub.query("nonsense"),
    "result": lambda hub: hub.run("nonsense").result(),
    "peek": lambda hub: hub.run("nonsense").peek(),
    "cancel": lambda hub: hub.cancel("nonsense"),
    "events": lambda hub: list(hub.run("nonsense").events()),
}


@pytest.mark.parametrize("ask", BY_ID.values(), ids=BY_ID.keys())
def test_a_query_id_of_no_valid_form_is_a_query_that_is_not_there(ask):
    with always(422, ILL_FORMED) as hub, pytest.raises(atoll.NotFound) as caught:
        ask(hub)
    error = caught.value
    assert (error.code, error.exit_code, error.trace_id) == ("query.unknown", 6, "t-9")
    assert error.next_step == "See `atoll queries`."


def test_a_dataset_name_of_no_valid_form_is_a_dataset_that_is_not_there():
    with always(422, ILL_FORMED) as hub, pytest.raises(atoll.NotFound) as caught:
        hub.variables("Colon Cancer")
    assert caught.value.code == "dataset.unknown"


def test_a_submission_that_cannot_be_taken_stays_a_usage_error():
    with always(422, ILL_FORMED) as hub, pytest.raises(atoll.Invalid) as caught:
        hub.count(COHORT, project="P-001", dataset="colon")
    assert caught.value.code == "request.invalid"


def test_another_problem_with_status_422_keeps_its_code():
    other = {**ILL_FORMED, "code": "query.not_canonical"}
    with always(422, other) as hub, pytest.raises(atoll.Invalid) as caught:
        hub.query("Q-1")
    assert caught.value.code == "query.not_canonical"


@pytest.mark.parametrize(
    "status, kind",
    [
        (301, atoll.ProtocolMismatch),
        (400, atoll.ProtocolMismatch),
        (401, atoll.SignInError),
        (403, atoll.ProtocolMismatch),
        (404, atoll.ProtocolMismatch),
        (407, atoll.ProtocolMismatch),
        (418, atoll.ProtocolMismatch),
        (500, atoll.HubFailed),
        (501, atoll.HubFailed),
        (502, atoll.Unreachable),
        (503, atoll.Unreachable),
        (504, atoll.Unreachable),
    ],
)
@pytest.mark.parametrize("body", [b"", b"<html>no</html>", b"[]", b"\xff\xfe", b'{"code": 1}'])
def test_a_status_without_a_problem_has_a_meaning_of_its_own(status, kind, body):
    with always(status, body) as hub, pytest.raises(kind) as caught:
        hub.me()
    assert type(caught.value) is kind
    assert TOKEN not in str(caught.value)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b'"ada"',
        b"NaN",
        b"\xff",
        b"{" * 10,
        b"[" * 100_000,
        b"1" * 10_000,
        b'{"name": "ada", "role": "emperor", "hub_id": "h", "token_expires_at": "2026-01-01T00:00:00Z"}',
    ],
    ids=["nothing", "null", "list", "object", "text", "NaN", "not UTF-8", "cut", "deep", "digits", "role"],
)
def test_a_reply_that_is_no_reply_is_another_protocol(body):
    with always(200, body, "application/json") as hub, pytest.raises(atoll.ProtocolMismatch) as caught:
        hub.me()
    assert caught.value.code == "reply.unknown"


def test_a_problem_that_is_nested_without_end_is_no_problem():
    with always(500, b'{"title":' + b"[" * 100_000) as hub, pytest.raises(atoll.HubFailed):
        hub.me()


@pytest.mark.parametrize("body", [{}, {"sites": []}, "x", None])
def test_a_list_that_is_none_is_another_protocol(body):
    with always(200, body) as hub, pytest.raises(atoll.ProtocolMismatch):
        hub.sites()


@pytest.mark.parametrize(
    "fault, said",
    [
        (httpx.ConnectError("refused"), "ConnectError"),
        (httpx.ConnectTimeout("slow"), "ConnectTimeout"),
        (httpx.ReadTimeout("slow"), "ReadTimeout"),
        (httpx.ProxyError("407"), "ProxyError"),
        (httpx.RemoteProtocolError("gone"), "RemoteProtocolError"),
        (httpx.DecodingError("gzip"), "DecodingError"),
        (UnicodeError("idna"), "UnicodeError"),
    ],
)
def test_a_fault_of_the_network_is_named_by_its_kind_without_the_token(fault, said):
    def broken(request):
        raise fault

    with hub_that(broken) as hub, pytest.raises(atoll.Unreachable) as caught:
        hub.me()
    assert f"({said})" in caught.value.message
    assert TOKEN not in repr(caught.value) + str(caught.value)
    assert caught.value.exit_code == 7


def test_an_untrusted_certificate_names_the_setting():
    def broken(request):
        raise httpx.ConnectError("[SSL: CERTIFICATE_VERIFY_FAILED] unable to get issuer")

    with hub_that(broken) as hub, pytest.raises(atoll.Unreachable) as caught:
        hub.me()
    assert caught.value.code == "hub.certificate"
    assert "ATOLL_CA_FILE" in caught.value.next_step


def test_the_headers_carry_token_protocol_and_the_sdks_name_and_no_more():
    seen = []

    def answer(request):
        seen.append(request)
        return httpx.Response(200, json=[])

    with hub_that(answer) as hub:
        hub.sites()
    headers = seen[0].headers
    assert headers["Authorization"] == f"Bearer {TOKEN}"
    assert headers["Atoll-Protocol"] == "1"
    assert headers["User-Agent"].startswith("atoll/")
    assert headers["Accept"] == "application/json"
    assert "Cookie" not in headers
    assert seen[0].content == b""


def test_a_submission_carries_exactly_what_was_asked():
    bodies = []

    def answer(request):
        bodies.append(json.loads(request.content))
        assert request.headers["Content-Type"] == "application/json"
        return httpx.Response(201, json=summary())

    keys = iter("abc")
    hub = atoll.Hub(
        HUB, TOKEN, transport=httpx.MockTransport(answer), new_key=lambda: next(keys) * 8 + "-key"
    )
    hub.count(COHORT, project="P-001", dataset="colon", sites=["north"], deadline=60, minimum_persons=20)
    hub.count(COHORT, project="P-001", dataset="colon", sites="north")
    first, second = bodies
    assert first["sites"] == second["sites"] == ["north"]
    assert first["deadline_seconds"] == 60
    assert first["query"]["tighten"] == {"minimum_persons": 20}
    assert (first["idempotency_key"], second["idempotency_key"]) == ("aaaaaaaa-key", "bbbbbbbb-key")
    assert "tighten" not in second["query"]


def test_a_project_is_applied_for_and_comes_back():
    from atoll_schemas.people import ProjectApplication

    wanted = ProjectApplication(title="Colon", purpose="learn", datasets=("colon",), methods=("count",))

    def answer(request):
        assert ProjectApplication.from_wire(json.loads(request.content)) == wanted
        return httpx.Response(201, json=project())

    with hub_that(answer) as hub:
        assert hub.apply(wanted).id == "P-001"


def test_a_stream_that_never_holds_ends_with_patience(monkeypatch):
    waits = []
    monkeypatch.setattr("atoll.hub.time.sleep", waits.append)

    def broken(request):
        raise httpx.ReadError("gone")

    with hub_that(broken) as hub, pytest.raises(atoll.Unreachable):
        list(hub.run("Q-1").events())
    assert waits == [0.25, 0.5, 1.0, 2.0, 4.0, 5.0]


def test_an_event_gives_patience_back(monkeypatch):
    monkeypatch.setattr("atoll.hub.time.sleep", lambda seconds: None)
    told = iter([event(n, "claimed", "north") for n in range(1, 12)] + [event(12, "finished")])

    def one_event(request):
        assert request.headers["Last-Event-ID"].isdigit()
        return httpx.Response(200, content=events(next(told)))

    with hub_that(one_event) as hub:
        assert [it.sequence for it in hub.run("Q-1").events()] == list(range(1, 13))


def test_a_stream_may_start_after_an_event():
    asked = []

    def answer(request):
        asked.append(request.headers["Last-Event-ID"])
        return httpx.Response(200, content=events(event(7, "claimed", "north"), event(8, "finished")))

    with hub_that(answer) as hub:
        assert [it.sequence for it in hub.run("Q-1").events(after=7)] == [8]
    assert asked == ["7"]


def test_a_stream_that_is_refused_says_why():
    refused = {"title": "No", "status": 403, "code": "project.not_yours", "detail": "not your project"}
    with always(403, refused) as hub, pytest.raises(atoll.Refused, match="not your project"):
        list(hub.run("Q-1").events())


def test_peeking_never_waits():
    targets = []

    def answer(request):
        targets.append(request.url.raw_path.decode())
        return httpx.Response(200, json=answers.result(answers.COUNT).wire())

    with hub_that(answer) as hub:
        assert hub.run("Q-1").peek().complete
    assert targets == ["/v1/queries/Q-1/result?wait=0"]


def test_a_timeout_of_nothing_asks_once_and_says_it_still_runs():
    running = {**answers.result(None).wire(), "state": "running", "answered": 0}
    with always(200, running) as hub, pytest.raises(atoll.StillRunning, match="0 of 3 sites so far"):
        hub.run("Q-1").result(timeout=0)


def test_the_asynchronous_hub_reads_the_same_replies():
    async def story(status, body):
        transport = httpx.MockTransport(lambda request: httpx.Response(status, json=body))
        async with atoll.AsyncHub(HUB, TOKEN, transport=transport) as hub:
            return await hub.query("nonsense")

    with pytest.raises(atoll.NotFound):
        asyncio.run(story(422, ILL_FORMED))
    with pytest.raises(atoll.ProtocolMismatch):
        asyncio.run(story(200, {"surprise": 1}))


def test_the_asynchronous_stream_is_refused_alike():
    async def story():
        transport = httpx.MockTransport(lambda request: httpx.Response(422, json=ILL_FORMED))
        async with atoll.AsyncHub(HUB, TOKEN, transport=transport) as hub:
            return [it async for it in hub.run("nonsense").events()]

    with pytest.raises(atoll.NotFound):
        asyncio.run(story())


@pytest.mark.parametrize(
    "address",
    [
        "https://[bad",
        "https://hub:99999",
        "https://hub:0",
        "https://hub:port",
        "https://hub:-1",
        "https://hu b",
        "https://hub\x00",
        "https://hub\n.example",
        "https://" + "a" * 300,
        "https://a..b",
        "https:///path",
        "//hub.example",
        "hub.example:443",
        "file:///etc/passwd",
        "javascript:alert(1)",
        "https://hub.example/#part",
        "https://ada@hub.example",
        "",
        " ",
    ],
)
def test_what_is_no_address_is_refused_before_the_token_leaves(address):
    with pytest.raises(atoll.Invalid) as caught:
        checked(address, TOKEN)
    assert caught.value.code == "hub.address"
    assert TOKEN not in str(caught.value)


@pytest.mark.parametrize(
    "address, kept",
    [
        ("https://hub.example", "https://hub.example"),
        (" https://hub.example/ ", "https://hub.example"),
        ("https://hub.example:8443", "https://hub.example:8443"),
        ("https://hub.example/atoll/", "https://hub.example/atoll"),
        ("https://[::1]:8443", "https://[::1]:8443"),
        ("http://[::1]:8080", "http://[::1]:8080"),
        ("http://localhost", "http://localhost"),
        ("https://klinikum-münchen.example", "https://klinikum-münchen.example"),
    ],
)
def test_an_address_is_kept_without_its_last_slash(address, kept):
    assert checked(address, TOKEN).hub == kept


@pytest.mark.parametrize(
    "host", ["127.0.0.2", "0.0.0.0", "10.0.0.1", "localhost.example", "127.0.0.1.example"]
)
def test_plain_http_to_what_only_looks_like_this_machine_is_refused(host):
    with pytest.raises(atoll.Invalid) as caught:
        checked(f"http://{host}", TOKEN)
    assert caught.value.code == "hub.plain_http"


def test_a_hub_below_a_path_is_asked_below_it():
    targets = []

    def answer(request):
        targets.append(str(request.url))
        return httpx.Response(200, json=[])

    with atoll.Hub(HUB + "/atoll", TOKEN, transport=httpx.MockTransport(answer)) as hub:
        hub.sites()
    assert targets == ["https://hub.example.org/atoll/v1/sites"]


@pytest.mark.parametrize("proxy", ["ftp://proxy:1", "socks5://127.0.0.1:1"])
@pytest.mark.parametrize("kind", [atoll.Hub, atoll.AsyncHub])
def test_a_proxy_that_cannot_be_used_is_named_by_its_settings(monkeypatch, proxy, kind):
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy", "https_proxy", "NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HTTPS_PROXY", proxy)
    with pytest.raises(atoll.Invalid) as caught:
        kind(HUB, TOKEN)
    assert caught.value.code == "proxy.form"
    assert "HTTPS_PROXY" in caught.value.next_step
