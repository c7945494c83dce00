"""Equal states are equal files; a damaged file is refused and never becomes another state."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import textwrap

import numpy as np
import pytest
from safetensors.numpy import load as load_safetensors
from safetensors.numpy import save

from labrunner import checkpoint
from labrunner.checkpoint import (
    DamagedCheckpoint,
    Position,
    decode,
    encode,
    listed,
    read,
    state_hash,
    superseded,
    tensor_hash,
)

MAKE_STATE = """
import numpy as np
rng = np.random.default_rng(0)
state = {
    "weights/backbone.linear1.weight": rng.normal(size=(7, 5)),
    "weights/backbone.linear1.bias": rng.normal(size=7).astype(np.float32),
    "weights/norm.num_batches_tracked": np.array(12, dtype=np.int64),
    "weights/empty": np.zeros((0, 3), np.float32),
    "weights/pixels": rng.integers(0, 256, size=(2, 3), dtype=np.uint8),
    "weights/flag": np.array([True, False]),
    "optim/backbone.linear1.weight/step": np.array(3.0, dtype=np.float32),
    "optim/backbone.linear1.weight/exp_avg": rng.normal(size=(5, 7)).T,
    "optim/head.weight/momentum_buffer": np.arange(24.0).reshape(2, 3, 4)[:, ::2, 1:],
    "optim/nan": np.array([np.nan, -0.0, np.inf, 5e-324]),
}
"""
MADE: dict = {}
exec(MAKE_STATE, MADE)
STATE: dict[str, np.ndarray] = MADE["state"]
POSITION = Position(7, 12, {"n": 384, "loss": 0.1 + 0.2, "hits": 17}, "c0ffee")


def as_bytes(state) -> dict[str, tuple]:
    return {name: (value.dtype.str, value.shape, value.tobytes()) for name, value in state.items()}


def test_a_state_comes_back_to_the_bit():
    state, position = decode(encode(STATE, POSITION))
    assert as_bytes(state) == as_bytes(STATE)
    assert position == POSITION
    assert position.sums["loss"] == 0.30000000000000004
    assert state["weights/norm.num_batches_tracked"].shape == ()


def test_a_state_of_nothing_comes_back():
    assert decode(encode({}, Position(0))) == ({}, Position(0))


def test_equal_states_are_equal_files_whatever_the_order_of_their_names():
    expected = encode(STATE, POSITION)
    backwards = {name: STATE[name] for name in reversed(STATE)}
    sums = {name: POSITION.sums[name] for name in reversed(POSITION.sums)}
    for _ in range(20):
        assert encode(backwards, Position(7, 12, sums, "c0ffee")) == expected


def test_a_file_does_not_depend_on_the_memory_order_of_its_arrays():
    fortran = {name: np.asfortranarray(value) if value.ndim else value for name, value in STATE.items()}
    assert encode(fortran, POSITION) == encode(STATE, POSITION)


@pytest.mark.parametrize("attempt", range(5))
def test_another_process_writes_the_same_bytes(attempt):
    code = MAKE_STATE + textwrap.dedent(f"""
        import hashlib
        from labrunner.checkpoint import Position, encode
        position = Position(7, 12, {dict(POSITION.sums)!r}, "c0ffee")
        print(hashlib.sha256(encode(state, position)).hexdigest())
    """)
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == hashlib.sha256(encode(STATE, POSITION)).hexdigest()


def test_the_bytes_hold_no_time_and_no_path(tmp_path, monkeypatch):
    before = encode(STATE, POSITION)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("time.time", lambda: 1.0)
    assert encode(STATE, POSITION) == before
    length = int.from_bytes(before[:8], "little")
    metadata = json.loads(json.loads(before[8 : 8 + length])["__metadata__"]["labrunner"])
    assert set(metadata) == {"format", "epoch", "batch", "sums", "config_hash", "sha256"}


def test_the_file_is_plain_safetensors():
    assert as_bytes(load_safetensors(encode(STATE, POSITION))) == as_bytes(STATE)


# hashes


def changed(**arrays: np.ndarray) -> dict[str, np.ndarray]:
    return {"a": np.arange(6.0).reshape(2, 3), "b": np.ones((2, 3)), **arrays}


@pytest.mark.parametrize(
    "other",
    [
        {"a": changed()["b"], "b": changed()["a"]},
        {"a": changed()["a"], "c": changed()["b"]},
        {"a": changed()["a"]},
        changed(c=np.zeros(0)),
        changed(a=np.arange(6.0).reshape(3, 2)),
        changed(a=np.arange(6.0)),
        changed(a=np.arange(6.0).reshape(2, 3).astype(np.float32)),
        changed(b=np.ones((2, 3)).view(np.int64)),
        changed(b=-np.ones((2, 3))),
        changed(a=np.arange(6.0).reshape(2, 3) + np.eye(2, 3) * 1e-15),
        changed(a=np.arange(6.0).reshape(2, 3) * [[-1.0, 1.0, 1.0], [1.0, 1.0, 1.0]]),
    ],
    ids=[
        "names swapped",
        "renamed",
        "one less",
        "one empty more",
        "transposed",
        "flat",
        "type",
        "view",
        "sign",
        "ulp",
        "-0.0",
    ],
)
def test_a_hash_covers_names_types_shapes_and_bytes(other):
    assert state_hash(other) != state_hash(changed())


def test_a_hash_does_not_depend_on_memory_order():
    state = changed()
    assert state_hash({name: np.asfortranarray(state[name]) for name in ("b", "a")}) == state_hash(state)
    assert tensor_hash("a", state["a"][:, ::2]) == tensor_hash("a", state["a"][:, ::2].copy())


def test_scalars_and_single_values_hash_differently():
    assert len({tensor_hash("a", np.zeros(shape)) for shape in ((), (1,), (1, 1), (0,), (0, 1))}) == 5


# damage


GOOD = encode(STATE, POSITION)
HEADER = 8 + int.from_bytes(GOOD[:8], "little")


def refused(content: bytes) -> None:
    with pytest.raises(DamagedCheckpoint):
        decode(content)


def flipped(position: int, bit: int) -> bytes:
    content = bytearray(GOOD)
    content[position] ^= 1 << bit
    return bytes(content)


@pytest.mark.parametrize(
    "length", [0, 1, 7, 8, 9, HEADER // 2, HEADER - 1, HEADER, HEADER + 1, len(GOOD) - 8, len(GOOD) - 1]
)
def test_a_file_that_was_cut_is_refused(length):
    refused(GOOD[:length])


@pytest.mark.parametrize("tail", [b"\0", b"more", GOOD])
def test_a_file_with_something_behind_it_is_refused(tail):
    refused(GOOD + tail)


@pytest.mark.parametrize(("name", "first", "last"), [("header", 0, HEADER), ("tensors", HEADER, len(GOOD))])
def test_a_flipped_bit_is_refused_wherever_it_is(name, first, last):
    rng = np.random.default_rng(0)
    for position, bit in zip(rng.integers(first, last, 500), rng.integers(0, 8, 500), strict=True):
        refused(flipped(position, bit))


def test_a_flipped_bit_in_what_labrunner_wrote_of_the_position_is_refused():
    start = GOOD.index(b"labrunner")
    end = GOOD.index(b"}", start)
    for position in range(start, end):
        for bit in range(8):
            try:
                state, found = decode(flipped(position, bit))
            except DamagedCheckpoint:
                continue
            # the last digit of a float may be written in two ways
            assert (as_bytes(state), found) == (as_bytes(STATE), POSITION)


def test_another_position_in_the_header_is_refused():
    for text, other in (
        (b'\\"epoch\\": 7', b'\\"epoch\\": 8'),
        (b'\\"batch\\": 12', b'\\"batch\\": 13'),
        (b"c0ffee", b"c0ffef"),
    ):
        assert GOOD.count(text) == 1
        refused(GOOD.replace(text, other))


@pytest.mark.parametrize(
    ("first", "last"), [(0, len(GOOD)), (HEADER, len(GOOD)), (0, 8), (8, HEADER), (len(GOOD) - 16, len(GOOD))]
)
def test_a_file_with_zeros_in_it_is_refused(first, last):
    refused(GOOD[:first] + bytes(last - first) + GOOD[last:])


def test_two_tensors_that_change_places_are_refused():
    length = int.from_bytes(GOOD[:8], "little")
    header = json.loads(GOOD[8 : 8 + length])
    one, other = "weights/pixels", "weights/flag"
    header["weights/moved"] = header.pop(one)
    header[one] = header.pop(other)
    header[other] = header.pop("weights/moved")
    text = json.dumps(header).encode()
    refused(len(text).to_bytes(8, "little") + text + GOOD[HEADER:])


def foreign(text: str) -> bytes:
    return save({"a": np.ones(3)}, metadata={"labrunner": text})


@pytest.mark.parametrize(
    "content",
    [
        b"not a checkpoint at all, but longer than eight bytes",
        b"\x02\0\0\0\0\0\0\0{}",
        b"\x02\0\0\0\0\0\0\0[]",
        b"\xff" * 64,
        save({"a": np.ones(3)}),
        save({"a": np.ones(3)}, metadata={"format": "pt"}),
        foreign("{}"),
        foreign("[]"),
        foreign("1"),
        foreign("null"),
        foreign("epoch 7"),
        foreign('{"format": 1}'),
        foreign(json.dumps({"format": 1, "sha256": state_hash({"a": np.ones(3)})})),
    ],
)
def test_what_is_no_checkpoint_is_refused(content):
    refused(content)


def test_another_format_is_refused_by_its_number(monkeypatch):
    monkeypatch.setattr(checkpoint, "FORMAT", 2)
    content = encode(STATE, POSITION)
    monkeypatch.undo()
    with pytest.raises(DamagedCheckpoint, match=r"format is 2, this version reads 1"):
        decode(content)


def test_a_file_that_is_missing_or_a_folder_is_refused(tmp_path):
    with pytest.raises(DamagedCheckpoint, match="cannot be read"):
        read(tmp_path / "00001.safetensors")
    with pytest.raises(DamagedCheckpoint, match="cannot be read"):
        read(tmp_path)
    (tmp_path / "00002.safetensors").touch()
    with pytest.raises(DamagedCheckpoint):
        read(tmp_path / "00002.safetensors")


# files of a folder


def test_names_sort_as_positions_do():
    positions = [Position(e, b) for e in (0, 1, 9, 10, 99_999, 100_000) for b in (0, 1, 12, 999_999, 1_000_000)]
    assert len({position.file_name for position in positions}) == len(positions)
    assert Position(7).file_name == "00007.safetensors"
    assert Position(7, 12).file_name == "00007-000012.safetensors"


def test_listing_goes_from_the_oldest_to_the_newest_and_passes_over_what_is_no_checkpoint(tmp_path):
    positions = [(0, 3), (1, 0), (1, 2), (1, 10), (2, 0), (10, 0), (100_000, 0), (100_000, 1)]
    for epoch, batch in reversed(positions):
        (tmp_path / Position(epoch, batch).file_name).touch()
    for name in (
        ".00003.safetensors.tmp",
        "00003.safetensors.bak",
        "best.safetensors",
        "3.safetensors",
        "00003-5.safetensors",
    ):
        (tmp_path / name).touch()
    found = listed(tmp_path)
    assert [(epoch, batch) for epoch, batch, _ in found] == positions
    assert [path.name for *_, path in found] == [Position(*position).file_name for position in positions]
    assert listed(tmp_path / "nowhere") == []


def test_what_is_superseded_is_all_but_the_latest_and_the_epochs_that_are_kept(tmp_path):
    for epoch, batch in ((1, 0), (2, 0), (3, 0), (3, 5), (4, 0), (4, 7)):
        (tmp_path / Position(epoch, batch).file_name).touch()
    (tmp_path / "notes.txt").touch()

    def going(keep, latest):
        return [path.name for path in superseded(tmp_path, keep, latest)]

    assert going({1, 3}, Position(4, 7)) == ["00002.safetensors", "00003-000005.safetensors", "00004.safetensors"]
    assert going({3, 4}, Position(4)) == [
        "00001.safetensors",
        "00002.safetensors",
        "00003-000005.safetensors",
        "00004-000007.safetensors",
    ]
    assert "00004.safetensors" not in going(set(), Position(4))
    assert len(list(tmp_path.iterdir())) == 7, "nothing is removed by asking"
