"""Small runs of many kinds: what a cut and a resume must not change."""

from __future__ import annotations

TINY = ("dataset=fake", "dataset.samples=120", "dataset.size=8", "model.hidden=[16]", "batch_size=24")
KINDS: dict[str, tuple[str, ...]] = {
    "adam": (),
    "adam with cosine": ("schedule=cosine",),
    "adam with patience": ("reg.patience=2", "optim.lr=0.05"),
    "momentum": ("optim=sgd", "optim.momentum=0.9"),
    "momentum with cosine": ("optim=sgd", "optim.momentum=0.9", "schedule=cosine"),
    "momentum with patience": ("optim=sgd", "optim.momentum=0.9", "optim.lr=0.5", "reg.patience=2", "schedule=cosine"),
    "cnn with dropout": ("model=cnn", "model.channels=[4]", "reg=dropout", "~hidden"),
    "numpy with dropout": ("model=mlp_numpy", "reg=dropout"),
    "mixup of augmented images": ("reg=mixup", "augment.shift=1", "augment.rotate=10", "augment.flip=0.5"),
    "adamw with plateau and penalties": (
        "optim=adamw",
        "model.batch_norm=true",
        "reg.weight_decay=0.1",
        "reg.l1=0.001",
        "reg.clip_norm=0.5",
        "schedule=plateau",
        "schedule.patience=0",
        "schedule.warmup=1",
    ),
    "numpy with batch norm": ("model=mlp_numpy", "optim=rmsprop", "model.batch_norm=true", "schedule=step"),
    "adagrad, half precision": ("optim=adagrad", "precision=bf16", "model.loss=mse"),
    "perceptron": ("model=perceptron", "~hidden", "dataset.label_noise=0.2", "dataset.per_class=10"),
    "adaline": ("model=adaline", "~hidden", "optim.lr=0.0001"),
    "numpy with momentum": ("model=mlp_numpy", "optim=sgd", "optim.momentum=0.9", "optim.nesterov=true"),
}


def overrides_of(kind: str, epochs: int = 5) -> list[str]:
    without_hidden = "~hidden" in KINDS[kind]
    chosen = [*TINY, *KINDS[kind], f"epochs={epochs}"]
    return [word for word in chosen if word != "~hidden" and not (without_hidden and word.startswith("model.hidden"))]
