"""``labrunner export RUN [file=FILE.onnx]``: the model of a run as an ONNX file, held against the model itself."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labrunner import __version__
from labrunner.errors import RequestError, RunError
from labrunner.files import atomic_write, expanded, writing
from labrunner.loading import Loaded, changes_in, load
from labrunner.verbs.places import new_place, refuse_there
from labrunner.verbs.predict import ranks_only
from labrunner.verbs.printing import one_line, say, show

if TYPE_CHECKING:
    import numpy as np

    from labrunner.cli import Arguments
    from labrunner.deep.onnx import Session, Whole
    from labrunner.preprocessing import Preprocessing

USAGE = "labrunner export outputs/runs/RUN [file=FILE.onnx]"
TOLERANCE = 1e-4  # of probabilities; of scores in units of the largest of a sample, from 1 on
RECORDED, DRAWN = 12, 4  # samples that the two are compared on: of samples.npz, and random ones
MOST_NUMBERS = 2**24  # in the random ones


def main(arguments: Arguments) -> int:
    changes, others = changes_in(arguments.overrides, also=("file",), checked=())
    if others:
        raise RequestError(f"{others[0]}: export takes a run and file=FILE.onnx: {USAGE}")
    if len(arguments.words) != 1:
        raise RequestError(f"export takes one run: {USAGE}")
    path = place(changes.get("file"))
    refuse_missing()
    # on the processor, whatever the run computed on
    loaded = load(
        Path(arguments.words[0]), {"device": "cpu"}, trust=arguments.trust, config_dir=arguments.config_dir, say=say
    )
    if loaded.preprocessing.soft:
        raise RequestError(f"the run in {loaded.run.path} has no classes, and nothing that a program could ask it")
    say("labrunner: exporting the model, and comparing the two")
    exported, notes = made(loaded)
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    atomic_write(path, exported.content)
    tell(loaded, exported, notes, path)
    return 0


def place(asked: str | None) -> Path:
    """The new file.

    Raises
    ------
    RequestError
        where one is already, or the name is that of no ONNX file.
    """
    if asked is None:
        return new_place("exports").with_suffix(".onnx")
    try:
        path = expanded(asked)
    except RuntimeError:
        path = Path(asked)
    if path.suffix.lower() != ".onnx" and not path.is_dir():
        raise RequestError(f"file={asked}: what is written is an ONNX file; try file={path.with_suffix('.onnx')}")
    refuse_there(path, "file")
    return path


def refuse_missing() -> None:
    from importlib.util import find_spec

    lacking = [name for name in ("onnx", "onnxscript", "onnxruntime") if find_spec(name) is None]
    if lacking:
        raise RequestError(
            f"export needs {', '.join(lacking)}, which {'is' if len(lacking) == 1 else 'are'} not installed\n"
            "to install what is missing: pip install 'labrunner[onnx]'"
        )


# the model


@dataclass(frozen=True)
class Exported:
    """An ONNX model that has been held against the one it was made of."""

    content: bytes
    description: dict[str, Any]  # of its input
    samples: int  # that both were asked
    probabilities: float  # largest difference
    scores: float  # the same, in units of the largest score of a sample, from 1 on


def made(loaded: Loaded) -> tuple[Exported, list[str]]:
    """The ONNX model of a run, and what is worth knowing of it.

    Raises
    ------
    RequestError
        when torch cannot export the network.
    RunError
        when the ONNX model does not say what the model says.
    """
    from labrunner.deep.onnx import Unexportable, encode, opened
    from labrunner.machine import arithmetic

    precision, learner = loaded.config["precision"], loaded.learner
    samples = asked_of(loaded)
    inputs = raw(loaded.preprocessing, samples)
    description = described(loaded)
    notes = []
    with arithmetic(loaded.threads):
        own_scores, own_probabilities = answers(loaded, samples)
        if precision == "bf16":
            learner.bf16 = False  # type: ignore[attr-defined]
            scores, probabilities = answers(loaded, samples)
            apart = abs(probabilities - own_probabilities).max()
            notes.append(
                "the run computed products in bf16, and the file computes in float32: "
                f"its probabilities differ from the run's by up to {apart:.1e}"
            )
        else:
            scores, probabilities = own_scores, own_probabilities
        if precision == "float64":
            notes.append("the run computed in float64, and the file computes in float32")
        try:
            content = encode(whole(loaded), description["name"], loaded.preprocessing.shape, metadata(loaded))
            apart_scores, apart = compared(opened(content, loaded.threads), inputs, scores, probabilities)
        except Unexportable as error:
            raise RequestError(
                f"{one_line(name_of(loaded, 'model'))} cannot be exported: {one_line(error)}\n"
                "a forward() can be that takes batches of any size and does not branch on the values in them"
            ) from None
    if not (apart <= TOLERANCE and apart_scores <= TOLERANCE):  # not a number is no agreement
        raise RunError(
            f"the ONNX model does not say what the model says: probabilities differ by up to {apart:.1e}, scores by "
            f"{apart_scores:.1e}; nothing was written\n"
            "a network that draws at random, or whose samples see others of their batch, cannot be exported"
        )
    return Exported(content, description, len(samples), apart, apart_scores), notes


def whole(loaded: Loaded) -> Whole:
    """The network of a run behind its normalization."""
    import numpy as np

    from labrunner.deep import TorchLearner
    from labrunner.deep.onnx import Whole
    from labrunner.deep.twins import twin

    learner, preprocessing = loaded.learner, loaded.preprocessing
    normalization = preprocessing.normalization
    if isinstance(learner, TorchLearner):
        learner.rest()
        network = learner.network
    else:
        shape = preprocessing.shape
        if preprocessing.white is not None:
            shape = (len(preprocessing.scale), *shape[1:])
        network = twin(loaded.config["model"], shape, len(preprocessing.class_names), learner.weights())
    offsets = None
    if preprocessing.offsets:
        offsets = np.array([preprocessing.offsets.get(name, 0.0) for name in preprocessing.feature_names])
    # pixels from 0 to 1 are the run's own, from 0 to white, but for this factor
    return Whole(network, normalization.scale * (preprocessing.white or 1.0), normalization.shift, offsets)


def described(loaded: Loaded) -> dict[str, Any]:
    """What a program has to give to the model, for the file's own metadata."""
    preprocessing = loaded.preprocessing
    shape = ["batch", *preprocessing.shape]
    if preprocessing.white is None:
        return {
            "name": "features",
            "type": "float64" if preprocessing.offsets else "float32",
            "shape": shape,
            "features": list(preprocessing.feature_names),
            "units": "the table's own; a feature called column=text is 1 where the column holds that text, else 0",
        }
    return {
        "name": "images",
        "type": "float32",
        "shape": shape,
        "range": [0.0, 1.0],
        "channels": {1: "grey", 3: "RGB"}.get(preprocessing.shape[0], "as in the data set"),
        "resize": preprocessing.resize or preprocessing.size,  # of the shorter side, before the centre is cut out
        "size": preprocessing.size,
        "interpolation": preprocessing.interpolation,
    }


