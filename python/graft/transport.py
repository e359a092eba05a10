"""How graft.Client talks to a server: one request and its answer, tried again where the server asks
for that, failures as ApiError, and server-sent events line by line. Standard library only.

    transport = Transport("http://127.0.0.1:8080", token=None)
    document = transport.ask("GET", "/v1/projects/default/models")

Threads: any number may share a Transport; each has a connection of its own that is kept open
between requests.
"""

import email.utils
import http.client
import io
import json
import socket
import ssl
import threading
import time
import urllib.parse

from .errors import Error

RETRIED_CODES = (429, 503)
MAX_WAIT_S = 30.0  # whatever a Retry-After says
CHUNK_BYTES = 1 << 20

_STATUS_OF_CODE = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    409: "ALREADY_EXISTS",
    429: "RESOURCE_EXHAUSTED",
    499: "CANCELLED",
    500: "INTERNAL",
    501: "UNIMPLEMENTED",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}


class ApiError(Error):
    """What a server answered instead of a result: code (HTTP; 0 where no server was reached),
    status ("NOT_FOUND"), message."""

    def __init__(self, code, status, message):
        text = f"{code} {status}: {message}" if code else f"{status}: {message}"
        super().__init__(text, code)
        self.status, self.message = status, message


def error_of(code, body):
    """The ApiError that a failed answer means; body is its bytes."""
    status, message = (
        _STATUS_OF_CODE.get(code, "UNKNOWN"),
        body[:500].decode("utf-8", "replace").strip(),
    )
    try:
        error = json.loads(body)["error"]
        if isinstance(error, dict):
            status, message = error.get("status", status), error.get("message", message)
        else:
            message = str(error)
    except (ValueError, KeyError, TypeError):
        pass  # not from graft: a proxy's page, say; its first words tell more than nothing
    return ApiError(code, status, message)


def retry_after_s(value, tried):
    """Seconds until the next try: Retry-After as a number or a date; without it, longer from try to
    try."""
    wait_s = 0.25 * 2**tried
    try:
        if value and value.strip().isdigit():
            wait_s = float(value)
        elif value:
            wait_s = email.utils.parsedate_to_datetime(value).timestamp() - time.time()
    except (TypeError, ValueError):
        pass  # neither of the two forms it may have
    return min(MAX_WAIT_S, max(0.0, wait_s))


def segment(text):
    """A part of a path, slashes included."""
    return urllib.parse.quote(str(text), safe="")


