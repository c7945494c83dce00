"""What a stranger may put into a run folder, and the ground around it, which nothing of that may touch."""

from __future__ import annotations

import io
import json
import os
import pickle
import shutil
import socket
import stat
import struct
import threading
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from labrunner import checkpoint
from labrunner.drawing import Drawing
from tests.cli.lab import PATIENCE, wait_until

TINY = ("model.hidden=[4]", "dataset=fake", "dataset.samples=60", "dataset.size=6", "dataset.channels=1", "threads=1")
RUN = (*TINY, "epochs=2", "probes=[loss_surface,shift]")
NAMES = (  # what lies in a run folder, and what once lay there
    *("config.yaml", "overrides.yaml", "environment.json", "status.json", "preprocessing.json", "initial.json"),
    *("metrics.csv", "timing.csv", "freeze.csv", "facts.json", "checks.csv", "checksums.json", "log.txt"),
    *("test.json", "predictions.csv", "per_class.csv", "confusion.csv", "samples.npz", "boundary.npz", "summary.txt"),
    *("probes/tables.json", "probes/epochs.csv", "probes/shift.csv", "probes/loss_surface_00001.npy"),
    *("checkpoints/00001.safetensors", "checkpoints/00002.safetensors", "report.html", "figures/curves.png", ".lock"),
)
FOLDERS = ("checkpoints", "probes", "figures")
DEEP = b"[" * 100_000 + b"]" * 100_000
HUGE = "1" + "0" * 400


class Ground:
    """A folder with a run, what lies around it, and a marker that a payload would leave."""

    def __init__(self, folder: Path, template: Path) -> None:
        self.folder, self.template = folder, template
        self.run, self.marker = folder / "run", folder / "marker"
        self.outside = folder.with_name(f"{folder.name}-outside")
        (self.outside / "inner").mkdir(parents=True)
        for name in ("victim", "victim.csv", "inner/00001.safetensors", "inner/epochs.csv"):
            (self.outside / name).write_text("epoch,step\n1,1\n")
        shutil.copytree(template, folder / "whole")

    def anew(self, put: Callable[[Ground], None]) -> None:
        """The run folder as the stranger hands it over."""
        shutil.rmtree(self.run, ignore_errors=True)
        shutil.copytree(self.template, self.run)
        put(self)

    def around(self) -> dict[str, tuple[Any, ...]]:
        """All but the run and what verbs make of their own: kind, size, time of the last change, and content."""
        found: dict[str, tuple[Any, ...]] = {}
        for path in sorted(self.outside.rglob("*")) + sorted((self.folder / "whole").rglob("*")) + [self.marker]:
            if os.path.lexists(path) and path.name != ".lock":  # which a reader of the status holds for a moment
                said = path.lstat()
                content = path.read_bytes() if stat.S_ISREG(said.st_mode) else None
                found[str(path)] = (said.st_mode, said.st_size, said.st_mtime_ns, content)
        return found

    @property
    def pickled(self) -> bytes:
        """A pickle that leaves the marker when it is loaded."""
        return pickle.dumps(Payload(self.marker))

    def at(self, name: str) -> Path:
        """The place of a file in the run folder, which is free now."""
        path = self.run / name
        if path.is_dir():
            shutil.rmtree(path)
        path.unlink(missing_ok=True)
        path.parent.mkdir(exist_ok=True)
        return path

    def write(self, name: str, content: bytes | str) -> None:
        self.at(name).write_bytes(content.encode() if isinstance(content, str) else content)

    def json(self, name: str, **changes: Any) -> None:
        path = self.run / name
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))


class Payload:
    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch '{self.marker}'",)


# kinds of files


def pickled(name: str) -> Callable[[Ground], None]:
    return lambda ground: ground.write(name, ground.pickled)


def pipe(name: str) -> Callable[[Ground], None]:
    return lambda ground: os.mkfifo(ground.at(name))


def device(name: str) -> Callable[[Ground], None]:
    return lambda ground: os.mknod(
        ground.at(name), stat.S_IFCHR | 0o666, os.makedev(1, 3)
    )  # the null device: its kind is the point


def link(name: str) -> Callable[[Ground], None]:
    return lambda ground: ground.at(name).symlink_to(ground.outside / "victim")


def folder(name: str) -> Callable[[Ground], None]:
    return lambda ground: ground.at(name).mkdir()


def sparse(name: str) -> Callable[[Ground], None]:
    def put(ground: Ground) -> None:
        ground.at(name).touch()
        os.truncate(ground.run / name, 10**12)  # a hole, which takes no room

    return put


