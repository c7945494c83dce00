"""Torchvision's sets of photographs: read from files as the real ones are, and no network asked but a stand-in."""

from __future__ import annotations

import dataclasses
import importlib
import json
import socket
import subprocess
import sys
import threading
import tomllib
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock

from labrunner import servers
from labrunner.data import downloads, photographs, remote, sets
from labrunner.errors import Interrupted, RequestError
from tests.data.photographed import SPLITS, draw, options, packed, write
from tests.data.written import network

HERE = Path(__file__).parents[2]
CLASSES = {"flowers102": 102, "oxford_pets": 37, "eurosat": 10, "gtsrb": 43, "dtd": 47, "food101": 101}
# Nilsback & Zisserman 2008; Parkhi et al. 2012; Helber et al. 2019; Cimpoi et al. 2014; Bossard et al. 2014; of GTSRB
# the training part of the competition of 2011 and the final test part (Stallkamp et al. 2012)
COUNTS = {
    "flowers102": (1020, 1020, 6149),
    "oxford_pets": (3680, 3669),
    "eurosat": (27000,),
    "gtsrb": (26640, 12630),
    "dtd": (1880, 1880, 1880),
    "food101": (75750, 25250),
}


def parts(name: str, root: Path) -> list:
    """Torchvision's own objects, one for each official split."""
    from torchvision import datasets

    kind = getattr(datasets, photographs.SETS[name].kind)
    if name == "eurosat":
        return [kind(root)]
    first = "trainval" if name == "oxford_pets" else "train"
    return [kind(root, split=first if split == "train" else split) for split in SPLITS[name]]


# what is read


@pytest.mark.parametrize("name", photographs.NAMES)
def test_files_labels_and_official_splits_are_those_that_were_written(name, tmp_path, monkeypatch):
    written = write(name, tmp_path / "data", monkeypatch)
    samples = photographs.load(options(name, tmp_path / "data"))
    assert samples.paths == tuple(each.path for each in written)
    assert samples.labels.tolist() == [each.label for each in written]
    assert samples.labels.dtype == np.int64
    for split, positions in (("val", samples.val), ("test", samples.test)):
        expected = [place for place, each in enumerate(written) if each.split == split]
        assert (None if positions is None else positions.tolist()) == (expected or None)
    assert samples.description == photographs.describe(options(name))


@pytest.mark.parametrize("name", photographs.NAMES)
def test_pixels_and_labels_are_those_that_torchvision_gives_out(name, tmp_path, monkeypatch):
    from torchvision.transforms import functional

    write(name, tmp_path / "data", monkeypatch)
    samples = photographs.load(options(name, tmp_path / "data", size=6, resize=9))
    place = 0
    for part in parts(name, tmp_path / "data"):
        for picture, label in part:
            expected = np.asarray(functional.center_crop(functional.resize(picture, 9), 6)).transpose(2, 0, 1)
            np.testing.assert_array_equal(samples.inputs[place], expected)
            assert samples.labels[place] == label
            place += 1
    assert place == len(samples.labels)


def test_several_images_of_a_class_stay_in_their_split(tmp_path, monkeypatch):
    written = write("dtd", tmp_path / "data", monkeypatch, each=3)
    samples = photographs.load(options("dtd", tmp_path / "data"))
    assert len(samples.labels) == len(written) == 47 * 3 * 3
    assert samples.val is not None
    assert samples.test is not None
    assert samples.val.tolist() == list(range(141, 282))
    assert samples.test.tolist() == list(range(282, 423))


def test_flowers_are_numbered_from_one_in_the_files_and_from_zero_here(tmp_path, monkeypatch):
    from scipy.io import loadmat

    write("flowers102", tmp_path / "data", monkeypatch)
    stored = loadmat(tmp_path / "data/flowers-102/imagelabels.mat", squeeze_me=True)["labels"]
    samples = photographs.load(options("flowers102", tmp_path / "data"))
    assert samples.paths is not None
    numbers = [int(path[-9:-4]) for path in samples.paths]
    assert (int(stored.min()), int(stored.max())) == (1, 102)
    assert samples.labels.tolist() == [int(stored[number - 1]) - 1 for number in numbers]


