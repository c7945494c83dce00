"""Image files decoded, cut to squares of one size, and kept in a memory-mapped cache that later runs read.

Below the config's `cache` there is ``images/``, and in it a folder for each set of files in each geometry:
``pixels.npy``, ``about.json``, the SHA-256 of the file behind each image, and the counts of `labrunner.data.counts`. It
is named after the contents of the files, so that no file that has changed is taken for the old one, and it gets its
name when it is whole. Beside these folders lies the index of `labrunner.data.hashes`, so that files are read again only
when they have been touched.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from labrunner.data.hashes import Index
from labrunner.data.pictures import BadImage, Geometry, pixels_of, readable
from labrunner.data.samples import Description, Samples, renumbered, resized_to, within
from labrunner.errors import LabrunnerError, RequestError
from labrunner.files import opened, read_json, written
from labrunner.machine import bar_size, cores
from labrunner.seeding import generator
from labrunner.servers import to_stderr

FORMAT = 1  # of the cache; raised when the same files would give other pixels
TOLD = 10  # bad files that a message names
GIB = 2**30


class Decoded(NamedTuple):
    """What became of image files."""

    images: np.ndarray  # (N, channels, size, size) uint8, not to be written to; a memmap past the memory budget
    kept: np.ndarray  # (N,) int64 positions in `paths` of the files that could be read, ascending
    fingerprint: str  # hexadecimal digits: other contents, another order or geometry give another one
    folder: Path | None = None  # of the cache, that holds the images; None where none does
    listed: bool = False  # noise stands in for the images, whose files were not read


def decode(
    paths: Sequence[str | Path],
    *,
    size: int,
    channels: int,
    resize: int | None,
    interpolation: str,
    cache: Path | None,
    skip_bad: bool,
    memory: float,
    name: str,
    listed: bool = False,
    say: Callable[[str], None] = to_stderr,
) -> Decoded:
    """Image files as squares of one size: from the cache if it has them, else decoded in parallel and put there.

    Parameters
    ----------
    paths : the files, in the order of the samples
    size : width and height of the squares in pixels
    channels : 3 for colour, 1 for grey
    resize : what the shorter side becomes before the centre is cut to `size`; None: `size`
    interpolation : bilinear or bicubic
    cache : the config's `cache`, below which ``images/`` is; None keeps nothing
    skip_bad : leave out files that cannot be read, and say how many, instead of refusing them
    memory : GiB that the images may take in memory; of more a memmap is given, to be read batch by batch
    name : the data set's name, for messages
    listed : read no file and write none: what the cache is not known to hold has noise in its place
    say : takes one line for the user

    Raises
    ------
    RequestError
        for files that cannot be read, unless `skip_bad`, or when none can; for a cache that cannot be written. The
        cache is then as it was.
    """
    if not paths:
        raise RequestError(f"dataset={name} has no images")
    geometry = Geometry(size, channels, size if resize is None else resize, interpolation)
    resized_to((1, 1), size, geometry.resize)  # a model that wants less than it cuts out is refused before any work
    work = _Work(name, [os.fspath(path) for path in paths], geometry, skip_bad, memory * GIB, say)
    folder = None if cache is None else Path(cache).expanduser() / "images"
    if listed:
        return work.listed(folder)
    return work.without_cache() if folder is None else work.through(folder)


def decoded_samples(
    description: Description,
    paths: Sequence[str | Path],
    labels: np.ndarray,
    options: Mapping[str, Any],
    *,
    root: Path,
    val: np.ndarray | None = None,
    test: np.ndarray | None = None,
    say: Callable[[str], None] = to_stderr,
) -> Samples:
    """The samples of a data set of image files: `decode`, and all that follows from files left out.

    Only the classes in ``options["classes"]`` are decoded, if some are chosen (`sets.load` then has nothing to choose).
    ``origin`` are positions in `paths`, ``Samples.paths`` the files below `root`.

    Parameters
    ----------
    description : of all classes; its shape is (channels, size, size)
    paths, labels : the files in their order, and (N,) int64 classes
    options : a composed `dataset` group, with resize, interpolation, cache, skip_bad and memory where they are set
    root : what the names of the files are told relative to
    val, test : positions in `paths` of the official splits

    Raises
    ------
    RequestError
        as `decode`, and when a class has no file that can be read.
    """
    places = np.arange(len(paths))
    if options.get("classes") is not None:
        numbers = description.numbers_of(options["classes"])
        description = description.with_classes(options["classes"])
        labels = renumbered(labels, numbers, int(labels.max()) + 1)
        places = np.flatnonzero(labels >= 0)
    channels, size, _ = description.shape
    decoded = decode(
        [paths[place] for place in places.tolist()],
        size=size,
        channels=channels,
        resize=options.get("resize"),
        interpolation=options.get("interpolation", "bilinear"),
        cache=None if options.get("cache") is None else Path(options["cache"]),
        skip_bad=options.get("skip_bad", False),
        memory=options.get("memory", 4.0),
        name=description.name,
        listed=options.get("listed", False),
        say=say,
    )
    places = places[decoded.kept]
    labels = labels[places]
    empty = np.flatnonzero(np.bincount(labels, minlength=description.num_classes) == 0)
    if len(empty):
        raise RequestError(
            f"dataset={description.name}: no image of class {description.class_names[empty[0]]} can be read; "
            "mend its files or leave it out with dataset.classes=[…]"
        )
    return Samples(
        description,
        decoded.images,
        labels,
        val=within(val, places),
        test=within(test, places),
        origin=None if len(places) == len(paths) else places,
        paths=tuple(below(paths[place], root) for place in places.tolist()),
        content=decoded.fingerprint,
        folder=decoded.folder,
        listed=decoded.listed,
    )


def below(path: str | Path, root: Path) -> str:
    """A file's name relative to a folder; bytes that are no UTF-8 stand as escapes, as \\xff."""
    return written(path).removeprefix(f"{written(root)}/")


