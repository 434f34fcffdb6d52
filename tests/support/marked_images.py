"""Make radiographs that carry marked patient data wherever a file can."""

import io
import zipfile
from collections.abc import Mapping

from PIL import Image, PngImagePlugin

from tests.support.images import encoded, gradient
from tests.support.leaks import Marks

_ARTIST, _DESCRIPTION, _COPYRIGHT, _XP_TITLE, _XP_SUBJECT = 0x013B, 0x010E, 0x8298, 0x9C9B, 0x9C9F
_EXIF, _USER_COMMENT, _MAKER_NOTE = 0x8769, 0x9286, 0x927C


def marked_images(marks: Marks) -> Mapping[str, bytes]:
    """Return images that are sound and carry marks in their metadata, by format."""
    image = Image.fromarray(gradient(96, 80))
    return {
        "png": encoded(image, "PNG", pnginfo=_png_text(marks, "PNG"), exif=_exif(marks, "PNG")),
        "jpeg": encoded(
            image,
            "JPEG",
            exif=_exif(marks, "JPEG"),
            comment=marks("JPEG comment").encode(),
            xmp=_xmp(marks, "JPEG"),
            icc_profile=marks("JPEG colour profile").encode(),
        ),
        "webp": encoded(image, "WEBP", exif=_exif(marks, "WebP"), xmp=_xmp(marks, "WebP")),
        "tiff": encoded(image, "TIFF", tiffinfo=_tiff(marks), compression="raw"),
    }


def broken_images(marks: Marks) -> Mapping[str, bytes]:
    """Return uploads that are refused, each in another way, and carry marks."""
    sound = Image.fromarray(gradient(96, 80))
    text = _png_text(marks, "broken PNG")
    whole = encoded(sound, "PNG", pnginfo=text)
    frames = [Image.fromarray(gradient(96, 80)).point(lambda v, k=k: v // k) for k in (1, 2)]
    return {
        "no image": b"patient " + marks("bytes that are no image").encode(),
        "cut": whole[:-40],
        "GIF": b"GIF89a" + marks("GIF").encode(),
        "DICOM": bytes(128) + b"DICM" + marks("DICOM").encode(),
        "tiny": encoded(sound.resize((4, 4)), "PNG", pnginfo=text),
        "frames": encoded(
            frames[0],
            "TIFF",
            save_all=True,
            append_images=frames[1:],
            tiffinfo=_tiff(marks),
        ),
    }


def marked_zip(marks: Marks, members: Mapping[str, bytes]) -> bytes:
    """Return a ZIP of images whose names, comments and extra fields carry marks."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for number, (name, content) in enumerate(members.items()):
            folder = marks("folder in a ZIP")
            entry = zipfile.ZipInfo(f"{folder}/{marks('name in a ZIP')}_{number}.{name}")
            entry.comment = marks("comment of a ZIP's member").encode()
            entry.extra = b"\xfe\xca\x20\x00" + marks("extra field in a ZIP").encode().ljust(32)
            archive.writestr(entry, content)
        archive.comment = marks("comment of a ZIP").encode()
    return buffer.getvalue()


def _png_text(marks: Marks, name: str) -> PngImagePlugin.PngInfo:
    found = PngImagePlugin.PngInfo()
    found.add_text("Title", marks(f"{name} tEXt"))
    found.add_text(marks(f"{name} keyword"), "text")
    found.add_text("Comment", marks(f"{name} zTXt") * 20, zip=True)
    found.add_itxt("Author", marks(f"{name} iTXt"), lang="de", tkey="Patient")
    found.add_itxt("Source", marks(f"{name} iTXt, packed") * 20, zip=True)
    found.add(b"prIv", marks(f"{name} chunk of its own").encode())
    return found


def _exif(marks: Marks, name: str) -> Image.Exif:
    found = Image.Exif()
    found[_DESCRIPTION] = marks(f"{name} EXIF ImageDescription")
    found[_ARTIST] = marks(f"{name} EXIF Artist")
    found[_COPYRIGHT] = marks(f"{name} EXIF Copyright")
    found[_XP_TITLE] = marks(f"{name} EXIF XPTitle").encode("utf-16-le")
    found[_XP_SUBJECT] = marks(f"{name} EXIF XPSubject").encode("utf-16-le")
    found.get_ifd(_EXIF).update(
        {
            _USER_COMMENT: b"ASCII\0\0\0" + marks(f"{name} EXIF UserComment").encode(),
            _MAKER_NOTE: marks(f"{name} EXIF MakerNote").encode(),
        }
    )
    return found


def _tiff(marks: Marks) -> dict[int, str]:
    return {_DESCRIPTION: marks("TIFF ImageDescription"), _ARTIST: marks("TIFF Artist")}


def _xmp(marks: Marks, name: str) -> bytes:
    return f"<x:xmpmeta xmlns:x='adobe:ns:meta/'>{marks(f'{name} XMP')}</x:xmpmeta>".encode()
