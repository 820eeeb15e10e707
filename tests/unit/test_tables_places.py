"""A store's places, keys and trust: each table one location, secrets from private files alone."""

import os
from pathlib import Path

import pytest

from atoll_node.errors import SettingsError
from atoll_node.home import Home
from atoll_node.settings import FolderStore, S3Store
from atoll_node.tables.places import Places, S3Keys, places_of

SECRET = "MAQUILA-7-SECRET"


def s3(tmp_path: Path, **changes) -> S3Store:
    for name, content in {"access": "ACCESS-1", "secret": SECRET + "\n"}.items():
        (tmp_path / name).write_text(content)
        (tmp_path / name).chmod(0o600)
    facts = {"kind": "s3", "endpoint": "https://store:9000", "bucket": "atoll",
             "access_key_file": tmp_path / "access", "secret_key_file": tmp_path / "secret"}  # fmt: skip
    return S3Store(**(facts | changes))


def options(tmp_path: Path, **changes) -> dict[str, str]:
    found = places_of(Home(tmp_path), s3(tmp_path, **changes)).storage_options()
    assert found is not None
    return found


def test_a_folder_s_tables_lie_below_the_home(tmp_path):
    places = places_of(Home(tmp_path), FolderStore())

    assert places.table("colon", "person") == f"{tmp_path.resolve()}/lake/colon/person"
    assert places.storage_options() is None


def test_an_absolute_folder_is_taken_as_it_is(tmp_path):
    places = places_of(Home(tmp_path / "home"), FolderStore(path=tmp_path / "disk"))

    assert places.root == str((tmp_path / "disk").resolve())


@pytest.mark.parametrize(
    ("prefix", "root"),
    [
        ("atoll", "s3://atoll/atoll"),
        ("a/b", "s3://atoll/a/b"),
        ("/a/", "s3://atoll/a"),
        ("", "s3://atoll"),
        ("/", "s3://atoll"),
    ],
)
def test_a_bucket_s_tables_lie_below_its_prefix(tmp_path, prefix, root):
    places = places_of(Home(tmp_path), s3(tmp_path, prefix=prefix))

    assert places.table("colon", "person") == f"{root}/colon/person"


def test_keys_are_read_without_their_line_end(tmp_path):
    found = options(tmp_path)

    assert (found["AWS_ACCESS_KEY_ID"], found["AWS_SECRET_ACCESS_KEY"]) == ("ACCESS-1", SECRET)


@pytest.mark.parametrize(
    ("endpoint", "allowed"), [("http://127.0.0.1:9000", "true"), ("https://store:9000", "false")]
)
def test_plain_http_is_allowed_only_where_the_endpoint_says_it(tmp_path, endpoint, allowed):
    found = options(tmp_path, endpoint=endpoint)

    assert (found["AWS_ENDPOINT_URL"], found["AWS_ALLOW_HTTP"]) == (endpoint, allowed)


@pytest.mark.parametrize(("path_style", "hosted"), [(True, "false"), (False, "true")])
def test_the_style_of_addresses_is_the_setting_s(tmp_path, path_style, hosted):
    assert options(tmp_path, path_style=path_style)["AWS_VIRTUAL_HOSTED_STYLE_REQUEST"] == hosted


def test_a_commit_never_replaces_a_version(tmp_path):
    assert options(tmp_path)["AWS_CONDITIONAL_PUT"] == "etag"


def test_relative_key_files_lie_below_the_home(tmp_path):
    store = s3(tmp_path, access_key_file=Path("access"), secret_key_file=Path("secret"))

    assert places_of(Home(tmp_path), store).keys == S3Keys("ACCESS-1", SECRET)


@pytest.mark.parametrize("mode", [0o604, 0o640, 0o644, 0o660, 0o777])
def test_a_key_file_that_others_may_read_is_refused_with_the_remedy(tmp_path, mode):
    store = s3(tmp_path)
    (tmp_path / "secret").chmod(mode)

    with pytest.raises(SettingsError) as refused:
        places_of(Home(tmp_path), store)

    assert refused.value.code == "store.key_mode"
    assert "chmod 600" in refused.value.next_step


@pytest.mark.parametrize("content", [None, b"\xff\xfe\xff"])
def test_a_key_file_that_is_absent_or_no_text_is_refused(tmp_path, content):
    store = s3(tmp_path)
    (tmp_path / "secret").unlink()
    if content is not None:
        (tmp_path / "secret").write_bytes(content)
        (tmp_path / "secret").chmod(0o600)

    with pytest.raises(SettingsError) as refused:
        places_of(Home(tmp_path), store)

    assert refused.value.code == "store.key"


def test_no_text_of_places_shows_a_key(tmp_path):
    places = places_of(Home(tmp_path), s3(tmp_path))

    for text in (repr(places), str(places), repr(places.keys), f"{places!s}"):
        assert SECRET not in text
        assert "ACCESS-1" not in text


@pytest.mark.parametrize("before", [None, "/etc/ssl/other.pem"])
def test_the_private_certificate_is_named_only_while_a_client_is_made(tmp_path, monkeypatch, before):
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    if before is not None:
        monkeypatch.setenv("SSL_CERT_FILE", before)
    places = places_of(Home(tmp_path), s3(tmp_path, ca_file=tmp_path / "ca.pem"))

    with places.trusted():
        assert os.environ["SSL_CERT_FILE"] == str(tmp_path / "ca.pem")

    assert os.environ.get("SSL_CERT_FILE") == before


def test_a_failure_meanwhile_leaves_the_environment_as_it_was(tmp_path, monkeypatch):
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    places = places_of(Home(tmp_path), s3(tmp_path, ca_file=tmp_path / "ca.pem"))

    with pytest.raises(KeyError), places.trusted():
        raise KeyError

    assert "SSL_CERT_FILE" not in os.environ


def test_without_a_private_certificate_nothing_is_set(tmp_path, monkeypatch):
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)

    for places in (Places("/lake"), places_of(Home(tmp_path), s3(tmp_path))):
        with places.trusted():
            assert "SSL_CERT_FILE" not in os.environ