# many images


@dataclass
class _Work:
    """Files to decode, and how."""

    name: str
    paths: list[str]
    geometry: Geometry
    skip_bad: bool
    budget: float  # bytes
    say: Callable[[str], None]

    def without_cache(self) -> Decoded:
        """Into memory, or past the budget into a file that nobody else sees and that ends with the process."""
        hashes = self._hashes(Index(None, self.paths))
        if self._bytes(len(self.paths)) <= self.budget:
            into = np.empty((len(self.paths), *self.geometry.shape), np.uint8)
            bad = self._decode(hashes, into.__setitem__, {})
            self._judge(bad)
            kept = self._kept(bad)
            return Decoded(into[kept] if bad else into, kept, self._fingerprint(hashes))
        folder = Path(tempfile.mkdtemp(prefix="labrunner-"))
        try:
            with _written(folder):
                bad = self._make(folder, hashes, {})
            return Decoded(self._pixels(folder, bad), self._kept(bad), self._fingerprint(hashes))
        finally:
            shutil.rmtree(folder, ignore_errors=True)  # the mapping keeps the pixels as long as they are needed

    def through(self, folder: Path) -> Decoded:
        """From the cache in `folder`, which is made where it is missing, damaged or of other files."""
        index = Index(folder, self.paths)
        hashes = self._hashes(index)
        fingerprint = self._fingerprint(hashes)
        whole = self._whole(folder, fingerprint)
        bad = self._found(whole)
        if bad is None:
            bad = self._made(whole, hashes)
        else:
            self._judge(bad)
        index.save()
        return Decoded(self._pixels(whole, bad), self._kept(bad), fingerprint, whole)

    def listed(self, folder: Path | None) -> Decoded:
        """From the cache in `folder` where it is known to hold them, else noise in their place; writes nothing."""
        hashes = [] if folder is None else Index(folder, self.paths).hashes
        if folder is not None and None not in hashes:
            fingerprint = self._fingerprint([known or "" for known in hashes])
            whole = self._whole(folder, fingerprint)
            bad = self._found(whole)
            if bad is not None:
                self._judge(bad)
                return Decoded(self._pixels(whole, bad), self._kept(bad), fingerprint)
        noise = generator(0, "stand-in").integers(0, 256, self.geometry.shape, dtype=np.uint8)
        # one image, as often as there are files; a memmap by name, so that no split takes a copy of all
        images = np.broadcast_to(noise, self._shape({})).view(np.memmap)
        return Decoded(images, self._kept({}), "listed", listed=True)

    # keys

    def _hashes(self, index: Index) -> list[str]:
        """The SHA-256 of each file; "" where it cannot be read."""
        unknown = [place for place, known in enumerate(index.hashes) if known is None]
        if unknown:
            index.learn(unknown, self._each("reading", index.hash, unknown))
        return [known or "" for known in index.hashes]

    def _fingerprint(self, hashes: Sequence[str]) -> str:
        geometry = self.geometry
        digest = hashlib.sha256(f"{FORMAT} {geometry.shape} {geometry.resize} {geometry.interpolation}\n".encode())
        digest.update("\n".join(hashes).encode())
        return digest.hexdigest()[:32]

    # the cache

    @staticmethod
    def _whole(folder: Path, fingerprint: str) -> Path:
        """The folder of the cache for images of a fingerprint."""
        # another Pillow may decode otherwise; the data are the same ones
        return folder / hashlib.sha256(f"{fingerprint} {_pillow()}".encode()).hexdigest()[:32]

    def _found(self, folder: Path) -> dict[int, str] | None:
        """The bad files of a folder of the cache, by position; None where it is not whole."""
        about = read_json(folder / "about.json")
        if about is None or about.get("files") != len(self.paths):
            return None
        try:
            bad = {int(place): str(reason) for place, reason in about["bad"].items()}
        except (KeyError, AttributeError, ValueError):
            return None
        if any(not 0 <= place < len(self.paths) for place in bad) or len(bad) == len(self.paths):
            return None
        return bad if mapped(folder, self._shape(bad)) is not None else None

    def _made(self, whole: Path, hashes: Sequence[str]) -> dict[int, str]:
        """Decode into a folder beside, which gets its name once it is whole; one process at a time."""
        parent = whole.parent
        missing = [each for each in (parent, *parent.parents) if not each.exists()]
        with _written(parent):
            parent.mkdir(parents=True, exist_ok=True)
            lock = parent / f".{whole.name}.lock"
            begun = lock.exists()
            try:
                with self._alone(lock):
                    bad = self._found(whole)  # another process may have made it by now
                    if bad is not None:
                        self._judge(bad)
                        return bad
                    for left in parent.glob(f".{whole.name}-*"):  # by a process that was killed
                        shutil.rmtree(left, ignore_errors=True)
                    temporary = parent / f".{whole.name}-{os.getpid()}"
                    try:
                        temporary.mkdir()
                        bad = self._make(temporary, hashes, self._known(parent, hashes))
                        shutil.rmtree(whole, ignore_errors=True)  # damaged, if it is there
                        os.rename(temporary, whole)
                    except BaseException:
                        shutil.rmtree(temporary, ignore_errors=True)
                        raise
                return bad
            except BaseException:
                if not begun:
                    lock.unlink(missing_ok=True)
                for each in missing:
                    with suppress(OSError):
                        each.rmdir()
                raise

    @contextmanager
    def _alone(self, lock: Path) -> Iterator[None]:
        from filelock import FileLock, Timeout

        held = FileLock(lock)
        try:
            held.acquire(timeout=0)
        except Timeout:
            self.say(f"dataset={self.name}: waiting for another process, which decodes the same images")
            held.acquire()
        try:
            yield
        finally:
            held.release()

    def _make(self, folder: Path, hashes: Sequence[str], known: Mapping[str, np.ndarray]) -> dict[int, str]:
        """Decode into ``pixels.npy`` of a folder and write the other files; returns the bad ones by position."""
        path = folder / "pixels.npy"
        start = _reserve(path, (len(self.paths), *self.geometry.shape))
        each = int(np.prod(self.geometry.shape))
        descriptor = os.open(path, os.O_WRONLY)
        try:

            def put(place: int, pixels: np.ndarray) -> None:
                data = pixels.tobytes()
                written = 0
                while written < each:
                    written += os.pwrite(descriptor, data[written:], start + place * each + written)

            bad = self._decode(hashes, put, known)
            self._judge(bad)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        if bad:
            _leave_out(path, self._kept(bad))
        about = {
            "dataset": self.name,
            "files": len(self.paths),
            "size": self.geometry.size,
            "channels": self.geometry.channels,
            "resize": self.geometry.resize,
            "interpolation": self.geometry.interpolation,
            "pillow": _pillow(),
            "format": FORMAT,
            "bad": {str(place): reason for place, reason in sorted(bad.items())},
        }
        (folder / "sha256.txt").write_text("".join(f"{hashes[place]}\n" for place in self._kept(bad)))
        (folder / "about.json").write_text(json.dumps(about, indent=2) + "\n")
        return bad

    def _known(self, parent: Path, hashes: Sequence[str]) -> dict[str, np.ndarray]:
        """Images that other folders of the cache hold in this geometry, by the SHA-256 of their files."""
        found: dict[str, np.ndarray] = {}
        wanted = set(hashes)
        geometry = self.geometry
        same = {**geometry.__dict__, "pillow": _pillow(), "format": FORMAT}
        for about_file in sorted(parent.glob("*/about.json")):
            about = read_json(about_file)
            if about is None or any(about.get(key) != value for key, value in same.items()):
                continue
            try:
                there = (about_file.parent / "sha256.txt").read_text().split()
            except (OSError, ValueError):
                continue
            images = mapped(about_file.parent, (len(there), *geometry.shape))
            if images is not None:
                rows = images.view(np.ndarray)  # of the same pages
                found |= {known: rows[row] for row, known in enumerate(there) if known in wanted}
        return found

    def _pixels(self, folder: Path, bad: Mapping[int, str]) -> np.ndarray:
        images = mapped(folder, self._shape(bad))
        if images is None:
            raise RequestError(f"{folder} was changed while it was read; try again")
        # within the budget a split copies what it needs into memory, of pages that the machine may drop again
        return images.view(np.ndarray) if images.nbytes <= self.budget else images

    def _shape(self, bad: Mapping[int, str]) -> tuple[int, ...]:
        return (len(self.paths) - len(bad), *self.geometry.shape)

    def _bytes(self, count: int) -> int:
        return count * int(np.prod(self.geometry.shape))

    def _kept(self, bad: Mapping[int, str]) -> np.ndarray:
        return np.setdiff1d(np.arange(len(self.paths)), np.fromiter(bad, np.int64, len(bad)))

    # decoding

    def _decode(
        self, hashes: Sequence[str], put: Callable[[int, np.ndarray], None], known: Mapping[str, np.ndarray]
    ) -> dict[int, str]:
        """Hand each image to `put` under its position; returns the bad files by position, and why."""

        def changed(place: int) -> RequestError:
            file = shown(self.paths[place])
            return RequestError(f"dataset={self.name}: {file} has changed while it was read; try again")

        def one(place: int) -> str | None:
            if hashes[place] in known:
                put(place, known[hashes[place]])
                return None
            try:
                with opened(self.paths[place]) as file:
                    if hashlib.file_digest(file, "sha256").hexdigest() != hashes[place]:
                        raise changed(place)
                    file.seek(0)
                    pixels = pixels_of(file, self.geometry)
            except BadImage as error:
                return str(error)
            except OSError as error:
                if hashes[place]:
                    raise changed(place) from None
                return error.strerror or type(error).__name__
            put(place, pixels)
            return None

        from PIL import Image

        readable()  # before there are threads
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module="PIL")  # of metadata that nobody asked for
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            said = self._each("decoding", one, range(len(self.paths)))
            return {place: reason for place, reason in enumerate(said) if reason is not None}

    def _each(self, what: str, work: Callable[[int], Any], places: Sequence[int]) -> list[Any]:
        """What `work` gives for each place, in threads; a bar on a terminal."""
        from tqdm import tqdm

        label = f"{what} {self.name}"
        with ThreadPoolExecutor(cores(), thread_name_prefix="decoding") as pool:
            done = pool.map(work, places)
            bar: dict[str, Any] = {"disable": not sys.stderr.isatty(), "leave": False, **bar_size()}
            try:
                return list(tqdm(done, label, len(places), unit=" images", **bar))
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise

    def _judge(self, bad: Mapping[int, str]) -> None:
        """Refuse bad files, or say how many are left out."""
        if not bad:
            return
        every = len(self.paths)
        told = [f"{shown(self.paths[place])} ({reason})" for place, reason in sorted(bad.items())[:TOLD]]
        more = f", and {len(bad) - TOLD:,} more" if len(bad) > TOLD else ""
        what = f"dataset={self.name}: {len(bad):,} of {every:,} images cannot be read"
        if len(bad) == every:
            raise RequestError(f"{what}: {', '.join(told)}{more}\nthat is all of them; look at dataset.root")
        if not self.skip_bad:
            raise RequestError(
                f"{what}: {', '.join(told)}{more}\nmend or remove them, or leave them out with dataset.skip_bad=true"
            )
        self.say(f"{what} and {'is' if len(bad) == 1 else 'are'} left out, as dataset.skip_bad=true says")


