"""Where a path is on this machine: gs://BUCKET/... means a folder of the buckets."""
import os

from . import settings
from .errors import InvalidError

SCHEME = "gs://"


def buckets():
    """The folder of buckets: $GRAFT_BUCKETS, else HOME/buckets."""
    return os.environ.get("GRAFT_BUCKETS") or os.path.join(settings.home(), "buckets")


def is_bucket(path):
    return isinstance(path, str) and path.startswith(SCHEME)


def resolve(path):
    """The file or folder that a path means; gs://BUCKET/NAME is in the buckets, others are
    returned as they are (as text)."""
    path = os.fspath(path)
    if isinstance(path, bytes):
        path = os.fsdecode(path)
    if not path.startswith(SCHEME):
        return path
    parts = path[len(SCHEME):].split("/")
    if not parts[0] or parts[0].startswith(".") or ".." in parts:
        raise InvalidError(f"{path}: expected gs://BUCKET/NAME without '..'")
    return os.path.join(buckets(), *[part for part in parts if part])


def prepare_parent(path):
    """resolve() for a file that is written: in a bucket, folders need not be there before."""
    where = resolve(path)
    if is_bucket(path):
        os.makedirs(os.path.dirname(where), exist_ok=True)
    return where