def test_one_channel_is_grey(tmp_path, monkeypatch):
    write("eurosat", tmp_path / "data", monkeypatch)
    chosen = options("eurosat", tmp_path / "data", channels=1)
    samples = photographs.load(chosen)
    assert samples.inputs.shape[1:] == photographs.describe(chosen).shape == (1, 8, 8)


def test_without_a_size_images_are_as_large_as_those_of_folders(tmp_path, monkeypatch):
    write("eurosat", tmp_path / "data", monkeypatch)
    samples = photographs.load(options("eurosat", tmp_path / "data", size=None))
    assert samples.inputs.shape[1:] == (3, 64, 64)


def test_chosen_classes_alone_are_decoded_and_keep_their_splits(tmp_path, monkeypatch):
    write("gtsrb", tmp_path / "data", monkeypatch)
    whole = sets.load(options("gtsrb", tmp_path / "data"))
    chosen = options("gtsrb", tmp_path / "data", classes=["Stop", "Speed limit 30 km/h"])
    (tmp_path / "data/gtsrb/GTSRB/Training/00002/00000_00000.ppm").write_bytes(b"of a class that is not asked for")
    samples = sets.load(chosen)
    assert samples.description == sets.describe(chosen)
    assert samples.description.class_names == ("Stop", "Speed limit 30 km/h")
    assert sorted(samples.labels.tolist()) == [0, 0, 1, 1]
    assert samples.test is not None
    assert samples.origin is not None
    assert len(samples.test) == 2
    np.testing.assert_array_equal(samples.inputs, whole.inputs[samples.origin])
    np.testing.assert_array_equal(np.array([14, 1])[samples.labels], whole.labels[samples.origin])


def test_the_second_time_images_come_from_the_cache(tmp_path, monkeypatch):
    write("oxford_pets", tmp_path / "data", monkeypatch)
    chosen = options("oxford_pets", tmp_path / "data", cache=str(tmp_path / "cache"))
    first = photographs.load(chosen)
    monkeypatch.setattr("labrunner.data.decoded.pixels_of", None)
    again = photographs.load(chosen)
    np.testing.assert_array_equal(again.inputs, first.inputs)
    assert again.fingerprint == first.fingerprint


def test_an_image_that_cannot_be_read_is_named_or_left_out(tmp_path, monkeypatch):
    written = write("food101", tmp_path / "data", monkeypatch, each=2)
    path = tmp_path / "data" / written[0].path
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(RequestError, match=f"1 of 404 images cannot be read: {path} "):
        photographs.load(options("food101", tmp_path / "data"))
    said: list[str] = []
    samples = photographs.load(options("food101", tmp_path / "data", skip_bad=True), said.append)
    assert samples.paths == tuple(each.path for each in written[1:])
    assert samples.test is not None
    assert samples.test.tolist() == list(range(201, 403))
    assert len(said) == 1


# what is known by heart


@pytest.mark.parametrize("name", photographs.NAMES)
def test_classes_splits_and_counts_are_the_published_ones(name):
    source = photographs.SETS[name]
    assert len(source.class_names) == len(set(source.class_names)) == CLASSES[name]
    assert dict(source.counts) == dict(zip(SPLITS[name], COUNTS[name], strict=True))


@pytest.mark.parametrize("name", photographs.NAMES)
def test_the_yaml_says_as_many_images_and_classes(name):
    text = (HERE / "conf/dataset" / f"{name}.yaml").read_text().splitlines()[0]
    assert f"{sum(COUNTS[name]):,}" in text
    assert str(CLASSES[name]) in text
    for split, count in zip(SPLITS[name][1:], COUNTS[name][1:], strict=True):
        assert f"{count:,}" in text, split


def test_class_names_of_flowers_are_torchvisions():
    from torchvision.datasets import Flowers102

    assert list(photographs.SETS["flowers102"].class_names) == Flowers102.classes


