"""The Hessian of a network's loss, as a linear operator."""

from __future__ import annotations

import math
import operator
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from edgewalk import _core

Vector = NDArray[np.float64]


class Eigenvalues(NamedTuple):
    """Eigenvalues with their accuracy: those at the top, then the lowest, rising."""

    values: Vector
    """The eigenvalues, with their signs."""
    errors: Vector
    """A bound on the distance of each to an eigenvalue of the Hessian."""
    vectors: Vector
    """The eigenvectors, of unit length, as columns."""
    converged: NDArray[np.bool_]
    """Whether the relative residual ‖Hv − λv‖ ÷ |λ| of each met `tol`."""
    products: int
    """The products with the Hessian that they took."""


class Trace(NamedTuple):
    """A trace by Hutch++."""

    value: float
    """The trace."""
    interval: tuple[float, float]
    """The ends of its confidence interval, which allow for rounding too."""
    products: int
    """The products with the Hessian that it took."""


class Density(NamedTuple):
    """The density of all eigenvalues, by stochastic Lanczos quadrature."""

    values: Vector
    """Positions on the axis of the eigenvalues, rising."""
    weights: Vector
    """The fraction of the eigenvalues that each stands for; together 1."""
    products: int
    """The products with the Hessian that it took."""

    def at(self, x: ArrayLike, sigma: float) -> Vector:
        """The density at x when each value is smoothed to a Gaussian of standard deviation sigma; its integral is 1."""
        if not sigma > 0:
            raise ValueError(f"sigma = {sigma} is out of range; it must be above 0")
        distance = (_real("x", x)[..., None] - self.values) / sigma
        return np.exp(-0.5 * distance**2) @ self.weights / (sigma * math.sqrt(2 * math.pi))


