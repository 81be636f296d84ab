"""The documents are true: links lead somewhere, and commands, options, files and settings that they name exist."""

from __future__ import annotations

import importlib.util
import re
import runpy
import shlex
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout, suppress
from functools import cache
from io import StringIO
from pathlib import Path

import pytest

from app.settings import variables
from jobs.cli import main

ROOT = Path(__file__).parents[1]
_FOLDERS = ("app", "cluster", "jobs", "tests", ".github")
DOCUMENTS = [
    ROOT / "README.md",
    *sorted(p for folder in _FOLDERS for p in (ROOT / folder).rglob("*.md") if "recordings" not in p.parts),
]
CLIENTS_OWN = {"TIDEGATE_GATEWAY_ADMIN_KEY", "TIDEGATE_STATE_DIR"}
"""Variables that commands read and the settings do not hold."""

by_document = pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))


def commands(text: str) -> Iterator[list[str]]:
    """Yield each command line of the blocks marked ``console``, as words; comments and output are left out."""
    for block in re.findall(r"^```console\n(.*?)^```", text, re.M | re.S):
        for line in re.findall(r"^\$ (.*)$", block.replace("\\\n", " "), re.M):
            if line.count("'") % 2:  # a document in quotes that goes on in the next lines
                continue
            yield shlex.split(line, comments=True)


def anchors(document: Path) -> set[str]:
    """Return the anchors of a document's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", document.read_text(), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@cache
def help_of(words: tuple[str, ...]) -> str | None:
    """Return what ``tidegate WORDS --help`` prints; None where there is no such command."""
    out = StringIO()
    with redirect_stdout(out), redirect_stderr(out):
        code = main([*words, "--help"])
    return out.getvalue() if code == 0 else None


@cache
def help_of_module(module: str) -> str:
    """Return what ``python -m MODULE --help`` prints."""
    out = StringIO()
    with (
        pytest.MonkeyPatch.context() as patch,
        redirect_stdout(out),
        redirect_stderr(out),
        suppress(SystemExit),
    ):
        patch.setattr("sys.argv", [module, "--help"])
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    return out.getvalue()


def options(words: list[str]) -> list[str]:
    """Return the long options among ``words``, up to a ``--``."""
    own = words[: words.index("--")] if "--" in words else words
    return [word.partition("=")[0] for word in own if word.startswith("--")]


def check_tidegate(words: list[str]) -> None:
    """Fail where a command or an option of ``tidegate WORDS`` does not exist."""
    path = tuple(word for word in words if word)
    verbs: tuple[str, ...] = ()
    for word in path:
        if not re.fullmatch(r"[a-z][a-z-]*", word) or help_of((*verbs, word)) is None:
            break
        verbs = (*verbs, word)
    shown = help_of(verbs)
    assert shown is not None
    assert verbs or not path or path[0].startswith("-"), f"tidegate has no command {path[0]!r}"
    for option in options(words):
        assert option in shown, f"tidegate {' '.join(verbs)} has no option {option}"


@by_document
def test_every_link_leads_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", document.read_text()):
        if target.startswith(("http://", "https://")):
            continue
        name, _, anchor = target.partition("#")
        file = (document.parent / name).resolve() if name else document
        assert file.exists(), target
        if anchor:
            assert anchor in anchors(file), target


@by_document
def test_every_command_exists_with_its_options(document: Path) -> None:
    for words in commands(document.read_text()):
        while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
            words = words[1:]
        if "--" in words and words[:3] == ["ray", "job", "submit"]:
            words = words[words.index("--") + 1 :]
        match words:
            case ["tidegate", *rest]:
                check_tidegate(rest)
            case ["python", "-m", module, *rest] if module.partition(".")[0] in ("app", "cluster", "jobs", "tests"):
                assert importlib.util.find_spec(module) is not None, module
                for option in options(rest):
                    assert option in help_of_module(module), f"python -m {module} has no option {option}"
            case ["make", *targets]:
                made = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.M)
                assert {word for word in targets if "=" not in word} <= set(made), targets


@by_document
def test_every_file_that_is_named_is_there(document: Path) -> None:
    text = re.sub(r"^```.*?^```", "", document.read_text(), flags=re.M | re.S)
    for name in re.findall(r"`((?:app|cluster|jobs|tests)/[\w./-]+)`", text):
        places = [base / spelt for base in (ROOT, document.parent) for spelt in (name, f"{name}.py")]
        assert any(place.exists() for place in places), name


@by_document
def test_every_setting_that_is_named_exists(document: Path) -> None:
    named = set(re.findall(r"\bTIDEGATE_[A-Z_]*[A-Z]\b(?!_?\*|_?<)", document.read_text()))
    known = {*variables(), *CLIENTS_OWN}
    assert {name for name in named if name not in known and not any(k.startswith(f"{name}_") for k in known)} == set()


def test_readme_is_a_page() -> None:
    text = (ROOT / "README.md").read_text()
    assert len(text.splitlines()) <= 150
    assert len(text.encode()) <= 8 * 1024


def test_command_that_does_not_exist_is_noticed() -> None:
    with pytest.raises(AssertionError, match="no command 'relaese'"):
        check_tidegate(["relaese", "list"])


def test_option_that_does_not_exist_is_noticed() -> None:
    with pytest.raises(AssertionError, match="no option --modle"):
        check_tidegate(["release", "list", "--modle", "flights"])
