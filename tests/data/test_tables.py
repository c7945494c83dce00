"""A table of the user's own: what becomes of its columns, and what is refused, by row and column."""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_iris
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from labrunner.data import describe, load, tables
from labrunner.data.splits import Normalization
from labrunner.errors import RequestError
from tests.data.settings import CSV

PETS = "age,kind,tame,weight,owner\n1,cat,True,3.5,ann\n2,dog,False,20,bob\n3,cat,True,4.25,ann\n4,ant,False,0,bob\n"


@pytest.fixture
def table(tmp_path):
    """A function text, keys -> the composed group of a CSV with that text."""

    def write(text: str | bytes, **keys) -> dict:
        file = tmp_path / "table.csv"
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
        return {**CSV, "path": str(file), **keys}

    return write


def refused(options: dict, words: str) -> str:
    with pytest.raises(RequestError, match=words) as caught:
        describe(options)
    message = str(caught.value)
    assert 1 <= len(message.splitlines()) <= 3
    assert all(line.isprintable() for line in message.split("\n")), message
    assert len(message) < 1000
    assert "try" in message or "did you mean" in message or "it takes" in message or "start from" in message, message
    return message


# what becomes of the columns


def test_numbers_stay_and_text_becomes_a_column_for_each_value(table):
    samples = load(table(PETS))
    names = ("age", "kind=ant", "kind=cat", "kind=dog", "tame=False", "tame=True", "weight")
    assert samples.description.feature_names == names
    assert samples.inputs.tolist() == [
        [1, 0, 1, 0, 0, 1, 3.5],
        [2, 0, 0, 1, 1, 0, 20],
        [3, 0, 1, 0, 0, 1, 4.25],
        [4, 1, 0, 0, 1, 0, 0],
    ]
    assert samples.inputs.dtype == np.float32
    assert samples.description.class_names == ("ann", "bob")
    assert samples.labels.tolist() == [0, 1, 0, 1]
    assert describe(table(PETS)) == samples.description


def test_one_column_for_each_value_is_scikit_learns_one_hot_encoding(table):
    words = np.random.default_rng(0).choice(["red", "green", "blue", "Grün"], size=(60, 2))
    text = "\n".join(["a,b,y", *(f"{a},{b},{k % 2}" for k, (a, b) in enumerate(words))])
    samples, encoder = load(table(text)), OneHotEncoder(sparse_output=False)
    np.testing.assert_array_equal(samples.inputs, encoder.fit_transform(words))
    expected = [name.replace("_", "=", 1) for name in encoder.get_feature_names_out(["a", "b"])]
    assert list(samples.description.feature_names) == expected


def test_iris_from_a_file_is_iris(table):
    iris = load_iris()
    rows = [",".join([*map(str, x), iris.target_names[y]]) for x, y in zip(iris.data, iris.target, strict=True)]
    samples = load(table("\n".join([",".join([*iris.feature_names, "species"]), *rows])))
    np.testing.assert_array_equal(samples.inputs, iris.data.astype(np.float32))
    np.testing.assert_array_equal(samples.labels, iris.target)
    assert samples.description.class_names == tuple(iris.target_names)


def test_label_and_features_choose_columns_in_the_order_given(table):
    samples = load(table(PETS, label="tame", features=["weight", "age"]))
    assert samples.description.feature_names == ("weight", "age")
    assert samples.inputs[1].tolist() == [20.0, 2.0]
    assert samples.description.class_names == ("False", "True")


def test_columns_may_be_named_by_numbers(table):
    samples = load(table("0,1,2\n5,1,7\n6,1,8\n7,0,9\n8,0,9\n", label=1, features=[2]))
    assert samples.inputs[:, 0].tolist() == [7, 8, 9, 9]
    assert samples.labels.tolist() == [1, 1, 0, 0]


