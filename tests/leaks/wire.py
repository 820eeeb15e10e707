"""Record every byte between a node and its hub with a real TCP proxy."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field


@dataclass
class Recorder:
    """Listens on loopback, passes bytes on, and keeps what went each way."""

    target: tuple[str, int]
    listener: socket.socket
    streams: list[bytearray] = field(default_factory=list)
    """One a direction and connection, so that no token is cut by another connection's bytes."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.listener.getsockname()[1]}"

    def content(self) -> bytes:
        """Return all that was recorded."""
        return b"\n".join(map(bytes, self.streams))

    def serve(self) -> None:
        with suppress(OSError):
            while True:
                inner, _ = self.listener.accept()
                outer = socket.create_connection(self.target)
                for source, drain in ((inner, outer), (outer, inner)):
                    kept = bytearray()
                    self.streams.append(kept)
                    threading.Thread(target=_pass_on, args=(source, drain, kept), daemon=True).start()


def _pass_on(source: socket.socket, drain: socket.socket, kept: bytearray) -> None:
    with suppress(OSError):
        while content := source.recv(65_536):
            kept += content
            drain.sendall(content)
    with suppress(OSError):
        drain.shutdown(socket.SHUT_WR)


@contextmanager
def recorded(port: int) -> Iterator[Recorder]:
    """Stand before the server at ``port``; requests of one connection are kept in order."""
    listener = socket.create_server(("127.0.0.1", 0))
    recorder = Recorder(("127.0.0.1", port), listener)
    threading.Thread(target=recorder.serve, daemon=True).start()
    try:
        yield recorder
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
