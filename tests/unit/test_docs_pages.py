"""Pages made from the code say what the code says, and every link of the documents leads somewhere."""

import importlib.util
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, UnionType
from typing import Annotated, Union, get_args, get_origin

import pytest
import typer
from pydantic import BaseModel

from atoll_node.settings import NodeSettings
from atoll_node.wizard import check

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = (ROOT / "deploy" / "atoll-node.example.toml").read_text(encoding="utf-8")


def load_tool(name: str) -> ModuleType:
    """Import a script of ``tools/``, which is no package."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "tools" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


TOOL = load_tool("make_docs")


class TestMadePages:
    @pytest.mark.parametrize("page", TOOL.PAGES, ids=str)
    def test_the_committed_page_is_what_the_code_says(self, page: Path) -> None:
        assert (ROOT / page).read_text(encoding="utf-8") == TOOL.PAGES[page](), "run: make docs"

    @pytest.mark.parametrize("page", TOOL.PAGES, ids=str)
    def test_a_page_is_the_same_each_time_it_is_made(self, page: Path) -> None:
        assert TOOL.PAGES[page]() == TOOL.PAGES[page]()

    def test_checking_names_what_differs_and_writes_nothing(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert TOOL.main(["--check"], root=tmp_path) == 1
        assert list(tmp_path.iterdir()) == []
        said = capsys.readouterr()
        assert all(str(page) in said.out for page in TOOL.PAGES)
        assert "make docs" in said.err

    def test_writing_makes_every_page_and_then_nothing_differs(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert TOOL.main([], root=tmp_path) == 0
        assert TOOL.main(["--check"], root=tmp_path) == 0
        assert sorted(file.name for file in (tmp_path / "docs" / "reference").iterdir()) == sorted(
            page.name for page in TOOL.PAGES
        )

    def test_writing_mends_a_page_that_somebody_edited(self, tmp_path: Path) -> None:
        TOOL.main([], root=tmp_path)
        page = tmp_path / next(iter(TOOL.PAGES))
        before = page.read_text(encoding="utf-8")
        page.write_text(before + "an edit by hand\n", encoding="utf-8")
        assert TOOL.differing(tmp_path) == [page.relative_to(tmp_path)]
        TOOL.main([], root=tmp_path)
        assert page.read_text(encoding="utf-8") == before

    def test_make_docs_runs_this_very_tool(self) -> None:
        recipe = (ROOT / "Makefile").read_text(encoding="utf-8")
        assert "$(PY) tools/make_docs.py $(ARGS)" in recipe


def leaves(command, words: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for name, inner in getattr(command, "commands", {}).items():
        yield from leaves(inner, (*words, name))
    if not getattr(command, "commands", {}):
        yield words


TYPED = [
    (program, words)
    for program in (TOOL.NODE, TOOL.HUB, TOOL.SDK)
    for words in leaves(typer.main.get_command(program.commands))
]
NAMES = [" ".join((program.name, *words)) for program, words in TYPED]
FILES = {"atoll-node": "node-commands.md", "atoll-hub": "hub-commands.md", "atoll": "atoll-commands.md"}


def page_of(program) -> str:
    return (ROOT / "docs" / "reference" / FILES[program.name]).read_text(encoding="utf-8")


class TestCommands:
    @pytest.mark.parametrize(("program", "words"), TYPED, ids=NAMES)
    def test_every_command_has_a_heading_in_its_reference(self, program, words: tuple[str, ...]) -> None:
        assert f"\n## {program.name} {' '.join(words)}\n" in page_of(program)

    @pytest.mark.parametrize("program", [TOOL.NODE, TOOL.HUB, TOOL.SDK], ids=lambda one: one.name)
    def test_no_heading_is_of_a_command_that_is_gone(self, program) -> None:
        headings = re.findall(rf"^## {program.name} (.+)$", page_of(program), re.MULTILINE)
        known = [" ".join(words) for one, words in TYPED if one is program]
        assert headings == known

    def test_a_command_without_a_page_fails_the_check(self, tmp_path: Path) -> None:
        extra = typer.Typer()

        @extra.command()
        def first() -> None:
            """Do this."""

        @extra.command()
        def second(place: str) -> None:
            """Do that.

            Examples:

              x second here
            """

        page = TOOL.commands_page(TOOL.Program("x", "# X\n", extra, frozenset({"--help"})))
        assert "\n## x first\nDo this.\n" in page
        assert "\n## x second\nDo that.\n\n| argument | meaning |\n|---|---|\n| `PLACE` | needed |\n" in page
        assert page.endswith("\n```\nx second here\n```\n")

    def test_a_bar_in_a_help_text_does_not_break_its_table(self) -> None:
        app = typer.Typer()

        @app.command()
        def ask(shape: str = typer.Option("a", help="a | b")) -> None:
            """Ask."""

        @app.command()
        def other() -> None:
            """Do another thing."""

        page = TOOL.commands_page(TOOL.Program("x", "", app, frozenset()))
        assert "| `--shape` | a \\| b |" in page


def models_of(annotation: object) -> Iterator[type[BaseModel]]:
    """Yield the settings sections inside a type."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    if get_origin(annotation) in (tuple, list, Union, UnionType, Annotated):
        for part in get_args(annotation):
            yield from models_of(part)


def keys_of(model: type[BaseModel], place: str = "") -> Iterator[str]:
    """Yield every setting as ``section.key``; the sections themselves too."""
    for name, field in model.model_fields.items():
        yield f"{place}{name}"
        for section in models_of(field.annotation):
            yield from keys_of(section, f"{name}.")


