import io
import json
import logging

import pytest
from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import MultipartParser

from orchestrator.logs import JsonFormatter, configure


def logged(message: str, **extra: object) -> dict[str, object]:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter())
    logger = logging.Logger("test")  # noqa: LOG001 - one that nothing else writes to
    logger.addHandler(handler)
    error = ValueError("inner") if extra.pop("trace", False) else None
    logger.error(message, extra=extra, exc_info=error)
    line = stream.getvalue()
    assert line.count("\n") == 1
    fields: dict[str, object] = json.loads(line)
    return fields


def test_a_record_is_one_line_of_json_with_its_extra_fields() -> None:
    fields = logged('two\nlines and "quotes"', status=200)
    assert fields.pop("time")
    assert fields == {
        "level": "error",
        "logger": "test",
        "message": 'two\nlines and "quotes"',
        "status": 200,
    }


def test_an_exception_is_logged_with_its_traceback() -> None:
    assert "ValueError: inner" in str(logged("failed", trace=True)["traceback"])


def test_bytes_of_a_damaged_form_are_not_logged(capsys: pytest.CaptureFixture[str]) -> None:
    root = logging.getLogger()
    before = root.handlers, root.level
    try:
        configure("info")
        parser = MultipartParser(b"x")
        with pytest.raises(MultipartParseError):
            parser.write(b"\x89PNG")
    finally:
        root.handlers, root.level = before[0], before[1]
    assert capsys.readouterr().err == ""
