#!/usr/bin/env python3
"""Float64 reference for Edgewalk's figures: an independent implementation in JAX, on the CPU.

    pip install jax numpy scipy safetensors
    export EDGEWALK_DATA=DIR      # holds cifar-10-batches-bin/, mnist/ and tinyshakespeare/
    reference.py run --model cnn --lr 0.001 --rho 0.1 --write-init start.safetensors --out ref.csv
    reference.py compare RUNDIR ref.csv
    reference.py check

`run` trains with full-batch GD (--rho 0) or SAM in float64 and measures the exact Hessian's top
eigenpairs by magnitude: H·v is the forward derivative of the gradient, eigsh is SciPy's ARPACK.
Row `step = t` describes the parameters before update t, so N steps give steps 0 to N.
`compare` sets a run folder of Edgewalk against such a file; `check` tests this script itself.
"""

import argparse
import csv
import gzip
import math
import os
import sys
from pathlib import Path

os.environ.setdefault("JAX_PLATFORMS", "cpu")

import jax
import jax.numpy as jnp
import numpy as np
from safetensors.numpy import load_file, save_file
from scipy.sparse.linalg import LinearOperator, eigsh

from reference_networks import CLASSES, MODELS, VOCABULARY, conv3x3, max_pool, relu, transformer

jax.config.update("jax_enable_x64", True)

TEST_LINES = 10_000  # the last lines of the text are not for training


