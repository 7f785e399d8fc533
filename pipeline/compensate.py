"""Rounding that compensates: each weight's rounding error is taken back by those that are not rounded yet.

Of the two whole numbers around each weight the one is chosen that, with the best that the others can still do, changes
v least. Source: optimal brain quantization, in the column order and with the Cholesky factor of GPTQ (Frantar et al.,
ICLR 2023, algorithm 1), here with what membranes remember (`evidence`) in the place of a layer's inputs. Within a
block of columns errors go on one by one; to the columns after it, as one product.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from spikeport.pipeline.recipe import Grid

Float = NDArray[np.float64]
DAMPING = 0.01
"""Of the mean of G's diagonal, added to it: what calibration did not show is not worth any error elsewhere."""
BLOCK = 128


class Compensation:
    """For rows of `columns` weights whose products of traces are `gram`; a column more is a bias, which is not rounded
    and takes what is left.
    """

    def __init__(self, gram: Float, columns: int) -> None:
        seen = np.diag(gram)[:columns]
        damping = DAMPING * seen[seen > 0].mean() if (seen > 0).any() else 1.0
        self.order = np.append(np.argsort(-seen, kind="stable"), np.arange(columns, len(gram)))
        damped = (gram + damping * np.eye(len(gram)))[np.ix_(self.order, self.order)]
        self.upper = np.linalg.cholesky(np.linalg.inv(damped)).T
        self.columns = columns

    def rounded(self, exact: Float, step: Float, grid: Grid) -> tuple[Float, Float]:
        """(mantissas [row, column], what a bias gets [row]) for weights `exact` [row, column], whose mantissas count
        `step` [column].
        """
        order = self.order[: self.columns]
        rest = np.zeros((len(exact), len(self.order)))
        rest[:, : self.columns] = exact[:, order]
        steps, chosen = step[order], np.empty_like(exact)
        low, high = (np.asfortranarray(side) for side in grid.around(exact[:, order] / steps))
        for begin in range(0, self.columns, BLOCK):
            end = min(begin + BLOCK, self.columns)
            errors = np.empty((len(rest), end - begin))
            for j in range(begin, end):
                chosen[:, j] = grid.neighbor(rest[:, j] / steps[j], low[:, j], high[:, j])
                error = (rest[:, j] - chosen[:, j] * steps[j]) / self.upper[j, j]
                rest[:, j + 1 : end] -= error[:, None] * self.upper[j, j + 1 : end]
                errors[:, j - begin] = error
            rest[:, end:] -= errors @ self.upper[begin:end, end:]
        mantissas = np.empty_like(chosen)
        mantissas[:, order] = chosen
        return mantissas, rest[:, self.columns :].sum(axis=1)
