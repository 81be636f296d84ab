"""The words that the code does not use, and where one is still found.

``python -m tests.words PATH...`` prints what it finds; ``test_words.py`` holds the whole repository to it. The words
that are used instead are in the glossary of ``app/README.md``.
"""

from __future__ import annotations

import ast
import io
import re
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path

IDENTIFIERS = frozenset(
    re.findall(
        r"\w+",
        """
    Door Served VersionCard card card_of Parts hot_routes Trial Errands Effects World Sight look Judging told _waits
    _noting holds hold MOST KEPT TOGETHER AS_MANY_AS_WANTED SpreadPlan SpreadRecipe Spread seams Degrees Beat Signals
    Mark leave_probe refusals refusals_of_any_model SampleBook _Page Landed Refusal Found Ledger ledger said unseen
    wanted placed still NotAllowedError ForbiddenError NoAnswerError LateAnswerError BrokenModelError TooBusyError
    LayoutConfig enter ask _ask statuses errands effects
        """,
    )
)
"""Names of modules, classes, functions, fields and constants that have a better one in the field's words."""

FIRST_WORDS = re.compile(
    r"(What|Who|Whose|Whom|Whoever|Whether|How|Why|Where|Of|So|That|As|By|Nobody|Nothing|Everything|Something|Those|Which)\b"
    r"|(One|Every|A|The|Each) [\w' ]+'s\.$|\w+'s\.$"
)
"""Beginnings of docstrings that leave a reader who skims without the noun or the verb."""

PHRASES = re.compile(r"\b(he|him|his|nobody|whom|for ever|of late|in vain|so many (?:seconds|s|ms))\b")
"""Phrases of comments, docstrings and printed sentences: a program is "it"."""

_OWN = (Path(__file__), Path(__file__).with_name("test_words.py"))


def findings(path: Path) -> list[str]:
    """Each finding in one Python file, as ``path:line: what``."""
    if path.resolve() in _OWN:
        return []
    text = path.read_text()
    tree = ast.parse(text)
    found = [(1, f"module name {path.stem}")] if path.stem in IDENTIFIERS else []
    found += [
        (line, f"identifier {name}") for name, line in _names(tree) if name in IDENTIFIERS or name.startswith("MOST_")
    ]
    found += _in_docstrings(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            found += [(node.lineno, f"{match[0]!r} in a string") for match in PHRASES.finditer(node.value)]
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            found += [(token.start[0], f"{match[0]!r} in a comment") for match in PHRASES.finditer(token.string)]
    return [f"{path}:{line}: {what}" for line, what in sorted(set(found))]


def _names(tree: ast.Module) -> Iterator[tuple[str, int]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name, node.lineno
        if isinstance(node, ast.ClassDef | ast.Module):
            for line in node.body:
                if isinstance(line, ast.AnnAssign) and isinstance(line.target, ast.Name):
                    yield line.target.id, line.lineno
                if isinstance(line, ast.Assign):
                    yield from ((target.id, line.lineno) for target in line.targets if isinstance(target, ast.Name))


def _in_docstrings(tree: ast.Module) -> list[tuple[int, str]]:
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            docstring = ast.get_docstring(node)
            if docstring and FIRST_WORDS.match(first := docstring.partition("\n")[0]):
                found.append((node.body[0].lineno, f"a docstring that begins {first[:60]!r}"))
    return found


def python_files(paths: list[Path]) -> list[Path]:
    """Files of the repository's own Python under ``paths``."""
    return sorted(file for path in paths for file in ([path] if path.is_file() else path.rglob("*.py")))


def main(arguments: list[str]) -> int:
    """Print the findings; the exit code is 1 where there is one."""
    found = [line for file in python_files([Path(name) for name in arguments]) for line in findings(file)]
    print("\n".join(found))
    return bool(found)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
