#!/usr/bin/env python3
"""Writes tests/operators: an ONNX graph for each operator, or way to use one, and its outputs by onnxruntime.

    pip install onnx onnxruntime
    scripts/onnx_operators.py

expected.json has, for each NAME.onnx, the input `x` with its shape and the output.
"""

import json
import pathlib

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

FOLDER = pathlib.Path(__file__).parent.parent / "tests" / "operators"
random = np.random.default_rng(0)
expected = {}


def case(name, nodes, x, opset=17, **arrays):
    """A graph of `nodes` (operator, inputs, outputs, attributes) from `x` to `y`."""
    made = [helper.make_node(op, inputs, outputs, **attributes) for op, inputs, outputs, attributes in nodes]
    initializers = [numpy_helper.from_array(np.asarray(value), key) for key, value in arrays.items()]
    shape = ["n", *x.shape[1:]]
    graph = helper.make_graph(
        made,
        name,
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        initializers,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    data = model.SerializeToString()
    (y,) = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"]).run(["y"], {"x": x})
    (FOLDER / f"{name}.onnx").write_bytes(data)
    expected[name] = {"shape": x.shape, "x": x.reshape(-1).tolist(), "y": y.reshape(-1).tolist()}


def one(name, op, x, inputs=("x",), opset=17, attributes=None, **arrays):
    case(name, [(op, list(inputs), ["y"], attributes or {})], x, opset, **arrays)


def normal(*shape):
    return random.standard_normal(shape).astype(np.float32)


def ints(*values):
    return np.array(values, dtype=np.int64)


FOLDER.mkdir(parents=True, exist_ok=True)
x = normal(2, 5)
for op in ["Abs", "Exp", "HardSwish", "Neg", "Relu", "Sigmoid", "Softplus", "Softsign", "Tanh", "Identity", "Selu"]:
    one(op, op, x)
one("Mish", "Mish", x, opset=18)
one("Log", "Log", np.abs(x) + 0.1)
one("Sqrt", "Sqrt", np.abs(x) + 0.1)
one("Reciprocal", "Reciprocal", np.abs(x) + 0.1)
one("Elu", "Elu", x, attributes={"alpha": 0.7})
one("LeakyRelu", "LeakyRelu", x, attributes={"alpha": 0.3})
one("HardSigmoid", "HardSigmoid", x, attributes={"alpha": 0.3, "beta": 0.4})
one("GeluTanh", "Gelu", x, opset=20, attributes={"approximate": "tanh"})
one("Clip", "Clip", x, ["x", "low", "high"], low=np.float32(-0.5), high=np.float32(0.8))
one("PRelu", "PRelu", x, ["x", "slope"], slope=normal(5))
for op in ["Add", "Sub", "Mul", "Div", "Max", "Min"]:
    one(f"{op}Broadcast", op, normal(2, 3, 4), ["x", "other"], other=normal(3, 1))
one("PowTwo", "Pow", x, ["x", "e"], e=np.float32(2))
one("PowRoot", "Pow", np.abs(x) + 0.1, ["x", "e"], e=np.float32(-0.5))
gemm = {"alpha": 0.5, "beta": 2.0, "transB": 1}
one("Gemm", "Gemm", normal(2, 3), ["x", "b", "c"], attributes=gemm, b=normal(4, 3), c=normal(4))
one("MatMul", "MatMul", normal(2, 3, 4), ["x", "b"], b=normal(4, 5))
one("MatMulBatch", "MatMul", normal(2, 3, 4), ["x", "b"], b=normal(1, 4, 5))
one("MatMulVector", "MatMul", normal(2, 3, 4), ["x", "b"], b=normal(4))
conv = {
    "Conv": ({"pads": [1, 0, 2, 1], "strides": [2, 1]}, (3, 4, 3, 2)),
    "ConvDilated": ({"dilations": [2, 1], "pads": [1, 1, 1, 1]}, (3, 4, 2, 3)),
    "ConvGroups": ({"group": 2}, (6, 2, 2, 2)),
    "ConvDepthwise": ({"group": 4, "pads": [1, 1, 1, 1]}, (4, 1, 3, 3)),
    "ConvSameUpper": ({"auto_pad": "SAME_UPPER", "strides": [2, 2]}, (2, 4, 2, 2)),
    "ConvSameLower": ({"auto_pad": "SAME_LOWER", "strides": [1, 2]}, (2, 4, 2, 3)),
}
for name, (attributes, shape) in conv.items():
    one(name, "Conv", normal(2, 4, 6, 5), ["x", "w", "b"], attributes=attributes, w=normal(*shape), b=normal(shape[0]))
one("ConvSequence", "Conv", normal(2, 3, 7), ["x", "w"], attributes={"strides": [2], "pads": [1, 0]}, w=normal(4, 3, 3))
pool = {
    "Plain": {"kernel_shape": [2, 2], "strides": [2, 2]},
    "Padded": {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]},
    "Overlapping": {"kernel_shape": [3, 2], "strides": [1, 1]},
    "Ceil": {"kernel_shape": [2, 2], "strides": [2, 2], "ceil_mode": 1},
}
for name, attributes in pool.items():
    one(f"MaxPool{name}", "MaxPool", normal(2, 3, 6, 5) - 3, attributes=attributes)
    if name != "Ceil":
        one(f"AveragePool{name}", "AveragePool", normal(2, 3, 6, 5), attributes=attributes)