# --- Data -------------------------------------------------------------------------------------
def load_data(o):
    folder = Path(os.environ.get("EDGEWALK_DATA", "data"))
    if o.model == "transformer":
        # Consecutive windows of length + 1 characters that do not overlap.
        lines = (folder / "tinyshakespeare" / "input.txt").read_bytes().splitlines(keepends=True)
        text = np.frombuffer(b"".join(lines[:-TEST_LINES]), np.uint8).astype(np.int32)
        windows = text[: text.size - text.size % (o.seq_len + 1)].reshape(-1, o.seq_len + 1)[: o.train]
        return windows[:, :-1], windows[:, 1:]
    if o.model != "mlp":
        # A record is a label, then 1,024 bytes each of red, green and blue.
        records = np.fromfile(folder / "cifar-10-batches-bin" / "data_batch_1.bin", np.uint8)
        records = records.reshape(-1, 1 + 3 * 1024)[: o.train]
        labels, pixels = records[:, 0], records[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    else:
        unpack = lambda name, header: np.frombuffer(gzip.open(folder / "mnist" / name).read(), np.uint8)[header:]
        pixels = unpack("train-images-idx3-ubyte.gz", 16).reshape(-1, 28 * 28)[: o.train]
        labels = unpack("train-labels-idx1-ubyte.gz", 8)[: o.train]
    inputs = pixels / 256.0
    return inputs - inputs.mean(axis=0), np.eye(CLASSES)[labels]


# --- Starting points --------------------------------------------------------------------------
def lcg(seed):
    """Uniform numbers in [-1, 1), multiples of 2^-52, from a 64-bit congruential generator."""
    state = seed * 0x9E3779B97F4A7C15 % 2**64 ^ 0xD1B54A32
    while True:
        state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
        yield (state >> 11) / 2**52 - 1.0


def random_start(shapes, o):
    """Parameters from draws u in flat order, computed in float64 and rounded to float32.

    The rule "lcg", which any language can repeat, has u uniform in [-1, 1) and c = sqrt(3);
    under "normal", u is a standard normal number of NumPy's and c = 1. Then kernels are
    u * (c * sqrt(2 / (fan_in + fan_out))), where the 3x3 of a convolution counts in both fans;
    embeddings u * (c * --embedding-std); scales of norms 1 + 0.1 * u; biases 0.1 * u.
    """
    if o.rule == "lcg":
        c, numbers = math.sqrt(3.0), lcg(o.seed)
        draw = lambda shape: np.array([next(numbers) for _ in range(math.prod(shape))]).reshape(shape)
    else:
        c, draw = 1.0, np.random.default_rng(o.seed).standard_normal
    tensors = {}
    for name, shape in shapes:
        u = draw(shape)
        if name.startswith("embed."):
            values = u * (c * o.embedding_std)
        elif name.endswith(".kernel"):
            fans = math.prod(shape[:-2]) * (shape[-2] + shape[-1])
            values = u * (c * math.sqrt(2.0 / fans))
        else:
            values = 0.1 * u + name.endswith(".scale")
        tensors[name] = values.astype(np.float32)
    return tensors


class Problem:
    """A network on its data: the starting point, loss with gradient, and H·v, on flat vectors."""

    def __init__(self, o):
        shapes, network = MODELS[o.model]
        self.shapes = list(shapes(o))
        self.tensors = load_file(o.init) if o.init else random_start(self.shapes, o)
        if {name: t.shape for name, t in self.tensors.items()} != dict(self.shapes):
            sys.exit(f"{o.init}: its tensors are not those of this network")
        self.ends = np.cumsum([math.prod(shape) for _, shape in self.shapes])
        self.w0 = np.concatenate([self.tensors[name].ravel() for name, _ in self.shapes]).astype(np.float64)
        (inputs, targets), is_text = load_data(o), o.model == "transformer"
        terms = np.count_nonzero(inputs) if is_text else targets.size

        def share(w, x, y):
            """What some of the examples contribute to the loss, which is a mean over all of them."""
            tensors = zip(self.shapes, jnp.split(w, self.ends[:-1]))
            outputs = network(o, {name: t.reshape(shape) for (name, shape), t in tensors}, x)
            if not is_text:
                return jnp.sum((outputs - y) ** 2) / terms
            scores = jnp.take_along_axis(jax.nn.log_softmax(outputs), y[..., None], axis=-1)
            return -jnp.sum(scores[..., 0] * (x != 0)) / terms

        # A few examples at a time, so that the intermediate arrays stay small.
        size = max(d for d in range(1, 26) if len(inputs) % d == 0)
        parts = [jnp.asarray(a.reshape(-1, size, *a.shape[1:])) for a in (inputs, targets)]

        def summed(f):
            whole = jax.jit(lambda parts, *ws: jax.lax.map(lambda part: f(*ws, *part), parts))
            return lambda *ws: jax.tree.map(lambda t: np.asarray(t).sum(axis=0), whole(parts, *ws))

        self.loss_and_gradient = summed(jax.value_and_grad(share))
        self.hessian_times = summed(lambda w, v, *part: jax.jvp(lambda u: jax.grad(share)(u, *part), (w,), (v,))[1])


# --- Training and measuring ---------------------------------------------------------------------
def top_eigenpairs(problem, w, o, guess):
    """The top eigenpairs by magnitude, and the worst residual relative to the first of them."""
    multiply = lambda v: problem.hessian_times(w, v.ravel())
    operator = LinearOperator((w.size, w.size), matvec=multiply, dtype=np.float64)
    values, vectors = eigsh(operator, k=o.top, which="LM", tol=o.tol, v0=guess, ncv=max(20, 4 * o.top))
    order = np.argsort(-abs(values))
    values, vectors = values[order], vectors[:, order]
    residual = max(np.linalg.norm(multiply(v) - value * v) for value, v in zip(values, vectors.T))
    return values, vectors, residual / abs(values[0])


def run(o):
    problem, norm = Problem(o), np.linalg.norm
    if o.write_init:
        save_file(problem.tensors, o.write_init)
    if not o.out:
        return
    edges = ["hessian_norm", "gd_edge", "sam_edge", "edge_ratio", "grad_alignment", "sam_grad_alignment"]
    columns = ["step", "loss", "grad_norm", *(f"lambda_{i + 1}" for i in range(o.top)), *edges]
    w, vectors = problem.w0, None
    with open(o.out, "w", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(columns)
        for step in range(o.steps + 1):
            loss, g = problem.loss_and_gradient(w)
            g_norm = norm(g)
            ascended = problem.loss_and_gradient(w + o.rho * g / (g_norm + o.epsilon))[1] if o.rho else g
            if not np.isfinite(loss):
                sys.exit(f"diverged at step {step}")
            measures = [None] * (len(columns) - 3)
            if step % o.every == 0:
                # A mixture of the last vectors, slightly disturbed, is a good first guess.
                guess = np.random.default_rng(step).standard_normal(w.size) / math.sqrt(w.size)
                guess = guess if vectors is None else 0.1 * guess + vectors.sum(axis=1)
                values, vectors, residual = top_eigenpairs(problem, w, o, guess)
                gd_edge = sam_edge = 2 / o.lr
                if o.rho:
                    n = g_norm + 1e-5
                    sam_edge = n / (2 * o.rho) * (math.sqrt(1 + 8 * o.rho / (o.lr * n)) - 1)
                alignments = [abs(d @ vectors[:, 0]) / norm(d) for d in (g, ascended)]
                # Only positive eigenvalues have an edge.
                measures = [*values, abs(values[0]), gd_edge, sam_edge, max(values) / sam_edge, *alignments]
                figures = " ".join(f"{figure:.6g}" for figure in (loss, g_norm, *values, sam_edge))
                print(f"step {step}: loss |g| lambdas edge {figures}; residual {residual:.1e}", file=sys.stderr)
            if step % min(o.every, o.log_every) == 0:
                table.writerow([step, *("" if m is None else repr(float(m)) for m in (loss, g_norm, *measures))])
                file.flush()
            w = w - o.lr * ascended


# --- Comparing with a run folder ----------------------------------------------------------------
def compare(o):
    def read(path):
        with open(path, newline="") as file:
            return {int(row["step"]): row for row in csv.DictReader(file)}

    reference, differences = read(o.reference), {}  # (file, column) -> step -> relative difference
    for name in ("metrics", "curvature"):
        table = read(Path(o.run_folder) / f"{name}.csv")
        for step in sorted(reference.keys() & table.keys()):
            for column, wanted in reference[step].items():
                found = table[step].get(column)
                if column != "step" and wanted and found:
                    difference = abs(float(found) - float(wanted)) / (abs(float(wanted)) or 1.0)
                    differences.setdefault((name, column), {})[step] = difference
    if not any(name == "curvature" for name, _ in differences):
        sys.exit("the two measured no step in common")
    print(f"{'worst relative difference':30} {'':8} at step (of so many)")
    for (name, column), by_step in differences.items():
        step = max(by_step, key=lambda s: np.nan_to_num(by_step[s], nan=math.inf))
        print(f"{name + '.' + column:30} {by_step[step]:8.1e} {step:7} ({len(by_step)})")
    print("\nstep " + " ".join(f"{name[0]}.{column}"[:12].rjust(12) for name, column in differences))
    for step in sorted(set().union(*differences.values())):
        cells = (by_step.get(step) for by_step in differences.values())
        print(f"{step:4} " + " ".join(f"{'' if d is None else format(d, '.1e'):>12}" for d in cells))


# --- Self-check -------------------------------------------------------------------------------
def check(parser):
    """Derivatives against central differences, symmetry of H, and what is easy to get wrong in a layer."""
    rng, passed, norm = np.random.default_rng(0), [], np.linalg.norm

    def expect(name, value, limit):
        passed.append(bool(value <= limit))
        print(f"{'ok  ' if passed[-1] else 'FAIL'} {name:50} {value:.1e} (limit {limit:.0e})")

    for model, options in {
        "mlp": "--train 20 --width 12",
        "cnn": "--train 4 --channels 3 --layers-per-block 2",
        "resnet": "--train 3 --depth 8 --channels 4 --groups 2",
        "vgg": "--train 2 --channels 2 --groups 2",
        "vit": "--train 3 --patch-size 16 --layers 1 --heads 2 --key-size 3 --model-size 8 --embedding-std 0.3",
        "transformer": "--train 3 --seq-len 8 --layers 2 --heads 2 --key-size 3 --model-size 8 --embedding-std 0.3",
    }.items():
        problem = Problem(o := parser.parse_args(["run", "--model", model, *options.split()]))
        w, h = problem.w0, 1e-7  # small, for a longer step crosses kinks
        at = problem.loss_and_gradient
        slope = lambda v, of: (at(w + h * v)[of] - at(w - h * v)[of]) / (2 * h)  # of: 0 the loss, 1 the gradient
        g, (u, v) = at(w)[1], rng.standard_normal((2, w.size)) / math.sqrt(w.size)
        expect(f"{model}: gradient along a random line", abs(slope(v, 0) - g @ v) / norm(g), 1e-6)
        worst = max(abs(slope(np.eye(1, w.size, i)[0], 0) - g[i]) for i in problem.ends - 1)
        expect(f"{model}: gradient, an entry of each tensor", worst / abs(g).max(), 1e-6)
        hu, hv = problem.hessian_times(w, u), problem.hessian_times(w, v)
        expect(f"{model}: u·Hv = v·Hu", abs(u @ hv - v @ hu) / norm(hv), 1e-12)
        expect(f"{model}: H·v", norm(slope(v, 1) - hv) / norm(hv), 1e-5)

    x, kernel = rng.standard_normal((2, 6, 5, 3)), rng.standard_normal((3, 3, 3, 4))
    ours = conv3x3({".kernel": kernel, ".bias": 0.0}, "", x)
    theirs = jax.lax.conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))
    expect("convolution against XLA's", abs(ours - theirs).max(), 1e-12)
    ties = jnp.triu(jnp.ones((4, 4))).reshape(4, 2, 2, 1)  # in window i, all from entry i on
    chosen = jax.grad(lambda x: max_pool(x).sum())(ties).reshape(4, 4)
    expect("max-pool: the first of equals gets the derivative", abs(chosen - np.eye(4)).max(), 0)
    expect("derivative of ReLU at 0", jax.grad(relu)(0.0), 0)
    tokens = rng.integers(1, VOCABULARY, (1, 8))
    p = {name: t.astype(np.float64) for name, t in problem.tensors.items()}
    change = lambda a, b, q: abs(transformer(o, p, a) - transformer(o, q, b))[0]
    later = np.where(np.arange(8) < 5, tokens, tokens - 1)
    expect("attention sees no later token", change(tokens, later, p)[:5].max(), 1e-12)
    padded = np.where(np.arange(8) == 2, 0, tokens)
    other = p | {"embed.token": p["embed.token"] + np.eye(VOCABULARY, 1)}
    expect("attention sees no padding", change(padded, padded, other)[3:].max(), 1e-12)
    sys.exit(0 if all(passed) else 1)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    r = commands.add_parser("run", help="train and measure", formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    add = r.add_argument
    add("--model", choices=MODELS, required=True)
    sizes = {"depth": 4, "width": 1000, "blocks": 2, "layers-per-block": 1, "channels": 16}
    sizes |= {"layers": 6, "heads": 8, "key-size": 32, "model-size": 128, "seq-len": 64}
    sizes |= {"groups": 8, "patch-size": 4}
    for name, default in sizes.items():
        add(f"--{name}", type=int, default=default, help="size of the network")
    for name, default, text in (
        ("train", 500, "the first examples or windows of the training set"),
        ("lr", 0.05, "learning rate"),
        ("rho", 0.0, "SAM's radius; 0 is GD"),
        ("epsilon", 1e-5, "added to the norm that SAM divides by"),
        ("steps", 40, "updates"),
        ("every", 5, "steps from one measurement to the next"),
        ("log-every", 1000, "steps from row to row, if less; such rows have loss and grad_norm only"),
        ("top", 3, "eigenpairs to find"),
        ("tol", 1e-9, "relative accuracy asked of ARPACK"),
        ("seed", 1, "of the random start"),
        ("embedding-std", 0.02, "standard deviation of the embeddings in a random start"),
    ):
        add(f"--{name}", type=type(default), default=default, help=text)
    add("--readout", choices=("mean", "class"), default="mean", help="of the vit")
    add("--rule", choices=("normal", "lcg"), default="normal", help="of the random start")
    add("--init", metavar="FILE", help="start from this safetensors file instead")
    add("--write-init", metavar="FILE", help="write the starting point, in float32")
    add("--out", metavar="CSV", help="train, and write the measurements here")
    c = commands.add_parser("compare", help="set a run folder against a reference, as run --out writes it")
    c.add_argument("run_folder")
    c.add_argument("reference")
    commands.add_parser("check", help="test this script")
    o = parser.parse_args()
    {"run": run, "compare": compare, "check": lambda _: check(parser)}[o.command](o)


if __name__ == "__main__":
    main()
