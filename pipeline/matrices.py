"""Float weight matrices, dense or sparse (scipy CSR), under one set of questions."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

Float = NDArray[np.float64]
Matrix = Any
"""float64 [target, source]: a numpy array, or a scipy csr_array where most entries are zero."""

DENSE_FROM = 0.25
"""Share of entries from which a matrix is kept dense."""


def compact(matrix: Any) -> Matrix:
    """The form that suits how full the matrix is; sparse ones with their rows in order."""
    matrix = sparse.csr_array(matrix)
    matrix.sum_duplicates()
    if matrix.nnz >= DENSE_FROM * matrix.shape[0] * matrix.shape[1]:
        return matrix.toarray()
    return matrix


def is_sparse(matrix: Matrix) -> bool:
    return bool(sparse.issparse(matrix))


def through(values: Float, matrix: Matrix) -> Float:
    """values [sample, source] -> [sample, target]."""
    return np.asarray(values @ matrix.T)


def scaled_rows(matrix: Matrix, factor: Float) -> Matrix:
    """Each row times its factor; the entries stay in their order, which a product of sparse matrices would not keep."""
    if is_sparse(matrix):
        values = matrix.data * np.repeat(factor, np.diff(matrix.indptr))
        return sparse.csr_array((values, matrix.indices, matrix.indptr), shape=matrix.shape)
    return factor[:, None] * matrix


def in_order(matrix: Matrix) -> Matrix:
    """With the columns of each row rising."""
    if is_sparse(matrix):
        matrix.sort_indices()
    return matrix


def row_sums(matrix: Matrix) -> tuple[Float, Float]:
    """Per row, the sum of the positive entries and of the negative ones' magnitudes."""
    total, magnitude = (np.asarray(m.sum(axis=1)).ravel() for m in (matrix, abs(matrix)))
    return (magnitude + total) / 2, (magnitude - total) / 2


def row_peaks(matrix: Matrix) -> Float:
    """Per row, the largest magnitude; 0 for a row without entries."""
    peaks = abs(matrix).max(axis=1)
    return np.asarray(peaks.todense()).ravel() if is_sparse(matrix) else np.asarray(peaks)


def entries(matrix: Matrix) -> Float:
    """All stored values."""
    return np.asarray(matrix.data if is_sparse(matrix) else matrix)
