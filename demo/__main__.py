"""Run the demo: `make demo`, or `.venv/bin/python -m demo --help`."""

import argparse
import shutil
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from rich.console import Console

import atoll
from demo import story
from demo.checks import DemoStopped, checked, free_port
from demo.parts import Federation
from demo.screen import Document, Screen, Terminal

_ENDINGS = (signal.SIGTERM, signal.SIGHUP)
"""A closed terminal ends the demo as Ctrl-C does, and with it what it started."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Tell the story; return the exit code."""
    options = _options(arguments)
    screen: Screen = Document() if options.json else Terminal(_console())
    for ending in _ENDINGS:
        signal.signal(ending, _interrupt)
    running: list[Federation] = []
    code = 0
    try:
        _tell(screen, options, running)
    except DemoStopped as stopped:
        screen.failed(stopped.cause, stopped.fix)
        code = 1
    except atoll.AtollError as error:
        screen.failed(str(error), "read up.log below demo-out, then run the demo again")
        code = 1
    except KeyboardInterrupt:
        screen.say("stopping …")
        code = 130
    finally:
        for ending in (signal.SIGINT, *_ENDINGS):
            signal.signal(ending, signal.SIG_IGN)
        for federation in running:
            federation.stop()
        screen.close()
    return code


def _tell(screen: Screen, options: argparse.Namespace, running: list[Federation]) -> None:
    out = Path(options.out).absolute()
    began = time.monotonic()
    story.opening(screen, checked(out, options.port))
    for old in out.iterdir():
        shutil.rmtree(old) if old.is_dir() else old.unlink()
    federation = story.hospitals_and_hub(screen, out, options.seed, options.port or free_port(), running)
    story.ingest(screen, federation)
    token = (out / story.WORK / "ada.token").read_text(encoding="utf-8")
    with atoll.Hub(federation.url, token) as hub:
        tale = story.Tale(screen, out, federation, hub)
        for chapter in story.CHAPTERS:
            chapter(tale)
        seconds = time.monotonic() - began
        screen.facts("seconds", round(seconds, 1))
        screen.say(f"told in {seconds:.0f} s")
        stays = not options.json and not options.exit and sys.stdin.isatty()
        story.ending(tale, stays)
        if stays:
            signal.pause()


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="make demo ARGS=…", description="Three hospitals answer one question."
    )
    parser.add_argument("--json", action="store_true", help="print one JSON document instead of the story")
    parser.add_argument("--exit", action="store_true", help="stop at the end, also on a terminal")
    parser.add_argument("--out", default="demo-out", help="folder for files and homes (emptied first)")
    parser.add_argument("--port", type=int, help="the hub's port on loopback; else a free one")
    parser.add_argument(
        "--seed", type=int, default=1989, help="seed of the invented identities and the colon split"
    )
    return parser.parse_args(arguments)


def _console() -> Console:
    return Console() if sys.stdout.isatty() else Console(width=110)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
