"""Choose where blobs lie, as the settings say."""

from pathlib import Path

import redis

from orchestrator.blobs.base import Blobs
from orchestrator.blobs.disk import DiskBlobs
from orchestrator.blobs.in_redis import RedisBlobs
from orchestrator.blobs.moved import MovedBlobs
from orchestrator.settings import Settings


def create_blobs(settings: Settings, client: redis.Redis) -> Blobs:
    """Return the blobs of ``BLOBS``: in Redis, or in a folder below the data folder; and those of another ``BLOBS``."""
    in_redis, on_disk = RedisBlobs(client), DiskBlobs(_folder(settings))
    if settings.blobs == "disk":
        return MovedBlobs(on_disk, in_redis)
    return MovedBlobs(in_redis, on_disk)


def lie_on_disk(settings: Settings) -> bool:
    """Tell whether there may be blobs in the data folder: by the setting, or from a time when it was another."""
    return settings.blobs == "disk" or _folder(settings).is_dir()


def _folder(settings: Settings) -> Path:
    return settings.data_dir / "blobs"
