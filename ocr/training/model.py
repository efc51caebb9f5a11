"""The network: convolutions alone, since they are fast on processors and need no state.

In: `[lines, 1, 32, width]` from -0.5 (background) to 0.5 (ink). Out: log probabilities `[width / 2, lines, classes]`
for CTC, label 0 its blank: the contract of ocrs with recognition models.
"""

import torch
from torch import nn
from torch.nn import functional

from chars import CLASSES


def conv(inputs, outputs, kernel, stride=1, padding=None, dilation=1, relu=True):
    """Convolution, normalisation and, mostly, rectification."""
    kernel = (kernel, kernel) if isinstance(kernel, int) else kernel
    padding = tuple(size // 2 * dilation for size in kernel) if padding is None else padding
    layers = [nn.Conv2d(inputs, outputs, kernel, stride, padding, (1, dilation), bias=False), nn.BatchNorm2d(outputs)]
    return nn.Sequential(*layers, *([nn.ReLU(inplace=True)] if relu else []))


class Residual(nn.Module):
    """Two convolutions around which the input goes as well."""

    def __init__(self, first, second, dropout=0.0):
        super().__init__()
        self.first, self.second, self.dropout = first, second, nn.Dropout(dropout)

    def forward(self, x):
        return functional.relu(x + self.dropout(self.second(self.first(x))))


class Reader(nn.Module):
    """Pictures of lines to log probabilities of characters."""

    def __init__(self):
        super().__init__()
        plane = lambda size: Residual(conv(size, size, 3), conv(size, size, 3, relu=False))
        row = lambda size, dilation: Residual(conv(size, size, (1, 5), dilation=dilation), conv(size, size, 1, relu=False), 0.05)
        self.layers = nn.Sequential(
            conv(1, 24, 5, 2),                   # 16 x width / 2
            conv(24, 48, 3, (2, 1)),             # 8
            conv(48, 64, 3, (1, 2)),             # 8 x width / 4
            plane(64),
            conv(64, 96, 3, (2, 1)),             # 4
            plane(96),
            conv(96, 160, (4, 3), padding=(0, 1)),  # 1
            row(160, 1), row(160, 1), row(160, 2), row(160, 2), row(160, 2),
        )
        # Two steps a column: narrow letters of small fonts stand close.
        self.out = nn.Conv2d(160, 2 * CLASSES, 1)

    def forward(self, x):
        x = self.out(self.layers(x)).squeeze(2).permute(2, 0, 1)
        lines = x.shape[1]
        x = x.reshape(-1, lines, 2, CLASSES).permute(0, 2, 1, 3).reshape(-1, lines, CLASSES)
        return functional.log_softmax(x.float(), 2)


def start_from(reader, path):
    """Takes the weights of an exported model of the same layers, whose alphabet is the beginning of ours.

    Its normalisations are folded into its convolutions. They are unfolded with one batch's statistics: call
    `reader` once in training mode under the returned hooks, then remove them.
    """
    import onnx
    from onnx import numpy_helper

    arrays = [torch.from_numpy(numpy_helper.to_array(item).copy()) for item in onnx.load(path).graph.initializer]
    kernels = [array for array in arrays if array.ndim == 4]
    biases = [array for array in arrays if array.ndim == 1 and array.dtype == torch.float32]
    out_kernel = next(array for array in kernels if array.shape[0] % 2 == 0 and array.shape[1:] == (160, 1, 1) and array.shape[0] != 160)
    out_bias = next(array for array in biases if len(array) == len(out_kernel))
    kernels = [array for array in kernels if array is not out_kernel]
    biases = [array for array in biases if array is not out_bias]
    hooks = []

    def unfold(folded):
        def hook(module, inputs):
            x = inputs[0].detach().float()
            mean, variance = x.mean((0, 2, 3)), x.var((0, 2, 3), unbiased=False)
            with torch.no_grad():
                module.running_mean.copy_(mean)
                module.running_var.copy_(variance)
                module.weight.copy_((variance + module.eps).sqrt())
                module.bias.copy_(mean + folded)
        return hook

    with torch.no_grad():
        convolutions = [module for module in reader.layers.modules() if isinstance(module, nn.Conv2d)]
        norms = [module for module in reader.layers.modules() if isinstance(module, nn.BatchNorm2d)]
        assert len(convolutions) == len(kernels) == len(norms) == len(biases)
        for convolution, kernel, norm, bias in zip(convolutions, kernels, norms, biases):
            convolution.weight.copy_(kernel)
            hooks.append(norm.register_forward_pre_hook(unfold(bias)))
        known = len(out_kernel) // 2
        reader.out.weight.mul_(0.1)
        reader.out.bias.fill_(-6)
        for half in range(2):
            reader.out.weight[half * CLASSES:half * CLASSES + known] = out_kernel[half * known:(half + 1) * known]
            reader.out.bias[half * CLASSES:half * CLASSES + known] = out_bias[half * known:(half + 1) * known]
    return hooks
