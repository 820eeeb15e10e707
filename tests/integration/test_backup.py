"""What is not in the store comes back as it was, or not at all; the drill says so before it is needed."""

import io
import os
import stat
import tarfile
from datetime import timedelta
from pathlib import Path

import pytest

from atoll_node.backup.bundle import unpack
from atoll_node.backup.sealed import PART, seal, unseal
from atoll_node.bootstrap import open_node, take_request
from atoll_node.errors import SettingsError
from atoll_node.home import Home
from atoll_node.releases import Releases
from tests.support.lake_node import LakeNode, make_node
from tests.support.node_records import a_permit, a_request, a_scope, approve, frozen_world

PASSPHRASE = b"correct horse battery"


@pytest.fixture
def node(tmp_path, capsys) -> LakeNode:
    node = make_node(tmp_path, capsys)
    node.call("ingest", "lab")
    node.call("release", "lab")
    (tmp_path / "pass").write_bytes(PASSPHRASE + b"\n")
    (tmp_path / "pass").chmod(0o600)
    return node


@pytest.fixture
def sealed(node, tmp_path) -> Path:
    node.call("backup", str(tmp_path / "kept"), "--passphrase-file", str(tmp_path / "pass"))
    return tmp_path / "kept"


def restored(node, sealed, *more, home=None):
    place = home or sealed.with_name("again")
    return node.run(
        "restore", str(sealed), "--passphrase-file", str(sealed.with_name("pass")), *more, home=place
    )


def test_everything_that_makes_the_node_comes_back(node, sealed):
    code, said, error = restored(node, sealed)

    assert code == 0, error
    again = Home(sealed.with_name("again"))
    for file in ("atoll-node.toml", "secrets/node.pem", "secrets/pseudonym.key", "state/lab.ingest.json"):
        assert (again.root / file).read_bytes() == (node.home.root / file).read_bytes()
    assert Releases(again).latest("lab") == Releases(node.home).latest("lab")
    before = open_node(node.home, frozen_world(node.clock)).audit.entries()
    after = open_node(again, frozen_world(node.clock)).audit
    assert after.entries()[:-1] == before
    assert after.entries()[-1].action == "node.restored"
    assert after.verify().holds
    assert "as of" in said


def test_the_file_and_the_restored_home_are_for_the_owner_alone(node, sealed):
    restored(node, sealed)

    assert stat.S_IMODE(sealed.stat().st_mode) == 0o600
    again = sealed.with_name("again")
    assert stat.S_IMODE(again.stat().st_mode) == 0o700
    assert stat.S_IMODE((again / "secrets" / "node.pem").stat().st_mode) == 0o600
    assert stat.S_IMODE((again / "secrets").stat().st_mode) == 0o700


def test_no_key_and_no_name_is_readable_in_the_file(node, sealed):
    content = sealed.read_bytes()

    assert node.home.pseudonym_key.read_bytes() not in content
    for text in (b"PRIVATE KEY", b"atoll-a", b"lab-0001", b"manifest"):
        assert text not in content


def test_records_of_patients_are_not_in_it(node, tmp_path):
    (node.home.quarantine / "lab").mkdir(parents=True, exist_ok=True)
    (node.home.quarantine / "lab" / "person.jsonl").write_text("{}")

    listed = node.call("backup", str(tmp_path / "kept"), "--passphrase-file", str(tmp_path / "pass"))

    paths = [file["path"] for file in listed["files"]]
    assert not [
        path for path in paths if path.startswith(("quarantine", "lake", "scratch", "logs", "export"))
    ]
    assert {
        "atoll-node.toml",
        "state/node.sqlite",
        "state/audit-head.json",
        "releases/lab/lab-0001.json",
    } <= set(paths)


def test_active_permits_are_suspended_because_the_ledger_may_be_old(node, tmp_path):
    opened = open_node(node.home, frozen_world(node.clock))
    take_request(opened, a_request(scope=a_scope(datasets=("lab",))))
    approve(opened, a_permit(scope=a_scope(datasets=("lab",))))
    node.call("backup", str(tmp_path / "kept"), "--passphrase-file", str(tmp_path / "pass"))

    _, said, _ = restored(node, tmp_path / "kept")

    again = open_node(Home(tmp_path / "again"), frozen_world(node.clock))
    assert [held.state for held in again.permits.all()] == ["suspended"]
    assert "permits suspended: " in said
    assert again.audit.verify().holds


def test_the_drill_looks_at_every_file_of_every_release(node, sealed):
    code, said, _ = restored(node, sealed, "--drill")
    assert code == 0
    assert "every file is on the store" in said
    assert not sealed.with_name("again").exists()

    next(iter(node.files())).unlink()
    code, said, _ = restored(node, sealed, "--drill")
    assert code == 1
    assert "1 files are not on the store" in said


