"""Text for tests: the same on every machine, and not too easy to predict."""

from __future__ import annotations

import random

from app.recipes.bytelm import ByteLMRecipe
from app.recipes.bytelm.windows import windows
from app.training.recipe import Data


def prose(sequence: int, words: int = 4000) -> Data:
    """Rows of made-up prose, as ``ByteLMRecipe.prepare`` gives them."""
    choose = random.Random(0)
    vocabulary = ["".join(choose.choices("abcdefghijklmnop", k=choose.randint(2, 9))) for _ in range(200)]
    text = " ".join(choose.choices(vocabulary, k=words)).encode()
    columns = windows(text, sequence)
    return Data(columns, columns, "prose")


class ProseRecipe(ByteLMRecipe):
    """The decoder over a little prose: a whole run takes seconds."""

    def prepare(self) -> Data:
        """Rows of prose for training and for evaluation."""
        return prose(self.config.sequence)
