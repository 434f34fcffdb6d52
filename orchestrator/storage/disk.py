"""Keep overlays as files below a folder, for as long as links to them work."""

import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from gradcam.encode import FORMATS
from orchestrator.errors import NotFoundError, StoreUnavailableError
from orchestrator.folders import remove_each, sync, write_whole
from orchestrator.storage.base import object_name
from orchestrator.storage.links import Links
from orchestrator.study import Overlay

_MEDIA_TYPES: Final = {kind.extension: kind.media_type for kind in FORMATS.values()}
_KEY: Final = re.compile(
    rf"(?P<name>[0-9a-f]{{32}})-[0-9]{{1,3}}(?P<extension>{'|'.join(map(re.escape, _MEDIA_TYPES))})"
)


class DiskStore:
    """Write overlays below a folder and answer signed links to them.

    Any number of processes may use one folder. Files are named ``ab/abcd…-0.jpg``.
    """

    def __init__(self, folder: Path, links: Links) -> None:
        self._folder = folder
        self._links = links

    def name(self, analysis_id: str) -> str:
        """Return a name for the overlays of an analysis; see `Store.name`."""
        return object_name(self._links.secret, analysis_id)

    def put(
        self,
        name: str,
        overlays: Sequence[Overlay],
        may_take_back: Callable[[], bool] = lambda: True,  # noqa: ARG002 - files are swept in time
    ) -> tuple[str, ...]:
        """Write overlays and return links to them, in order."""
        with _translated("written"):
            keys = [
                self._write(f"{name}-{number}{overlay.extension}", overlay.content)
                for number, overlay in enumerate(overlays)
            ]
            if keys:  # before anybody is told that they are there
                sync(self._shard(name))
                sync(self._folder)
        return tuple(self._links.sign(key) for key in keys)

    def delete(self, name: str) -> None:
        """Remove the files of a name, and drafts of them that processes left that died."""
        with _translated("deleted"):
            remove_each(self._shard(name).glob(f"*{name}-*"))

    def read(self, key: str, expires: str, signature: str) -> tuple[bytes, str]:
        """Return the file that a link leads to, and its media type.

        Raises:
            LinkInvalidError: The link is not one of ours.
            LinkExpiredError: It was, and has ended.
            NotFoundError: The file is gone.
        """
        self._links.check(key, expires, signature)
        found = _KEY.fullmatch(key)
        if found is None:
            raise NotFoundError("expected the key of a picture, got another text")
        with _translated("read"):
            try:
                content = (self._shard(found["name"]) / key).read_bytes()
            except FileNotFoundError as err:
                raise NotFoundError("the picture was deleted; analyse the image again") from err
        return content, _MEDIA_TYPES[found["extension"]]

    def sweep(self) -> int:
        """Remove the files whose links have ended, and drafts of processes that died; return how many."""
        oldest = time.time() - self._links.lifetime
        with _translated("deleted"):
            files = (path for path in self._folder.glob("*/*") if path.is_file())
            ended = [path for path in files if _modified(path) < oldest]
            remove_each(ended)
        return len(ended)

    def _shard(self, name: str) -> Path:
        return self._folder / name[:2]

    def _write(self, key: str, content: bytes) -> str:
        shard = self._shard(key)
        shard.mkdir(parents=True, exist_ok=True)
        write_whole(shard / key, content, mode=0o600)
        return key


def _modified(path: Path) -> float:
    """Return when a file was written; one that another process has just removed counts as new."""
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return float("inf")


@contextmanager
def _translated(action: str) -> Iterator[None]:
    try:
        yield
    except OSError as err:
        raise StoreUnavailableError(
            f"pictures can't be {action} ({err.strerror}); the operator must look at DATA_DIR",
            retry_after=30,
        ) from err
