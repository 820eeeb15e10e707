"""Enrol the node once: show the hub the code and the public key, and pin the hub key that the code names."""

from atoll_node.agent.client import HubClient, read_reply
from atoll_node.errors import Refused, SettingsError
from atoll_node.keys import NodeKey
from atoll_schemas.enrolment import NotAnEnrolmentCode, parse_code
from atoll_schemas.protocol import Enrolled, Enrolment

ENROL_PATH = "/v1/node/enrol"


def enrol(client: HubClient, key: NodeKey, code_text: str, *, site: str, software: str) -> Enrolled:
    """Return what the hub said, with only those of its keys that the code names. Raises ``Refused``."""
    try:
        code = parse_code(code_text)
    except NotAnEnrolmentCode as error:
        raise SettingsError(
            "enrolment.code", str(error), "paste the whole code that the hub printed"
        ) from error
    message = Enrolment(code=code.secret, public_key=key.public_jwk(), software=software)
    reply = read_reply(Enrolled, client.call_unknown("enrol", ENROL_PATH, message))
    trusted = code.trusted(reply.hub_keys)
    if not trusted:
        raise Refused(
            "enrolment.hub_key",
            "the hub that replied does not hold the key that the code names: nothing was kept",
            "ask the hub's operator for a new code, and check the address of the hub",
        )
    if reply.site != site:
        raise SettingsError(
            "enrolment.site",
            f"the code is for the site {reply.site}, the settings say {site}",
            f'set site = "{reply.site}" in atoll-node.toml and enroll again with the same code',
        )
    return reply.model_copy(update={"hub_keys": trusted})
