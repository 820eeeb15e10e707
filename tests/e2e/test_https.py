"""A hub with a certificate of the hospital group's own authority: node and researcher trust it, or say so."""

import ssl
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

import atoll
from tests.support.federation import PATIENCE, Federation, running_federation
from tests.support.federation_exports import dataset_toml, registry, write_export, write_mapping
from tests.support.hub import HubProcess, free_port

pytestmark = pytest.mark.e2e
PERSONS = 300


class HttpsHub(HubProcess):
    """A hub process that speaks TLS."""

    @property
    def ca_file(self) -> Path:
        return self.home / "ca.pem"

    def is_ready(self) -> bool:
        try:
            trust = ssl.create_default_context(cafile=str(self.ca_file))
            return httpx.get(f"{self.url}/v1/ready", trust_env=False, verify=trust).status_code == 200
        except httpx.TransportError:
            return False


def certificate(name: str, signer: tuple[x509.Name, ec.EllipticCurvePrivateKey] | None):
    """Return a certificate and its key; without a signer, an authority that signs itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    issuer, signing_key = signer or (subject, key)
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=signer is None, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
    )
    return builder.sign(signing_key, hashes.SHA256()), key, subject


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Federation]:
    tmp = tmp_path_factory.mktemp("https")
    port = free_port()
    hub = HttpsHub(url=f"https://127.0.0.1:{port}", home=tmp / "hub", port=port)
    hub.command("init")
    authority, authority_key, name = certificate("Authority of a test", None)
    own, key, _ = certificate("hub", (name, authority_key))
    hub.ca_file.write_bytes(authority.public_bytes(Encoding.PEM))
    (hub.home / "tls.crt").write_bytes(own.public_bytes(Encoding.PEM))
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (hub.home / "tls.key").write_bytes(pem)
    settings = hub.home / "atoll-hub.toml"
    text = settings.read_text()
    for line in ('tls_cert = "secrets/tls.crt"', 'tls_key = "secrets/tls.key"'):
        assert f"# {line}" in text
        text = text.replace(f"# {line}", line.replace("secrets/", ""))
    settings.write_text(text)
    hub.start()
    write_export(tmp / "files", registry("north", PERSONS), prefix="H")
    mapping = write_mapping(tmp / "mapping.toml")
    datasets = {"north": dataset_toml("registry", tmp / "files", mapping, synthetic=True)}
    with running_federation(tmp, hub, datasets, ca_file=hub.ca_file) as federation:
        yield federation


def test_a_question_is_asked_and_answered_over_tls_of_a_private_authority(guarded):
    run = guarded.count()
    assert run.result(timeout=PATIENCE).contract.merged.persons.value == PERSONS
    assert [event.kind for event in run.events()][-1] == "finished"
    guarded.assert_answered_once(run, ["north"])


def test_who_does_not_know_the_authority_does_not_talk(guarded):
    with atoll.Hub(guarded.hub.url, guarded.token) as stranger, pytest.raises(atoll.Unreachable):
        stranger.me()


def test_a_node_without_the_authority_keeps_apart_and_names_the_fix(guarded):
    node = guarded.nodes["north"]
    node.stop()
    settings = node.home / "atoll-node.toml"
    text = settings.read_text()
    settings.write_text("\n".join(line for line in text.splitlines() if not line.startswith("ca_file")))
    node.launch()
    try:
        assert "ca_file" in node.wait_for("hub.certificate")["next_step"]
    finally:
        node.stop()
        settings.write_text(text)
    node.start()
    assert guarded.count().result(timeout=PATIENCE).headline == "1 of 1 sites"