@pytest.mark.parametrize("name", ["eurosat", "dtd", "food101"])
def test_classes_that_torchvision_sorts_are_sorted(name):
    assert list(photographs.SETS[name].class_names) == sorted(photographs.SETS[name].class_names)


@pytest.mark.parametrize("name", photographs.NAMES)
def test_addresses_checksums_and_places_are_those_of_torchvisions_classes(name, tmp_path, monkeypatch):
    from torchvision import datasets

    asked = []

    def note(url, *folders, md5=None, **named):
        (folder,) = folders or (named["download_root"],)
        asked.append((url, str(Path(folder, url.rpartition("/")[2])), md5))

    source = photographs.SETS[name]
    module = importlib.import_module(getattr(datasets, source.kind).__module__)
    for function in ("download_and_extract_archive", "download_url"):
        monkeypatch.setattr(module, function, note, raising=False)
    for split in source.counts:
        with pytest.raises((RuntimeError, FileNotFoundError)):
            getattr(datasets, source.kind)(
                str(tmp_path), **source.arguments.get(split, {"split": split}), download=True
            )
    ours = [(archive.url, str(tmp_path / archive.path), archive.md5) for archive in source.archives]
    assert list(dict.fromkeys(asked)) == ours


def test_describing_and_looking_for_files_imports_nothing_heavy_and_reads_no_file(tmp_path):
    code = (
        "import sys; from labrunner.data import photographs, remote\n"
        "for name in photographs.NAMES:\n"
        "    options = {'name': name, 'root': 'data', 'channels': 3, 'size': None}\n"
        "    assert photographs.describe(options).num_classes >= 10 and remote.absent(options)\n"
        "assert not {'torch', 'torchvision', 'scipy', 'PIL'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", photographs.NAMES)
def test_what_is_absent_is_what_has_to_be_unpacked(name, tmp_path, monkeypatch):
    root = tmp_path / "data"
    write(name, root, monkeypatch)
    assert remote.absent(options(name, root)) == []
    served = packed(name, root, monkeypatch)
    assert remote.absent(options(name, root)) == photographs.files(options(name, root))
    for file in photographs.files(options(name, root)):
        file.downloaded.parent.mkdir(parents=True, exist_ok=True)
        file.downloaded.write_bytes(served[file.url])
    assert downloads.missing(photographs.files(options(name, root))) == []


def test_nothing_is_absent_of_a_set_that_is_not_fetched():
    assert remote.absent({"name": "digits"}) == remote.absent({"_target_": "own.Data"}) == []


# downloads


@pytest.mark.parametrize("name", photographs.NAMES)
def test_what_is_missing_is_downloaded_once_and_said(name, tmp_path, monkeypatch, capsys):
    root = tmp_path / "data"
    written = write(name, root, monkeypatch)
    served = packed(name, root, monkeypatch)
    stand_in = network(monkeypatch, served)
    samples = photographs.load(options(name, root))
    assert samples.paths == tuple(each.path for each in written)
    assert set(stand_in.asked) == set(served)
    out, err = capsys.readouterr()
    assert out == ""
    megabytes = sum(archive.megabytes for archive in photographs.SETS[name].archives)
    assert err.startswith(f"dataset={name}: downloading {downloads.size(megabytes)} from http")
    assert "100%" in err  # torchvision's bar
    stand_in.served.clear()
    assert not photographs.fetch(options(name, root))
    assert [path.name for path in root.rglob(".*")] == []