one("AveragePoolCounted", "AveragePool", normal(2, 3, 6, 5), attributes={**pool["Padded"], "count_include_pad": 1})
one("MaxPoolDilated", "MaxPool", normal(2, 3, 6, 5), attributes={"kernel_shape": [2, 2], "dilations": [2, 1]})
one("MaxPoolSequence", "MaxPool", normal(2, 3, 6), attributes={"kernel_shape": [3], "strides": [2]})
one("GlobalAveragePool", "GlobalAveragePool", normal(2, 3, 4, 5))
one("GlobalMaxPool", "GlobalMaxPool", normal(2, 3, 4, 5))
one(
    "BatchNormalization",
    "BatchNormalization",
    normal(2, 3, 4, 5),
    ["x", "s", "b", "m", "v"],
    s=normal(3),
    b=normal(3),
    m=normal(3),
    v=np.abs(normal(3)),
)
one("InstanceNormalization", "InstanceNormalization", normal(2, 3, 4, 5), ["x", "s", "b"], s=normal(3), b=normal(3))
one(
    "LayerNormalization",
    "LayerNormalization",
    normal(2, 3, 4),
    ["x", "s", "b"],
    attributes={"axis": -2},
    s=normal(3, 4),
    b=normal(3, 4),
)
one(
    "GroupNormalization",
    "GroupNormalization",
    normal(2, 4, 3, 3),
    ["x", "s", "b"],
    opset=21,
    attributes={"num_groups": 2},
    s=normal(4),
    b=normal(4),
)
one("Softmax", "Softmax", normal(2, 3, 4), attributes={"axis": 1})
one("SoftmaxOld", "Softmax", normal(2, 3, 4), opset=11, attributes={"axis": 1})
one("LogSoftmax", "LogSoftmax", normal(2, 3, 4))
one("ReduceMean", "ReduceMean", normal(2, 3, 4), attributes={"axes": [-1, 1], "keepdims": 1})
one("ReduceSum", "ReduceSum", normal(2, 3, 4), ["x", "axes"], attributes={"keepdims": 0}, axes=ints(1))
one("ReduceMax", "ReduceMax", normal(2, 3, 4), attributes={"axes": [-1, 1], "keepdims": 1})
one("Flatten", "Flatten", normal(2, 3, 4), attributes={"axis": 2})
one("Reshape", "Reshape", normal(2, 3, 4), ["x", "s"], s=ints(0, -1, 2))
one("Transpose", "Transpose", normal(2, 3, 4), attributes={"perm": [0, 2, 1]})
one(
    "Slice",
    "Slice",
    normal(2, 7, 4),
    ["x", "from", "to", "axes", "steps"],
    **{"from": ints(1, -3)},
    to=ints(100, -1),
    axes=ints(1, 2),
    steps=ints(3, 1),
)
one("Concat", "Concat", normal(2, 3, 4), ["x", "other", "x"], attributes={"axis": -1}, other=normal(2, 3, 2))
one("GatherOne", "Gather", normal(2, 3, 4), ["x", "i"], attributes={"axis": 1}, i=np.int64(-1))
one("Expand", "Expand", normal(2, 1, 4), ["x", "s"], s=ints(2, 3, 1))
case(
    "Split",
    [
        ("Split", ["x", "parts"], ["a", "b"], {"axis": 1}),
        ("Sub", ["a", "c"], ["d"], {}),
        ("ReduceSum", ["b"], ["e"], {}),
        ("Mul", ["d", "e"], ["y"], {}),
    ],
    normal(2, 5),
    parts=ints(2, 3),
    c=normal(2),
)
case(
    "Where",
    [("Greater", ["x", "zero"], ["m"], {}), ("Where", ["m", "x", "other"], ["y"], {})],
    normal(2, 4),
    zero=np.float32(0.1),
    other=normal(4),
)
case(
    "Shapes",
    [
        ("Shape", ["x"], ["shape"], {}),
        ("Gather", ["shape", "zero"], ["n"], {"axis": 0}),
        ("Unsqueeze", ["n", "axes"], ["batch"], {}),
        ("Mul", ["two", "three"], ["six"], {}),
        ("Concat", ["batch", "six", "two"], ["wanted"], {"axis": 0}),
        ("Reshape", ["x", "wanted"], ["z"], {}),
        ("Squeeze", ["w", "axes"], ["v"], {}),
        ("Add", ["z", "v"], ["y"], {}),
    ],
    normal(2, 3, 4),
    zero=np.int64(0),
    axes=ints(0),
    two=ints(2),
    three=ints(3),
    w=normal(1, 6, 1),
)
case(
    "CausalMask",
    [
        ("ConstantOfShape", ["size"], ["ones"], {"value": helper.make_tensor("one", TensorProto.BOOL, [1], [1])}),
        ("Trilu", ["ones"], ["lower"], {"upper": 0}),
        ("Not", ["lower"], ["later"], {}),
        ("Where", ["later", "minus", "x"], ["scores"], {}),
        ("Softmax", ["scores"], ["y"], {"axis": -1}),
    ],
    normal(2, 20, 20),
    size=ints(20, 20),
    minus=np.float32("-inf"),
)
one("Erf", "Erf", 3 * normal(2, 9))
one("Gelu", "Gelu", 3 * normal(2, 9), opset=20)
x = normal(2, 5)
one("Sign", "Sign", x)
one("Celu", "Celu", x, attributes={"alpha": 0.7})
one("ThresholdedRelu", "ThresholdedRelu", x, attributes={"alpha": 0.3})
one("Shrink", "Shrink", x, attributes={"lambd": 0.3, "bias": 0.1})
for op in ["Max", "Min", "Sum", "Mean"]:
    one(f"{op}Three", op, normal(2, 3, 4), ["x", "a", "b"], a=normal(3, 1), b=normal(2, 1, 4))