@pytest.mark.parametrize(
    ("labels", "names"),
    [
        (["10", "9", "10", "9"], ("9", "10")),
        (["1.0", "2.0", "1.0", "-3"], ("-3", "1", "2")),
        (["0.5", "0.25", "0.5", "0.25"], ("0.25", "0.5")),
        (["b", "10", "9", "b"], ("10", "9", "b")),
        (["True", "False", "True", "True"], ("False", "True")),
        (["true", "FALSE", "True", "true"], ("False", "True")),
        (["yes", " no", "yes", "yes"], ("no", "yes")),
    ],
)
def test_classes_are_sorted_numbers_by_size(table, labels, names):
    labels = labels * 2
    samples = load(table("\n".join(["x,y", *(f"{k},{label}" for k, label in enumerate(labels))])))
    assert samples.description.class_names == names
    found = [samples.description.class_names[k] for k in samples.labels]
    assert [str(float(name)) if name[-1].isdigit() else name.lower() for name in found] == [
        str(float(label)) if label[-1].isdigit() else label.strip().lower() for label in labels
    ]


def test_classes_can_be_chosen_by_text_or_number(table):
    options = table("x,y\n1,5\n2,7\n3,5\n4,6\n5,7\n6,6\n", classes=[7, "5"])
    assert describe(options).class_names == ("7", "5")
    assert load(options).inputs[:, 0].tolist() == [1, 2, 3, 5]


def test_quotes_a_mark_in_front_and_lines_of_windows_are_read(table):
    samples = load(table(b'\xef\xbb\xbf"a, b",c\r\n"1",x\r\n2,"y\r\nz"\r\n\r\n3,x\r\n4,x'))
    assert samples.description.feature_names == ("a, b",)
    assert samples.inputs[:, 0].tolist() == [1, 2, 3, 4]
    assert samples.description.class_names == ("x", "y\r\nz")


def test_a_path_starts_from_the_current_folder(table, tmp_path, monkeypatch):
    table(PETS)
    monkeypatch.chdir(tmp_path)
    assert load({**CSV, "path": "table.csv"}).description.num_classes == 2


def test_a_file_is_read_once_until_it_changes(table, monkeypatch):
    tables._read.cache_clear()
    read: list[str] = []
    whole = tables._text
    monkeypatch.setattr(tables, "_text", lambda file, path: read.append(file) or whole(file, path))
    options = table(PETS)
    assert describe(options) == load(options).description
    assert len(read) == 1
    table(PETS.replace("ann", "anna"))
    assert load(options).description.class_names == ("anna", "bob")
    assert len(read) == 2


@pytest.mark.parametrize(("first", "step"), [(1_700_000_000, 1), (1.7e9, 130), (-4e12, 0.5), (2**53 - 400, 1)])
@pytest.mark.parametrize("n", [2, 200])
def test_large_numbers_close_together_stay_apart_when_they_are_standardized(table, first, step, n):
    numbers = np.tile(first + step * np.arange(n), 2)  # exact in float64
    rows = [f"{float(value)!r},{k // n}" for k, value in enumerate(numbers)]
    samples = load(table("\n".join(["t,y", *rows])))
    normalization = Normalization.of("standard", samples.inputs, samples.description)
    scale, shift = (values.astype(np.float32) for values in (normalization.scale, normalization.shift))
    expected = StandardScaler().fit_transform((numbers - first)[:, None])
    np.testing.assert_allclose(samples.inputs * scale + shift, expected, atol=1e-5)


def test_a_column_that_changes_at_a_large_number_and_at_zero_keeps_its_values_apart(table):
    numbers = [0, *range(1_700_000_000, 1_700_000_099)]
    samples = load(table("\n".join(["t,y", *(f"{value},{k % 2}" for k, value in enumerate(numbers))])))
    assert len(np.unique(samples.inputs)) == 100


@pytest.mark.parametrize("numbers", [[5.25, 1e6, -3e-7, 0.1] * 2, [16777217] * 8, [2024, 2025, 2023, 2024] * 2])
def test_numbers_that_float32_tells_apart_stay_as_they_are(table, numbers):
    samples = load(table("\n".join(["t,y", *(f"{value!r},{k % 2}" for k, value in enumerate(numbers))])))
    assert samples.inputs[:, 0].tolist() == np.array(numbers, dtype=np.float32).tolist()


