"""Read multipart uploads into memory: patients' images never touch a temporary folder."""

import sys
from typing import Final

from python_multipart.multipart import parse_options_header
from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from orchestrator.errors import (
    MalformedBodyError,
    MissingFileError,
    TooManyFilesError,
)
from orchestrator.routes.content import expect_content

FILE_FIELD: Final = "file"
_MAX_FIELDS: Final = 20
# RFC 7578 has no such parameter. Python knows others by name that take minutes for a megabyte, and remembers any name.
_CHARSETS: Final = (b"utf-8", b"utf8", b"us-ascii", b"ascii", b"iso-8859-1", b"latin-1")
_TEXT: Final = "(a part without filename is text, and any name makes it a file)"


class _InMemoryParser(MultiPartParser):
    """Keep uploads off the disk; the size of the whole body is bounded elsewhere."""

    spool_max_size = sys.maxsize
    is_within = False

    def on_part_begin(self) -> None:
        """Note that a part has begun."""
        super().on_part_begin()
        self.is_within = True

    def on_headers_finished(self) -> None:
        """Take a part as a file by a name in the way of RFC 8187, too: RFC 7578 forbids it, and some clients do it."""
        part = self._current_part
        # What the name is does not matter, as nobody looks at it
        part.content_disposition = (part.content_disposition or b"").replace(
            b"filename*=", b"filename="
        )
        super().on_headers_finished()

    def on_end(self) -> None:
        """Note that the last boundary has come."""
        super().on_end()
        self.is_within = False


async def read_form(request: Request, max_files: int = 1) -> FormData:
    """Parse a multipart body.

    Args:
        request: The request.
        max_files: How many files it may have.

    Raises:
        UnsupportedMediaTypeError: The body is no multipart form, or a compressed one.
        MalformedBodyError: The body is not what its content type says.
        TooManyFilesError: It has more files.
        ParameterError: A parameter stands in the query.
        MissingFileError: It has a text that can be nothing but an image without a file name.
    """
    expect_content(request, "multipart/form-data", f"with curl, use -F {FILE_FIELD}=@IMAGE")
    _refuse_charset(request.headers["content-type"])
    parser = _InMemoryParser(
        request.headers, request.stream(), max_files=max_files, max_fields=_MAX_FIELDS
    )
    try:
        form = await parser.parse()
    except MultiPartException as err:
        if err.message.startswith("Too many files"):
            if max_files > 1:
                raise TooManyFilesError(
                    f"expected at most {max_files} files, got more; send several batches"
                ) from err
            raise MalformedBodyError(
                "expected a multipart form with one file, got several parts with a file name; send one image, and"
                " parameters without a file name"
            ) from err
        if err.message.startswith("Part exceeded"):
            files = sum(isinstance(value, UploadFile) for _, value in parser.items)
            place = f"image {files + 1}: " if max_files > 1 else ""
            raise MissingFileError(place + _expected(f"more than 1 MiB of text {_TEXT}")) from err
        holds = "one file" if max_files == 1 else "files"
        raise MalformedBodyError(f"expected a multipart form with {holds}: {err.message}") from err
    if parser.is_within:
        raise MalformedBodyError(
            "expected a multipart form up to its last boundary, got one that is cut short; send it again"
        )
    return form


def _refuse_charset(content_type: str) -> None:
    _, parameters = parse_options_header(content_type)
    if parameters.get(b"charset", b"utf-8").lower() not in _CHARSETS:
        raise MalformedBodyError(
            "expected a multipart form in UTF-8, got one whose Content-Type names another charset; leave that out"
        )


async def uploaded_file(form: FormData) -> bytes:
    """Return the bytes in the form's file field; its file name is not looked at.

    Raises:
        MissingFileError: The form has no such field, or text in it.
    """
    fields = form.getlist(FILE_FIELD)
    file = next((each for each in fields if isinstance(each, UploadFile)), None)
    if file is None or len(fields) > 1:  # of which one at most is a file
        raise MissingFileError(_expected(f"text in it {_TEXT}" if fields else "no such field"))
    content = await file.read()
    await file.close()  # which frees its own copy
    return content


def uploaded_files(form: FormData) -> list[UploadFile]:
    """Return the files of a form in their order, whatever fields they are in.

    Raises:
        MissingFileError: The file field has text in it, in place of an image.
    """
    files: list[UploadFile] = []
    for name, value in form.multi_items():
        if isinstance(value, UploadFile):
            files.append(value)
        elif name == FILE_FIELD:
            raise MissingFileError(f"image {len(files) + 1}: {_expected(f'text in it {_TEXT}')}")
    return files


def _expected(got: str) -> str:
    return (
        f"expected the image as a file in the form field '{FILE_FIELD}', got {got}; with curl, use"
        f" -F {FILE_FIELD}=@IMAGE"
    )
