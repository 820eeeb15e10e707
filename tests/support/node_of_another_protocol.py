"""Run the node's command as a release that speaks another protocol version: for tests alone."""

import sys

from atoll_schemas import protocol

protocol.PROTOCOL = ANOTHER = "2"

if __name__ == "__main__":
    # The node's modules read the version when they are imported, so they come after it is set.
    from atoll_node.cli import app

    sys.exit(app())
