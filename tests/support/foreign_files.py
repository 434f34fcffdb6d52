"""Files of kinds that Pillow reads and can't write, as imagecodecs and tifffile have made them."""

import base64
import zlib
from typing import Final


def _file(text: str) -> bytes:
    return zlib.decompress(base64.b64decode(text))


# 32 by 32 samples of 12 bits, 40 more with each row and 60 more with each column.
DEEP_JPEG_IN_TIFF: Final = _file(
    "eNrz9NRi4GBgYOBhYGBkYWAEshSAmBGJzcTIDGYDVTAwQ9nsQMwGZYOwIFT9BiAWRRIXQzJHHMoOBRJSjKxg9jwgloay"
    "lwGxBpJeBiiNjBkY/t/4/4BBwMvN0w3oSJAgkPh/m8EZ6EwQAJFMIMDCDCJZWViYWdhY2djAmJ2TA4jZ2dg4uDk4uUAA"
    "yOLh5uIBcf4fZODmATpUgZFRkOH/EQZRsPnIgJsXKCwjAPQ5M4o4F7e6mUtIYuH/WwwcID32DF3v5p70XHB2nqlfhg1T"
    "uapas1nFVcsFHzjvTJnFc/NxyLPmA+pFQRnG6b3Bs4TnX96paSK5+djKs+wNfk+WXEg7L7XcRI7RetJkx9k2WXMuVLC8"
    "8/Jly/m4qtip+Bd+s/gZ4Nb61eM3y/GBMMxa/v83Aa3Xaik="
)
# The same of 33 columns.
DEEP_JPEG_OF_ODD_WIDTH_IN_TIFF: Final = _file(
    "eNrz9NRi4GBgYOBhYGBkYWAEshSBmBHKVgBiJkZmMBuogoEZymYHYjYoG4QFoeo3ALEokrgYkjniUHYFkJBiZAWz5wGx"
    "NJS9DIg1kPQyQGlkzMDw/8b/BwwCXm6ebkBHggSBxP/bDM5AZ4IAiGQCARZmEMnKwsLMwsbKxgbG7JwcQMzOxsbBzcHJ"
    "BQJAFg83Fw+I8/8gAzcP0KGKjIyCDP+PMIiCzUcG3LxAYQUBBgZWFmZkKS5udTOXkMRCqfQlD//fYuAA6bNn6Ho396Tn"
    "grNzt6ptkGO0njTZcbZ1lm+CDVO5qlqzWdmVWQcqWN55+bLlvF1p2tAu47nr/MkPXu5+T5ZcSDt3a3IEPwMB3c59KnfT"
    "n/xQVV5eFJRhnJ7ruYa9gYBuxeNCeZs/1QhNvLxT00Ry87Yl15gPqOPXLfC40zzypx3//5sAubN5qQ=="
)
# 33 by 32 pixels: red 7 more with each column, green 8 more with each row, blue 100.
LOSSLESS_JPEG: Final = _file(
    "eNr7f+P/OwY+x5T8pFSGFAYQ+H+YQZCDQYFBkTlIkMFdkMFJkOH/EQYJBkYQYEACzCwcrP9vMfAwBzG4MzgxAOWe/6v/"
    "8C5mZ9HT09P1sFFS4nq4ZXu5p+OWPdZ6GrfsY6enuGULFxbhlt1xYSce2Qw8XtEz0Rv16KhHh6RH6//fBAADzB5A"
)
# The same pixels.
WEBP_IN_TIFF: Final = _file(
    "eNrz9NRi4GBgYOBlYGBkYWAEshSBmBHKVgBiJkZmBmYgvQqImYFskHjgYQYGNiibCYgFoeoPALEoVBykRwzJHHEo2wyI"
    "pRhZwewNQCwNZe8AYhmoXhDWQGKDAAcYwkRgOMjTzU0PSIe7OgWEBVj4KAHZ+goH2Bl2Grl8sS8TvPifYeI234d/d8vZ"
    "zWxW7OZc8Knxz10GAPyLGno="
)
