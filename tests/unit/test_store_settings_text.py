"""Another store is written into the settings; every other line stays as a person wrote it."""

import tomllib
from pathlib import Path

import pytest

from atoll_node.errors import SettingsError
from atoll_node.settings import FolderStore, S3Store
from atoll_node.store.settings_text import store_of, store_section, with_store

EXAMPLE = (Path(__file__).parents[2] / "deploy" / "atoll-node.example.toml").read_text(encoding="utf-8")
S3 = S3Store(
    kind="s3", endpoint="https://s3.example", bucket="lake", prefix="a \"quoted\" prefix",
    access_key_file=Path("/k/access"), secret_key_file=Path("/k/secret"),
)  # fmt: skip
PLAIN = 'site = "n"\ntitle = "N"\nhub = "https://hub"\n'


def test_the_store_of_the_annotated_example_is_replaced_and_all_else_stays():
    written = with_store(EXAMPLE, S3)

    before, after = tomllib.loads(EXAMPLE), tomllib.loads(written)
    assert after.pop("store") == tomllib.loads(store_section(S3))["store"]
    before.pop("store")
    assert after == before
    assert "# this site's short name" in written
    assert written.count("[store]") == 1


def test_settings_without_a_store_get_one_before_their_datasets():
    text = PLAIN + '\n[[datasets]]\nname = "lab"\ntitle = "L"\nformat = "omop"\npath = "x"\n'

    written = with_store(text, S3)

    assert tomllib.loads(written)["store"]["bucket"] == "lake"
    assert tomllib.loads(written)["datasets"][0]["name"] == "lab"


def test_settings_of_plain_keys_alone_get_one_at_their_end():
    assert (
        tomllib.loads(with_store(PLAIN, FolderStore(path=Path("/srv/lake"))))["store"]["path"] == "/srv/lake"
    )


def test_a_store_can_be_replaced_again_and_again():
    there = with_store(EXAMPLE, S3)

    assert with_store(with_store(there, FolderStore()), S3) == there


def test_a_text_that_only_looks_like_a_section_is_refused_rather_than_harmed():
    dataset = '[[datasets]]\nname = "lab"\ntitle = "L"\nformat = "omop"\npath = "x"\n'
    text = PLAIN + dataset + 'description = """\n[store]\nis a word here\n"""\n'

    with pytest.raises(SettingsError) as refused:
        with_store(text, S3)
    assert refused.value.code == "settings.store"


class TestAStoreFromAFile:
    def test_relative_paths_start_at_the_file_s_folder(self, tmp_path):
        (tmp_path / "new.toml").write_text(
            '[store]\nkind = "s3"\nendpoint = "https://s3"\nbucket = "b"\n'
            'access_key_file = "keys/a"\nsecret_key_file = "/abs/s"\n'
        )

        store = store_of(tmp_path / "new.toml")
        assert store.access_key_file == tmp_path / "keys" / "a"
        assert store.secret_key_file == Path("/abs/s")

    @pytest.mark.parametrize(
        ("text", "code"),
        [
            ("[shop]\n", "store.file"),
            ("[store\n", "store.file"),
            ('[store]\nkind = "s3"\nbuckt = "x"\n', "settings.invalid"),
        ],
    )
    def test_what_is_no_store_is_refused(self, tmp_path, text, code):
        (tmp_path / "new.toml").write_text(text)

        with pytest.raises(SettingsError) as refused:
            store_of(tmp_path / "new.toml")
        assert refused.value.code == code

    def test_a_file_that_is_not_there_is_refused(self, tmp_path):
        with pytest.raises(SettingsError):
            store_of(tmp_path / "absent.toml")