@pytest.mark.parametrize("name", photographs.NAMES)
def test_what_is_unpacked_is_where_torchvision_unpacks_it(name, tmp_path, monkeypatch):
    from torchvision import datasets
    from torchvision.datasets import utils

    write(name, tmp_path / "data", monkeypatch)
    served = packed(name, tmp_path / "data", monkeypatch)
    network(monkeypatch, served)
    photographs.fetch(options(name, tmp_path / "ours"))
    source = photographs.SETS[name]
    kind = getattr(datasets, source.kind)

    def download_url(url, root, *_, md5=None):
        Path(root).mkdir(parents=True, exist_ok=True)
        Path(root, url.rpartition("/")[2]).write_bytes(served[url])

    def download_and_extract_archive(url, download_root, md5=None):
        download_url(url, download_root)
        utils.extract_archive(str(Path(download_root, url.rpartition("/")[2])))

    module = importlib.import_module(kind.__module__)
    for function in (download_url, download_and_extract_archive):
        monkeypatch.setattr(module, function.__name__, function, raising=False)
    for split in source.counts:
        kind(str(tmp_path / "theirs"), **source.arguments.get(split, {"split": split}), download=True)
    trees = [
        {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}
        for root in (tmp_path / "ours", tmp_path / "theirs")
    ]
    trees[1] = {path: data for path, data in trees[1].items() if not path.endswith("Readme.txt")}
    assert trees[0] == trees[1]


@pytest.mark.parametrize("name", photographs.NAMES)
def test_archives_that_lie_there_are_unpacked_without_a_network(name, tmp_path, monkeypatch):
    root = tmp_path / "data"
    written = write(name, root, monkeypatch)
    served = packed(name, root, monkeypatch)
    for archive in photographs.SETS[name].archives:
        (root / archive.path).parent.mkdir(parents=True, exist_ok=True)
        (root / archive.path).write_bytes(served[archive.url])
    asked, said = network(monkeypatch).asked, []
    assert photographs.fetch(options(name, root), said.append)
    assert asked == []
    assert said == [
        f"dataset={name}: unpacking {root / each.path}" for each in photographs.SETS[name].archives if each.holds
    ]
    assert photographs.load(options(name, root)).paths == tuple(each.path for each in written)


@pytest.mark.parametrize("name", photographs.NAMES)
def test_without_a_network_the_error_says_which_file_belongs_where_and_who_can_get_it(name, tmp_path, monkeypatch):
    network(monkeypatch)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RequestError) as caught:
        photographs.load(options(name), say=lambda text: None)
    first, second, third = str(caught.value).split("\n")
    archives = photographs.SETS[name].archives
    folder = Path("data", archives[0].path).parent
    assert first.startswith(f"dataset={name}: data/{archives[0].path} is missing and cannot be downloaded: ")
    assert first.endswith("Temporary failure in name resolution")
    names = ", ".join(Path(archive.path).name for archive in archives)
    assert second.startswith(f"put {names} into {folder}; from {archives[0].url.rpartition('/')[0]}/")
    assert third == f"or, where there is a network: labrunner fetch dataset={name}"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", photographs.NAMES)
