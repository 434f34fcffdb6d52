"""The two commands, against a stand-in of the service."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from orchestrator.errors import ModelContractError
from orchestrator.evaluation.calibrate import calibrate
from orchestrator.evaluation.evaluate import evaluate
from orchestrator.evaluation.gathering import Answers, known_labels
from orchestrator.thresholds import read_thresholds
from tests.orchestrator.evaluation.service import DIGEST, Service, running, write_image
from tests.support.cards import card

# Probabilities of Mass, highest first: + - + -, so three of four pairs are in order.
CASES = {
    "a.png": (0.8, True),
    "sub/b.png": (0.6, False),
    "c.png": (0.4, True),
    "d.png": (0.2, False),
}
BOX = "20,10,10,10"  # the cell of row 1, column 2


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder of four images with labels and boxes; one map points at its box, one does not."""
    images = tmp_path / "images"
    for name, (probability, _) in CASES.items():
        write_image(images / name, probability, row=1, column=2 if name == "a.png" else 0)
    lines = [
        f"{Path(name).name},{'Mass' if mass else 'No Finding'}" for name, (_, mass) in CASES.items()
    ]
    (tmp_path / "labels.csv").write_text(
        "\n".join(["image,labels", *lines, "absent.png,Gout"]) + "\n"
    )
    (tmp_path / "boxes.csv").write_text(
        f"image,label,x,y,width,height\na.png,Mass,{BOX}\nc.png,Mass,{BOX}\n"
    )
    return tmp_path


def run(command: Any, folder: Path, service: Service, *more: str) -> Result:
    arguments = [
        str(folder / "images"),
        "--labels",
        str(folder / "labels.csv"),
        "--server",
        service.url,
    ]
    return CliRunner().invoke(command, [*arguments, *more])


def test_evaluate_writes_a_table_json_and_a_picture(folder: Path) -> None:
    output = folder / "out"
    with running() as service:
        done = run(
            evaluate, folder, service, "--boxes", str(folder / "boxes.csv"), "--output", str(output)
        )
    assert done.exit_code == 0, done.output
    assert "4 of the 5 images" in done.stderr
    found = json.loads((output / "evaluation.json").read_text())
    mass = found["labels"]["Mass"]
    assert (mass["positives"], mass["negatives"], mass["auroc"]) == (2, 2, 0.75)
    assert (mass["sensitivity"], mass["specificity"]) == (0.5, 0.5)
    # gaps by bin of a fifteenth: .2, .6, .6 and .2, each a quarter
    assert mass["calibration_error"] == pytest.approx((0.2 + 0.6 + 0.6 + 0.2) / 4)
    assert mass["boxes"] == 2
    assert mass["pointing"]["within"] == 0.5
    assert mass["pointing"]["within_chance"] == 1 / 16
    assert found["summary"]["focal_within"] == 0.5
    assert found["labels"]["No Finding"]["auroc"] == 0.75
    assert found["labels"]["No Finding"]["pointing"] is None
    assert found["not_in_labels"] == ["Fracture"]
    assert found["not_in_model"] == ["Gout"]
    assert found["model"]["card_digest"] == DIGEST
    assert done.stdout.startswith("label ")
    assert "Analysing" in done.stderr
    assert "0.750" in done.stdout
    assert (output / "evaluation.txt").read_text().strip() in done.stdout
    with Image.open(output / "evaluation.png") as picture:
        assert picture.width > picture.height > 50


def test_evaluate_writes_thresholds_as_they_are_served(folder: Path) -> None:
    with running(0, {"threshold": 3.4e-7}) as service:
        done = run(evaluate, folder, service, "--output", str(folder / "out"))
    assert done.exit_code == 0, done.output
    found = json.loads((folder / "out" / "evaluation.json").read_text())
    assert found["labels"]["Mass"]["threshold"] == 3.4e-7


def test_maps_are_asked_for_only_where_there_is_a_box(folder: Path) -> None:
    with running() as service:
        run(
            evaluate,
            folder,
            service,
            "--boxes",
            str(folder / "boxes.csv"),
            "--output",
            str(folder / "o"),
        )
        assert sum(b'"maps"' in body for body in service.bodies) == 2
        assert all(b'"heatmaps"' in body and b"none" in body for body in service.bodies)
        assert not any(b"a.png" in body for body in service.bodies), (
            "file names often are patients' names"
        )


def test_an_image_without_an_answer_is_named_and_the_rest_is_measured(folder: Path) -> None:
    write_image(folder / "images" / "d.png", 0.2, broken=True)
    with running() as service:
        done = run(evaluate, folder, service, "--output", str(folder / "out"))
    assert done.exit_code == 1
    assert "d.png: status 400: expected an image" in done.stderr
    found = json.loads((folder / "out" / "evaluation.json").read_text())
    assert found["images"] == 3
    assert list(found["failures"]) == ["d.png"]


