#!/usr/bin/env python3
"""What a gradient step, a SAM step and a product H·v take in jitted JAX on the CPU, in float32: the yardstick of
docs/performance.md. The networks are those of reference.py, with XLA's own convolution and made-up examples.

    pip install jax numpy scipy safetensors
    jax_times.py run --model mlp --width 64 --train 1000         # beside: edgewalk bench quickstart --adapter native
    jax_times.py run --model cnn --channels 8 --train 100        # beside: edgewalk bench cifar-cnn-small
    jax_times.py run --model transformer --layers 2 --heads 4 --key-size 16 --model-size 64 --seq-len 32 --train 32

The best of the runs within three seconds counts, as in `edgewalk bench`.
"""

import time

import jax
import jax.flatten_util
import jax.numpy as jnp
import numpy as np
import reference

jax.config.update("jax_enable_x64", False)


def convolution(p, name, x):
    kernel, layout = p[f"{name}.kernel"], ("NHWC", "HWIO", "NHWC")
    return jax.lax.conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=layout) + p[f"{name}.bias"]


def examples(o):
    rng = np.random.default_rng(0)
    if o.model == "transformer":
        windows = rng.integers(1, reference.VOCABULARY, (o.train, o.seq_len + 1))
        return windows[:, :-1], windows[:, 1:]
    shape = (32, 32, 3) if o.model == "cnn" else (28 * 28,)
    labels = rng.integers(0, reference.CLASSES, o.train)
    return rng.standard_normal((o.train, *shape)).astype(np.float32), np.eye(reference.CLASSES, dtype=np.float32)[labels]


def best_ms(f, *arguments, seconds=3.0):
    f = jax.jit(f)
    jax.block_until_ready(f(*arguments))
    best, end = np.inf, time.perf_counter() + seconds
    while time.perf_counter() < end:
        began = time.perf_counter()
        jax.block_until_ready(f(*arguments))
        best = min(best, time.perf_counter() - began)
    return 1e3 * best


def times(o):
    shapes, network = reference.MODELS[o.model]
    shapes = list(shapes(o))
    tensors = reference.random_start(shapes, o)
    w, unflatten = jax.flatten_util.ravel_pytree({name: jnp.asarray(t) for name, t in tensors.items()})
    x, y = map(jnp.asarray, examples(o))

    def loss(w):
        outputs = network(o, unflatten(w), x)
        if o.model != "transformer":
            return jnp.mean((outputs - y) ** 2)
        return -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(outputs), y[..., None], axis=-1))

    gradient, rate = jax.grad(loss), 1e-3

    def sam(w):
        g = gradient(w)
        return w - rate * gradient(w + 0.05 * g / (jnp.linalg.norm(g) + 1e-5))

    v = jnp.asarray(np.random.default_rng(1).standard_normal(w.size), jnp.float32)
    for name, milliseconds in (
        ("gradient step", best_ms(lambda w: w - rate * gradient(w), w)),
        ("SAM step", best_ms(sam, w)),
        ("H·v", best_ms(lambda w, v: jax.jvp(gradient, (w,), (v,))[1], w, v)),
    ):
        print(f"{name:14} {milliseconds:9.3f} ms")


if __name__ == "__main__":
    reference.conv3x3, reference.run = convolution, times
    reference.main()