class Transport:
    """A server's address and how to ask it. timeout_s bounds each wait for the network, not a whole
    request."""

    def __init__(self, server, token=None, timeout_s=60.0, max_retries=4, cafile=None):
        try:
            parts = urllib.parse.urlsplit(server if "//" in server else "http://" + server)
            is_address = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
        except ValueError:  # a port that is no number, or too large
            is_address = False
        if not is_address:
            raise ValueError(f"server {server!r}: expected an address as http://127.0.0.1:8080")
        self.server = f"{parts.scheme}://{parts.netloc}"
        self.prefix = parts.path.rstrip("/")
        self.token, self.timeout_s, self.max_retries = token, timeout_s, max_retries
        self._parts = parts
        self._tls = ssl.create_default_context(cafile=cafile) if parts.scheme == "https" else None
        self._kept = threading.local()

    def _connect(self, timeout_s=None):
        host, port, timeout = self._parts.hostname, self._parts.port, timeout_s or self.timeout_s
        if self._tls is not None:
            return http.client.HTTPSConnection(host, port, timeout=timeout, context=self._tls)
        return http.client.HTTPConnection(host, port, timeout=timeout)

    def close(self):
        """Closes this thread's connection."""
        kept = getattr(self._kept, "connection", None)
        if kept is not None:
            kept.close()
            self._kept.connection = None

    def _headers(self, more):
        headers = {"User-Agent": "graft-python", "Accept": "application/json"}
        if self.token:
            headers["Authorization"] = "Bearer " + self.token
        headers.update(more or {})
        return headers

    def _unreached(self, problem):
        why = (
            "no answer within %g s" % self.timeout_s
            if isinstance(problem, socket.timeout)
            else problem
        )
        return ApiError(0, "UNAVAILABLE", f"{self.server}: {why}; is the server running there?")

    def _send(self, method, path, body, headers, is_repeatable):
        """One answer, unread, on the thread's own connection. A kept one that the server has closed
        in the meantime is opened anew; a request that must not be made twice goes over a new one,
        where that cannot happen.
        """
        kept = getattr(self._kept, "connection", None)
        if kept is not None and not is_repeatable:
            kept.close()
            kept = None
        for connection in [kept, None] if kept is not None else [None]:
            is_kept, connection = connection is not None, connection or self._connect()
            self._kept.connection = connection
            try:
                if isinstance(body, io.IOBase):
                    body.seek(0)
                connection.request(method, self.prefix + path, body, headers)
                return connection.getresponse()
            except (OSError, http.client.HTTPException) as problem:
                connection.close()
                self._kept.connection = None
                if not is_kept or isinstance(problem, socket.timeout):
                    raise self._unreached(problem) from problem
        raise AssertionError("unreachable")

    def exchange(self, method, path, body=None, headers=None, is_repeatable=None):
        """The answer to a request that succeeded, unread: the caller reads all of it. Raises
        ApiError. is_repeatable: whether it may be made twice; default: all but POST and PATCH."""
        if is_repeatable is None:
            is_repeatable = method not in ("POST", "PATCH")
        for tried in range(self.max_retries + 1):
            try:
                response = self._send(method, path, body, self._headers(headers), is_repeatable)
                if response.status < 400:
                    return response
                error, wait_s = error_of(response.status, response.read()), response.headers.get(
                    "Retry-After"
                )
            except (OSError, http.client.HTTPException) as problem:
                raise self._unreached(problem) from problem
            if error.code not in RETRIED_CODES or tried == self.max_retries:
                raise error
            time.sleep(retry_after_s(wait_s, tried))
        raise AssertionError("unreachable")

    def ask(
        self, method, path, document=None, query=None, body=None, headers=None, is_repeatable=None
    ):
        """What the server answered, read from JSON. document is sent as JSON; body (bytes or an
        open file) as it is."""
        query = {name: value for name, value in (query or {}).items() if value is not None}
        if query:
            path += "?" + urllib.parse.urlencode(query)
        headers = dict(headers or {})
        if document is not None:
            body = json.dumps(document, allow_nan=False).encode()
            headers.setdefault("Content-Type", "application/json")
        answer = self.read(self.exchange(method, path, body, headers, is_repeatable))
        try:
            return json.loads(answer) if answer else {}
        except ValueError:
            raise ApiError(
                0, "UNKNOWN", f"{self.server}{path}: the answer is not JSON: {answer[:100]!r}"
            ) from None

    def read(self, response, into=None):
        """The whole body; with an open file as into it goes there, and the number of bytes comes
        back."""
        n_bytes = 0
        try:
            if into is None:
                return response.read()
            for chunk in iter(lambda: response.read(CHUNK_BYTES), b""):
                n_bytes += into.write(chunk)
            if response.length:
                raise http.client.IncompleteRead(b"", response.length)
        except (OSError, http.client.HTTPException) as problem:
            self._kept.connection.close()
            raise self._unreached(problem) from problem
        return n_bytes

    def events(self, path, last_id=None, timeout_s=None):
        """Server-sent events of one connection, as (event, id, data), until it ends. A connection
        of its own, closed with the generator. Raises ApiError for a refusal, OSError or
        HTTPException where the connection breaks.
        """
        connection = self._connect(timeout_s)
        headers = {"Accept": "text/event-stream", "Cache-Control": "no-cache"}
        if last_id is not None:
            headers["Last-Event-ID"] = str(last_id)
        try:
            connection.request("GET", self.prefix + path, headers=self._headers(headers))
            response = connection.getresponse()
            if response.status >= 400:
                raise error_of(response.status, response.read())
            yield from parse_events(response)
        finally:
            connection.close()


def parse_events(lines):
    """(event, id, data) of a text/event-stream's lines of bytes. What a broken connection cut off
    is left out."""
    event, event_id, data = "message", None, []
    for line in lines:
        text = line.decode("utf-8", "replace").rstrip("\r\n")
        if not text:
            if data:
                yield event, event_id, "\n".join(data)
            event, data = "message", []
            continue
        name, _, value = text.partition(":")
        value = value[1:] if value.startswith(" ") else value
        if name == "event":
            event = value
        elif name == "data":
            data.append(value)
        elif name == "id":
            event_id = value