def test_many_random_numbers_of_seventeen_digits_stay_as_they_are(table):
    numbers = np.random.default_rng(0).uniform(size=30_000)
    assert len(np.unique(numbers.astype(np.float32))) < len(np.unique(numbers))  # some agree by chance
    samples = load(table("\n".join(["t,y", *(f"{value!r},{k % 2}" for k, value in enumerate(numbers.tolist()))])))
    np.testing.assert_array_equal(samples.inputs[:, 0], numbers.astype(np.float32))


@pytest.mark.parametrize("letter", ["e\N{COMBINING ACUTE ACCENT}", "\N{LATIN SMALL LETTER E WITH ACUTE}"])
def test_spaces_around_and_the_way_an_accent_is_written_make_no_other_name_or_value(table, letter):
    text = f'a , caf{letter} ,y\n1,p ,x\n2, p, x \n3,\tq\u00a0,"z "\n4,q,caf{letter}\n5,q,café \n6,q,z\n'
    samples = load(table(text, features=["a", "caf\N{LATIN SMALL LETTER E WITH ACUTE}"]))
    assert samples.description.feature_names == ("a", "café=p", "café=q")
    assert samples.description.class_names == ("café", "x", "z")
    assert samples.labels.tolist() == [1, 1, 2, 0, 0, 2]
    assert load(table(text, features=["caf" + letter])).description.feature_names == ("café=p", "café=q")


HOSTILE = [
    "<b>&amp;</b>",
    "=cmd|' /C calc'!A0",
    "two\nlines",
    "\x1b[31mred\x1b[0m",
    "\u202egnp.exe",
    "$\\frac{1}{",
    "," * 90,
]


def test_names_of_any_characters_pass_as_they_are(table):
    quoted = ['"' + name.replace('"', '""') + '"' for name in HOSTILE]
    rows = [f"{k}," * len(HOSTILE) + f"{word},{word}" for k, word in enumerate(quoted * 2)]
    samples = load(table("\n".join([",".join([*quoted, "text", "y"]), *rows])))
    assert samples.description.class_names == tuple(sorted(HOSTILE))
    values = tuple(f"text={name}" for name in sorted(HOSTILE))
    assert samples.description.feature_names == (*HOSTILE, *values)


def test_numbers_in_quotes_and_digits_of_other_scripts_are_numbers(table):
    samples = load(table('a,b,c,y\n"1",١٢,+.5,x\n" 2 ",٣,1.,x\n-3e0,٤,1E-1,z\n4,5,0,z\n'))
    np.testing.assert_array_equal(
        samples.inputs, np.array([[1, 12, 0.5], [2, 3, 1], [-3, 4, 0.1], [4, 5, 0]], dtype=np.float32)
    )


# what is refused


def test_a_path_that_is_no_file_is_refused(tmp_path):
    refused({**CSV, "path": str(tmp_path / "nowhere.csv")}, r"nowhere\.csv: there is no such file.*current folder")
    refused({**CSV, "path": str(tmp_path)}, "is a folder")


@pytest.mark.parametrize("path", ["~nobody/x.csv", "x" * 300, "a\0b", "a\x1b[31m\nb", "\udcff", "a.csv/b"])
def test_a_path_that_names_nothing_is_refused_in_one_line(path):
    for options in ({**CSV, "path": path}, {**CSV, "path": path, "label": "y"}):
        assert len(refused(options, "there is no such file").splitlines()) == 1


def test_pipes_and_devices_are_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/zero")):
        assert len(refused({**CSV, "path": str(path)}, "is no file").splitlines()) == 1


def test_a_file_is_found_from_the_home_folder(tmp_path, monkeypatch):
    (tmp_path / "table.csv").write_text(PETS)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert tables.file("~/table.csv") == tmp_path / "table.csv"
    assert tables.stamp("~/table.csv") == tables.stamp(str(tmp_path / "table.csv"))


def test_a_file_that_may_not_be_read_is_refused(table, monkeypatch):
    options = table(PETS)

    def denied(self: Path) -> bytes:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", denied)
    tables._read.cache_clear()
    refused(options, "cannot be read: Permission denied; try")


@pytest.mark.parametrize("text", ["", "\n", "\n\n"])
def test_an_empty_file_is_refused(table, text):
    refused(table(text), "is empty")