def documented(text: str) -> set[str]:
    """Return the keys that an annotated example names, also those that stand behind a comment sign."""
    found, section = set(), ""
    for line in text.splitlines():
        heading = re.match(r"\[+([a-z_.]+)\]+", line)
        key = re.match(r"(?:# )?([a-z_0-9]+) = ", line)
        if heading:
            section = heading[1] + "."
            found.add(heading[1])
        elif key:
            found.add(section + key[1])
    return found


class TestExampleSettings:
    @pytest.mark.parametrize("key", sorted(set(keys_of(NodeSettings))))
    def test_every_setting_stands_in_the_annotated_example(self, key: str) -> None:
        assert key in documented(EXAMPLE)

    def test_the_example_names_no_setting_that_is_gone(self) -> None:
        assert documented(EXAMPLE) - set(keys_of(NodeSettings)) == set()

    def test_the_example_is_valid(self) -> None:
        settings = check(EXAMPLE)
        assert settings.site == "north"
        assert [dataset.name for dataset in settings.datasets] == ["colon"]

    def test_the_example_is_valid_with_every_line_that_is_switched_off(self) -> None:
        """All but the store, whose two kinds exclude each other."""
        switched_on = "\n".join(
            line
            for part in re.split(r"(?m)^(?=\[)", EXAMPLE)
            for line in (
                part if part.startswith("[store]") else re.sub(r"(?m)^# (?=[a-z_]+ = )", "", part)
            ).splitlines()
        )
        settings = check(switched_on)
        assert settings.network.proxy is not None
        assert settings.network.ca_file is not None
        assert settings.datasets[0].opt_out_file is not None

    def test_the_s3_lines_of_the_example_are_valid(self) -> None:
        store = re.split(r"(?m)^(?=\[)", EXAMPLE[EXAMPLE.index("[store]") :])[1]
        lines = [line.removeprefix("# ") for line in store.splitlines()[3:]]
        found = check('site = "n"\ntitle = "N"\nhub = "https://hub"\n[store]\n' + "\n".join(lines))
        assert found.store.kind == "s3"

    def test_the_values_of_the_example_are_the_defaults(self) -> None:
        """A reader who deletes a line of the optional sections changes nothing."""
        written = tomllib.loads(EXAMPLE)
        plain = {"site": "north", "title": "N", "hub": "https://hub.example"}
        for section in ("agent", "store", "engine", "gate"):
            default = getattr(NodeSettings.model_validate(plain), section)
            assert getattr(check(EXAMPLE), section) == default, section
            assert set(written[section]) == set(type(default).model_fields), section


DOCUMENTS = sorted(
    file
    for pattern in (
        "README.md",
        "CONTRIBUTING.md",
        "SECURITY.md",
        "GLOSSARY.md",
        "CHANGELOG.md",
        "docs/**/*.md",
    )
    for file in ROOT.glob(pattern)
)
_LINK = re.compile(r"\[[^\]\n]*\]\(([^)\s]+)\)")


def prose_of(text: str) -> str:
    """Return a document without its blocks of code, where brackets mean other things."""
    return re.sub(r"`[^`\n]*`", "", re.sub(r"(?ms)^```.*?^```$", "", text))


def links() -> list[tuple[Path, str]]:
    return [
        (document, target)
        for document in DOCUMENTS
        for target in _LINK.findall(prose_of(document.read_text(encoding="utf-8")))
    ]


def anchor_of(heading: str) -> str:
    """Return the anchor that a Markdown viewer makes of a heading."""
    plain = re.sub(r"[`*]", "", heading.strip().lower())
    return re.sub(r"[^\w\- ]", "", plain).replace(" ", "-")


RELATIVE = [(document, target) for document, target in links() if "://" not in target]


class TestLinks:
    @pytest.mark.parametrize(
        ("document", "target"),
        RELATIVE,
        ids=[f"{file.relative_to(ROOT)}->{target}" for file, target in RELATIVE],
    )
    def test_every_relative_link_leads_to_a_file_and_its_heading(self, document: Path, target: str) -> None:
        path, _, anchor = target.partition("#")
        found = (document.parent / path).resolve() if path else document
        assert found.exists(), f"{document.relative_to(ROOT)} points to {target}"
        if anchor:
            headings = re.findall(r"(?m)^#+ (.+)$", found.read_text(encoding="utf-8"))
            assert anchor in {anchor_of(heading) for heading in headings}

    def test_no_link_leads_out_of_the_project_by_a_path(self) -> None:
        outside = [
            (document, target)
            for document, target in RELATIVE
            if not (document.parent / target.partition("#")[0]).resolve().is_relative_to(ROOT)
        ]
        assert outside == []

    def test_every_page_can_be_reached_from_the_readme(self) -> None:
        seen, waiting = set(), [ROOT / "README.md"]
        while waiting:
            page = waiting.pop()
            if page in seen or page.suffix != ".md":
                continue
            seen.add(page)
            waiting += [
                (page.parent / target.partition("#")[0]).resolve()
                for target in _LINK.findall(prose_of(page.read_text(encoding="utf-8")))
                if "://" not in target and target.partition("#")[0]
            ]
        unseen = [page for page in ROOT.glob("docs/**/*.md") if page not in seen]
        assert [str(page.relative_to(ROOT)) for page in unseen] == []


def test_importing_the_tool_writes_nothing(tmp_path: Path) -> None:
    before = {page: (ROOT / page).stat().st_mtime_ns for page in TOOL.PAGES}
    load_tool("make_docs")
    assert {page: (ROOT / page).stat().st_mtime_ns for page in TOOL.PAGES} == before


def test_the_tool_checks_from_the_shell() -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "tools" / "make_docs.py"), "--check"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
