"""Run the node's command as ``python -m atoll_node``."""

import sys

from atoll_node.cli import app

if __name__ == "__main__":
    sys.exit(app())
