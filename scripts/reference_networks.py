"""The networks of reference.py: names and shapes of their parameters, in flat order, and their outputs.

Parameters come as a dictionary of arrays, options as the command line of reference.py has them.
"""

import math

import jax
import jax.numpy as jnp

VOCABULARY, CLASSES = 128, 10
VGG = ((1, True), (2, True), (4, False), (4, True), (8, False), (8, True), (8, False), (8, True))  # times, pooled


# --- Parameters: names and shapes, in flat order ------------------------------------------------
def pair(name, *sizes):
    """A kernel and its bias, or a norm's scale and its bias."""
    first = "scale" if "norm" in name else "kernel"
    return [(f"{name}.{first}", sizes), (f"{name}.bias", sizes[-1:])]


def mlp_shapes(o):
    sizes = [28 * 28] + [o.width] * (o.depth - 1) + [CLASSES]
    for i in range(o.depth):
        yield from pair(f"dense{i}", sizes[i], sizes[i + 1])


def cnn_shapes(o):
    before, side = 3, 32 >> o.blocks
    for i in range(o.blocks * o.layers_per_block):
        channels = o.channels * 2 ** (i // o.layers_per_block)
        yield from pair(f"conv{i}", 3, 3, before, channels)
        yield from pair(f"norm{i}", channels)
        before = channels
    yield from pair("dense0", side * side * before, CLASSES)


def normed(name, norm, *sizes):
    """A kernel without a bias, and the normalisation that follows it."""
    return [(f"{name}.kernel", sizes), *pair(norm, sizes[-1])]


def resnet_blocks(o):
    """Name, stride, channels before and after each block."""
    before = o.channels
    for stage in range(3):
        channels = o.channels * 2**stage
        for block in range((o.depth - 2) // 6):
            yield f"stage{stage}.block{block}", 2 if stage and not block else 1, before, channels
            before = channels


def resnet_shapes(o):
    yield from normed("stem", "stem.norm", 3, 3, 3, o.channels)
    for b, stride, before, channels in resnet_blocks(o):
        yield from normed(f"{b}.conv0", f"{b}.conv0.norm", 3, 3, before, channels)
        yield from normed(f"{b}.conv1", f"{b}.conv1.norm", 3, 3, channels, channels)
        if stride == 2:
            yield from normed(f"{b}.shortcut", f"{b}.shortcut.norm", 1, 1, before, channels)
    yield from pair("dense0", 4 * o.channels, CLASSES)


def vgg_shapes(o):
    before = 3
    for i, (times, _) in enumerate(VGG):
        yield from normed(f"conv{i}", f"norm{i}", 3, 3, before, times * o.channels)
        before = times * o.channels
    yield from pair("dense0", before, CLASSES)


def block_shapes(o, b):
    model, inner = o.model_size, o.heads * o.key_size
    yield from pair(f"{b}.norm0", model)
    for role in ("query", "key", "value"):
        yield from pair(f"{b}.attn.{role}", model, inner)
    yield from pair(f"{b}.attn.out", inner, model)
    yield from pair(f"{b}.norm1", model)
    yield from pair(f"{b}.mlp.dense0", model, 4 * model)
    yield from pair(f"{b}.mlp.dense1", 4 * model, model)


def vit_shapes(o):
    tokens = (32 // o.patch_size) ** 2
    yield from pair("patch", o.patch_size, o.patch_size, 3, o.model_size)
    if o.readout == "class":
        yield "embed.class", (o.model_size,)
    yield "embed.position", (tokens + (o.readout == "class"), o.model_size)
    for i in range(o.layers):
        yield from block_shapes(o, f"block{i}")
    yield from pair("final_norm", o.model_size)
    yield from pair("output", o.model_size, CLASSES)


def transformer_shapes(o):
    model = o.model_size
    yield "embed.token", (VOCABULARY, model)
    yield "embed.position", (o.seq_len, model)
    for i in range(o.layers):
        yield from block_shapes(o, f"block{i}")
    yield from pair("final_norm", model)
    yield from pair("output", model, VOCABULARY)


# --- Networks ---------------------------------------------------------------------------------
def relu(x):
    return jnp.where(x > 0, x, 0.0)  # the derivative at 0 is 0


def dense(p, name, x):
    return x @ p[f"{name}.kernel"] + p[f"{name}.bias"]


def layer_norm(p, name, x, epsilon):
    """Over the last axis, with the biased variance."""
    x = x - x.mean(axis=-1, keepdims=True)
    x = x / jnp.sqrt((x * x).mean(axis=-1, keepdims=True) + epsilon)
    return x * p[f"{name}.scale"] + p[f"{name}.bias"]


def conv3x3(p, name, x):
    """A 3x3 cross-correlation, zero-padded, as one product over gathered patches."""
    height, width = x.shape[1:3]
    x = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    patches = [x[:, i : i + height, j : j + width] for i in range(3) for j in range(3)]
    kernel = p[f"{name}.kernel"]
    return jnp.concatenate(patches, axis=-1) @ kernel.reshape(-1, kernel.shape[-1]) + p[f"{name}.bias"]


def max_pool(x):
    """2x2, stride 2. Of equals the first in row-major order is taken and receives the derivative."""
    n, height, width, channels = x.shape
    larger = lambda first, second: jnp.where(second > first, second, first)
    x = x.reshape(n, height, width // 2, 2, channels)
    x = larger(x[:, :, :, 0], x[:, :, :, 1]).reshape(n, height // 2, 2, width // 2, channels)
    return larger(x[:, :, 0], x[:, :, 1])


def group_norm(p, name, x, groups):
    """Over all positions of each group of channels, with the biased variance."""
    n, height, width, channels = x.shape
    x = x.reshape(n, height * width, groups, channels // groups)
    x = x - x.mean(axis=(1, 3), keepdims=True)
    x = x / jnp.sqrt((x * x).mean(axis=(1, 3), keepdims=True) + 1e-5)
    return x.reshape(n, height, width, channels) * p[f"{name}.scale"] + p[f"{name}.bias"]


def conv(p, name, x, stride, padding):
    """XLA's convolution, without a bias."""
    kernel, zeros = p[f"{name}.kernel"], [(padding, padding)] * 2
    return jax.lax.conv_general_dilated(x, kernel, (stride,) * 2, zeros, dimension_numbers=("NHWC", "HWIO", "NHWC"))


def attention(o, p, name, x, visible):
    n, length, _ = x.shape
    split = lambda role: dense(p, f"{name}.{role}", x).reshape(n, length, o.heads, o.key_size)
    logits = jnp.einsum("nqhk,nthk->nhqt", split("query"), split("key")) / math.sqrt(o.key_size)
    weights = jax.nn.softmax(jnp.where(visible, logits, -1e30))
    mixed = jnp.einsum("nhqt,nthk->nqhk", weights, split("value"))
    return dense(p, f"{name}.out", mixed.reshape(n, length, -1))


def mlp(o, p, x):
    for i in range(o.depth - 1):
        x = relu(dense(p, f"dense{i}", x))
    return dense(p, f"dense{o.depth - 1}", x)


def cnn(o, p, x):
    for i in range(o.blocks * o.layers_per_block):
        x = relu(conv3x3(p, f"conv{i}", x))
        x = layer_norm(p, f"norm{i}", x, 1e-6)
        if (i + 1) % o.layers_per_block == 0:
            x = max_pool(x)
    return dense(p, "dense0", x.reshape(len(x), -1))


def resnet(o, p, x):
    norm = lambda name, x: group_norm(p, f"{name}.norm", x, o.groups)
    x = relu(norm("stem", conv(p, "stem", x, 1, 1)))
    for b, stride, _, _ in resnet_blocks(o):
        h = relu(norm(f"{b}.conv0", conv(p, f"{b}.conv0", x, stride, 1)))
        h = norm(f"{b}.conv1", conv(p, f"{b}.conv1", h, 1, 1))
        x = norm(f"{b}.shortcut", conv(p, f"{b}.shortcut", x, stride, 0)) if stride == 2 else x
        x = relu(x + h)
    return dense(p, "dense0", x.mean(axis=(1, 2)))


def vgg(o, p, x):
    for i, (_, pooled) in enumerate(VGG):
        x = relu(group_norm(p, f"norm{i}", conv(p, f"conv{i}", x, 1, 1), o.groups))
        x = max_pool(x) if pooled else x
    return dense(p, "dense0", x.reshape(len(x), -1))


def block(o, p, b, x, visible):
    x = x + attention(o, p, f"{b}.attn", layer_norm(p, f"{b}.norm0", x, 1e-5), visible)
    h = layer_norm(p, f"{b}.norm1", x, 1e-5)
    return x + dense(p, f"{b}.mlp.dense1", jax.nn.gelu(dense(p, f"{b}.mlp.dense0", h), approximate=True))


def vit(o, p, x):
    n, side, size = len(x), 32 // o.patch_size, o.patch_size
    x = x.reshape(n, side, size, side, size, 3).transpose(0, 1, 3, 2, 4, 5).reshape(n, side * side, -1)
    x = x @ p["patch.kernel"].reshape(-1, o.model_size) + p["patch.bias"]
    if o.readout == "class":
        x = jnp.concatenate([jnp.broadcast_to(p["embed.class"], (n, 1, o.model_size)), x], axis=1)
    x = x + p["embed.position"]
    for i in range(o.layers):
        x = block(o, p, f"block{i}", x, True)
    x = layer_norm(p, "final_norm", x, 1e-5)
    return dense(p, "output", x[:, 0] if o.readout == "class" else x.mean(axis=1))


def transformer(o, p, tokens):
    causal = jnp.tril(jnp.ones((o.seq_len, o.seq_len), bool))
    visible = causal & (tokens != 0)[:, None, None, :]  # example, head, query, key
    x = p["embed.token"][tokens] + p["embed.position"]
    for i in range(o.layers):
        x = block(o, p, f"block{i}", x, visible)
    return dense(p, "output", layer_norm(p, "final_norm", x, 1e-5))


MODELS = {
    "mlp": (mlp_shapes, mlp),
    "cnn": (cnn_shapes, cnn),
    "resnet": (resnet_shapes, resnet),
    "vgg": (vgg_shapes, vgg),
    "vit": (vit_shapes, vit),
    "transformer": (transformer_shapes, transformer),
}