def name_of(loaded: Loaded, group: str) -> str:
    """The chosen option of a group; of one's own without a name, the class."""
    section = loaded.config[group]
    return str(loaded.run.choices.get(group) or section.get("name") or section.get("_target_"))


def metadata(loaded: Loaded) -> dict[str, str]:
    """What the file says of itself: texts, JSON where they are more than a word."""
    from labrunner.running import config_hash

    return {
        "class_names": json.dumps(loaded.preprocessing.class_names, ensure_ascii=False),
        "config_hash": config_hash(loaded.run.config),
        "dataset": name_of(loaded, "dataset"),
        "epoch": str(loaded.epoch),
        "input": json.dumps(described(loaded), ensure_ascii=False),
        "labrunner_version": __version__,
        "model": name_of(loaded, "model"),
    }


# the comparison


def asked_of(loaded: Loaded) -> np.ndarray:
    """Samples in the data set's own units: some that the run has shown, and some at random."""
    import numpy as np

    from labrunner.seeding import generator

    preprocessing, rng = loaded.preprocessing, generator(0, "export")
    count = max(1, min(DRAWN, MOST_NUMBERS // math.prod(preprocessing.shape)))
    shape = (count, *preprocessing.shape)
    if preprocessing.white is None:
        normalization = preprocessing.normalization
        scale = np.where(normalization.scale == 0.0, 1.0, normalization.scale)
        drawn = ((rng.standard_normal(shape) - normalization.shift) / scale).astype(np.float32)
    else:
        drawn = rng.integers(0, int(min(preprocessing.white, 255.0)), shape, endpoint=True, dtype=np.uint8)
    recorded = (loaded.run.samples or {}).get("image")
    # the folder may be a stranger's
    if recorded is None or recorded.shape[1:] != drawn.shape[1:] or recorded.dtype != drawn.dtype:
        return drawn
    return np.concatenate([recorded[:RECORDED], drawn])


def raw(preprocessing: Preprocessing, samples: np.ndarray) -> np.ndarray:
    """Samples as the ONNX model takes them."""
    import numpy as np

    if preprocessing.white is not None:
        return samples.astype(np.float32) / np.float32(preprocessing.white)
    if not preprocessing.offsets:
        return samples
    offsets = np.array([preprocessing.offsets.get(name, 0.0) for name in preprocessing.feature_names])
    return samples.astype(np.float64) + offsets


def answers(loaded: Loaded, samples: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Scores and probabilities (N, K), float64, of the run's own model, prepared as its own samples were."""
    import numpy as np

    from labrunner.data.samples import Samples

    preprocessing, learner = loaded.preprocessing, loaded.learner
    description = preprocessing.description(name_of(loaded, "dataset"))
    prepared = Samples(description, samples, np.zeros(len(samples), dtype=np.int64))
    split = preprocessing.split("export", prepared, np.arange(len(samples)), learner, loaded.config["precision"])
    scores = [learner.scores(batch.inputs) for batch in split.in_order()]
    return np.concatenate([np.asarray(each, dtype=np.float64) for each in scores]), learner.probabilities(scores)


def compared(
    session: Session, inputs: np.ndarray, scores: np.ndarray, probabilities: np.ndarray
) -> tuple[float, float]:
    """Largest differences of scores and of probabilities, over the inputs one by one and in batches of two sizes."""
    import numpy as np

    unit = np.maximum(1.0, np.abs(scores).max(axis=1, keepdims=True))
    apart = []
    for size in dict.fromkeys((1, 3, len(inputs))):
        parts = [session(inputs[first : first + size]) for first in range(0, len(inputs), size)]
        found_scores, found = (np.concatenate(each) for each in zip(*parts, strict=True))
        apart.append((np.abs(found_scores - scores) / unit, np.abs(found - probabilities)))
    largest_scores, largest = (float(np.max(each)) for each in zip(*apart, strict=True))
    return largest_scores, largest


# what is said


def tell(loaded: Loaded, exported: Exported, notes: list[str], path: Path) -> None:
    model, dataset = name_of(loaded, "model"), name_of(loaded, "dataset")
    show(one_line(f"{model} on {dataset}, epoch {loaded.epoch} of {loaded.run.path}"))
    said, count = exported.description, len(loaded.preprocessing.class_names)
    of = f", from 0 to 1, {said['channels']}" if "range" in said else ", in the table's own units"
    show(f"  input    {said['name']}: {said['type']} ({', '.join(map(str, said['shape']))}){of}")
    show(f"  outputs  scores, probabilities: float32 (batch, {count}); the names of the classes are in the metadata")
    show(
        f"  checked  on {exported.samples} samples, one by one and in batches, against the model: largest difference "
        f"{exported.probabilities:.1e} (probabilities), {exported.scores:.1e} (scores)"
    )
    for note in notes:
        show(f"  note     {note}")
    if ranks_only(loaded.config):
        show("  note     its probabilities rank classes; they are not calibrated (docs/run-folder.md)")
    show(f"  {one_line(path)}")
