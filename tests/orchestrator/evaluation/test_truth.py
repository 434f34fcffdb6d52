from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.evaluation.localisation import Box
from orchestrator.evaluation.truth import TruthError, read_boxes, read_labels


def written(tmp_path: Path, text: str, name: str = "file.csv") -> Path:
    path = tmp_path / name
    path.write_text(text, "utf-8")
    return path


def test_labels_are_separated_by_bars_and_other_columns_are_left_alone(tmp_path: Path) -> None:
    path = written(
        tmp_path, "image,labels,view\na.png,Mass|Edema,PA\nb.png,No Finding,AP\nc.png,,AP\n"
    )
    assert read_labels(path) == {
        "a.png": {"Mass", "Edema"},
        "b.png": {"No Finding"},
        "c.png": {"No Finding"},
    }


def test_blank_rows_and_empty_cells_at_the_end_are_nothing(tmp_path: Path) -> None:
    path = written(tmp_path, "image,labels\n,\na.png,Mass,,\n , ,\nb.png,,\n,\n")
    assert read_labels(path) == {"a.png": {"Mass"}, "b.png": {"No Finding"}}


def test_the_data_sets_own_columns_are_read(tmp_path: Path) -> None:
    path = written(tmp_path, "Image Index,Finding Labels,Follow-up #\na.png,Hernia,0\n")
    assert read_labels(path) == {"a.png": {"Hernia"}}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("image,findings\na.png,Mass\n", "Finding Labels"),
        ("image,labels\n", "at least one image"),
        ("image,labels\na.png,Mass\na.png,Edema\n", "line 3"),
        ("image,labels\n\na.png,Mass\n\na.png,Edema\n", "line 5"),
        ("image,labels\na.png,Mass|No Finding\n", "alone"),
        ("image,labels\n\n\na.png,Mass|No Finding\n", "line 4"),
        (
            "image,labels\na.png,Edema\nb.png,Mass,Nodule\n",
            "line 3 .* separate several labels by |",
        ),
        ("image,labels\na.png,Mass\n,Edema\n", "the name of an image in line 3"),
        ("image,labels\n,\n,\n", "at least one image"),
        ("image,findings\na.png\n", "expected a column 'labels'"),
        ("", "expected a column 'image'"),
    ],
)
def test_a_labels_file_that_cannot_be_meant_is_refused(
    text: str, reason: str, tmp_path: Path
) -> None:
    with pytest.raises(TruthError, match=reason):
        read_labels(written(tmp_path, text))


def test_a_row_that_ends_early_is_refused_naming_line_and_column(tmp_path: Path) -> None:
    path = written(tmp_path, "image,view,Finding Labels\na.png,PA,Mass\n\nb.png\n")
    with pytest.raises(TruthError) as caught:
        read_labels(path)
    assert str(caught.value) == (
        f"expected a value in the column 'Finding Labels', got none in line 4 of {path}; "
        "put a comma before an empty value"
    )


def test_a_row_of_boxes_that_ends_early_is_refused_naming_line_and_column(tmp_path: Path) -> None:
    path = written(tmp_path, "label,image,x,y,width,height\nMass,a.png,1,2,3\n")
    with pytest.raises(TruthError, match="in the column 'height', got none in line 2"):
        read_boxes(path)


@pytest.mark.parametrize(
    ("read", "text"),
    [
        (read_labels, 'image,labels\na.png,Edema\n\nb.png,"Mass\nc.png,Nodule\n'),
        (read_labels, 'image,labels\na.png,Edema\n\nb.png,"Mass\nc.png,"Nodule\n'),
        (
            read_boxes,
            'image,label,x,y,width,height\na.png,Mass,1,2,3,4\n\nb.png,"Mass,1,2,3,4\nc.png,Mass,1,2,3,4\n',
        ),
    ],
)
def test_a_quote_that_is_not_closed_is_refused_where_its_row_begins(
    read: Callable[[Path], object], text: str, tmp_path: Path
) -> None:
    with pytest.raises(TruthError, match=r"from line 4 on: .* mend the quotes") as caught:
        read(written(tmp_path, text))
    assert "Nodule" not in str(caught.value)


