"""Keep figures, put them into the page, draw them, and run parts from the command line."""

import math
from pathlib import Path
from xml.etree import ElementTree

import pytest

from benchmarks.__main__ import PARTS, ROOT, in_order, main
from benchmarks.figures import Figure
from benchmarks.machine import Machine, describe, pinned, processor
from benchmarks.page import BEGIN, END, PAGE, PLOT, insert, tables
from benchmarks.picture import PANELS, STAGES, draw
from benchmarks.results import RESULTS, Part, merge, missed, read

MACHINE = Machine("a processor", 2, 23.5, "Linux x86_64", {"python": "3.11.7"})


def part(*figures: Figure, date: str = "2026-01-02") -> Part:
    return Part(date, 90, MACHINE, list(figures))


def test_a_part_takes_the_place_of_its_earlier_run_and_the_others_stay(tmp_path: Path) -> None:
    path = tmp_path / RESULTS
    first = part(Figure.of("time", [1.0, 2.0, 3.0], "ms", bound=4.0))
    other = part(Figure("not there", math.nan, least=1.0, note="can't be installed"))

    merge(path, "first", part(Figure("old", 1.0)))
    merge(path, "other", other)
    merge(path, "first", first)

    found = read(path)
    assert list(found) == ["first", "other"]
    assert found["first"] == first
    (absent,) = found["other"].figures
    assert math.isnan(absent.value)
    assert (absent.least, absent.note) == (1.0, "can't be installed")
    assert [figure.name for figure in missed(found)] == ["not there"]


def test_nothing_measured_is_no_parts(tmp_path: Path) -> None:
    assert read(tmp_path / RESULTS) == {}


def test_the_page_shows_bounds_first_then_each_part_then_the_machine() -> None:
    figures = Figure.of("time", [1.0, 2.0, 4.0], "ms", bound=1.5), Figure("count", 3.0)

    assert tables({"model": part(*figures)}).splitlines() == [
        "### Bounds",
        "",
        "| figure | median | range | bound |",
        "|---|---:|---:|---:|",
        "| time | 2 ms | 1–4 | **≤ 1.5, falls short** |",
        "",
        "### model",
        "",
        "2026-01-02, 1.5 min, machine 1",
        "",
        "| figure | median | range | bound |",
        "|---|---:|---:|---:|",
        "| time | 2 ms | 1–4 | **≤ 1.5, falls short** |",
        "| count | 3 |  |  |",
        "",
        "Machine 1: a processor, 2 cores, 23.5 GB, Linux x86_64; python 3.11.7.",
    ]


def test_a_text_goes_between_the_markers_and_nowhere_else() -> None:
    page = f"before\n\n{BEGIN}\n\nold\n\n{END}\nafter\n"

    assert insert(page, "new") == f"before\n\n{BEGIN}\n\nnew\n\n{END}\nafter\n"
    with pytest.raises(ValueError, match="put them back"):
        insert("a page without", "new")


def test_a_picture_has_bars_as_long_as_its_figures() -> None:
    names = list(PANELS[0].rows.values())
    rates = [
        Figure(names[0], 20.0, "/s", low=18.0, high=25.0),
        Figure(names[1], 10.0, "/s", low=10.0, high=10.0),
        Figure(names[2], math.nan, note="can't be installed"),
    ]
    root = ElementTree.fromstring(draw({"rivals": part(*rates)}))

    svg = "{http://www.w3.org/2000/svg}"
    _, *bars = root.findall(f"{svg}rect")
    # the longest range, 25, takes all 380 units
    assert [float(bar.attrib["width"]) for bar in bars] == pytest.approx([304.0, 152.0])
    texts = [text.text for text in root.findall(f"{svg}text")]
    assert "20 /s" in texts
    assert "LitServe" not in texts  # it was not measured


def test_a_picture_stacks_the_stages_of_a_request() -> None:
    prefix = next(iter(STAGES.values()))
    stages = [
        Figure(f"{prefix}{name}", value, "ms")
        for name, value in (("decoding", 30.0), ("the rest", 10.0))
    ]
    root = ElementTree.fromstring(draw({"request": part(*stages)}))

    hints = [title.text for title in root.iter("{http://www.w3.org/2000/svg}title")]
    assert hints[1:] == ["decoding: 30.0 ms", "the rest: 10.0 ms"]
    assert "40 ms" in [text.text for text in root.iter("{http://www.w3.org/2000/svg}text")]


def test_parts_are_measured_kept_and_judged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(PARTS, "tiny", "tests.benchmarks.tiny_part")
    page = tmp_path / PAGE
    page.parent.mkdir()
    page.write_text(f"{BEGIN}\n\n{END}\n")

    status = main(["--keep-in", str(tmp_path), "tiny"])

    assert status == 1
    assert "falls short: too little: 0.500, bound ≥ 1" in capsys.readouterr().out
    kept = read(tmp_path / RESULTS)["tiny"]
    assert [figure.value for figure in kept.figures] == [1.0, 0.5]
    assert {"python", "tensorflow", "openvino", "pillow", "bentoml"} <= set(kept.machine.versions)
    assert "| counted | 1 | 0–2 | ≤ 2 |" in page.read_text()
    assert (tmp_path / PLOT).read_text().startswith("<svg")


def test_a_quick_run_keeps_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PARTS, "tiny", "tests.benchmarks.tiny_part")
    before = (ROOT / PAGE).read_text()

    assert main(["--quick", "tiny"]) == 1
    assert "tiny" not in read(ROOT / RESULTS)
    assert (ROOT / PAGE).read_text() == before


def test_an_unknown_part_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["modle"])

    assert caught.value.code == 2
    assert "got modle" in capsys.readouterr().err


def test_versions_are_read_off_pinned_requirements() -> None:
    lines = ["litserve-extra==9", "litserve==0.2.19 \\", "    --hash=sha256:00"]

    assert pinned(lines, "litserve") == "0.2.19"
    assert pinned(["numpy==2.4.6 ; python_full_version < '3.12' \\"], "numpy") == "2.4.6"
    with pytest.raises(LookupError, match="make lock"):
        pinned(lines, "bentoml")
    assert describe().cores >= 1


@pytest.mark.parametrize(
    ("flags", "vectors"),
    [
        ("fma avx avx2", "AVX2"),
        ("avx2 avx512f avx512_bf16", "AVX-512 with bfloat16"),
        ("avx2 avx512f avx512bw", "AVX-512"),
    ],
)
def test_a_processor_is_told_from_others_of_its_name_by_its_vectors(
    tmp_path: Path, flags: str, vectors: str
) -> None:
    core = f"processor\t: 0\nmodel name\t: AMD EPYC\nflags\t\t: fpu {flags}\n"
    file = tmp_path / "cpuinfo"
    file.write_text(f"{core}\n{core}\n")

    assert processor(file) == f"AMD EPYC, {vectors}"


def test_the_page_and_the_plot_show_what_was_kept() -> None:
    parts = in_order(read(ROOT / RESULTS))
    page = (ROOT / PAGE).read_text("utf-8")

    assert insert(page, tables(parts)) == page
    for panel in PANELS:
        if panel.part in parts:
            names = {figure.name for figure in parts[panel.part].figures}
            assert set(panel.rows.values()) <= names, panel.title
    if parts:
        assert (ROOT / PLOT).read_text("utf-8") == draw(parts)
