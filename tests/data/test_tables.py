"""A table of the user's own: what becomes of its columns, and what is refused, by row and column."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.datasets import load_iris
from sklearn.preprocessing import OneHotEncoder

from labrunner.data import describe, load, tables
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
    samples = load(table("0,1,2\n5,1,7\n6,1,8\n7,0,9\n", label=1, features=[2]))
    assert samples.inputs[:, 0].tolist() == [7, 8, 9]
    assert samples.labels.tolist() == [1, 1, 0]


@pytest.mark.parametrize(
    ("labels", "names"),
    [
        (["10", "9", "10", "9"], ("9", "10")),
        (["1.0", "2.0", "1.0", "-3"], ("-3", "1", "2")),
        (["0.5", "0.25", "0.5", "0.25"], ("0.25", "0.5")),
        (["b", "10", "9", "b"], ("10", "9", "b")),
        (["True", "False", "True", "True"], ("False", "True")),
        (["yes", " no", "yes", "yes"], ("no", "yes")),
    ],
)
def test_classes_are_sorted_numbers_by_size(table, labels, names):
    samples = load(table("\n".join(["x,y", *(f"{k},{label}" for k, label in enumerate(labels))])))
    assert samples.description.class_names == names
    found = [samples.description.class_names[k] for k in samples.labels]
    assert [str(float(name)) if name[-1].isdigit() else name for name in found] == [
        str(float(label)) if label[-1].isdigit() else label.strip() for label in labels
    ]


def test_classes_can_be_chosen_by_text_or_number(table):
    options = table("x,y\n1,5\n2,7\n3,5\n4,6\n5,7\n", classes=[7, "5"])
    assert describe(options).class_names == ("7", "5")
    assert load(options).inputs[:, 0].tolist() == [1, 2, 3, 5]


def test_quotes_a_mark_in_front_and_lines_of_windows_are_read(table):
    samples = load(table(b'\xef\xbb\xbf"a, b",c\r\n"1",x\r\n2,"y\r\nz"\r\n\r\n3,x\r\n'))
    assert samples.description.feature_names == ("a, b",)
    assert samples.inputs[:, 0].tolist() == [1, 2, 3]
    assert samples.description.num_classes == 2


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


# what is refused


def test_a_path_that_is_no_file_is_refused(tmp_path):
    refused({**CSV, "path": str(tmp_path / "nowhere.csv")}, r"nowhere\.csv: there is no such file.*current folder")
    refused({**CSV, "path": str(tmp_path)}, "is a folder")


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


def test_a_single_column_is_refused(table):
    refused(table("a\n1\n2\n"), "one column, 'a'")


def test_columns_of_one_name_are_refused(table):
    refused(table("a,b,a,y\n1,2,3,x\n1,2,3,z\n1,2,3,z\n"), "several columns 'a'")


def test_a_first_line_of_numbers_is_no_names(table):
    refused(table("5.1,3.5,setosa\n4.9,3,setosa\n6,3,virginica\n"), r"number 5\.1 in its first line")


def test_a_column_without_a_name_is_not_learned_from(table):
    text = ",a,y\n0,5,x\n1,6,x\n2,7,z\n"
    refused(table(text), "column 1 has no name")
    assert load(table(text, features=["a"])).inputs[:, 0].tolist() == [5, 6, 7]


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
    assert len(load(table("a,b,y\n1,,x\n2,,x\n3,,z\n", features=["a"])).labels) == 3


@pytest.mark.parametrize("value", ["inf", "-inf", "1e39"])
def test_values_that_float32_does_not_hold_are_refused(table, value):
    message = refused(table(f"a,b,y\n1,2,x\n2,{value},x\n3,4,z\n"), "1 value beyond float32")
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
    refused(table("name,age,y\nann,1,x\nbob,2,x\ncat,3,z\n"), r"column name .*dataset\.features=\[age\]")


@pytest.mark.parametrize("text", ["a,y\n1,x\n2,x,3\n3,z\n", "a,y\n1,2,x\n2,3,x\n3,4,z\n"])
def test_rows_with_more_fields_than_names_are_refused(table, text):
    refused(table(text), "fields")
