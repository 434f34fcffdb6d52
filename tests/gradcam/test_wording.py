"""Check what is written for which numbers."""

import pytest

from gradcam.wording import LONGEST_NUMBER, LONGEST_STATUS, Caption, logits, spaced


def caption(probability: float, threshold: float = 0.5) -> Caption:
    return Caption("Pleural_Thickening", probability, threshold, probability >= threshold)


@pytest.mark.parametrize(
    ("probability", "threshold", "number", "status"),
    [
        (0.871, 0.5, "0.87", "reaches threshold 0.50"),
        (0.5, 0.5, "0.50", "reaches threshold 0.50"),
        (0.31, 0.5, "0.31", "below threshold 0.50"),
        (0.496, 0.5, "0.496", "below threshold 0.500"),
        (0.49996, 0.5, "0.4999", "below threshold 0.5000"),
        (0.49994, 0.5, "0.4999", "below threshold 0.5000"),
        (0.04999, 0.05, "0.0499", "below threshold 0.0500"),
        (0.29997, 0.3, "0.2999", "below threshold 0.3000"),
        (0.09999, 0.1, "0.0999", "below threshold 0.1000"),
        (0.50001, 0.50004, "0.5000", "below threshold 0.5001"),
        (0.49996, 0.49998, "0.4999", "below threshold 0.5000"),
        (0.5, 0.50004, "0.5000", "below threshold 0.5001"),
        (0.50004, 0.5, "0.50", "reaches threshold 0.50"),
        (0.2, 0.125, "0.20", "reaches threshold 0.12"),
        (0.0001, 0.5, "< 0.01", "below threshold 0.50"),
        (0.0, 0.5, "< 0.01", "below threshold 0.50"),
        (0.9999, 0.5, "> 0.99", "reaches threshold 0.50"),
        (1.0, 1.0, "> 0.99", "reaches threshold 1.00"),
        (0.0, 0.0, "< 0.01", "reaches threshold 0.00"),
        (0.9996, 1.0, "0.9996", "below threshold 1.0000"),
        (0.004, 0.003, "0.004", "reaches threshold 0.003"),
        (0.40, 0.004, "0.400", "reaches threshold 0.004"),
        (0.9962, 0.9958, "0.996", "reaches threshold 0.996"),
        (0.31, 0.9958, "0.310", "below threshold 0.996"),
        (0.00001, 0.00004, "< 0.0001", "below threshold 0.0001"),
        (0.99996, 0.99998, "0.9999", "below threshold > 0.9999"),
        (0.99998, 0.99996, "> 0.9999", "reaches threshold > 0.9999"),
    ],
)
def test_a_number_never_contradicts_its_status(
    probability: float, threshold: float, number: str, status: str
) -> None:
    assert caption(probability, threshold).number == number
    assert caption(probability, threshold).status == status


@pytest.mark.parametrize("threshold", [0.0, 0.00001, 0.004, 0.3333, 0.5, 0.9999, 0.99999, 1.0])
def test_no_number_is_longer_than_the_room_set_aside(threshold: float) -> None:
    steps = range(101)
    near = [max(0.0, threshold - step / 10000) for step in steps]
    for probability in [*(step / 100 for step in steps), *near]:
        assert len(caption(probability, threshold).number) <= len(LONGEST_NUMBER)
        assert len(caption(probability, threshold).status) <= len(LONGEST_STATUS)


def test_underscores_are_read_as_spaces() -> None:
    assert caption(0.5).title == "Pleural Thickening"
    assert spaced(" No_\nFinding ") == "No Finding"


@pytest.mark.parametrize(
    ("value", "text"), [(1, "1.0"), (4.24, "4.2"), (9.94, "9.9"), (9.96, "10"), (123.4, "123")]
)
def test_scales_are_written_with_about_two_digits(value: float, text: str) -> None:
    assert logits(value) == text
