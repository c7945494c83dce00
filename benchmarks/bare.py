"""What the benchmarks compare with: a loop as one writes it by hand, with nothing around it.

Tensors in memory, randperm and indexing, plain SGD, then the accuracy on val. As a script it does what a default run
has to do at least: the imports, the data, the bare loop.
"""

from __future__ import annotations

import sys

import torch
from torch import nn


def mlp(inputs: int, hidden: list[int], classes: int) -> nn.Module:
    layers: list[nn.Module] = [nn.Flatten()]
    for width in hidden:
        layers += [nn.Linear(inputs, width), nn.ReLU()]
        inputs = width
    return nn.Sequential(*layers, nn.Linear(inputs, classes))


def cnn(size: int, channels: list[int], classes: int) -> nn.Module:
    layers: list[nn.Module] = []
    planes = 1
    for out in channels:
        layers += [nn.Conv2d(planes, out, 3, padding=1, bias=False), nn.BatchNorm2d(out), nn.ReLU(), nn.MaxPool2d(2)]
        planes, size = out, size // 2
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(planes * size * size, classes))


def epoch(network, optimizer, x, y, x_val, y_val, batch_size: int) -> float:
    """One epoch; returns the accuracy on val."""
    loss_of = nn.CrossEntropyLoss()
    network.train()
    order = torch.randperm(len(x))
    total = 0.0
    for first in range(0, len(x), batch_size):
        chosen = order[first : first + batch_size]
        loss = loss_of(network(x[chosen]), y[chosen])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total += loss.item() * len(chosen)
    network.eval()
    with torch.no_grad():
        return (network(x_val).argmax(1) == y_val).float().mean().item()


if __name__ == "__main__":
    # the libraries that a lab's script imports, whether or not this loop needs them
    import seaborn  # noqa: F401
    import sklearn.datasets
    import torchmetrics  # noqa: F401

    epochs, threads = int(sys.argv[1]), int(sys.argv[2])
    torch.set_num_threads(threads)
    digits = sklearn.datasets.load_digits()
    x = torch.tensor(digits.data / 16.0, dtype=torch.float32)
    y = torch.tensor(digits.target)
    network = mlp(64, [128], 10)
    optimizer = torch.optim.Adam(network.parameters(), lr=0.001)
    for _ in range(epochs):
        accuracy = epoch(network, optimizer, x[:1079], y[:1079], x[1079:1438], y[1079:1438], 32)
    print(accuracy)