def test_a_file_that_goes_meanwhile_is_named_and_the_rest_is_measured(folder: Path) -> None:
    with running() as service:
        service.vanishes = folder / "images" / "d.png"
        done = run(evaluate, folder, service, "--output", str(folder / "out"), "--jobs", "1")
    assert done.exit_code == 1
    assert "d.png: expected a file that can be read: No such file" in done.stderr
    assert json.loads((folder / "out" / "evaluation.json").read_text())["images"] == 3


@pytest.mark.parametrize("command", [evaluate, calibrate])
@pytest.mark.parametrize(
    ("replacement", "reason"),
    [
        ({"digest": "e" * 64}, "another model or version"),
        ({"version": 4}, "another model or version"),
        ({"threshold": 0.25}, "other thresholds"),
    ],
)
def test_a_model_replaced_meanwhile_ends_the_sending(
    command: Any, replacement: dict[str, Any], reason: str, folder: Path
) -> None:
    names = [f"{number}.png" for number in range(60)]
    for name in names:
        write_image(folder / "images" / name, 0.5)
    rows = [f"{name},Mass" for name in names]
    (folder / "labels.csv").write_text("\n".join(["image,labels", *rows]) + "\n")
    with running(2, replacement) as service:
        done = run(command, folder, service, "--output", str(folder / "out" / "it"))
        assert len(service.bodies) < len(names) / 2
    assert done.exit_code == 1
    assert "one model with the same thresholds" in done.stderr
    assert f"got {reason}" in done.stderr
    assert [path for path in (folder / "out").rglob("*") if path.is_file()] == []


def test_a_service_that_is_away_is_said_to_be(folder: Path) -> None:
    with running() as service:
        pass
    done = run(evaluate, folder, service, "--output", str(folder / "out"))
    assert done.exit_code == 1
    assert "no answer from" in done.stderr


@pytest.mark.parametrize("command", [evaluate, calibrate])
def test_nothing_is_sent_where_no_result_can_be_written(command: Any, folder: Path) -> None:
    with running() as service:
        done = run(command, folder, service, "--output", str(folder / "labels.csv" / "sub" / "out"))
        assert done.exit_code == 1
        assert "a folder for results that can be written" in done.stderr
        assert service.bodies == []


@pytest.mark.parametrize("name", ["evaluation.json", "evaluation.txt", "evaluation.png"])
def test_nothing_is_sent_where_a_result_cannot_be_replaced(name: str, folder: Path) -> None:
    (folder / "out" / name).mkdir(parents=True)
    with running() as service:
        done = run(evaluate, folder, service, "--output", str(folder / "out"))
        assert done.exit_code == 1
        assert f"expected a file that can be written, got {folder / 'out' / name}" in done.stderr
        assert service.bodies == []
    assert [path.name for path in (folder / "out").iterdir()] == [name]


def test_earlier_results_are_left_alone_until_there_are_others(folder: Path) -> None:
    (folder / "out").mkdir()
    (folder / "out" / "evaluation.json").write_text("earlier")
    with running() as service:
        pass
    run(evaluate, folder, service, "--output", str(folder / "out"))
    assert (folder / "out" / "evaluation.json").read_text() == "earlier"


def test_a_disk_that_fills_up_meanwhile_leaves_the_table(folder: Path) -> None:
    (folder / "out").mkdir()
    (folder / "out" / "evaluation.json").symlink_to("/dev/full")
    with running() as service:
        done = run(evaluate, folder, service, "--output", str(folder / "out"))
    assert done.exit_code == 1
    assert "0.750" in done.stdout
    assert "expected results that can be written" in done.stderr
    assert "No space left" in done.stderr


@pytest.mark.parametrize(
    ("threshold", "text"), [(0.0004, " 0.0004 "), (0.99996, " 0.99996 "), (0.25, " 0.250 ")]
)
def test_a_threshold_in_the_table_never_looks_like_none(
    threshold: float, text: str, folder: Path
) -> None:
    with running(replaced_after=0, replacement={"threshold": threshold}) as service:
        done = run(calibrate, folder, service, "--output", str(folder / "thresholds.json"))
    assert text in done.stdout


def test_a_disk_that_fills_up_meanwhile_leaves_the_thresholds_on_the_screen(folder: Path) -> None:
    (folder / "thresholds.json").symlink_to("/dev/full")
    with running() as service:
        done = run(calibrate, folder, service, "--output", str(folder / "thresholds.json"))
    assert done.exit_code == 1
    assert "0.300" in done.stdout
    assert "expected a file that can be written" in done.stderr
    assert "No space left" in done.stderr
    assert isinstance(done.exception, SystemExit)