def listening(name: str) -> Callable[[Ground], None]:
    def put(ground: Ground) -> None:
        here = os.open(".", os.O_RDONLY)
        path = ground.at(name)
        os.chdir(path.parent)  # a socket's path is short
        try:
            socket.socket(socket.AF_UNIX).bind(path.name)
        finally:
            os.chdir(here)
            os.close(here)

    return put


def linked_folder(name: str) -> Callable[[Ground], None]:
    return lambda ground: ground.at(name).symlink_to(ground.outside / "inner")


# archives and arrays


def archive(**arrays: Any) -> bytes:
    content = io.BytesIO()
    np.savez(content, **arrays)
    return content.getvalue()


def objects(name: str) -> Callable[[Ground], None]:
    """An archive, or an array, of pickled objects under the right names."""

    def put(ground: Ground) -> None:
        values = np.array([Payload(ground.marker)], dtype=object)
        content = io.BytesIO()
        if name.endswith(".npy"):
            np.save(content, values, allow_pickle=True)
            ground.write(name, content.getvalue())
        else:
            from labrunner.records.reading import PLANE, POINTS, SAMPLES

            ground.write(name, archive(**dict.fromkeys((*PLANE, *POINTS, *SAMPLES), values)))

    return put


def npy(shape: str, descr: str = "'<f8'") -> bytes:
    """The beginning of an .npy file, without its values."""
    header = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header