class Hessian:
    """The exact Hessian of the mean loss of an ONNX network over examples.

    It follows SciPy's protocol of linear operators, so that `scipy.sparse.linalg.eigsh(H)` works. Vectors are float64;
    a product has the precision of the device. The Hessian is symmetric.

    model: the path of an .onnx file, or the bytes of one.
    x: the examples, along the first axis: numbers, or tokens if the network reads whole numbers.
    y: classes as integers, counted from 0, one of each example (for tokens, of each token); or targets as
        floating-point numbers, one row for each example.
    loss: "cross-entropy", or "mse": the squared error to the targets, or to classes as unit vectors.
    reduction: for "mse", "mean" over the outputs, or "half-sum".
    params: other parameters than those of the file, as for `set_params`.
    device: "native", "gpu", "cpu", a part of an adapter's name, or its number in `edgewalk info`; None chooses.
    precision: "f32", or "f64" on the processor.
    freeze: names of arrays that are no parameters; `*` stands for any characters.

    Wrong arguments raise ValueError or TypeError; what fails on a device raises RuntimeError.
    """

    dtype = np.dtype(np.float64)
    """The type of the vectors."""
    # NumPy leaves `v @ H` to `__rmatmul__`.
    __array_ufunc__ = None

    def __init__(
        self,
        model: str | os.PathLike[str] | bytes,
        x: ArrayLike,
        y: ArrayLike,
        *,
        loss: Literal["cross-entropy", "mse"],
        reduction: Literal["mean", "half-sum"] = "mean",
        params: ArrayLike | Mapping[str, ArrayLike] | None = None,
        device: str | int | None = None,
        precision: Literal["f32", "f64"] = "f32",
        freeze: Iterable[str] = (),
    ) -> None:
        patterns = [freeze] if isinstance(freeze, str) else list(freeze)
        if isinstance(model, (bytes, bytearray)):
            network = _core.Network.of_bytes(bytes(model), patterns)
        else:
            network = _core.Network.read(Path(model), patterns)
        features, labels = _examples(network, np.asarray(x), np.asarray(y))
        device = None if device is None else str(device)
        self._core = _core.Hessian(network, features, labels, loss, reduction, device, precision)
        if params is not None:
            self.set_params(params)

    @property
    def shape(self) -> tuple[int, int]:
        """The number of parameters, twice."""
        return (self._core.dim, self._core.dim)

    @property
    def device(self) -> str:
        """The name of the device in use."""
        return self._core.device

    @property
    def params(self) -> Vector:
        """A copy of the parameters, as one vector; a device with 32 bits computes with them rounded."""
        return self._core.params()

    def set_params(self, params: ArrayLike | Mapping[str, ArrayLike]) -> None:
        """Replaces the parameters: one vector, or an array for each name (`unflatten`)."""
        self._core.set_params(self.flatten(params) if isinstance(params, Mapping) else _real("params", params))

    def unflatten(self, vector: ArrayLike) -> dict[str, Vector]:
        """The parts of a vector, by the names of the parameters and in their shapes."""
        vector = _real("vector", vector)
        if vector.shape != self.shape[:1]:
            raise ValueError(f"vector has the shape {vector.shape}, and {self.shape[:1]} is needed")
        parts, start = {}, 0
        for name, shape in self._core.shapes:
            end = start + math.prod(shape)
            parts[name] = vector[start:end].reshape(shape)
            start = end
        return parts

    def flatten(self, arrays: Mapping[str, ArrayLike]) -> Vector:
        """The vector of arrays by name, the reverse of `unflatten`."""
        shapes = dict(self._core.shapes)
        if arrays.keys() != shapes.keys():
            missing = [name for name in shapes if name not in arrays]
            unknown = [name for name in arrays if name not in shapes]
            raise ValueError(
                f"arrays are missing for {missing} and unknown as {unknown}; give one for each of {list(shapes)}"
            )
        parts = []
        for name, shape in shapes.items():
            array = _real(name, arrays[name])
            if array.shape != tuple(shape):
                raise ValueError(f"`{name}` has the shape {array.shape}, and {tuple(shape)} is needed")
            parts.append(array.ravel())
        return np.concatenate(parts)

    def matvec(self, v: ArrayLike) -> Vector:
        """H·v, for v of shape (n,) or (n, 1); the result has the same shape."""
        v = _real("v", v)
        n = self.shape[0]
        if v.shape not in ((n,), (n, 1)):
            raise ValueError(f"v has the shape {v.shape}, and ({n},) or ({n}, 1) is needed")
        return self._core.products(v.reshape(1, n)).reshape(v.shape)

    def matmat(self, v: ArrayLike) -> Vector:
        """H·V, for V of shape (n, k)."""
        v = _real("v", v)
        n = self.shape[0]
        if v.ndim != 2 or v.shape[0] != n:
            raise ValueError(f"v has the shape {v.shape}, and ({n}, k) is needed")
        return np.ascontiguousarray(self._core.products(np.ascontiguousarray(v.T)).T)

    def rmatvec(self, v: ArrayLike) -> Vector:
        """Hᵀ·v, which is H·v."""
        return self.matvec(v)

    def rmatmat(self, v: ArrayLike) -> Vector:
        """Hᵀ·V, which is H·V."""
        return self.matmat(v)

    def __matmul__(self, v: ArrayLike) -> Vector:
        v = np.asarray(v)
        return self.matvec(v) if v.ndim == 1 else self.matmat(v)

    def __rmatmul__(self, v: ArrayLike) -> Vector:
        return (self @ np.asarray(v).T).T

    def eigenvalues(
        self,
        top: int = 1,
        bottom: int = 0,
        *,
        tol: float = 1e-4,
        order: Literal["magnitude", "algebraic"] = "magnitude",
        max_iterations: int = 500,
        block: int = 1,
        seed: int = 0,
    ) -> Eigenvalues:
        """Eigenvalues by Lanczos, with a bound on the error of each.

        top: how many, the first in `order`; at least 1.
        bottom: how many of the lowest besides.
        tol: the relative residual ‖Hv − λv‖ ÷ |λ| at which a pair has converged.
        order: by magnitude, or "algebraic": positive before negative.
        max_iterations: the most products; pairs that have not converged by then say so.
        block: vectors multiplied at a time; b of them find b copies of a repeated eigenvalue.
        """
        values, errors, converged, vectors, products = self._core.eigenvalues(
            _count("top", top), _count("bottom", bottom), tol, order,
            _count("max_iterations", max_iterations), _count("block", block), _count("seed", seed),
        )  # fmt: skip
        rows = vectors.reshape(len(values), self.shape[0])
        return Eigenvalues(np.array(values), np.array(errors), rows.T, np.array(converged), products)

    def trace(self, *, products: int = 60, level: float = 0.95, seed: int = 0) -> Trace:
        """The trace by Hutch++, with a confidence interval of this level; exact with as many products as parameters."""
        return Trace(*self._core.trace(_count("products", products), level, _count("seed", seed)))

    def density(self, *, probes: int = 8, steps: int = 40, seed: int = 0) -> Density:
        """The density of all eigenvalues, from probes × steps products."""
        values, weights, products = self._core.density(
            _count("probes", probes), _count("steps", steps), _count("seed", seed)
        )
        order = np.argsort(values)
        return Density(np.array(values)[order], np.array(weights)[order], products)

    def loss_and_gradient(self) -> tuple[float, Vector]:
        """The mean loss at the parameters, and its gradient."""
        return self._core.gradient()

    def __repr__(self) -> str:
        return f"<edgewalk.Hessian of {self.shape[0]} parameters on {self.device}>"


