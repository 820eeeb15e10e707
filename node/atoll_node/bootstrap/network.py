"""Wire what talks to the hub: enrolment and the agent."""

import json
import os

from atoll_node.agent import Agent, HubClient, Identity, Standing, enrol
from atoll_node.answer import Answers, Stages
from atoll_node.audit import Decision
from atoll_node.bootstrap import Node, read_enrolment, software, take_request, write_whole
from atoll_node.permits import Pins
from atoll_schemas.protocol import Enrolled


def enrol_node(node: Node, code: str) -> Enrolled:
    """Enrol, pin the hub's key, and keep what the hub said."""
    client = _client(node)
    try:
        enrolled = enrol(client, node.key, code, site=node.settings.site, software=software())
    finally:
        client.close()
    facts = {
        "hub": enrolled.hub_id,
        "node": enrolled.node_id,
        "keys": [str(key["kid"]) for key in enrolled.hub_keys],
    }
    with node.audit.recorded(Decision("node.enrolled", "operator", enrolled.site, facts)):
        write_whole(node.home.enrolment, enrolled.model_dump_json(indent=2))
    return enrolled


def open_agent(node: Node, stages: Stages) -> Agent:
    """Wire the agent of an enrolled node to its answers, permits and outbox."""
    enrolled = read_enrolment(node.home)
    client = _client(node)
    client.identify(Identity(enrolled.node_id, enrolled.audience, node.key))
    pins = Pins(enrolled.site, enrolled.hub_id, enrolled.hub_keys)
    answers = Answers(pins, node.permits, node.tasks, node.audit, stages, node.world.clock)
    return Agent(
        client,
        answers,
        lambda request: take_request(node, request),
        node.outbox,
        settings=node.settings.agent,
        software=software(),
        clock=node.world.clock,
        random=node.world.random,
        report=lambda standing: write_standing(node, standing),
    )


def _client(node: Node) -> HubClient:
    return HubClient(
        node.settings.hub,
        node.settings.network,
        node.journal,
        clock=node.world.clock,
        new_id=node.world.new_id,
    )


def write_standing(node: Node, standing: Standing) -> None:
    """Leave word for ``atoll-node status``."""
    content = {
        "at": node.world.clock().isoformat(),
        "process": os.getpid(),
        "state": standing.state,
        "code": standing.code,
        "detail": standing.detail,
        "next_step": standing.next_step,
    }
    write_whole(node.home.standing, json.dumps(content))
