"""What was seen of the network becomes a line: who is trusted, who opens TLS, which hub answers, and when."""

from datetime import UTC, datetime, timedelta

import pytest

from atoll_node.doctor import network as of
from atoll_node.doctor.network import Certificate, Trust
from atoll_node.doctor.network_adapter import address_of, proxy_of
from atoll_schemas.protocol import PROTOCOL

NOW = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)
GOOD = Trust.TRUSTED


def shown(settings=GOOD, system=GOOD, issuer="Public CA R3", days=200) -> Certificate:
    return Certificate(issuer, NOW + timedelta(days=days), settings, system)


def test_names_with_addresses_are_fine_and_the_first_is_told():
    assert of.names({"hub.example": ("192.0.2.1", "192.0.2.2")}).told == "hub.example is 192.0.2.1"


def test_the_name_without_an_address_is_told():
    found = of.names({"hub.example": ("192.0.2.1",), "s3.example": ()})

    assert found.state == "blocker"
    assert found.told == "no address is known for s3.example"


@pytest.mark.parametrize("status", [403, 407, 502, 0])
def test_a_proxy_that_says_no_is_a_blocker(status):
    assert of.proxy_declined(status, "hub.example").state == "blocker"


def test_a_proxy_that_wants_a_password_is_told_so():
    assert "name and password" in of.proxy_declined(407, "hub.example").told


@pytest.mark.parametrize("trust", [trust for trust in Trust if trust is not GOOD])
def test_a_certificate_that_is_not_trusted_is_a_blocker_with_its_reason(trust):
    found = of.chain(shown(settings=trust), "network.ca_file", NOW)

    assert found.state == "blocker"
    assert found.fix


def test_an_unknown_issuer_is_named_with_the_setting_that_would_trust_it():
    found = of.chain(shown(Trust.UNKNOWN_ISSUER, issuer="Hospital CA"), "store.ca_file", NOW)

    assert "Hospital CA" in found.told
    assert "store.ca_file" in found.fix


@pytest.mark.parametrize(("days", "state"), [(200, "ok"), (20, "warning"), (0, "warning")])
def test_a_certificate_that_ends_soon_is_told_in_time(days, state):
    assert of.chain(shown(days=days), "network.ca_file", NOW).state == state


@pytest.mark.parametrize(
    "issuer", ["Zscaler Intermediate Root CA", "FortiGate, Fortinet", "ACME TLS Inspection"]
)
@pytest.mark.parametrize("trust", [Trust.TRUSTED, Trust.UNKNOWN_ISSUER])
def test_a_device_that_opens_tls_is_told_whether_it_is_trusted_or_not(issuer, trust):
    found = of.interception(shown(trust, trust, issuer))

    assert found.state == "warning"
    assert issuer in found.told


def test_an_authority_of_the_settings_is_no_device():
    assert of.interception(shown(GOOD, Trust.UNKNOWN_ISSUER, "Hospital CA")).state == "ok"


def test_an_unknown_issuer_may_be_a_device():
    assert of.interception(shown(Trust.UNKNOWN_ISSUER, Trust.UNKNOWN_ISSUER, "Unheard of")).state == "warning"


@pytest.mark.parametrize(("enrolled", "state"), [("hub-1", "ok"), (None, "warning"), ("hub-2", "blocker")])
def test_the_hub_that_answers_is_the_one_of_the_enrolment(enrolled, state):
    assert of.hub("hub-1", enrolled).state == state


def test_another_protocol_names_both_versions():
    found = of.protocol("99", "atoll-hub 9.9")

    assert found.state == "blocker"
    assert "99" in found.told
    assert PROTOCOL in found.told
    assert of.protocol(PROTOCOL, "atoll-hub 0.1").state == "ok"


@pytest.mark.parametrize(
    ("seconds", "state"),
    [(0, "ok"), (-9, "ok"), (30, "warning"), (-59, "warning"), (61, "blocker"), (-4000, "blocker")],
)
def test_clocks_may_differ_by_seconds(seconds, state):
    assert of.clock(NOW, NOW + timedelta(seconds=seconds)).state == state


def test_a_hub_that_tells_no_time_is_a_warning():
    assert of.clock(NOW, None).state == "warning"


@pytest.mark.parametrize(
    ("url", "host", "port", "tls"),
    [
        ("https://hub.example", "hub.example", 443, True),
        ("https://hub.example:8443/x", "hub.example", 8443, True),
        ("http://127.0.0.1", "127.0.0.1", 80, False),
        ("https://[::1]:9", "::1", 9, True),
    ],
)
def test_an_address_is_host_port_and_whether_tls_is_spoken(url, host, port, tls):
    found = address_of(url)

    assert (found.host, found.port, found.tls) == (host, port, tls)


class TestWhichProxy:
    @pytest.fixture(autouse=True)
    def environment(self, monkeypatch):
        for name in ("http_proxy", "https_proxy", "no_proxy", "all_proxy"):
            monkeypatch.delenv(name, raising=False)
            monkeypatch.delenv(name.upper(), raising=False)
        monkeypatch.setenv("HTTPS_PROXY", "http://environment:3128")
        monkeypatch.setenv("NO_PROXY", "hub.inside")

    def test_the_settings_come_first(self):
        assert proxy_of("https://hub.example", "http://mine:3128") == "http://mine:3128"

    def test_then_the_environment(self):
        assert proxy_of("https://hub.example", None) == "http://environment:3128"

    def test_but_not_for_what_it_excepts(self):
        assert proxy_of("https://hub.inside", None) is None
