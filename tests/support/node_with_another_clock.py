"""Run the node's command under a clock that is off: for tests alone."""

import os
import sys
from dataclasses import replace
from datetime import timedelta

from atoll_node.bootstrap import real_world
from atoll_node.cli import app

if __name__ == "__main__":
    real = real_world()
    shift = timedelta(seconds=float(os.environ["ATOLL_TEST_CLOCK_SHIFT"]))
    sys.exit(app(world=replace(real, clock=lambda: real.clock() + shift)))