for op in ["ReduceMin", "ReduceL1", "ReduceL2", "ReduceLogSumExp", "ReduceSumSquare"]:
    one(op, op, normal(2, 3, 4), attributes={"axes": [-1, 1], "keepdims": 0})
one("ReduceLogSum", "ReduceLogSum", np.abs(normal(2, 3, 4)), attributes={"axes": [1]})
one("CumSum", "CumSum", normal(2, 3, 4), ["x", "axis"], axis=np.int64(1))
one("CumSumBack", "CumSum", normal(2, 5), ["x", "axis"], attributes={"exclusive": 1, "reverse": 1}, axis=np.int64(-1))
one("GatherOrder", "Gather", normal(2, 5, 3), ["x", "i"], attributes={"axis": 1}, i=ints(3, 0, 1, -1, 1))
one(
    "SliceBack",
    "Slice",
    normal(2, 7, 4),
    ["x", "from", "to", "axes", "steps"],
    **{"from": ints(-1, 2)},
    to=ints(np.iinfo(np.int64).min, -100),
    axes=ints(1, 2),
    steps=ints(-2, -1),
)
one("Pad", "Pad", normal(2, 3, 4), ["x", "p", "v"], p=ints(0, 1, 2, 0, 0, -1), v=np.float32(1.5))
one("PadOld", "Pad", normal(2, 3, 4), opset=10, attributes={"pads": [0, 1, 0, 0, 0, 2]})
for mode in ["reflect", "edge", "wrap"]:
    one(
        f"Pad{mode.title()}",
        "Pad",
        normal(2, 4, 5),
        ["x", "p"],
        opset=19,
        attributes={"mode": mode},
        p=ints(0, 2, 0, 0, 1, 3),
    )