def test_a_file_of_names_alone_is_refused(table):
    refused(table("a,b\n"), "2 columns and no rows")


def test_a_file_that_is_not_utf8_is_refused_by_line(table):
    refused(table("a,b\n1,x\n2,é\n".encode("latin-1")), r"not UTF-8 text \(line 3\)")


@pytest.mark.parametrize(("mark", "word"), [(";", "semicolons"), ("\t", "tabs")])
def test_another_mark_between_the_fields_is_named(table, mark, word):
    refused(table(PETS.replace(",", mark)), rf"one column.*{word}.*commas")
    refused(table(f'a{mark}b\n"3,5"{mark}"x"\n'), word)


def test_a_single_column_is_refused(table):
    refused(table("a\n1\n2\n"), "one column")


@pytest.mark.parametrize("text", ["password\n1\n", "password;b\n", "x,y\nthe password,is,1\n", 'a,b\n"pass"word,1\n'])
def test_what_stands_in_a_file_that_is_no_table_is_not_told(table, text):
    assert "pass" not in refused(table(text, label="z"), r"one column|no table|no CSV")


def test_columns_of_one_name_are_refused(table):
    refused(table("a,b,a,y\n1,2,3,x\n1,2,3,z\n1,2,3,z\n"), "several columns a")


def test_a_first_line_of_numbers_is_no_names(table):
    refused(table("5.1,3.5,setosa\n4.9,3,setosa\n6,3,virginica\n"), r"number 5\.1 in its first line")


def test_a_column_without_a_name_is_not_learned_from(table):
    text = ",a,y\n0,5,x\n1,6,x\n2,7,z\n3,8,z\n"
    refused(table(text), "column 1 has no name")
    assert load(table(text, features=["a"])).inputs[:, 0].tolist() == [5, 6, 7, 8]


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"label": "ownr"}, "dataset.label: .* no column ownr\ndid you mean owner"),
        ({"features": ["age", "wait"]}, "dataset.features: .* no column wait\ndid you mean weight"),
        ({"features": ["age", "age"]}, "age twice"),
        ({"features": ["age", "owner"]}, "owner, which is the label"),
        ({"label": "age", "features": ["weight", "age"]}, "age, which is the label"),
    ],
)
def test_columns_that_cannot_be_chosen_are_refused(table, keys, words):
    refused(table(PETS, **keys), words)


def test_missing_values_are_named_by_row_line_and_column(table):
    text = "a,b,c,y\n1,2,p,x\n,2,q,x\n3,,p,\n4,5,NA,z\n"
    message = refused(table(text), "has 4 missing values")
    places = "row 2 (line 3) in a, row 3 (line 4) in b, row 3 (line 4) in y, row 4 (line 5) in c"
    assert places in message


def test_of_many_missing_values_the_first_five_are_named(table):
    message = refused(table("a,y\n" + ",x\n1,z\n" * 40), "has 40 missing values")
    assert message.count("row ") == 5
    assert "row 9 (line 10) in a, …" in message


def test_lines_are_counted_through_empty_ones_and_fields_that_run_over_several(table):
    message = refused(table('a,b,y\n\n1,"p\nq",x\n\n,p,x\n2,p,z\n'), "has 1 missing value:")
    assert "row 2 (line 6) in a" in message


def test_lines_of_nothing_but_spaces_are_no_rows(table):
    assert "row 2 (line 5) in a" in refused(table("  \na,b,y\n   \n1,2,x\n,3,x\n3,4,z\n"), "has 1 missing value:")


def test_missing_values_of_columns_that_are_not_used_do_not_matter(table):
    assert len(load(table("a,b,y\n1,,x\n2,,x\n3,,z\n4,,z\n", features=["a"])).labels) == 4


@pytest.mark.parametrize("value", ["inf", "-inf", "1e39"])
def test_values_that_float32_does_not_hold_are_refused(table, value):
    message = refused(table(f"a,b,y\n1,2,x\n2,{value},x\n3,4,z\n4,5,z\n"), "1 value beyond float32")
    assert "row 2 (line 3) in b" in message


def test_an_infinite_label_is_refused(table):
    refused(table("a,y\n1,inf\n2,1\n3,1\n4,inf\n"), "y is infinite")


