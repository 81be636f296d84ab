"""Entities of several tables as whole numbers, for sorting and joining: text is compared once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray


def entity_codes(tables: Sequence[pd.DataFrame], columns: tuple[str, ...]) -> list[NDArray[np.int64]]:
    """A number for each row's entity, the same in all tables; -1 where a column that names it is empty or null.

    Raises:
        ValueError: a table lacks one of the columns.
    """
    for table in tables:
        absent = [column for column in columns if column not in table]
        if absent:
            raise ValueError(
                f"a table lacks the entity column {', '.join(absent)}; it has {', '.join(map(str, table))}"
            )
    codes = np.zeros(sum(map(len, tables)), dtype=np.int64)
    empty = np.zeros(len(codes), dtype=np.bool_)
    for place, column in enumerate(columns):
        values = pd.concat([table[column] for table in tables], ignore_index=True)
        code, names = pd.factorize(values)  # -1 for null
        empty |= code < 0
        blank = np.flatnonzero(np.asarray(names == ""))
        if len(blank):
            empty |= code == blank[0]
        codes = codes * len(names) + code
        if place:  # numbers stay small, however many columns there are
            codes = pd.factorize(codes)[0].astype(np.int64)
    return np.split(np.where(empty, -1, codes), np.cumsum([len(table) for table in tables])[:-1])
