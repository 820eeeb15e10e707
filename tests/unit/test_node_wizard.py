"""The wizard's questions become a settings file that reads back as what was answered."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atoll_node.errors import SettingsError
from atoll_node.settings import S3Store, read_settings
from atoll_node.wizard import answers_from_file, answers_from_person, check, toml_text


@dataclass
class Script:
    """A person who answers in order; an empty answer takes the default."""

    answers: list[str]
    yes: list[bool]
    asked: list[str] = field(default_factory=list)

    def ask(self, question: str, default: str | None = None, choices: Sequence[str] = ()) -> str:
        self.asked.append(question)
        answer = self.answers.pop(0)
        return answer if answer or default is None else default

    def confirm(self, question: str, default: bool) -> bool:
        self.asked.append(question)
        return self.yes.pop(0)


def test_a_flat_dataset_in_a_folder():
    person = Script(
        [
            "north",
            "North Hospital",
            "https://hub.example",
            "",
            "",
            "",
            "",
            "flat",
            "colon",
            "Colon",
            "/x",
            "m.toml",
            "",
        ],
        [True, True, False],
    )
    settings = check(answers_from_person(person))
    assert (settings.site, settings.hub) == ("north", "https://hub.example")
    assert settings.datasets[0].name == "colon"
    assert settings.datasets[0].date_shift
    assert settings.network.proxy is None


def test_a_proxy_a_private_ca_and_s3():
    person = Script(
        ["north", "N", "https://hub", "http://proxy:3128", "/ca.pem", "s3", "https://s3", "lake", "/a", "/b"],
        [False],
    )
    settings = check(answers_from_person(person))
    assert settings.network.proxy == "http://proxy:3128"
    assert str(settings.network.ca_file) == "/ca.pem"
    assert isinstance(settings.store, S3Store)


def test_a_name_with_capitals_is_asked_again():
    person = Script(["North", "9th", "north", "N", "https://hub", "", "", "", ""], [False])
    assert check(answers_from_person(person)).site == "north"


@given(st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=60))
def test_any_title_reads_back(title):
    text = toml_text({"site": "north", "title": title, "hub": "https://hub"}, [])
    assert check(text).title == title


def test_an_answers_file_that_is_absent_or_broken_is_named(tmp_path):
    with pytest.raises(SettingsError) as absent:
        answers_from_file(tmp_path / "none.toml")
    assert absent.value.code == "settings.answers"
    broken = tmp_path / "broken.toml"
    broken.write_text("site = ")
    with pytest.raises(SettingsError) as wrong:
        answers_from_file(broken)
    assert wrong.value.code == "settings.toml"


def test_relative_paths_start_at_the_home(tmp_path):
    (tmp_path / "atoll-node.toml").write_text(
        'site = "north"\ntitle = "N"\nhub = "https://hub"\n[network]\nca_file = "ca.pem"\n'
        '[[datasets]]\nname = "colon"\ntitle = "C"\nformat = "flat"\npath = "in"\nmapping = "/abs/m.toml"\n'
    )
    settings = read_settings(tmp_path)
    assert settings.network.ca_file == tmp_path / "ca.pem"
    assert settings.datasets[0].path == tmp_path / "in"
    assert str(settings.datasets[0].mapping) == "/abs/m.toml"
