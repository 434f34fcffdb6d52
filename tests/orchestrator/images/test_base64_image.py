"""Test which texts are taken for base64."""

import base64

import pytest

from orchestrator.errors import MalformedBase64Error, TooManyBytesError
from orchestrator.images.base64_image import decode_base64

CONTENT = (
    b"\xfb\xef\xbe\xff\xff\xfe chest!"  # its base64 has both characters that alphabets differ in
)
STANDARD = base64.b64encode(CONTENT).decode()
LIMIT = 1000


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(STANDARD, id="standard"),
        pytest.param(base64.urlsafe_b64encode(CONTENT).decode(), id="URL-safe"),
        pytest.param(STANDARD.rstrip("="), id="without padding"),
        pytest.param(f"{STANDARD[:8]}\r\n{STANDARD[8:]}\r\n", id="CRLF"),
        pytest.param("\n".join(STANDARD), id="line breaks anywhere"),
        pytest.param(f"data:image/png;base64,{STANDARD}", id="data URL"),
        pytest.param(f"data:;base64,{STANDARD}", id="data URL without a type"),
        pytest.param(f" \n\tdata:image/png;base64,\n{STANDARD}", id="data URL after white space"),
        pytest.param(f"DATA:image/png;charset=x;BASE64,{STANDARD}", id="data URL in capitals"),
    ],
)
def test_encodings_that_programs_write(text: str) -> None:
    assert decode_base64(text, LIMIT) == CONTENT


def test_the_test_text_has_the_characters_that_alphabets_differ_in() -> None:
    assert {"+", "/", "="} <= set(STANDARD)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("A", id="one digit"),
        pytest.param("AAAAA", id="cut short"),
        pytest.param("AA=A", id="padding inside"),
        pytest.param("AAAA!AAAA", id="foreign character"),
        pytest.param("AAAA\N{LATIN SMALL LETTER E WITH ACUTE}AA", id="beyond ASCII"),
        pytest.param("\ud800AAAA", id="lone surrogate"),
        pytest.param("data:image/png,AAAA", id="data URL that is no base64"),
        pytest.param("https://example.org/image.png", id="URL"),
        pytest.param("data:" + "a" * 1_000_000, id="endless prefix"),
    ],
)
def test_texts_that_are_no_base64(text: str) -> None:
    with pytest.raises(MalformedBase64Error):
        decode_base64(text, 10_000_000)


def test_an_empty_text_is_an_empty_file() -> None:
    assert decode_base64("", LIMIT) == b""


def test_the_limit_is_that_of_the_decoded_image() -> None:
    at_limit = base64.b64encode(bytes(LIMIT)).decode()
    assert len(decode_base64(at_limit, LIMIT)) == LIMIT
    with pytest.raises(TooManyBytesError):
        decode_base64(base64.b64encode(bytes(LIMIT + 1)).decode(), LIMIT)