def test_calibrate_leaves_no_file_behind_that_it_only_tried(folder: Path) -> None:
    with running() as service:
        pass
    done = run(calibrate, folder, service, "--output", str(folder / "new" / "thresholds.json"))
    assert done.exit_code == 1
    assert list((folder / "new").iterdir()) == []


def test_a_folder_without_any_of_the_images_is_refused(folder: Path) -> None:
    (folder / "labels.csv").write_text("image,labels\nother.png,Mass\n")
    with running() as service:
        done = run(evaluate, folder, service, "--output", str(folder / "out"))
    assert done.exit_code == 1
    assert "found none" in done.stderr


def test_a_name_that_fits_two_files_is_refused(folder: Path) -> None:
    write_image(folder / "images/other/b.png", 0.5)
    with running() as service:
        done = run(evaluate, folder, service, "--output", str(folder / "out"))
    assert done.exit_code == 1
    assert "name it by its path" in done.stderr


def test_two_names_of_one_file_are_refused(folder: Path) -> None:
    with (folder / "labels.csv").open("a") as file:
        file.write("sub/b.png,Mass\n")
    with running() as service:
        done = run(evaluate, folder, service, "--output", str(folder / "out"))
    assert done.exit_code == 1
    assert "got 'b.png' and 'sub/b.png' for the same" in done.stderr


def measure_boxes(folder: Path, service: Service, *rows: str) -> Result:
    path = folder / "boxes.csv"
    path.write_text("\n".join(["image,label,x,y,width,height", *rows]) + "\n")
    return run(evaluate, folder, service, "--boxes", str(path), "--output", str(folder / "out"))


def test_boxes_of_other_images_are_counted_and_left_out(folder: Path) -> None:
    with running() as service:
        done = measure_boxes(
            folder, service, f"a.png,Mass,{BOX}", f"absent.png,Mass,{BOX}", f"sub/b.png,Mass,{BOX}"
        )
    assert done.exit_code == 0, done.output
    assert "1 of the 3 boxes are of images found" in done.stderr
    found = json.loads((folder / "out" / "evaluation.json").read_text())
    assert found["labels"]["Mass"]["boxes"] == 1


def test_boxes_that_are_of_no_image_found_are_refused_before_anything_is_sent(folder: Path) -> None:
    with running() as service:
        done = measure_boxes(folder, service, f"sub/a.png,Mass,{BOX}", f"absent.png,Mass,{BOX}")
        assert service.bodies == []
    assert done.exit_code == 1
    assert "expected boxes of the images found, got none among 2" in done.stderr
    assert list((folder / "out").iterdir()) == []


def test_a_file_without_any_box_is_none_too_few(folder: Path) -> None:
    with running() as service:
        done = measure_boxes(folder, service)
    assert done.exit_code == 0, done.output


@pytest.mark.parametrize("box", ["5000,5000,10,10", "40,0,5,5", "0,40,5,5", "-5,0,5,5", "0,-5,5,5"])
def test_a_box_outside_of_its_image_is_refused_naming_its_line(box: str, folder: Path) -> None:
    with running() as service:
        done = measure_boxes(folder, service, f"a.png,Mass,{BOX}", "", f"c.png,Mass,{box}")
    assert done.exit_code == 1
    assert (
        f"expected a box inside the image, 40 by 40 pixels, for Mass of c.png in line 4 of {folder / 'boxes.csv'}"
        in done.stderr
    )
    assert list((folder / "out").iterdir()) == []


@pytest.mark.parametrize("box", ["39,39,10,10", "-5,-5,6,6", "0,0,40,40"])
def test_a_box_may_reach_over_the_edge_of_its_image(box: str, folder: Path) -> None:
    with running() as service:
        done = measure_boxes(folder, service, f"a.png,Mass,{box}")
    assert done.exit_code == 0, done.output


def test_a_wrong_box_ends_the_sending(folder: Path) -> None:
    names = [f"{number}.png" for number in range(60)]
    for name in names:
        write_image(folder / "images" / name, 0.5)
    rows = [f"{name},Mass" for name in names]
    (folder / "labels.csv").write_text("\n".join(["image,labels", *rows]) + "\n")
    with running() as service:
        done = measure_boxes(folder, service, "0.png,Mass,5000,5000,10,10")
        assert len(service.bodies) < len(names) / 2
    assert done.exit_code == 1


def test_labels_of_boxes_that_the_model_does_not_know_are_told(folder: Path) -> None:
    with running() as service:
        done = measure_boxes(folder, service, f"a.png,mass,{BOX}")
    assert done.exit_code == 0, done.output
    assert "Unknown to the model: Gout, mass" in done.stdout