def shown(path: str | Path) -> str:
    """A path for a message of one line: what cannot be printed is escaped."""
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in os.fspath(path))


# arrays in files


def mapped(folder: Path, shape: tuple[int, ...]) -> np.memmap | None:
    """``pixels.npy`` of a folder, read-only; None unless it is an array of bytes of this shape, and whole."""
    path = folder / "pixels.npy"
    try:
        images = np.load(path, mmap_mode="r")
        is_whole = path.stat().st_size == images.offset + images.nbytes
    except (OSError, ValueError, EOFError, AttributeError, SyntaxError):
        return None
    is_fitting = images.shape == shape and images.dtype == np.uint8 and images.flags.c_contiguous
    return images if is_whole and is_fitting else None


def _reserve(path: Path, shape: tuple[int, ...]) -> int:
    """Make the file of an array of bytes, on the disk and not only by name; returns where the values begin."""
    with open(path, "wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": shape})
        file.flush()
        start = file.tell()
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file.fileno(), 0, start + int(np.prod(shape)))
        else:
            file.truncate(start + int(np.prod(shape)))
    return start


def _leave_out(path: Path, kept: np.ndarray) -> None:
    """Only these images of the array in a file."""
    images: np.ndarray = np.load(path, mmap_mode="r")
    beside = path.with_name(f".{path.name}.kept")
    with open(beside, "wb") as file:
        shape = (len(kept), *images.shape[1:])
        np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": shape})
        for place in kept:
            file.write(images[place].tobytes())
        file.flush()
        os.fsync(file.fileno())
    os.replace(beside, path)


@contextmanager
def _written(folder: Path) -> Iterator[None]:
    """Turn what the operating system refuses into one line that names the folder and the way out."""
    try:
        yield
    except LabrunnerError:
        raise
    except OSError as error:
        raise RequestError(
            f"cannot keep decoded images in {folder}: {error.strerror or error}\n"
            "try cache=… with a folder that can be written, or cache=null to keep none"
        ) from error


def _pillow() -> str:
    import PIL

    return PIL.__version__