def test_a_single_class_is_refused(table):
    refused(table("a,y\n1,x\n2,x\n"), "all rows .* say x")


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        (["1.5", "2.5", "3.5", "4.5"], "4 different values in 4 rows.*regression"),
        (["7", "2", "3", "4"], "regression"),
        (["p", "q", "r", "s"], "a name of the row"),
        (["1.5", "2.5", "3.5", "4.5", "4.5", "4.5"], "regression"),
    ],
)
def test_a_label_that_hardly_repeats_is_refused(table, labels, words):
    refused(table("\n".join(["a,y", *(f"0,{label}" for label in labels)])), words)


def test_text_that_differs_in_every_row_is_no_feature(table):
    text = "name,age,y\nann,1,x\nbob,2,x\ncat,3,z\ndan,4,z\n"
    refused(table(text), r"column name .*dataset\.features=\[age\]")
    assert load(table(text, features=["age"])).description.feature_names == ("age",)


@pytest.mark.parametrize("text", ["a,y\n1,x\n2,x,3\n3,z\n", "a,y\n1,2,x\n2,3,x\n3,4,z\n", "a,b,y\n1,2,x\n2,3\n"])
def test_rows_with_more_or_fewer_fields_than_names_are_refused_by_line(table, text):
    refused(table(text), r"row [12] \(line [23]\) has . fields?")


# numbers with something else among them


def test_a_question_mark_is_a_missing_value(table):
    text = PETS.replace("2,dog", "?,dog").replace("ann", " ? ")
    places = r"row 1 \(line 2\) in owner, row 2 \(line 3\) in age, row 3 \(line 4\) in owner\n"
    refused(table(text, features=["age"]), f"3 missing values: {places}")
    assert load(table(text, label="tame", features=["weight"])).labels.tolist() == [1, 0, 1, 0]


def test_text_among_numbers_is_named_by_row_line_and_value(table):
    values = [*map(str, range(20)), "12a", "unknown", "20"]
    text = "\n".join(["a,y", "", *(f"{value},{k % 2}" for k, value in enumerate(values))])
    message = refused(table(text), r"column a has 21 numbers and 2 values that are no plain numbers")
    assert "row 21 (line 23) says '12a', row 22 (line 24) says 'unknown'\n" in message


def test_a_column_of_mostly_text_may_hold_a_number(table):
    samples = load(table("a,y\n" + "one,x\ntwo,x\n3,z\n" * 4))
    assert samples.description.feature_names == ("a=3", "a=one", "a=two")


@pytest.mark.parametrize("word", ['"3,5"', "50%", "3.5 %", "\N{MINUS SIGN}3", '"1,234.5"'])
@pytest.mark.parametrize("others", ["1", '"2,5"'])
def test_decimal_commas_and_percent_signs_are_refused_with_what_to_write(table, word, others):
    text = "a,y\n" + f"{others},x\n{word},z\n" * 3
    message = refused(table(text), r"column a has (3 numbers and 3|6) values that are no plain numbers")
    assert f"row 2 (line 3) says '{word.strip(chr(34))}'" in message
    assert "as 3.5, without commas" in message.splitlines()[-1]


# how much is too much


def test_text_of_which_most_rows_have_their_own_is_no_feature(table):
    def text(distinct: int, rows: int) -> str:
        return "\n".join(["a,b,y", *(f"{k},t{k % distinct},{k % 2}" for k in range(rows))])

    assert load(table(text(20, 39))).description.shape == (21,)
    assert load(table(text(21, 42))).description.shape == (22,)
    refused(table(text(21, 41)), r"column b .*21 .*41 rows.*dataset\.features=\[a\]")


def test_the_way_out_of_a_text_alone_does_not_name_what_is_not_there(table):
    message = refused(table("name,y\nann,x\nbob,x\ncat,z\ndan,z\n"), "column name")
    assert "dataset.features" not in message


@pytest.mark.parametrize("values", [[str(k % 26) for k in range(50)], [f"t{k % 26}" for k in range(50)]])
def test_classes_of_fewer_than_two_rows_each_are_refused(table, values):
    refused(table("\n".join(["a,y", *(f"0,{value}" for value in values)])), "26 different values in 50 rows")


