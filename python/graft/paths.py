"""Where a path is on this machine: gs://BUCKET/... means a folder of the buckets."""
import os

from . import errors, settings
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
        make_folder(os.path.dirname(where))
    return where


def make_folder(path):
    with errors.at(path):
        os.makedirs(path, exist_ok=True)


def write_whole(path, content):
    """A file that is there with all its bytes, or as it was before."""
    aside = f"{path}.{os.getpid()}.part"
    with errors.at(path):
        try:
            with open(aside, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.replace(aside, path)
        except BaseException:
            if os.path.exists(aside):
                os.unlink(aside)
            raise
