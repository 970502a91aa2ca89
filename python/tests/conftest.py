"""The small network of tests/pytorch/mlp, and its Hessian by another way."""

import json
from pathlib import Path

import numpy as np
import pytest

import edgewalk

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "tests" / "pytorch" / "mlp"


class Mlp:
    """Its file, its examples, and what PyTorch found."""

    path = FOLDER / "net.onnx"
    expected = json.loads((FOLDER / "expected.json").read_text())

    def __init__(self):
        arrays = np.load(FOLDER / "set.npz")
        self.x, self.y = arrays["x_train"], arrays["y_train"]

    def hessian(self, **options):
        options = {"loss": "cross-entropy", "device": "native", "precision": "f64", **options}
        return edgewalk.Hessian(self.path, self.x, self.y, **options)


@pytest.fixture
def mlp():
    return Mlp()


def gradient(parts, x, y, loss):
    """∇L in float64 by backpropagation through layers of tanh, in the order of `parts`."""
    arrays = list(parts.values())
    layers = list(zip(arrays[::2], arrays[1::2], strict=True))
    values = [x.astype(np.float64)]
    for number, (weight, bias) in enumerate(layers):
        z = values[-1] @ weight.T + bias
        values.append(np.tanh(z) if number + 1 < len(layers) else z)
    outputs = values[-1]
    n, width = outputs.shape
    if loss == "cross-entropy":
        p = np.exp(outputs - outputs.max(1, keepdims=True))
        delta = (p / p.sum(1, keepdims=True) - np.eye(width)[y]) / n
    else:
        delta = 2 * (outputs - y) / (n * width)
    found = []
    for number in reversed(range(len(layers))):
        found = [(delta.T @ values[number]).ravel(), delta.sum(0), *found]
        delta = (delta @ layers[number][0]) * (1 - values[number] ** 2)
    return np.concatenate(found)


def dense(hessian, x, y, loss):
    """The Hessian, column by column, from central differences of the gradient in float64."""
    w, h = hessian.params, 1e-5
    columns = []
    for unit in np.eye(len(w)):
        ends = [gradient(hessian.unflatten(w + sign * h * unit), x, y, loss) for sign in (1, -1)]
        columns.append((ends[0] - ends[1]) / (2 * h))
    return np.stack(columns, 1)
