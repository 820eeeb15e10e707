"""Judge what was seen of the network: names, proxy, certificates and who opens them, the hub, the clock."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum

from atoll_node.doctor.examination import Finding, blocker, ok, warning
from atoll_schemas.protocol import PROTOCOL

LARGEST_SKEW, LARGE_SKEW = timedelta(seconds=60), timedelta(seconds=10)
"""The hub refuses a node whose clock is more than a minute off."""
SOON = timedelta(days=21)
_INSPECTORS = (
    "zscaler",
    "fortinet",
    "fortigate",
    "palo alto",
    "blue coat",
    "bluecoat",
    "netskope",
    "sophos",
    "check point",
    "checkpoint",
    "forcepoint",
    "cisco umbrella",
    "mcafee",
    "skyhigh",
    "barracuda",
    "watchguard",
    "sonicwall",
    "kaspersky",
    "untangle",
    "squid",
    "ssl inspection",
    "tls inspection",
    "https inspection",
    "webwasher",
)
"""Words in the names of authorities that security devices use to open TLS and close it again."""


class Trust(Enum):
    """Whether a certificate is trusted, else why not."""

    TRUSTED = "trusted"
    UNKNOWN_ISSUER = "its issuer is not known to this machine"
    OTHER_NAME = "it is for another name"
    EXPIRED = "it has expired, or is not valid yet"
    NO_TLS = "no TLS is spoken there, or only an old version"


@dataclass(frozen=True)
class Certificate:
    """The certificate that arrived. ``by_settings``: by the settings' ``ca_file``, if there is one."""

    issuer: str
    ends: datetime
    by_settings: Trust
    by_system: Trust


def names(found: dict[str, tuple[str, ...]]) -> Finding:
    """See that each name that the node itself must look up has an address."""
    unknown = [name for name, addresses in found.items() if not addresses]
    if unknown:
        return blocker(
            f"no address is known for {', '.join(unknown)}",
            "check the name in atoll-node.toml, and this machine's DNS (/etc/resolv.conf)",
        )
    return ok(", ".join(f"{name} is {addresses[0]}" for name, addresses in found.items()))


def proxy_let_through() -> Finding:
    """The proxy opened the way."""
    return ok("the proxy lets the node through to the hub")


def no_proxy() -> Finding:
    """None is set."""
    return ok("no proxy is set; the node goes straight to the hub")


def proxy_away() -> Finding:
    """The proxy itself cannot be reached."""
    return blocker("the proxy cannot be reached", "check network.proxy, or HTTPS_PROXY of the environment")


def proxy_declined(status: int, host: str) -> Finding:
    """The proxy said no."""
    if status == 407:
        return blocker(
            "the proxy asks for a name and password",
            'write network.proxy = "http://name:password@proxy:3128", or let the proxy know this machine',
        )
    return blocker(
        f"the proxy does not let the node through (status {status})", f"let it allow CONNECT to {host}"
    )


def chain(certificate: Certificate, setting: str, now: datetime) -> Finding:
    """See that the certificate is trusted, and for how long. ``setting`` names the ``ca_file`` key."""
    trust = certificate.by_settings
    if trust is Trust.UNKNOWN_ISSUER:
        return blocker(
            f"the certificate is not trusted: it is signed by {certificate.issuer or 'nobody named'}, "
            "which this machine does not know",
            f"when that is your authority, set {setting} to its PEM file; else see the next line",
        )
    if trust is Trust.OTHER_NAME:
        return blocker(f"the certificate is not trusted: {trust.value}", "check the address in the settings")
    if trust is not Trust.TRUSTED:
        return blocker(
            f"the certificate is not trusted: {trust.value}",
            "tell who runs that server, and check this clock",
        )
    if certificate.ends - now < SOON:
        days = max((certificate.ends - now).days, 0)
        return warning(f"the certificate ends in {days} days", "tell who runs that server to renew it")
    return ok(f"trusted until {certificate.ends:%Y-%m-%d}, signed by {certificate.issuer}")


def nobody_there(who: str, setting: str) -> Finding:
    """No connection, or one that says nothing of TLS."""
    return blocker(
        f"{who} does not answer", f"check {setting} in atoll-node.toml, the firewall, and that it runs"
    )


def interception(certificate: Certificate) -> Finding:
    """Look for a device on the way that opens TLS: the certificate is then its own, not the hub's."""
    issuer = certificate.issuer or "nobody named"
    if any(word in issuer.lower() for word in _INSPECTORS):
        return warning(
            f"a security device opens the connection to the hub: its certificate is signed by {issuer}",
            "ask your network team to exempt the hub's address from TLS inspection",
        )
    if certificate.by_settings is Trust.UNKNOWN_ISSUER:
        return warning(
            f"the certificate is signed by {issuer}: your authority, or a device that opens the connection",
            "compare the issuer with what the hub's operator tells you; do not trust one that differs",
        )
    if certificate.by_system is not Trust.TRUSTED:
        return ok(f"signed by the authority that network.ca_file names ({issuer})")
    return ok("no device is seen that opens the connection")


def plain(what: str) -> Finding:
    """The way has no TLS, which is allowed on this machine only."""
    return ok(f"{what} is on this machine: no TLS is needed")


def hub(hub_id: str, enrolled_at: str | None) -> Finding:
    """See that the hub that answers is the one at which the node is enrolled."""
    if enrolled_at is None:
        return warning(f"the hub {hub_id} answers; this node is not enrolled", "run: atoll-node enroll CODE")
    if enrolled_at != hub_id:
        return blocker(
            f"another hub answers ({hub_id}) than the one at which this node is enrolled ({enrolled_at})",
            "check hub in atoll-node.toml; enrol again only when the hub's operator says so",
        )
    return ok(f"the hub {hub_id} answers, and this node is enrolled there")


def protocol(spoken: str, software: str) -> Finding:
    """See that node and hub speak one version."""
    told = f"the hub ({software}) speaks protocol {spoken}, this node {PROTOCOL}"
    return ok(told) if spoken == PROTOCOL else blocker(told, "bring node and hub to one version")


def clock(now: datetime, told: datetime | None) -> Finding:
    """Compare this machine's clock with the hub's, which tells full seconds."""
    if told is None:
        return warning("the hub does not tell its time", "compare this machine's clock yourself: timedatectl")
    skew = abs(now - told)
    shown = f"this machine's clock and the hub's are {skew.total_seconds():.0f} seconds apart"
    if skew > LARGEST_SKEW:
        return blocker(shown, "set this machine's clock by NTP: timedatectl set-ntp true")
    if skew > LARGE_SKEW:
        return warning(shown, "set this machine's clock by NTP: timedatectl set-ntp true")
    return ok(shown)