def test_a_drill_leaves_the_running_node_alone(node, sealed):
    before = open_node(node.home, frozen_world(node.clock)).audit.entries()

    restored(node, sealed, "--drill", home=node.home.root)

    assert open_node(node.home, frozen_world(node.clock)).audit.entries() == before


def test_a_home_that_has_a_node_is_not_touched(node, sealed):
    code, _, error = restored(node, sealed, home=node.home.root)

    assert (code, error.split(":")[0].strip()) == (2, "restore.home")


def test_a_home_with_other_files_is_not_touched(node, sealed):
    again = sealed.with_name("again")
    again.mkdir()
    (again / "letter.txt").write_text("mine")

    assert restored(node, sealed)[0] == 2
    assert [path.name for path in again.iterdir()] == ["letter.txt"]


def test_a_file_that_is_there_is_never_written_over(node, sealed, tmp_path):
    before = sealed.read_bytes()

    code, _, error = node.run("backup", str(sealed), "--passphrase-file", str(tmp_path / "pass"))

    assert (code, error.split(":")[0].strip()) == (2, "backup.exists")
    assert sealed.read_bytes() == before


@pytest.mark.parametrize("place", [0, 20, 100, -1])
def test_a_changed_byte_is_found(node, sealed, place):
    content = bytearray(sealed.read_bytes())
    content[place] ^= 1
    sealed.chmod(0o600)
    sealed.write_bytes(content)

    code, _, error = restored(node, sealed)
    assert code == 2
    assert error.strip().startswith("backup.")
    assert not sealed.with_name("again").exists()


def test_another_passphrase_opens_nothing(node, sealed):
    sealed.with_name("pass").write_bytes(b"another passphrase")

    code, _, error = restored(node, sealed)
    assert code == 2
    assert "another one, or the backup was changed" in error


@pytest.mark.parametrize(("content", "mode"), [(b"short", 0o600), (PASSPHRASE, 0o644)])
def test_a_weak_or_open_passphrase_is_refused(node, tmp_path, content, mode):
    (tmp_path / "pass").write_bytes(content)
    (tmp_path / "pass").chmod(mode)

    code, _, error = node.run("backup", str(tmp_path / "kept"), "--passphrase-file", str(tmp_path / "pass"))
    assert code == 2
    assert "backup.passphrase" in error
    assert not (tmp_path / "kept").exists()


@pytest.mark.parametrize("size", [0, 1, PART - 1, PART, PART + 1, 2 * PART])
def test_any_size_comes_back(size):
    content, out, back = os.urandom(size), io.BytesIO(), io.BytesIO()
    seal(io.BytesIO(content), out, PASSPHRASE, os.urandom)

    unseal(io.BytesIO(out.getvalue()), back, PASSPHRASE)

    assert back.getvalue() == content


def test_a_part_that_is_cut_off_at_its_border_is_missed():
    out = io.BytesIO()
    seal(io.BytesIO(bytes(2 * PART)), out, PASSPHRASE, os.urandom)
    whole = out.getvalue()
    cut = whole[: len(whole) - PART - 16]

    with pytest.raises(SettingsError, match="cut"):
        unseal(io.BytesIO(cut), io.BytesIO(), PASSPHRASE)


def archive_of(*entries):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, content in entries:
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    out.seek(0)
    return out


def manifest_of(path, digest="00", size=1):
    return (
        b'{"at":"2026-01-01T00:00:00Z","files":[{"bytes":%d,"path":"%s","sha256":"%s"}],"form":1,'
        b'"site":"a","software":"s"}' % (size, path.encode(), digest.encode())
    )


@pytest.mark.parametrize(
    "entries",
    [
        (),
        (("other.json", b"{}"),),
        (("manifest.json", b"no json"),),
        (("manifest.json", b'{"form":2}'),),
        (("manifest.json", manifest_of("a")),),
        (("manifest.json", manifest_of("a")), ("a", b"x")),
        (("manifest.json", manifest_of("a")), ("b", b"x")),
        (("manifest.json", manifest_of("../a")), ("../a", b"x")),
    ],
)
def test_an_archive_that_is_not_what_its_list_says_is_refused(tmp_path, entries):
    with pytest.raises(SettingsError, match="not what its list"):
        unpack(archive_of(*entries), tmp_path / "home")
    assert not (tmp_path / "a").exists()


def test_a_backup_of_a_node_that_goes_on_working_is_of_one_moment(node, tmp_path):
    node.call("backup", str(tmp_path / "kept"), "--passphrase-file", str(tmp_path / "pass"))
    node.clock.now += timedelta(days=1)
    node.export({})
    before = len(open_node(node.home, frozen_world(node.clock)).audit.entries())
    opened = open_node(node.home, frozen_world(node.clock))
    take_request(opened, a_request())

    assert restored(node, tmp_path / "kept")[0] == 0
    again = open_node(Home(tmp_path / "again"), frozen_world(node.clock)).audit
    assert len(again.entries()) == before + 1
    assert again.verify().holds
