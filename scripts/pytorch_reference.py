#!/usr/bin/env python3
"""Writes tests/pytorch: small networks of PyTorch with their data, and their results by PyTorch in float64.

    pip install torch onnx safetensors
    scripts/pytorch_reference.py [NAME]...

Each folder has the state (state.safetensors), the forward graph (net.onnx), the examples (set.npz) and, in
expected.json, the outputs, the mean cross-entropy, the norm of its gradient, and the five largest eigenvalues by
magnitude of the full Hessian by double backward. The name `losses` stands for the other losses of the MLP and the GPT.
"""

import json
import math
import pathlib
import sys

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import nn

FOLDER = pathlib.Path(__file__).parent.parent / "tests" / "pytorch"


class Residual(nn.Module):
    """Convolutions with group normalisation, SiLU, a stride and a residual."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(2, 4, 3, stride=2, padding=1, bias=False)
        self.norm0, self.norm1, self.norm2 = (nn.GroupNorm(2, 4) for _ in range(3))
        self.conv1, self.conv2 = (nn.Conv2d(4, 4, 3, padding=1) for _ in range(2))
        self.head = nn.Linear(4, 3)

    def forward(self, x):
        x = nn.functional.silu(self.norm0(self.stem(x)))
        h = nn.functional.silu(self.norm1(self.conv1(x)))
        x = nn.functional.silu(x + self.norm2(self.conv2(h)))
        return self.head(x.mean((2, 3)))


class ResNet(nn.Module):
    """The first layers of a ResNet, narrow: batch normalisation, a padded maximum, a strided 1 × 1 convolution."""

    def __init__(self):
        super().__init__()
        self.conv0 = nn.Conv2d(3, 4, 7, stride=2, padding=3, bias=False)
        self.pool = nn.MaxPool2d(3, 2, 1)
        self.conv1 = nn.Conv2d(4, 6, 3, stride=2, padding=1, bias=False)
        self.conv2 = nn.Conv2d(6, 6, 3, padding=1, bias=False)
        self.down = nn.Conv2d(4, 6, 1, stride=2, bias=False)
        self.norm0 = nn.BatchNorm2d(4)
        self.norm1, self.norm2, self.norm3 = (nn.BatchNorm2d(6) for _ in range(3))
        self.head = nn.Linear(6, 3)

    def forward(self, x):
        x = self.pool(torch.relu(self.norm0(self.conv0(x))))
        h = self.norm2(self.conv2(torch.relu(self.norm1(self.conv1(x)))))
        x = torch.relu(h + self.norm3(self.down(x)))
        return self.head(nn.functional.adaptive_avg_pool2d(x, 1).flatten(1))


class Block(nn.Module):
    """Pre-normalised attention and an MLP, with the attention written out."""

    def __init__(self, size, heads, causal, gelu="tanh"):
        super().__init__()
        self.heads, self.causal, self.gelu = heads, causal, nn.GELU(gelu)
        self.norm0, self.norm1 = nn.LayerNorm(size), nn.LayerNorm(size)
        self.qkv, self.out = nn.Linear(size, 3 * size), nn.Linear(size, size)
        self.up, self.down = nn.Linear(size, 2 * size), nn.Linear(2 * size, size)

    def forward(self, x):
        n, length, size = x.shape
        key = size // self.heads
        parts = self.qkv(self.norm0(x)).chunk(3, -1)
        query, keys, values = (part.view(n, length, self.heads, key).transpose(1, 2) for part in parts)
        scores = query @ keys.transpose(-1, -2) / math.sqrt(key)
        if self.causal:
            scores = scores.masked_fill(~torch.ones(length, length, dtype=torch.bool).tril(), float("-inf"))
        mixed = (scores.softmax(-1) @ values).transpose(1, 2).reshape(n, length, size)
        x = x + self.out(mixed)
        return x + self.down(self.gelu(self.up(self.norm1(x))))


class Vit(nn.Module):
    """A vision Transformer: patches, a class token, one block."""

    def __init__(self, gelu="tanh"):
        super().__init__()
        self.patch = nn.Conv2d(1, 6, 4, 4)
        self.token, self.position = nn.Parameter(torch.randn(1, 1, 6) / 10), nn.Parameter(torch.randn(1, 5, 6) / 10)
        self.block, self.norm, self.head = Block(6, 2, False, gelu), nn.LayerNorm(6), nn.Linear(6, 3)

    def forward(self, x):
        x = self.patch(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(x.shape[0], -1, -1), x], 1) + self.position
        return self.head(self.norm(self.block(x))[:, 0])


class Gpt(nn.Module):
    """A decoder-only Transformer over tokens with causal attention."""

    def __init__(self):
        super().__init__()
        self.token, self.position = nn.Embedding(7, 6), nn.Embedding(5, 6)
        self.block, self.norm, self.head = Block(6, 2, True), nn.LayerNorm(6), nn.Linear(6, 7, bias=False)

    def forward(self, x):
        x = self.token(x) + self.position(torch.arange(x.shape[1]))
        return self.head(self.norm(self.block(x)))


def mlp():
    return nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 8), nn.Tanh(), nn.Linear(8, 3))


def cnn():
    first = [nn.Conv2d(2, 3, 3, padding=1), nn.Tanh(), nn.MaxPool2d(2)]
    second = [nn.Conv2d(3, 6, 3, padding=1), nn.Tanh(), nn.MaxPool2d(2)]
    return nn.Sequential(*first, *second, nn.Flatten(), nn.Linear(24, 3))


CASES = {
    "cnn": (cnn, [10, 2, 8, 8]),
    "mlp": (mlp, [12, 6]),
    "residual": (Residual, [10, 2, 8, 8]),
    "resnet": (ResNet, [10, 3, 16, 16]),
    "vit": (Vit, [8, 1, 8, 8]),
    "gpt": (Gpt, [6, 5]),
    "vit-erf": (lambda: Vit("none"), [8, 1, 8, 8]),
}


def write(name):
    torch.manual_seed(list(CASES).index(name))
    make, shape = CASES[name]
    model = make()
    if name == "gpt":
        x, y = torch.randint(0, 7, shape), torch.randint(0, 7, shape)
    else:
        x, y = torch.randn(shape), torch.randint(0, 3, shape[:1])
    for module in model.modules():
        # Away from ones and zeros, where normalisations would hide mistakes.
        if isinstance(module, (nn.BatchNorm2d, nn.GroupNorm, nn.LayerNorm)):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, 0.0, 0.1)
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0.0, 0.1)
            module.running_var.uniform_(0.5, 1.5)
    model.eval()
    folder = FOLDER / name
    folder.mkdir(parents=True, exist_ok=True)
    np.savez(folder / "set.npz", x_train=x.numpy(), y_train=y.numpy())
    save_file({key: value.contiguous() for key, value in model.state_dict().items()}, folder / "state.safetensors")
    torch.onnx.export(
        model,
        (x,),
        folder / "net.onnx",
        input_names=["x"],
        output_names=["output"],
        dynamic_axes={"x": {0: "n"}},
        opset_version=17,
        training=torch.onnx.TrainingMode.PRESERVE,
        do_constant_folding=False,
        dynamo=False,
    )
    model.double()
    outputs = model(x if name == "gpt" else x.double())
    loss = nn.functional.cross_entropy(outputs.flatten(0, -2), y.flatten())
    parameters = sum(parameter.numel() for parameter in model.parameters())
    expected = {"outputs": outputs.detach().reshape(-1).tolist(), **derivatives(model, loss), "parameters": parameters}
    (folder / "expected.json").write_text(json.dumps(expected) + "\n")
    print(name, parameters, "parameters, loss", expected["loss"], "eigenvalues", expected["eigenvalues"])


def derivatives(model, loss):
    """The loss, the norm of its gradient, and the five largest eigenvalues by magnitude of its Hessian."""
    parameters = list(model.parameters())
    flat = lambda tensors: torch.cat([tensor.reshape(-1) for tensor in tensors])
    gradient = flat(torch.autograd.grad(loss, parameters, create_graph=True))
    rows = [flat(torch.autograd.grad(g, parameters, retain_graph=True, materialize_grads=True)) for g in gradient]
    hessian = torch.stack(rows)
    values = torch.linalg.eigvalsh((hessian + hessian.T) / 2)
    values = values[values.abs().argsort(descending=True)][:5]
    return {"loss": loss.item(), "grad_norm": gradient.norm().item(), "eigenvalues": values.tolist()}


class OwnLoss(nn.Module):
    """A network that ends with a loss of its own: one number for each example."""

    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, x):
        return (self.network(x) - x[:, :3]).square().mean(1)


def losses():
    """Losses of the networks of `mlp` and `gpt`, as `torch.nn.functional` has them, in tests/pytorch/losses."""
    torch.manual_seed(100)
    folder, expected = FOLDER / "losses", {}
    folder.mkdir(parents=True, exist_ok=True)

    def loaded(name):
        model = CASES[name][0]()
        model.load_state_dict(load_file(FOLDER / name / "state.safetensors"))
        set_ = np.load(FOLDER / name / "set.npz")
        return model.double().eval(), torch.from_numpy(set_["x_train"]), torch.from_numpy(set_["y_train"])

    model, x, y = loaded("mlp")
    logits = model(x.double())
    expected["smoothed"] = derivatives(model, nn.functional.cross_entropy(logits, y, label_smoothing=0.1))
    expected["ignored"] = derivatives(model, nn.functional.cross_entropy(logits, y, ignore_index=1))
    targets = torch.rand(len(x), 3)
    np.savez(folder / "probabilities.npz", x_train=x.numpy(), y_train=targets.numpy())
    binary = nn.functional.binary_cross_entropy_with_logits
    expected["binary"] = derivatives(model, binary(logits, targets.double()))
    expected["binary classes"] = derivatives(model, binary(logits, nn.functional.one_hot(y, 3).double()))
    own = OwnLoss(model)
    expected["output"] = derivatives(own, own(x.double()).mean())
    torch.onnx.export(
        own.float(),
        (x,),
        folder / "own.onnx",
        input_names=["x"],
        dynamic_axes={"x": {0: "n"}},
        opset_version=17,
        training=torch.onnx.TrainingMode.PRESERVE,
        do_constant_folding=False,
        dynamo=False,
    )
    model, x, y = loaded("gpt")
    y[torch.rand(y.shape) < 0.4] = -100
    y[-1] = -100
    np.savez(folder / "tokens.npz", x_train=x.numpy(), y_train=y.numpy())
    logits = model(x).flatten(0, 1)
    expected["tokens"] = derivatives(model, nn.functional.cross_entropy(logits, y.flatten()))
    both = nn.functional.cross_entropy(logits, y.flatten(), label_smoothing=0.2)
    expected["tokens smoothed"] = derivatives(model, both)
    (folder / "expected.json").write_text(json.dumps(expected) + "\n")
    print("losses", {name: value["loss"] for name, value in expected.items()})


for case in sys.argv[1:] or [*CASES, "losses"]:
    losses() if case == "losses" else write(case)
