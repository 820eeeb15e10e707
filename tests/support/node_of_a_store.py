"""Make a node's home whose settings name a store."""

import json
from pathlib import Path

from atoll_node.bootstrap import make_home, real_world
from atoll_node.home import Home
from atoll_node.settings import S3Store


def node_home(root: Path, store: S3Store | None, *, hub: str = "http://127.0.0.1:9", extra: str = "") -> Home:
    """Make a home as ``atoll-node init`` does; without a store the lake is a folder."""
    home = Home(root)
    plain = f'site = "north"\ntitle = "North Hospital"\nhub = "{hub}"\n'
    make_home(home, plain + extra + ("" if store is None else store_text(store)), real_world())
    return home


def store_text(store: S3Store) -> str:
    """Return a store's settings as the section that stands in ``atoll-node.toml``."""
    values = store.model_dump(mode="json", exclude_none=True)
    lines = (f"{key} = {json.dumps(value)}" for key, value in values.items())
    return "\n".join(["", "[store]", *lines]) + "\n"