@pytest.mark.parametrize("command", [evaluate, calibrate])
def test_labels_of_which_the_model_knows_none_are_refused(command: Any, folder: Path) -> None:
    (folder / "labels.csv").write_text("image,labels\na.png,mass\nc.png,Gout|no finding\n")
    with running() as service:
        done = run(command, folder, service, "--output", str(folder / "out" / "it"))
    assert done.exit_code == 1
    assert (
        "expected labels that the model knows (Mass, Fracture, No Finding), got none of them in the labels file "
        "(Gout, mass, no finding); case counts" in done.stderr
    )
    assert [path for path in (folder / "out").rglob("*") if path.is_file()] == []


@pytest.mark.parametrize("command", [evaluate, calibrate])
@pytest.mark.parametrize(
    ("written", "name", "known"),
    [
        ("Mass;Fracture", "Mass;Fracture", "Mass, Fracture"),
        ("Gout ; Fracture", "Gout ; Fracture", "Fracture"),
        ('"Mass, Gout"', "Mass, Gout", "Mass"),
        ("Edema|No Finding;", "No Finding;", "No Finding"),
    ],
)
def test_labels_that_are_not_separated_by_bars_are_refused_naming_the_image(
    command: Any, written: str, name: str, known: str, folder: Path
) -> None:
    (folder / "labels.csv").write_text(f"image,labels\na.png,Mass\nc.png,{written}\nd.png,\n")
    with running() as service:
        done = run(command, folder, service, "--output", str(folder / "out" / "it"))
    assert done.exit_code == 1
    assert (
        f"expected labels separated by | in the labels file, got {name!r} in the row of 'c.png', which the model "
        f"doesn't know as one label, but {known}; separate labels by |" in done.stderr
    )
    assert [path for path in (folder / "out").rglob("*") if path.is_file()] == []


@pytest.mark.parametrize(
    "label", ["Pleural/Thickening", "Fracture/Mass", "Fracture & Gout", "Gout;Edema"]
)
def test_other_labels_may_hold_what_separates_words(label: str, folder: Path) -> None:
    (folder / "labels.csv").write_text(f"image,labels\na.png,Mass\nc.png,{label}\n")
    with running() as service:
        done = run(evaluate, folder, service, "--output", str(folder / "out"))
    assert done.exit_code == 0, done.output
    assert f"Unknown to the model: {label}" in done.stdout


@pytest.mark.parametrize("known", ["Mass;Fracture", "Mass, left"])
def test_a_label_of_the_model_may_hold_what_separates_others(known: str) -> None:
    answers = Answers(
        model={},
        images=("a.png",),
        labels=("Mass", "Fracture", known),
        probabilities=np.zeros((1, 3)),
        thresholds=(0.5, 0.5, 0.5),
        maps={},
        failures={},
    )
    assert known_labels(answers, {"a.png": frozenset({known})}) == [known]


def test_calibrate_writes_thresholds_for_the_model_that_answered(folder: Path) -> None:
    output = folder / "thresholds.json"
    with running() as service:
        done = run(calibrate, folder, service, "--output", str(output))
    assert done.exit_code == 0, done.output
    found = read_thresholds(output)
    assert found.card_digest == DIGEST
    assert (found.method, found.images) == ("youden", 4)
    # + at .8, - at .6, + at .4, - at .2: sums are equal at .3 and at .7, and the lower misses less
    assert found.thresholds["Mass"] == pytest.approx(0.3)
    assert found.thresholds["Fracture"] == 0.5, (
        "a label that the file never names keeps its threshold"
    )
    assert "kept: the labels file never names it" in done.stdout
    assert "Unknown to the model: Gout" in done.stdout
    with pytest.raises(ModelContractError, match="cxr calibrate"):
        found.for_card(card(labels=("Mass", "Fracture", "No Finding")))


def test_images_that_allow_no_threshold_give_no_set(folder: Path) -> None:
    output = folder / "thresholds.json"
    names = [Path(name).name for name in CASES]
    (folder / "labels.csv").write_text(
        "\n".join(["image,labels", *(f"{name},Mass" for name in names)])
    )
    with running() as service:
        done = run(calibrate, folder, service, "--output", str(output))
    assert done.exit_code == 1
    assert "a label that some of the images have and others don't" in done.stderr
    assert not output.exists()


def test_calibrate_reaches_a_sensitivity(folder: Path) -> None:
    output = folder / "thresholds.json"
    with running() as service:
        done = run(
            calibrate, folder, service, "--method", "sensitivity=0.5", "--output", str(output)
        )
    assert done.exit_code == 0, done.output
    assert read_thresholds(output).thresholds["Mass"] == pytest.approx(0.7)


def test_a_method_that_is_none_is_refused_before_anything_is_sent(folder: Path) -> None:
    with running() as service:
        done = run(
            calibrate, folder, service, "--method", "guess", "--output", str(folder / "t.json")
        )
        assert done.exit_code == 2
        assert "expected youden" in done.stderr
        assert service.bodies == []
