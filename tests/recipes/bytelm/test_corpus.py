"""The corpus is the manifest's files or a refusal; windows cover it; evaluation is in bits per byte."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from app.recipes.bytelm import ByteLMConfig, ByteLMRecipe
from app.recipes.bytelm.corpus import (
    CorpusError,
    SourceFile,
    format_manifest,
    library,
    list_files,
    read_corpus,
    read_manifest,
)
from app.recipes.bytelm.windows import windows


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A library of 60 small files, and some that do not belong to it."""
    for index in range(60):
        folder = tmp_path / f"package{index % 3}"
        folder.mkdir(exist_ok=True)
        (folder / f"module{index}.py").write_text(f"x = {index}\n")
    for name in ("test/test_x.py", "site-packages/y.py", "_sysconfigdata_linux.py", "notes.txt"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("skipped")
    return tmp_path


def test_the_same_files_give_the_same_corpus(tree: Path) -> None:
    files = list_files(tree)
    assert len(files) == 60
    first, again = read_corpus(tree, files), read_corpus(tree, list_files(tree))
    assert first == again
    assert b"skipped" not in first.train + first.validation
    assert first.train.count(b"\0") + first.validation.count(b"\0") == first.files == 60


def test_another_file_changes_the_fingerprint_but_moves_no_other(tree: Path) -> None:
    before = read_corpus(tree, list_files(tree))
    (tree / "package0" / "more.py").write_text("y = 1\n")
    after = read_corpus(tree, list_files(tree))
    assert after.fingerprint != before.fingerprint
    assert set(before.validation.split(b"\0")) <= set(after.validation.split(b"\0"))


def test_a_changed_file_is_refused(tree: Path) -> None:
    files = list_files(tree)
    (tree / files[3].path).write_text("x = 'changed'\n")
    with pytest.raises(CorpusError, match=rf"{files[3].path} is not the file of the manifest .*corpus = installed"):
        read_corpus(tree, files)


def test_a_missing_file_is_refused(tree: Path) -> None:
    files = list_files(tree)
    (tree / files[0].path).unlink()
    with pytest.raises(CorpusError, match="No such file"):
        read_corpus(tree, files)


def test_the_manifest_reads_as_it_was_written(tmp_path: Path) -> None:
    files = (SourceFile("a b.py", 3, "0" * 64), SourceFile("b.py", 12_345_678, "f" * 64))
    path = tmp_path / "manifest.txt"
    path.write_text("# a comment\n" + format_manifest(files))
    assert read_manifest(path) == files


def test_the_shipped_manifest_holds_out_about_a_sixteenth() -> None:
    files = read_manifest()
    share = sum(file.size for file in files if file.held_out) / sum(file.size for file in files)
    assert len(files) == 454
    assert 0.03 < share < 0.15


def test_this_installation_is_the_pinned_one_or_is_refused() -> None:
    pinned = ByteLMRecipe(ByteLMConfig())
    if list_files(library()) == read_manifest():
        assert pinned.prepare().fingerprint.startswith("6ba369ccf66a916d")
    else:
        with pytest.raises(CorpusError, match=r"options.corpus = installed"):
            pinned.prepare()


def test_any_installation_is_taken_when_asked() -> None:
    recipe = ByteLMRecipe(ByteLMConfig(corpus="installed", sequence=128))
    data = recipe.prepare()
    assert data.fingerprint == recipe.prepare().fingerprint
    assert data.train["tokens"].shape == data.train["targets"].shape
    assert data.train["tokens"].shape[1] == 128
    assert int(data.facts["train_bytes"]) > 10 * int(data.facts["files"])


def test_windows_follow_one_another_and_targets_are_the_next_bytes() -> None:
    columns = windows(bytes(range(11)), 5)
    np.testing.assert_array_equal(columns["tokens"], [[0, 1, 2, 3, 4], [5, 6, 7, 8, 9]])
    np.testing.assert_array_equal(columns["targets"], [[1, 2, 3, 4, 5], [6, 7, 8, 9, 10]])
    with pytest.raises(ValueError, match="sequence = 5: accepted is less than 5"):
        windows(b"12345", 5)


class Uniform(nn.Module):
    """Gives every byte the same probability."""

    def forward(self, tokens: Tensor) -> Tensor:
        """Logits, all zero."""
        return torch.zeros(*tokens.shape, 256)


def test_evaluation_is_in_bits_per_byte() -> None:
    columns = windows(bytes(range(256)) * 20, 32)
    recipe = ByteLMRecipe(ByteLMConfig())
    assert recipe.evaluate(Uniform(), columns).metrics["bits_per_byte"] == pytest.approx(8.0)
