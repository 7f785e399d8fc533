"""Float networks on scikit-learn's digits, trained here in seconds, as torch exports them to ONNX."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn

EPOCHS = {"mlp": 10, "conv": 25}
"""By name."""


def modules(name: str) -> nn.Sequential:
    """Dense layers with BatchNorm, Dropout, and a layer without a bias; convolutions with average pools and a ReLU6."""
    if name == "mlp":
        first = [nn.Flatten(), nn.Linear(64, 64), nn.BatchNorm1d(64), nn.ReLU(), nn.Dropout(0.2)]
        return nn.Sequential(*first, nn.Linear(64, 32, bias=False), nn.BatchNorm1d(32), nn.ReLU(), nn.Linear(32, 10))
    first = [nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.AvgPool2d(2)]
    second = [nn.Conv2d(4, 12, 3, padding=1), nn.ReLU6(), nn.AvgPool2d(2)]
    return nn.Sequential(*first, *second, nn.Flatten(), nn.Linear(48, 10))


def write(folder: Path) -> dict[str, float]:
    """NAME.onnx for each, test.npz and train.npz; gives torch's own accuracy on the test's 360 digits by name."""
    pixels, labels = load_digits(return_X_y=True)
    pixels = (pixels / 16).astype(np.float32).reshape(-1, 1, 8, 8)
    x, held, y, y_held = train_test_split(pixels, labels, test_size=360, random_state=7, stratify=labels)
    np.savez(folder / "train.npz", x=x, y=y)
    np.savez(folder / "test.npz", x=held, y=y_held)
    threads, own = torch.get_num_threads(), {}
    torch.set_num_threads(1)
    for name in EPOCHS:
        net = trained(name, torch.as_tensor(x), torch.as_tensor(y))
        own[name] = float((net(torch.as_tensor(held)).argmax(1).numpy() == y_held).mean())
        _export(net, folder / f"{name}.onnx")
    torch.set_num_threads(threads)
    return own


def trained(name: str, x: torch.Tensor, y: torch.Tensor) -> nn.Module:
    torch.manual_seed(0)
    net = modules(name)
    optimizer = torch.optim.Adam(net.parameters(), 5e-3)
    for _ in range(EPOCHS[name]):
        for chosen in torch.randperm(len(x)).split(64):
            optimizer.zero_grad()
            nn.functional.cross_entropy(net(x[chosen]), y[chosen]).backward()
            optimizer.step()
    return net.eval()


def _export(net: nn.Module, path: Path) -> None:
    """By TorchScript's exporter: the newer one needs onnxscript."""
    more = {"input_names": ["x"], "dynamic_axes": {"x": {0: "N"}}, "dynamo": False}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.onnx.export(net, (torch.zeros(1, 1, 8, 8),), str(path), **more)
