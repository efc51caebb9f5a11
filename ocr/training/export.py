"""Exports checkpoints for the crate: `export.py NAME.pt[=WEIGHT]... FOLDER` writes FOLDER/screen.onnx and
FOLDER/screen.alphabet. Several checkpoints of one run are averaged, each with its weight.

Weights are stored in eight bits, one scale for each channel, and become floats again when the model is loaded: a quarter
of the size, and no more errors that could be counted. With `--floats` all is kept as it is, to train on from.
"""

import sys
import warnings

import numpy as np
import onnx
import torch
from onnx import helper, numpy_helper

from chars import ALPHABET, CLASSES, LABEL
from lines import HEIGHT
from model import Reader

# Signs of Latin-1 that look like others and that text hardly has. Training shows them much more often than screens do, for
# the model to know them at all; that is taken back here: by this much in the logarithm of what it finds likely.
RARE = "©®µ¶¸¨¯´¦¬¤ªº¹‚‡†‰"
TAKEN_BACK = 3.0
# Smaller arrays are not worth it.
LEAST = 512


def store_in_bytes(model):
    """Replaces large weights by bytes, scales, and a node that multiplies them when the model is loaded."""
    nodes = []
    for item in list(model.graph.initializer):
        weights = numpy_helper.to_array(item)
        if weights.dtype != np.float32 or weights.size < LEAST:
            continue
        scales = np.abs(weights).reshape(len(weights), -1).max(1) / 127
        scales[scales == 0] = 1
        rounded = np.round(weights / scales.reshape(-1, *[1] * (weights.ndim - 1))).astype(np.int8)
        model.graph.initializer.remove(item)
        parts = {"bytes": rounded, "scales": scales.astype(np.float32), "zeros": np.zeros(len(scales), np.int8)}
        names = [f"{item.name}.{part}" for part in parts]
        model.graph.initializer.extend(numpy_helper.from_array(array, name) for name, array in zip(names, parts.values()))
        nodes.append(helper.make_node("DequantizeLinear", names, [item.name], axis=0))
    nodes.extend(model.graph.node)
    del model.graph.node[:]
    model.graph.node.extend(nodes)


def main():
    *checkpoints, folder = [word for word in sys.argv[1:] if word != "--floats"]
    parts = []
    for word in checkpoints:
        path, _, weight = word.partition("=")
        parts.append((torch.load(path), float(weight or 1)))
    steps = [saved["step"] for saved, _ in parts]
    whole = sum(weight for _, weight in parts)
    reader = Reader()
    mean = reader.state_dict()
    for name, value in mean.items():
        if value.dtype.is_floating_point:
            value.copy_(sum(saved["mean"][name] * (weight / whole) for saved, weight in parts))
    if "--floats" not in sys.argv:
        with torch.no_grad():
            for half in range(2):
                reader.out.bias[[half * CLASSES + LABEL[char] for char in RARE]] -= TAKEN_BACK
    path = f"{folder}/screen.onnx"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(reader.eval(), (torch.zeros(2, 1, HEIGHT, 128),), path, input_names=["lines"], output_names=["characters"],
                          dynamic_axes={"lines": {0: "lines", 3: "width"}, "characters": {0: "steps", 1: "lines"}},
                          opset_version=17, dynamo=False)
    model = onnx.load(path)
    if "--floats" not in sys.argv:
        store_in_bytes(model)
    onnx.checker.check_model(model)
    onnx.save(model, path)
    with open(f"{folder}/screen.alphabet", "w", encoding="utf8") as file:
        file.write(ALPHABET)
    print(f"{path}: steps {steps}, {len(ALPHABET)} characters")


if __name__ == "__main__":
    main()