@cache
def bomb() -> bytes:
    """An archive of half a megabyte for half a gigabyte."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as packed:
        for name in ("index", "image", "label", "predicted", "confidence"):
            count = 2**26 if name == "image" else 1
            with packed.open(f"{name}.npy", "w") as file:
                file.write(npy(f"({count},)"))
                for _ in range(max(1, count // 2**17)):
                    file.write(bytes(8 * min(count, 2**17)))
    return content.getvalue()


def claims_more_than_there_is(ground: Ground) -> None:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as packed:
        for name in ("index", "image", "label", "predicted", "confidence"):
            packed.writestr(f"{name}.npy", npy(f"({2**60},)"))
    ground.write("samples.npz", content.getvalue())
    ground.write("probes/loss_surface_00001.npy", npy(f"({2**60},)"))


def code_in_a_header(ground: Ground) -> None:
    """NumPy takes the header of an array for a Python literal."""
    said = f"__import__('os').system('touch {ground.marker}')"
    ground.write("probes/loss_surface_00001.npy", npy("(1,)", said))
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as packed:
        packed.writestr("index.npy", npy("(1,)", said))
    ground.write("samples.npz", content.getvalue())


def names_that_lead_out_of_an_archive(ground: Ground) -> None:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as packed:
        packed.writestr("../outside/victim", b"overwritten")
        packed.writestr("/outside/victim.npy", npy("(0,)"))
    ground.write("samples.npz", content.getvalue())


# checkpoints


def checkpoints(change: Callable[[Path, Ground], bytes]) -> Callable[[Ground], None]:
    def put(ground: Ground) -> None:
        for _, _, path in checkpoint.listed(ground.run / "checkpoints"):
            path.write_bytes(change(path, ground))

    return put


def with_state(change: Callable[[str, np.ndarray], np.ndarray | None]) -> Callable[[Ground], None]:
    """Other arrays under a checksum that is right."""

    def changed(path: Path, ground: Ground) -> bytes:
        state, position = checkpoint.read(path)
        return checkpoint.encode({n: v for n, a in state.items() if (v := change(n, a)) is not None}, position)

    return checkpoints(changed)


def renamed(path: Path, ground: Ground) -> bytes:
    state, position = checkpoint.read(path)
    return checkpoint.encode({f"../{name}": array for name, array in state.items()}, position)


def header(said: Callable[[dict[str, Any]], bytes | dict[str, Any]]) -> Callable[[Ground], None]:
    """Checkpoints with another header before their bytes."""

    def changed(path: Path, ground: Ground) -> bytes:
        content = path.read_bytes()
        length = int.from_bytes(content[:8], "little")
        made = said(json.loads(content[8 : 8 + length]))
        text = made if isinstance(made, bytes) else json.dumps(made).encode()
        return len(text).to_bytes(8, "little") + text + content[8 + length :]

    return checkpoints(changed)


def of_all(values: dict[str, Any]) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """The same said of every array."""

    def said(known: dict[str, Any]) -> dict[str, Any]:
        return {name: each if name == "__metadata__" else each | values for name, each in known.items()}

    return said


def metadata(**changes: Any) -> Callable[[dict[str, Any]], bytes]:
    def said(known: dict[str, Any]) -> bytes:
        ours = json.dumps(json.loads(known["__metadata__"]["labrunner"]) | changes)
        ours = ours.replace('"HUGE"', HUGE).replace('"DEEP"', DEEP.decode())
        return json.dumps(known | {"__metadata__": {"labrunner": ours}}).encode()

    return said


def claim(path: Path, ground: Ground) -> bytes:
    return (2**60).to_bytes(8, "little") + path.read_bytes()[8:]


def saved_by_torch(path: Path, ground: Ground) -> bytes:
    import torch

    content = io.BytesIO()
    torch.save({"weights": Payload(ground.marker)}, content)
    return content.getvalue()


# text


def every_json(content: bytes) -> Callable[[Ground], None]:
    def put(ground: Ground) -> None:
        for path in [*ground.run.glob("*.json"), ground.run / "probes/tables.json"]:
            path.write_bytes(content)

    return put


def every_number(text: str) -> Callable[[Ground], None]:
    """Each number of each JSON file, however deep, is another one."""

    def put(ground: Ground) -> None:
        for path in [*ground.run.glob("*.json"), ground.run / "probes/tables.json"]:
            said = json.dumps(_numbers(json.loads(path.read_text())))
            path.write_text(said.replace('"NUMBER"', text))

    return put


def _numbers(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: each if key == "format" else _numbers(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_numbers(each) for each in value]
    return "NUMBER" if isinstance(value, (int, float)) and not isinstance(value, bool) else value


def every_csv(change: Callable[[list[str]], str]) -> Callable[[Ground], None]:
    def put(ground: Ground) -> None:
        for path in ground.run.rglob("*.csv"):
            path.write_text(change(path.read_text().splitlines()))

    return put


def tables_that_lead_out(ground: Ground) -> None:
    names = [f"../../../{ground.outside.name}/victim", str(ground.outside / "victim")]
    ground.json("probes/tables.json", tables=[*names, "shift"])


def checksums_that_lead_out(ground: Ground) -> None:
    names = [f"../../{ground.outside.name}/victim", str(ground.outside / "victim")]
    ground.json("checksums.json", sha256=dict.fromkeys(names, "0" * 64))


def links_inside(ground: Ground) -> None:
    for name in (
        "checkpoints/00003.safetensors",
        "probes/.epochs.csv.tmp",
        "figures/confusion.png",
        ".status.json.tmp",
    ):
        (ground.run / name).parent.mkdir(exist_ok=True)
        (ground.run / name).symlink_to(ground.outside / "victim")


def itself(ground: Ground) -> None:
    (ground.run / "round").symlink_to(ground.run)
    ground.at("probes/shift.csv").symlink_to(ground.run / "probes/shift.csv")


def epochs_without_end(ground: Ground) -> None:
    path = ground.run / "checkpoints" / "00002.safetensors"
    for name in (f"{'9' * 200}.safetensors", "00002-999999999999999999999.safetensors"):
        shutil.copy(path, path.with_name(name))


def another_preprocessing(**changes: Any) -> Callable[[Ground], None]:
    return lambda ground: ground.json("preprocessing.json", **changes)


KINDS: dict[str, Callable[[Ground], None]] = {
    **{f"a pickle for {name}": pickled(name) for name in NAMES},
    **{f"a pipe for {name}": pipe(name) for name in NAMES},
    **{f"a link out for {name}": link(name) for name in NAMES},
    **{f"a folder for {name}": folder(name) for name in NAMES[::4]},
    **{f"a device for {name}": device(name) for name in NAMES},
    **{f"a hole of 1 TB for {name}": sparse(name) for name in NAMES},
    **{f"a socket for {name}": listening(name) for name in ("status.json", "metrics.csv", ".lock")},
    **{f"a link out for {name}/": linked_folder(name) for name in FOLDERS},
    **{f"a pipe for {name}/": pipe(name) for name in FOLDERS},
    **{f"objects in {name}": objects(name) for name in ("samples.npz", "boundary.npz")},
    "objects in an array of a probe": objects("probes/loss_surface_00001.npy"),
    "a zip bomb": lambda ground: ground.write("samples.npz", bomb()),
    "arrays of 2^60 numbers": claims_more_than_there_is,
    "code in the header of an array": code_in_a_header,
    "names that lead out of an archive": names_that_lead_out_of_an_archive,
    "checkpoints of torch.save": checkpoints(saved_by_torch),
    "a header of 2^60 bytes": checkpoints(claim),
    "arrays that overlap": header(of_all({"data_offsets": [0, 16], "dtype": "F32", "shape": [4]})),
    "arrays beyond the end": header(of_all({"data_offsets": [2**40, 2**40 + 16], "dtype": "F32", "shape": [4]})),
    "offsets below zero": header(of_all({"data_offsets": [-16, 0]})),
    "shapes of 2^62": header(of_all({"shape": [2**31, 2**31]})),
    "types that NumPy does not have": header(of_all({"dtype": "BF16"})),
    "types that nobody has": header(of_all({"dtype": "os.system"})),
    "a header of a deep list": header(lambda known: DEEP),
    "a header that says deep things": header(metadata(sums="DEEP")),
    "a header of huge numbers": header(metadata(epoch="HUGE", batch="HUGE", sums={"loss": "HUGE"})),
    "arrays of another shape": with_state(lambda name, array: np.append(array, array)),
    "arrays of another type": with_state(lambda name, array: array.astype(np.int8)),
    "arrays that are missing": with_state(lambda name, array: None if name.startswith("weights/") else array),
    "arrays of other names": checkpoints(renamed),
    "arrays of NaN": with_state(lambda name, array: np.full_like(array, np.nan) if array.dtype.kind == "f" else array),
    "epochs without end": epochs_without_end,
    "JSON of depth 100,000": every_json(DEEP),
    "JSON that is a list": every_json(b"[1]"),
    "JSON of huge numbers": every_number(HUGE),
    "JSON of numbers below zero": every_number("-3"),
    "JSON of NaN": every_number("NaN"),
    "JSON of text for numbers": every_number('"=1+1"'),
    "YAML of depth 100,000": lambda ground: ground.write("config.yaml", DEEP),
    "tables that lead out": tables_that_lead_out,
    "checksums that lead out": checksums_that_lead_out,
    "links inside": links_inside,
    "links in a circle": itself,
    "CSVs of huge numbers": every_csv(lambda lines: lines[0] + f"\n{','.join([HUGE] * (lines[0].count(',') + 1))}\n"),
    "CSVs of one endless field": every_csv(lambda lines: lines[0] + '\n"' + "x" * 10**7),
    "CSVs of a field too long": every_csv(lambda lines: lines[0] + '\n"' + "x" * 10**6 + '"\n'),
    "CSVs of a million columns": every_csv(lambda lines: ",".join([lines[0]] * 10**5) + "\n"),
    "CSVs of nothing": every_csv(lambda lines: ""),
    "CSVs of NUL": every_csv(lambda lines: "\0" * 10**5 + "\n"),
    "images of 10^9 pixels": another_preprocessing(shape=[1, 10**9, 10**9]),
    "a white of zero": another_preprocessing(white=0, scale=[0.0]),
    "no class": another_preprocessing(class_names=[]),
}


# what stands in for processes


class KeptDrawing:
    """The drawing process, which goes on to the next command: it takes seconds to import."""

    def __init__(self) -> None:
        self._drawing = Drawing()

    def start(self) -> None: ...

    def ask(self, folder: Path, which: str = "all") -> None:
        self._drawing.ask(folder, which)

    @property
    def pending(self) -> tuple[Path, ...]:
        return self._drawing.pending

    def finish(self, timeout: float = 0.0) -> list[str]:
        drawing = self._drawing
        try:
            wait_until(lambda: not drawing.pending or drawing._failure is not None, "the drawing process")
            assert drawing._failure is None
        except AssertionError:
            self.end()
            self._drawing = Drawing()
            raise
        messages, drawing._messages = drawing._messages, []
        return messages

    def close(self) -> None: ...

    def end(self) -> None:
        self._drawing.close()

    def __enter__(self) -> KeptDrawing:
        return self

    def __exit__(self, *exception: object) -> None: ...


@contextmanager
def never_waiting(folder: Path) -> Iterator[None]:
    """Whoever waits for a pipe below a folder is let go after a while, and the test fails for it."""
    over, hanging = threading.Event(), []

    def let_go() -> None:
        if over.wait(PATIENCE):
            return
        while not over.wait(0.1):
            for path in folder.rglob("*"):
                if stat.S_ISFIFO(path.lstat().st_mode):
                    hanging.append(str(path))
                    with suppress(OSError):  # nobody waits there
                        os.close(os.open(path, os.O_WRONLY | os.O_NONBLOCK))

    watch = threading.Thread(target=let_go)
    watch.start()
    try:
        yield
    finally:
        over.set()
        watch.join()
    assert hanging == []