def test_a_quoted_value_may_hold_commas_and_ends_of_lines(tmp_path: Path) -> None:
    path = written(tmp_path, 'image,note,labels\n"a,1.png","two\nlines, ""quoted""",Mass\n')
    assert read_labels(path) == {"a,1.png": {"Mass"}}


def test_boxes_are_gathered_by_image_and_label(tmp_path: Path) -> None:
    text = "image,label,x,y,width,height\na.png,Mass,1,2,3,4\na.png,Mass,5,6,7,8\na.png,Edema,0,0,1.5,1\n"
    assert read_boxes(written(tmp_path, text)) == {
        "a.png": {"Mass": (Box(1, 2, 3, 4), Box(5, 6, 7, 8)), "Edema": (Box(0, 0, 1.5, 1),)}
    }


def test_the_data_sets_own_boxes_are_read_with_the_label_it_names_otherwise(tmp_path: Path) -> None:
    text = "Image Index,Finding Label,Bbox [x,y,w,h],,,\na.png,Infiltrate,225.08,547.02,86.78,79.19,,,\n"
    assert read_boxes(written(tmp_path, text)) == {
        "a.png": {"Infiltration": (Box(225.08, 547.02, 86.78, 79.19),)}
    }


def test_a_label_of_ones_own_is_named_as_it_is(tmp_path: Path) -> None:
    boxes = {"a.png": {"Infiltrate": (Box(1, 2, 3, 4),)}}
    assert (
        read_boxes(written(tmp_path, "image,label,x,y,width,height\na.png,Infiltrate,1,2,3,4\n"))
        == boxes
    )
    assert (
        read_boxes(written(tmp_path, '{"a.png": {"Infiltrate": [[1, 2, 3, 4]]}}', "boxes.json"))
        == boxes
    )


def test_boxes_in_json_are_the_same(tmp_path: Path) -> None:
    path = written(tmp_path, '{"a.png": {"Mass": [[1, 2, 3, 4]]}}', "boxes.json")
    assert read_boxes(path) == {"a.png": {"Mass": (Box(1, 2, 3, 4),)}}


@pytest.mark.parametrize("row", ["1,2,3", "1,2,3,x", "1,2,0,4", "1,2,3,-4"])
def test_what_is_no_box_is_refused(row: str, tmp_path: Path) -> None:
    with pytest.raises(TruthError, match="expected"):
        read_boxes(written(tmp_path, f"image,label,x,y,width,height\na.png,Mass,{row}\n"))


@pytest.mark.parametrize(
    ("row", "column", "value"),
    [
        ("nan,2,3,4", "x", "nan"),
        ("1,-inf,3,4", "y", "-inf"),
        ("1,2,inf,4", "width", "inf"),
        ("1,2,3,1e999", "height", "inf"),
    ],
)
def test_a_box_without_an_end_is_refused_naming_line_and_column(
    row: str, column: str, value: str, tmp_path: Path
) -> None:
    text = f"image,label,x,y,width,height\na.png,Mass,1,2,3,4\na.png,Edema,{row}\n"
    path = written(tmp_path, text)
    with pytest.raises(TruthError) as caught:
        read_boxes(path)
    assert str(caught.value) == (
        f"expected a finite number as the {column} of Edema of a.png in line 3 of {path}, got {value}"
    )


@pytest.mark.parametrize("number", ["NaN", "Infinity", "1" + "0" * 400])
def test_a_box_without_an_end_is_refused_in_json_as_well(number: str, tmp_path: Path) -> None:
    path = written(tmp_path, f'{{"a.png": {{"Mass": [[1, 2, 3, {number}]]}}}}', "boxes.json")
    with pytest.raises(TruthError, match=r"Mass of a\.png in .*boxes\.json"):
        read_boxes(path)


@pytest.mark.parametrize(
    "text", ["[1]", "{", '{"a": 1}', '{"a": {"b": [1]}}', "[" * 100_000 + "]" * 100_000]
)
def test_json_of_another_form_is_refused(text: str, tmp_path: Path) -> None:
    with pytest.raises(TruthError, match="expected"):
        read_boxes(written(tmp_path, text, "boxes.json"))
