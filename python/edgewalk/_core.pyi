# The compiled part; `src/lib.rs` describes it.

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

class Network:
    @staticmethod
    def read(path: Path, freeze: list[str]) -> Network: ...
    @staticmethod
    def of_bytes(bytes: bytes, freeze: list[str]) -> Network: ...
    @property
    def reads_tokens(self) -> bool: ...

class Hessian:
    def __new__(
        cls,
        network: Network,
        x: NDArray[np.float32] | NDArray[np.uint32],
        y: NDArray[np.uint32] | NDArray[np.float32],
        loss: str,
        reduction: str,
        device: str | None,
        precision: str,
    ) -> Hessian: ...
    @property
    def shapes(self) -> list[tuple[str, list[int]]]: ...
    @property
    def dim(self) -> int: ...
    @property
    def device(self) -> str: ...
    def params(self) -> NDArray[np.float64]: ...
    def set_params(self, params: NDArray[np.float64]) -> None: ...
    def products(self, vectors: NDArray[np.float64]) -> NDArray[np.float64]: ...
    def eigenvalues(
        self, top: int, bottom: int, tol: float, order: str, max_products: int, block: int, seed: int
    ) -> tuple[list[float], list[float], list[bool], NDArray[np.float64], int]: ...
    def trace(self, products: int, level: float, seed: int) -> tuple[float, tuple[float, float], int]: ...

def train(
    target: str, sets: list[str], out: Path | None, device: str | None, note: Callable[[bool, str], None]
) -> tuple[Path, BaseException | None]: ...
def resume(
    path: Path, sets: list[str], device: str | None, note: Callable[[bool, str], None]
) -> BaseException | None: ...
