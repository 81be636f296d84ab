"""Draw the README's pictures anew: ``python -m jobs.pictures``."""

from __future__ import annotations

from pathlib import Path

from jobs.pictures import release, request

FOLDER = Path(__file__).parent


def documents() -> dict[Path, str]:
    """Every picture's file with what belongs into it."""
    return {FOLDER / "request.svg": request.draw().svg(), FOLDER / "release.svg": release.draw().svg()}


def main() -> None:
    """Write them."""
    for path, text in documents().items():
        path.write_text(text)
        print(path)


if __name__ == "__main__":
    main()
