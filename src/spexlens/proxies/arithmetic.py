"""Where the Gaussian process computes: numpy and LAPACK, or torch on a GPU.

All else is written once, in the operators that both kinds of array share; here is what differs.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import scipy  # its submodules load on first use

from spexlens.core.masks import FloatArray
from spexlens.errors import InvalidInputError, MissingExtraError


class Arithmetic(Protocol):
    """Double-precision arrays and the factorisations of symmetric matrices."""

    def array(self, values: Any) -> Any:
        """Make `values` an array of this kind; a copy only where it must be."""
        ...

    def numpy(self, array: Any) -> FloatArray:
        """Return an array of this kind for numpy."""
        ...

    def exponential(self, array: Any) -> Any:
        """Compute `exp(array)`; the argument may be overwritten."""
        ...

    def finite(self, array: Any) -> bool:
        """Tell whether all entries are finite."""
        ...

    def factor(self, matrix: Any) -> Any:
        """Compute the lower Cholesky factor, None if there is none; `matrix` may be overwritten."""
        ...

    def solve(self, factor: Any, right: Any) -> Any:
        """Compute `C^-1 right` from the factor of C."""
        ...

    def half_solve(self, factor: Any, right: Any) -> Any:
        """Compute `L^-1 right` for the factor L."""
        ...

    def half_inverse(self, factor: Any) -> Any:
        """Return a matrix A with `A + A^T = C^-1`; the factor may be overwritten."""
        ...


@dataclass(frozen=True)
class NumpyArithmetic:
    """On the CPU, through BLAS and LAPACK."""

    def array(self, values: Any) -> Any:
        """Return a float64 array."""
        return np.asarray(values, dtype=np.float64)

    def numpy(self, array: Any) -> FloatArray:
        """Return the array itself."""
        return np.asarray(array)

    def exponential(self, array: Any) -> Any:
        """Work in place."""
        return np.exp(array, out=array)

    def finite(self, array: Any) -> bool:
        """Tell whether all entries are finite."""
        return bool(np.isfinite(array).all())

    def factor(self, matrix: Any) -> Any:
        """Call `dpotrf` in place: LAPACK counts by columns, and the matrix is symmetric."""
        factor, failed = scipy.linalg.lapack.dpotrf(matrix.T, lower=1, clean=1, overwrite_a=1)
        return None if failed else factor

    def solve(self, factor: Any, right: Any) -> Any:
        """Call `dpotrs`."""
        return scipy.linalg.lapack.dpotrs(factor, right, lower=1)[0]

    def half_solve(self, factor: Any, right: Any) -> Any:
        """Call `dtrtrs`."""
        return scipy.linalg.solve_triangular(factor, right, lower=True)

    def half_inverse(self, factor: Any) -> Any:
        """Call `dpotri`, which gives one triangle: with a halved diagonal, that is half."""
        inverse, _ = scipy.linalg.lapack.dpotri(factor, lower=1, overwrite_c=1)
        inverse[np.diag_indices_from(inverse)] *= 0.5
        return inverse


@dataclass(frozen=True)
class TorchArithmetic:
    """On a torch device; float64 throughout.

    Parameters
    ----------
    device : str
        "cuda", "cuda:1", or "cpu".
    """

    device: str

    def __post_init__(self) -> None:
        try:
            _torch().empty(0, device=self.device)
        except (RuntimeError, AssertionError) as error:
            raise InvalidInputError(
                f"device = {self.device!r} cannot be used here ({error}); None always can."
            ) from error

    def array(self, values: Any) -> Any:
        """Return a float64 tensor on the device."""
        torch = _torch()
        given = values if torch.is_tensor(values) else np.array(values, dtype=np.float64)
        return torch.as_tensor(given, dtype=torch.float64, device=self.device)

    def numpy(self, array: Any) -> FloatArray:
        """Return a copy in main memory."""
        return np.asarray(array.detach().cpu().numpy())

    def exponential(self, array: Any) -> Any:
        """Work in place."""
        return array.exp_()

    def finite(self, array: Any) -> bool:
        """Tell whether all entries are finite."""
        return bool(_torch().isfinite(array).all())

    def factor(self, matrix: Any) -> Any:
        """Call `cholesky_ex`, which does not raise."""
        factor, failed = _torch().linalg.cholesky_ex(matrix)
        return None if bool(failed) else factor

    def solve(self, factor: Any, right: Any) -> Any:
        """Call `cholesky_solve`, for a vector too."""
        columns = right if right.ndim == 2 else right[:, None]
        solution = _torch().cholesky_solve(columns, factor)
        return solution if right.ndim == 2 else solution[:, 0]

    def half_solve(self, factor: Any, right: Any) -> Any:
        """Call `solve_triangular`."""
        return _torch().linalg.solve_triangular(factor, right, upper=False)

    def half_inverse(self, factor: Any) -> Any:
        """Call `cholesky_inverse`, halved."""
        return 0.5 * _torch().cholesky_inverse(factor)


def arithmetic_for(device: str | None) -> Arithmetic:
    """Return the arithmetic of a device.

    Parameters
    ----------
    device : str, optional
        None is the CPU through BLAS; "auto" a CUDA GPU where torch is already loaded and sees one,
        else the CPU (torch is not loaded for the question: that takes seconds); otherwise a torch
        device.
    """
    if device == "auto":
        torch = sys.modules.get("torch")
        device = "cuda" if torch is not None and torch.cuda.is_available() else None
    return NumpyArithmetic() if device is None else TorchArithmetic(device)


def _torch() -> Any:
    try:
        import torch
    except ImportError as error:
        raise MissingExtraError("a Gaussian process on a torch device", "torch", "llm") from error
    return torch
