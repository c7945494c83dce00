"""Ten epochs of a head on a frozen backbone, against the loop that is usually written for it.

    python benchmarks/frozen.py [--rounds 5] [--only shufflenet] [--threads 1 auto]

photo_patches at 224 x 224 pixels: 312 samples train and 104 validate, in batches of 32, on both sides. Theirs is what a
student writes: requires_grad off for all but the last layer, ``model.train()``, the whole network forward in each
epoch, SGD on the head, then the validation split in evaluation mode. It is measured on one epoch and multiplied by ten,
since each epoch does the same. Ours is all that a run does from its first batch on, with rows and checkpoints on disk,
and with a cache folder that is new each time, so that features are computed in every round. Weights are random: how
long a network takes does not depend on them. Images are decoded and in memory before either clock starts.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import torch
import torchvision
from spread import interleaved, quartiles
from torch import nn

from labrunner.compose import compose
from labrunner.features import compute
from labrunner.helping import Catalogue
from labrunner.machine import arithmetic
from labrunner.records import RunFolder
from labrunner.running import Shared, prepare
from labrunner.trainer import evaluate, fit

EPOCHS = 10
MODELS = ("efficientnet_b0", "shufflenet_v2_x1_0")


def tensors(split) -> tuple[torch.Tensor, torch.Tensor]:
    """A whole split, normalized, as contiguous tensors."""
    batches = list(split.in_order())
    return torch.cat([batch.inputs for batch in batches]), torch.cat([batch.targets for batch in batches])


def frozen(model: str, classes: int) -> tuple[nn.Module, torch.optim.Optimizer]:
    network = getattr(torchvision.models, model)(weights=None, num_classes=classes)
    head = network.classifier[1] if model == "efficientnet_b0" else network.fc
    for parameter in network.parameters():
        parameter.requires_grad = False
    for parameter in head.parameters():
        parameter.requires_grad = True
    return network, torch.optim.SGD(head.parameters(), lr=0.01)


def ordinary_epoch(network, optimizer, train, val, batch_size: int = 32) -> float:
    """As it is usually written; returns the accuracy on val."""
    loss_of = nn.CrossEntropyLoss()
    network.train()
    x, y = train
    order = torch.randperm(len(x))
    for first in range(0, len(x), batch_size):
        chosen = order[first : first + batch_size]
        loss = loss_of(network(x[chosen]), y[chosen])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    network.eval()
    hits = 0
    with torch.no_grad():
        for inputs, targets in zip(val[0].split(batch_size), val[1].split(batch_size), strict=True):
            hits += int((network(inputs).argmax(1) == targets).sum())
    return hits / len(val[1])


def measure(model: str, threads: str, rounds: int) -> None:
    asked = [f"model={model}", "model.weights=none", "dataset=photo_patches", "dataset.size=224", "freeze=backbone"]
    asked += ["optim=sgd", "optim.lr=0.01", f"epochs={EPOCHS}", f"threads={threads}"]
    samples = Shared().samples
    plain = prepare(compose([*asked, "freeze.cache=false"], Catalogue()).config, Shared(samples))
    train, val = tensors(plain.data.train), tensors(plain.data.val)
    count = plain.threads if threads == "auto" else int(threads)
    network, optimizer = frozen(model, plain.data.description.num_classes)
    cached: list[float] = []  # seconds of a second run, with another learning rate

    def ours() -> float:
        with tempfile.TemporaryDirectory() as folder:
            first = one_run([*asked, f"cache={folder}/cache"], Path(folder, "first"))
            cached.append(one_run([*asked, f"cache={folder}/cache", "optim.lr=0.1"], Path(folder, "second")))
        return first

    def one_run(overrides: list[str], place: Path) -> float:
        shared = Shared({key: value for key, value in samples.items() if key != "features"})
        ready = prepare(compose(overrides, Catalogue()).config, shared)
        with arithmetic(ready.threads):
            run_folder = RunFolder.create(place)
            run_folder.record_start(ready.learner.start_epoch(0))
            begin = time.perf_counter()
            compute(ready.data)
            fit(ready.learner, ready.data, ready.plan, run_folder)
            run_folder.flush()
            seconds = time.perf_counter() - begin
            run_folder.close()
        return seconds

    def theirs() -> float:
        with arithmetic(count):
            begin = time.perf_counter()
            ordinary_epoch(network, optimizer, train, val)
            return EPOCHS * (time.perf_counter() - begin)

    def uncached() -> float:
        """An epoch of labrunner's without features, times ten: frozen batch norm, channels_last."""
        with arithmetic(plain.threads):
            begin = time.perf_counter()
            for batch in plain.data.train.batches(1):
                plain.learner.train_batch(batch, 0.01)
            evaluate(plain.learner, plain.data.val)
            return EPOCHS * (time.perf_counter() - begin)

    pairs = interleaved(ours, theirs, rounds)
    low, middle, high = quartiles([b / a for a, b in pairs])
    mine, bare = (statistics.median(side) for side in zip(*pairs, strict=True))
    print(
        f"{model}, {count} thread{'s' if count > 1 else ''}: ours {mine:.1f} s  theirs {bare:.1f} s (10 x one epoch)  "
        f"theirs over ours {middle:.1f} (quartiles {low:.1f} to {high:.1f}, {rounds} rounds)  "
        f"a second run {statistics.median(cached):.2f} s  without the cache {uncached():.1f} s (10 x one epoch, once)",
        flush=True,
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", default="")
    parser.add_argument("--threads", nargs="*", default=["1", "auto"])
    arguments = parser.parse_args()
    for threads in arguments.threads:
        for model in MODELS:
            if arguments.only in model:
                measure(model, threads, arguments.rounds)
