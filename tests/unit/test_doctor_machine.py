"""The doctor weighs the machine against the settings, and finds a port that the world could reach."""

import os
import socket
from pathlib import Path

import pytest

from atoll_node.doctor import machine as of
from atoll_node.doctor.machine import GB, Listener, Volume
from atoll_node.doctor.machine_adapter import listeners_of, memory_total, open_files_limit, volume_of
from atoll_node.errors import SettingsError
from atoll_node.settings import AgentSettings, EngineSettings, size_of

ROOMY = Volume(free=900 * GB, inodes=10_000_000, free_inodes=9_000_000)


@pytest.mark.parametrize(
    ("text", "size"),
    [("2GB", 2 * GB), ("512MiB", 512 * 1024**2), ("1.5 TB", 1_500 * GB), ("10kb", 10_000), ("7", 7)],
)
def test_sizes_are_read_as_duckdb_reads_them(text, size):
    assert size_of(text) == size


@pytest.mark.parametrize("text", ["much", "80%", "", "-1GB", "2 GB left"])
def test_what_is_no_size_is_refused(text):
    with pytest.raises(SettingsError):
        size_of(text)


@pytest.mark.parametrize(
    ("wanted", "tasks", "total", "state"),
    [("2GB", 1, 16, "ok"), ("7GB", 1, 9, "warning"), ("7GB", 1, 7, "blocker"), ("7GB", 2, 14, "blocker")],
)
def test_memory_counts_every_task_at_once(wanted, tasks, total, state):
    found = of.memory(EngineSettings(memory=wanted), AgentSettings(tasks_at_once=tasks), total * GB)

    assert found.state == state


@pytest.mark.parametrize(("free", "state"), [(100, "ok"), (10, "warning"), (1, "blocker")])
def test_a_disk_holds_what_a_query_may_spill(free, state):
    assert of.disk(EngineSettings(spill="20GB"), Volume(free * GB, 0, 0)).state == state


@pytest.mark.parametrize(("free", "state"), [(5_000_000, "ok"), (50_000, "warning"), (500, "blocker")])
def test_few_inodes_are_told_before_none_is_left(free, state):
    assert of.inodes(Volume(GB, 6_000_000, free)).state == state


def test_a_file_system_without_a_fixed_number_of_inodes_is_fine():
    assert of.inodes(Volume(GB, 0, 0)).state == "ok"


@pytest.mark.parametrize(("limit", "state"), [(65_536, "ok"), (1_024, "warning"), (256, "blocker")])
def test_a_low_limit_of_open_files_is_told_with_the_service_s_line(limit, state):
    found = of.open_files(limit)

    assert found.state == state
    assert state == "ok" or "LimitNOFILE" in found.fix


@pytest.mark.parametrize("address", ["0.0.0.0", "::", "10.1.2.3", "2001:db8::1"])
def test_a_port_that_others_can_reach_is_a_blocker(address):
    found = of.listening([Listener("127.0.0.1", 1), Listener(address, 8443)], running=True)

    assert found.state == "blocker"
    assert "8443" in found.told


@pytest.mark.parametrize("address", ["127.0.0.1", "127.9.9.9", "::1"])
def test_a_port_on_loopback_is_fine(address):
    assert of.listening([Listener(address, 8443)], running=True).state == "ok"


class TestThisMachine:
    def test_it_has_memory_a_disk_and_a_limit(self, tmp_path):
        assert memory_total() > GB / 4
        assert volume_of(tmp_path).free > 0
        assert open_files_limit() > 0

    def test_a_container_s_limit_counts(self, tmp_path):
        (tmp_path / "meminfo").write_text("MemFree: 1 kB\nMemTotal:       16000000 kB\n")
        (tmp_path / "memory.max").write_text("4000000000\n")

        assert memory_total(proc=tmp_path, cgroup=tmp_path) == 4_000_000_000

    def test_no_limit_is_the_whole_machine(self, tmp_path):
        (tmp_path / "meminfo").write_text("MemTotal:       16000000 kB\n")
        (tmp_path / "memory.max").write_text("max\n")

        assert memory_total(proc=tmp_path, cgroup=tmp_path) == 16_000_000 * 1024

    def test_a_socket_of_this_process_is_found(self):
        with socket.create_server(("127.0.0.1", 0)) as server:
            assert Listener("127.0.0.1", server.getsockname()[1]) in listeners_of(os.getpid())

    def test_a_connection_is_no_listener(self):
        with (
            socket.create_server(("127.0.0.1", 0)) as server,
            socket.create_connection(server.getsockname()) as client,
        ):
            ports = {one.port for one in listeners_of(os.getpid())}
            assert server.getsockname()[1] in ports
            assert client.getsockname()[1] not in ports

    def test_a_process_that_is_gone_listens_nowhere(self):
        assert listeners_of(2**22 + 7) == ()


HEADER = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"


def a_line(address: str, state: str, inode: int) -> str:
    zeros = "00000000:00000000 00:00000000 00000000"
    return f"   0: {address} 00000000:0000 {state} {zeros}  1000        0 {inode} 1\n"


def a_process(proc: Path, number: int, parent: int, *sockets: int) -> None:
    folder = proc / str(number)
    (folder / "fd").mkdir(parents=True)
    (folder / "net").mkdir()
    (folder / "stat").write_text(f"{number} (a (strange) name) S {parent} 1 1 0 -1")
    for at, inode in enumerate(sockets):
        (folder / "fd" / str(at)).symlink_to(f"socket:[{inode}]")


def test_every_socket_of_a_process_and_its_children_is_read_from_the_system_s_table(tmp_path):
    a_process(tmp_path, 10, 1, 100)
    a_process(tmp_path, 11, 10, 101, 102)
    a_process(tmp_path, 12, 1, 103)
    (tmp_path / "10" / "net" / "tcp").write_text(
        HEADER
        + a_line("0100007F:1F90", "0A", 100)
        + a_line("00000000:01BB", "0A", 101)
        + a_line("00000000:0016", "0A", 103)
        + a_line("0100007F:0050", "01", 102)
    )
    (tmp_path / "10" / "net" / "tcp6").write_text(
        HEADER + a_line("0000000000000000FFFF00000100007F:2382", "0A", 102)
    )

    assert listeners_of(10, proc=tmp_path) == (
        Listener("127.0.0.1", 8080),
        Listener("0.0.0.0", 443),
        Listener("127.0.0.1", 9090),
    )