def _examples(network: _core.Network, x: NDArray[Any], y: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Features and labels in the types of the compiled part."""
    if x.ndim == 0 or y.ndim == 0 or len(x) != len(y):
        raise ValueError(f"x has the shape {x.shape} and y {y.shape}; give both one entry for each example")
    if len(x) == 0:
        raise ValueError("x and y hold no examples; give at least one")
    if x.ndim == 1:
        x = x[:, None]
    if network.reads_tokens:
        tokens = _whole("x", x, "tokens, as the network reads")
        if y.shape != x.shape and y.shape + (1,) != x.shape:
            raise ValueError(f"y has the shape {y.shape}; give it that of x, {x.shape}: one class for each token")
        return tokens, _whole("y", y, "classes").ravel()
    numbers = _single("x", x)
    if y.dtype.kind in "biu":
        if y.size != len(y):
            raise ValueError(f"y has the shape {y.shape}; give it ({len(y)},), one class for each example")
        return numbers, _whole("y", y, "classes").ravel()
    return numbers, _single("y", y.reshape(len(y), -1))


def _real(name: str, array: ArrayLike) -> Vector:
    """Finite float64 in the order of C."""
    array = np.asarray(array)
    if array.dtype.kind not in "biuf":
        raise TypeError(f"{name} has the type {array.dtype}; give real numbers")
    array = np.ascontiguousarray(array, dtype=np.float64).reshape(array.shape)
    if not np.isfinite(array).all():
        raise ValueError(f"{name} holds numbers that are not finite")
    return array


def _single(name: str, array: NDArray[Any]) -> NDArray[np.float32]:
    """Finite float32 in the order of C."""
    with np.errstate(over="ignore"):
        single = _real(name, array).astype(np.float32)
    if not np.isfinite(single).all():
        raise ValueError(f"{name} holds numbers that 32 bits do not hold; scale them")
    return single


def _whole(name: str, array: NDArray[Any], what: str) -> NDArray[np.uint32]:
    """Whole numbers of 32 bits without a sign."""
    if array.dtype.kind not in "biu":
        raise TypeError(f"{name} has the type {array.dtype}; give integers: {what}")
    if array.size and (array.min() < 0 or array.max() >= 2**32 - 1):
        raise ValueError(f"{name} goes from {array.min()} to {array.max()}; count {what} from 0")
    return np.ascontiguousarray(array, dtype=np.uint32)


def _count(name: str, value: int) -> int:
    """A number that is not negative and that 64 bits hold."""
    value = operator.index(value)
    if not 0 <= value < 2**63:
        raise ValueError(f"{name} = {value} is out of range; it must be 0 or more")
    return value