def test_two_classes_need_a_row_more_than_there_are_classes(table):
    assert load(table("a,y\n1,x\n2,z\n3,x\n")).labels.tolist() == [0, 1, 0]
    refused(table("a,y\n1,x\n2,z\n"), "2 different values in 2 rows")


def test_more_than_a_thousand_classes_are_refused(table):
    def text(classes: int) -> str:
        return "\n".join(["a,y", *(f"{k},{k % classes}" for k in range(2002))])

    assert describe(table(text(1000))).num_classes == 1000
    refused(table(text(1001)), "1,001 classes.*1,000")


def test_more_than_ten_thousand_features_are_refused(table):
    def numbers(count: int) -> str:
        row = ",".join(["1"] * count)
        return ",".join([*(f"f{k}" for k in range(count)), "y"]) + f"\n{row},0\n{row},1" * 2

    assert describe(table(numbers(10_000))).shape == (10_000,)
    refused(table(numbers(10_001)), "10,000")
    text = "\n".join(["a,b,y", *(f"a{k % 5001},b{k % 5001},{k % 2}" for k in range(10_002))])
    refused(table(text), "column b.*10,000")


def test_numbers_that_float32_cannot_tell_apart_are_refused_by_column(table):
    for numbers in ([*range(100), *range(10**12, 10**12 + 100)], [10**18 + k for k in range(100)]):
        rows = [f"0,{number},{k % 2}" for k, number in enumerate(numbers)]
        refused(table("\n".join(["a,b,y", *rows])), "column b")


# odd lines, and names in messages


def test_a_line_of_an_empty_pair_of_quotes_is_no_row(table):
    assert "row 2 (line 6) in a" in refused(table('""\na,b,y\n""\n1,2,x\n" "\n,3,x\n3,4,z\n'), "has 1 missing value:")
    assert len(load(table('a,y\n1,x\n""\n2,x\n3,z\n4,z\n')).labels) == 4


def test_a_line_of_commas_is_a_row_of_missing_values(table):
    refused(table("a,b,y\n1,2,x\n,,\n"), r"3 missing values: row 2 \(line 3\) in a")


def test_a_quote_that_is_not_closed_is_refused(table):
    refused(table('a,y\n1,x\n2,"x\n3,z\n4,z\n'), "no CSV.*quote")


@pytest.mark.parametrize("name", [*HOSTILE, "x" * 5000, "\x1b" * 60, "é\u2028\x85" * 20])
@pytest.mark.parametrize(
    ("text", "keys"),
    [
        ("N,b,y\n,1,x\n2,2,z\n", {}),
        ("N,b,y\n1e39,1,x\n2,2,z\n", {}),
        ("N,b,y\n1,1,x\n2,2,x\n3,N,z\n4,3,z\n", {}),
        ("N,b,y\np,1,x\nq,2,z\n", {}),
        ("N,b,y\n1,1,x\n2,2,z\n", {"label": "M"}),
        ("N,b,y\n1,1,x\n2,2,z\n", {"features": ["M"]}),
        ("N,b,y\n1,1,x\n2,2,z\n", {"features": ["N", "N"]}),
        ("N,b,y\n1,1,x\n2,2,z\n", {"features": ["N"], "label": "N"}),
        ("N,N,y\n1,1,x\n2,2,z\n", {}),
        ("b,y\n1,N\n2,N\n", {}),
        ("b,N\n1,1\n2,2\n", {}),
        ("b,N\n1,inf\n2,inf\n", {}),
    ],
)
def test_a_name_from_outside_is_cut_to_one_line_of_a_message(table, text, keys, name):
    name = unicodedata.normalize("NFC", name)
    quoted = '"' + name.replace('"', '""') + '"'
    keys = {
        key: [n.replace("N", name).replace("M", name + "s") for n in value]
        if key == "features"
        else value.replace("N", name).replace("M", name + "s")
        for key, value in keys.items()
    }
    message = refused(table(text.replace("N", quoted), **keys), "dataset")
    assert name not in message or len(name) <= 40