def test_half_a_download_is_not_taken_for_a_whole_one(name, tmp_path, monkeypatch):
    root = tmp_path / "data"
    written = write(name, root, monkeypatch)
    served = packed(name, root, monkeypatch)
    network(monkeypatch, {url: data[: len(data) // 2] for url, data in served.items()})
    with pytest.raises(RequestError, match="cannot be downloaded"):
        photographs.load(options(name, root))
    assert not root.exists()
    network(monkeypatch, served)
    assert len(photographs.load(options(name, root)).labels) == len(written)


def test_what_came_whole_before_the_network_broke_is_kept_and_no_more_is_asked_for(tmp_path, monkeypatch):
    root = tmp_path / "data"
    write("gtsrb", root, monkeypatch)
    served = packed("gtsrb", root, monkeypatch)
    first, second, third = photographs.SETS["gtsrb"].archives
    network(monkeypatch, {first.url: served[first.url]})
    with pytest.raises(RequestError) as caught:
        photographs.load(options("gtsrb", root))
    assert f"{root / second.path} is missing" in str(caught.value)
    assert "put GTSRB_Final_Test_Images.zip, GTSRB_Final_Test_GT.zip into" in str(caught.value)
    assert [path.name for path in root.rglob("*") if path.is_file()] == ["GTSRB-Training_fixed.zip"]
    stand_in = network(monkeypatch, served)
    photographs.load(options("gtsrb", root))
    assert set(stand_in.asked) == {second.url, third.url}


def test_an_archive_whose_contents_are_there_is_not_needed(tmp_path, monkeypatch):
    root = tmp_path / "data"
    written = write("oxford_pets", root, monkeypatch)
    images, annotations = photographs.SETS["oxford_pets"].archives
    kept = {path: path.read_bytes() for path in (root / "oxford-iiit-pet/images").iterdir()}
    served = packed("oxford_pets", root, monkeypatch)
    for path, data in kept.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    stand_in = network(monkeypatch, served)
    assert len(photographs.load(options("oxford_pets", root)).labels) == len(written)
    assert set(stand_in.asked) == {annotations.url}
    assert not (root / images.path).exists()


def test_an_archive_that_came_half_is_replaced_or_named_where_there_is_no_network(tmp_path, monkeypatch):
    root = tmp_path / "data"
    write("eurosat", root, monkeypatch)
    (data,) = packed("eurosat", root, monkeypatch).values()
    path = root / "eurosat/EuroSAT.zip"
    path.parent.mkdir(parents=True)
    path.write_bytes(data[:500])
    network(monkeypatch)
    with pytest.raises(RequestError) as caught:
        photographs.load(options("eurosat", root))
    assert str(caught.value).startswith(f"dataset=eurosat: {path} is damaged and cannot be downloaded: ")
    assert path.read_bytes() == data[:500]
    said: list[str] = []
    network(monkeypatch, {photographs.SETS["eurosat"].archives[0].url: data})
    photographs.load(options("eurosat", root), said.append)
    assert said[0].endswith(f"into {path.parent}; {path}, which is damaged, is replaced")
    assert path.read_bytes() == data


def test_an_interrupt_in_a_download_stays_one_and_leaves_nothing(tmp_path, monkeypatch):
    root = tmp_path / "data"
    write("dtd", root, monkeypatch)
    stand_in = network(monkeypatch, packed("dtd", root, monkeypatch))

    class Cut:
        """Answers with a few bytes and is then interrupted."""

        def __init__(self, answer):
            self.answer, self.url, self.length = answer, answer.url, answer.length

        def read(self, size):
            if self.answer.tell():
                raise Interrupted(2)
            return self.answer.read(100)

        def __enter__(self):
            return self

        def __exit__(self, *exception):
            return None

    monkeypatch.setattr("urllib.request.urlopen", lambda request: Cut(stand_in(request)))
    with pytest.raises(Interrupted):
        photographs.load(options("dtd", root))
    assert list(tmp_path.iterdir()) == []


def test_an_interrupt_while_unpacking_leaves_the_archive_and_nothing_half_unpacked(tmp_path, monkeypatch):
    from torchvision.datasets import utils

    root = tmp_path / "data"
    written = write("dtd", root, monkeypatch)
    network(monkeypatch, packed("dtd", root, monkeypatch))
    extract = utils.extract_archive

    def cut(path, folder):
        extract(path, folder)
        next(Path(folder).rglob("*.jpg")).unlink()
        raise Interrupted(2)

    with monkeypatch.context() as patched:
        patched.setattr(utils, "extract_archive", cut)
        with pytest.raises(Interrupted):
            photographs.load(options("dtd", root))
    assert [str(path.relative_to(root)) for path in sorted(root.rglob("*"))] == ["dtd", "dtd/dtd-r1.0.1.tar.gz"]
    asked = network(monkeypatch).asked
    assert len(photographs.load(options("dtd", root)).labels) == len(written)
    assert asked == []


def test_what_a_killed_command_left_is_cleared_away(tmp_path, monkeypatch):
    root = tmp_path / "data"
    write("food101", root, monkeypatch)
    network(monkeypatch, packed("food101", root, monkeypatch))
    for name in (".food101-unpacking-abc", ".food101-downloading-abc", ".flowers102-unpacking-abc"):
        (root / name / "half").mkdir(parents=True)
    photographs.fetch(options("food101", root))
    assert [path.name for path in root.glob(".*")] == [".flowers102-unpacking-abc"]


def test_two_commands_do_not_fetch_the_same_files_at_once(tmp_path, monkeypatch):
    root = tmp_path / "data"
    write("eurosat", root, monkeypatch)
    stand_in = network(monkeypatch, packed("eurosat", root, monkeypatch))
    root.mkdir()
    held = FileLock(root / ".eurosat.lock")
    held.acquire()
    said: list[str] = []
    waits = threading.Event()

    def say(text: str) -> None:
        said.append(text)
        waits.set()

    other = threading.Thread(target=photographs.fetch, args=(options("eurosat", root), say))
    other.start()
    assert waits.wait(60)
    assert said == ["dataset=eurosat: waiting for another process, which fetches the same files"]
    assert stand_in.asked == []
    held.release()
    other.join(60)
    assert not other.is_alive()
    assert photographs.absent(options("eurosat", root)) == []


def test_a_server_may_be_silent_for_a_few_seconds_only_and_the_timeout_of_others_is_put_back(tmp_path, monkeypatch):
    stand_in = network(monkeypatch)
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(77.0)
    try:
        with pytest.raises(RequestError):
            photographs.load(options("dtd", tmp_path))
        assert socket.getdefaulttimeout() == 77.0
    finally:
        socket.setdefaulttimeout(before)
    assert stand_in.timeouts == {servers.PATIENCE}


def test_a_folder_that_cannot_be_made_is_an_error_in_three_lines(tmp_path, monkeypatch):
    network(monkeypatch)
    (tmp_path / "data").write_text("a file")
    for name in photographs.NAMES:
        with pytest.raises(RequestError) as caught:
            photographs.load(options(name, tmp_path / "data"))
        assert str(caught.value).count("\n") == 2 or "cannot write into" in str(caught.value)
        assert str(caught.value).startswith(f"dataset={name}: ")


# damage


@pytest.mark.parametrize("name", photographs.NAMES)
def test_an_image_that_is_gone_is_named_with_the_way_out(name, tmp_path, monkeypatch):
    root = tmp_path / "data"
    written = write(name, root, monkeypatch, each=2)
    asked = network(monkeypatch).asked
    (root / written[0].path).unlink()
    with pytest.raises(RequestError) as caught:
        photographs.fetch(options(name, root))
    first, second = str(caught.value).split("\n")
    if name in ("eurosat", "gtsrb"):  # folders list what they hold
        total = sum(each.split == "train" for each in written)
        assert first.startswith(f"dataset={name}: {total - 1} images")
        assert first.endswith(f", and {total} belong there")
    else:
        assert first == f"dataset={name}: {root / written[0].path} is missing"
    assert second.startswith(f"delete {root}/")
    assert second.endswith(f" and fetch again: labrunner fetch dataset={name} dataset.root={root}")
    assert asked == []


def test_how_many_images_are_gone_is_said(tmp_path, monkeypatch):
    written = write("dtd", tmp_path, monkeypatch)
    for each in written[:3]:
        (tmp_path / each.path).unlink()
    with pytest.raises(RequestError, match=f"{tmp_path / written[0].path} is missing, and 2 more of 141 images"):
        photographs.load(options("dtd", tmp_path))


@pytest.mark.parametrize("file", ["imagelabels.mat", "setid.mat"])
def test_a_damaged_file_of_labels_is_named(file, tmp_path, monkeypatch):
    write("flowers102", tmp_path, monkeypatch)
    path = tmp_path / "flowers-102" / file
    path.write_bytes(path.read_bytes()[:-7])
    with pytest.raises(RequestError, match=f"dataset=flowers102: {path} is damaged\ndelete it and fetch again: "):
        photographs.load(options("flowers102", tmp_path))


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("oxford_pets", "oxford-iiit-pet/annotations/test.txt"),
        ("dtd", "dtd/dtd/labels/val1.txt"),
        ("food101", "food-101/meta/train.json"),
        ("gtsrb", "gtsrb/GT-final_test.csv"),
    ],
)
def test_a_list_that_cannot_be_read_is_an_error_in_two_lines(name, file, tmp_path, monkeypatch):
    write(name, tmp_path, monkeypatch)
    (tmp_path / file).write_text("{ this is none of it / at all\n\n")
    with pytest.raises(RequestError) as caught:
        photographs.load(options(name, tmp_path))
    assert str(caught.value).count("\n") == 1
    assert str(caught.value).startswith(f"dataset={name}: ")
    assert f"labrunner fetch dataset={name}" in str(caught.value)


# other files than those described


def test_folders_of_other_classes_are_refused(tmp_path, monkeypatch):
    write("eurosat", tmp_path, monkeypatch)
    (tmp_path / "eurosat/2750/Forest").rename(tmp_path / "eurosat/2750/Woods")
    with pytest.raises(RequestError, match="the files name a class HerbaceousVegetation where Forest is described\n"):
        photographs.load(options("eurosat", tmp_path))


def test_a_class_too_many_is_refused(tmp_path, monkeypatch):
    write("gtsrb", tmp_path, monkeypatch)
    draw(tmp_path / "gtsrb/GTSRB/Training/00043/00000_00000.ppm")
    with pytest.raises(RequestError, match="the files name 44 classes, described are 43\nthese are not the files"):
        photographs.load(options("gtsrb", tmp_path))


@pytest.mark.parametrize(
    ("number", "said"), [("43", "has a class of number 43; described are 0 to 42"), ("0", "has no image of class ")]
)
def test_labels_that_name_no_class_or_leave_one_out_are_refused(number, said, tmp_path, monkeypatch):
    write("gtsrb", tmp_path, monkeypatch)
    path = tmp_path / "gtsrb/GT-final_test.csv"
    lines = path.read_text().splitlines()
    at = next(at for at, line in enumerate(lines[1:], 1) if not line.endswith(";0"))
    lines[at] = f"{lines[at].rpartition(';')[0]};{number}"
    path.write_text("\n".join(lines) + "\n")
    with pytest.raises(RequestError, match=f"the test split {said}"):
        photographs.load(options("gtsrb", tmp_path))


def test_a_breed_that_is_called_otherwise_in_the_test_split_is_refused(tmp_path, monkeypatch):
    write("oxford_pets", tmp_path, monkeypatch)
    path = tmp_path / "oxford-iiit-pet/annotations/test.txt"
    path.write_text(path.read_text().replace("pug_", "mops_"))
    with pytest.raises(RequestError, match="the files name a class Mops where Pug is described\n"):
        photographs.load(options("oxford_pets", tmp_path))


def test_a_split_of_another_length_is_refused(tmp_path, monkeypatch):
    write("food101", tmp_path, monkeypatch)
    path = tmp_path / "food-101/meta/test.json"
    listed = json.loads(path.read_text())
    listed["pho"] *= 3
    path.write_text(json.dumps(listed))
    with pytest.raises(RequestError, match=r"103 images of the test split are in .*, and 101 belong there\ndelete "):
        photographs.load(options("food101", tmp_path))


# other versions of torchvision


@pytest.mark.parametrize("name", photographs.NAMES)
def test_a_torchvision_that_keeps_its_lists_elsewhere_is_an_error_that_names_the_versions(name, tmp_path, monkeypatch):
    write(name, tmp_path, monkeypatch)
    source = photographs.SETS[name]
    elsewhere = tuple(f"{attribute}_of_tomorrow" for attribute in source.listed)
    monkeypatch.setitem(photographs.SETS, name, dataclasses.replace(source, listed=elsewhere))
    with pytest.raises(RequestError) as caught:
        photographs.load(options(name, tmp_path))
    first, second = str(caught.value).split("\n")
    assert f"{source.kind}.{elsewhere[0]}" in first
    assert second == f"try torchvision {photographs.KNOWN}"


def test_the_versions_that_are_named_begin_with_the_oldest_that_is_installed_with_labrunner():
    wanted = tomllib.loads((HERE / "pyproject.toml").read_text())["project"]["dependencies"]
    (torchvision,) = [each for each in wanted if each.startswith("torchvision")]
    assert torchvision == f"torchvision>={photographs.KNOWN.split()[0]}"