one("Tile", "Tile", normal(2, 3, 4), ["x", "r"], r=ints(1, 2, 3))
one("DepthToSpace", "DepthToSpace", normal(2, 12, 2, 3), attributes={"blocksize": 2})
one("DepthToSpaceColumns", "DepthToSpace", normal(2, 12, 2, 3), attributes={"blocksize": 2, "mode": "CRD"})
one("SpaceToDepth", "SpaceToDepth", normal(2, 3, 4, 6), attributes={"blocksize": 2})
resize = {
    "Nearest": ({"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}, [1, 1, 2, 3]),
    "NearestUsual": ({}, [1, 1, 2, 2]),
    "NearestOdd": ({"nearest_mode": "round_prefer_ceil"}, [1, 1, 1.5, 0.5]),
    "Linear": ({"mode": "linear"}, [1, 1, 2, 1.5]),
    "LinearSmaller": ({"mode": "linear", "coordinate_transformation_mode": "pytorch_half_pixel"}, [1, 1, 0.5, 2]),
    "LinearCorners": ({"mode": "linear", "coordinate_transformation_mode": "align_corners"}, [1, 1, 2, 2]),
}
for name, (attributes, scales) in resize.items():
    one(
        f"Resize{name}",
        "Resize",
        normal(2, 2, 4, 6),
        ["x", "", "s"],
        attributes=attributes,
        s=np.array(scales, dtype=np.float32),
    )
one("ResizeSizes", "Resize", normal(2, 2, 4, 6), ["x", "", "", "s"], attributes={"mode": "linear"}, s=ints(2, 2, 7, 3))
one("Upsample", "Upsample", normal(2, 2, 3, 4), ["x", "s"], opset=9, s=np.array([1, 1, 2, 3], dtype=np.float32))
spread = {
    "": ({"strides": [2, 2], "pads": [1, 0, 0, 1], "output_padding": [1, 0]}, (4, 3, 3, 2)),
    "Groups": ({"group": 2, "strides": [1, 2], "dilations": [2, 1]}, (4, 3, 2, 3)),
    "Same": ({"auto_pad": "SAME_UPPER", "strides": [2, 2]}, (4, 2, 3, 3)),
    "Shape": ({"output_shape": [7, 9], "strides": [2, 2]}, (4, 2, 3, 3)),
}
for name, (attributes, shape) in spread.items():
    outputs = shape[1] * attributes.get("group", 1)
    one(
        f"ConvTranspose{name}",
        "ConvTranspose",
        normal(2, 4, 3, 5),
        ["x", "w", "b"],
        attributes=attributes,
        w=normal(*shape),
        b=normal(outputs),
    )
one(
    "ConvTransposeSequence",
    "ConvTranspose",
    normal(2, 3, 5),
    ["x", "w"],
    attributes={"strides": [2]},
    w=normal(3, 4, 3),
)
einsum = {
    "Attention": ("bqhd, bkhd -> bhqk", (2, 3, 2, 4), (2, 5, 2, 4)),
    "Implicit": ("ij,jk", (2, 3), (3, 4)),
    "Summed": ("abc,cd->da", (2, 3, 4), (4, 5)),
}
for name, (equation, shape, other) in einsum.items():
    one(f"Einsum{name}", "Einsum", normal(*shape), ["x", "b"], attributes={"equation": equation}, b=normal(*other))
one("EinsumOne", "Einsum", normal(2, 3, 4), attributes={"equation": "abc->ca"})
one("RMSNormalization", "RMSNormalization", normal(2, 3, 4), ["x", "s"], opset=23, s=normal(4))
one("SigmoidSeven", "Sigmoid", normal(2, 3), opset=7)
case(
    "ShapeArithmetic",
    [
        ("Shape", ["x"], ["shape"], {}),
        ("ReduceProd", ["shape"], ["all"], {"keepdims": 1}),
        ("Mod", ["all", "seven"], ["rest"], {}),
        ("Mod", ["minus", "seven"], ["positive"], {}),
        ("Cast", ["rest"], ["number"], {"to": TensorProto.FLOAT}),
        ("Mul", ["number", "half"], ["halves"], {}),
        ("Round", ["halves"], ["whole"], {}),
        ("Cast", ["positive"], ["other"], {"to": TensorProto.FLOAT}),
        ("Add", ["whole", "other"], ["sum"], {}),
        ("Mul", ["x", "sum"], ["y"], {}),
    ],
    normal(2, 3, 4),
    seven=ints(7),
    minus=ints(-3),
    half=np.float32(0.5),
)
case(
    "ReshapeKnown",
    [
        ("Shape", ["x"], ["shape"], {}),
        ("Concat", ["shape", "shape"], ["four"], {"axis": 0}),
        ("Reshape", ["four", "two_two"], ["square"], {}),
        ("Cast", ["square"], ["numbers"], {"to": TensorProto.FLOAT}),
        ("Mul", ["x", "numbers"], ["y"], {}),
    ],
    normal(2, 2),
    two_two=ints(2, 2),
)
case(
    "LongRange",
    [("Range", ["zero", "many", "one"], ["places"], {}), ("Sub", ["x", "places"], ["y"], {})],
    normal(2, 300),
    zero=np.float32(0),
    many=np.float32(300),
    one=np.float32(1),
)
(FOLDER / "expected.json").write_text(json.dumps(expected) + "\n")
print(len(expected), "graphs")
