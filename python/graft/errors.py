"""What goes wrong in the library, as exceptions that Python's own words catch as well."""

import contextlib
import errno
import os

CODES = ("GF_OK", "GF_EINVAL", "GF_ENOMEM", "GF_EIO", "GF_ENOTFOUND", "GF_EFORMAT", "GF_ESHAPE",
         "GF_EUNSUPPORTED", "GF_ELIMIT", "GF_EMISMATCH", "GF_EBUSY", "GF_EEXISTS",
         "GF_EPRECONDITION", "GF_ENETWORK", "GF_ECANCELED", "GF_EAUTH", "GF_EDENIED",
         "GF_EOVERLOAD", "GF_EUNAVAILABLE", "GF_ETIMEOUT")
CODE = {name: number for number, name in enumerate(CODES)}


class Error(Exception):
    """A failure that graft reports. code is the library's status ("GF_ESHAPE")."""

    code = "GF_EINVAL"

    def __init__(self, message, code=None):
        super().__init__(message)
        if code is not None:
            self.code = code


class InvalidError(Error, ValueError):
    """A value that cannot be used: an option, a shape, a damaged file."""


class UnsupportedError(Error, ValueError, NotImplementedError):
    """Understood, and not something graft does; the message says what it does instead."""

    code = "GF_EUNSUPPORTED"


class NotFoundError(Error, FileNotFoundError):
    code = "GF_ENOTFOUND"


class ExistsError(Error, FileExistsError):
    code = "GF_EEXISTS"


class InputOutputError(Error, OSError):
    code = "GF_EIO"


class NetworkError(Error, ConnectionError):
    code = "GF_ENETWORK"


class DeniedError(Error, PermissionError):
    code = "GF_EDENIED"


class TimeError(Error, TimeoutError):
    code = "GF_ETIMEOUT"


class OutOfMemoryError(Error, MemoryError):
    code = "GF_ENOMEM"


class CanceledError(Error, KeyboardInterrupt):
    code = "GF_ECANCELED"


_CLASSES = {
    "GF_EINVAL": InvalidError, "GF_EFORMAT": InvalidError, "GF_ESHAPE": InvalidError,
    "GF_EMISMATCH": InvalidError, "GF_ELIMIT": InvalidError,
    "GF_EUNSUPPORTED": UnsupportedError, "GF_ENOTFOUND": NotFoundError,
    "GF_EEXISTS": ExistsError, "GF_EIO": InputOutputError, "GF_ENETWORK": NetworkError,
    "GF_EAUTH": DeniedError, "GF_EDENIED": DeniedError, "GF_ETIMEOUT": TimeError,
    "GF_ENOMEM": OutOfMemoryError, "GF_ECANCELED": CanceledError,
}


def make(status, message):
    """The exception of a gf_status."""
    code = CODES[status] if 0 <= status < len(CODES) else "GF_?"
    return _CLASSES.get(code, Error)(message, code)


_OF_ERRNO = {errno.ENOENT: NotFoundError, errno.EEXIST: ExistsError, errno.EACCES: DeniedError,
             errno.EPERM: DeniedError}


@contextlib.contextmanager
def at(path):
    """What the system refuses inside is an Error that names the path."""
    try:
        yield
    except Error:
        raise
    except OSError as error:
        why = os.strerror(error.errno) if error.errno else str(error)
        kind = _OF_ERRNO.get(error.errno, InputOutputError)
        raise kind(f"{os.fspath(path)}: {why}") from None
