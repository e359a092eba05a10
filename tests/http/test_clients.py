"""Clients that are slow, halting, half-closed, gone, or that stay: others are served meanwhile, and each gets its answer."""
import socket
import threading
import time

import harness
from harness import PICTURE, b64

TEXT = b'{"instances":["' + b64(PICTURE).encode() + b'"]}'
SOON_S = 25  # well below the default of 30
HEAD = b"POST /v1/models/stamps:predict HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(TEXT)


def rest_of(client):
    answer = b""
    while more := client.recv(65536):
        answer += more
    return answer


class Clients(harness.ServerCase):
    options = ("--max-connections", 100, "--read-timeout", 300)

    def connect(self):
        client = socket.create_connection(("127.0.0.1", self.server.port), harness.DEADLINE_S)
        self.addCleanup(client.close)
        return client

    def check_served(self):
        self.check_code(self.ask("POST", "/v1/models/stamps:predict", {"instances": [b64(PICTURE)]}), 200)

    def test_one_that_trickles_bytes_gets_its_answer_beside_20_that_halt(self):
        halting = [self.connect() for _ in range(20)]
        for client in halting:
            client.sendall(HEAD + TEXT[:100])
        slow = self.connect()
        slow.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for i in range(len(HEAD)):
            slow.sendall(HEAD[i:i + 1])
            if i % 40 == 0:
                self.check_served()
        for i in range(0, len(TEXT), 1000):
            slow.sendall(TEXT[i:i + 1000])
        answer = rest_of(slow)
        self.assertEqual(answer[:12], b"HTTP/1.1 200")
        self.assertIn(b'"predictions"', answer)
        # Those that halted may still end what they began.
        for client in halting:
            client.sendall(TEXT[100:])
        for client in halting:
            self.assertEqual(rest_of(client)[:12], b"HTTP/1.1 200")

    def test_one_that_closed_its_sending_side_gets_its_answer(self):
        for sent in (HEAD + TEXT, HEAD.replace(b"Connection: close\r\n", b"") + TEXT):
            client = self.connect()
            client.sendall(sent)
            client.shutdown(socket.SHUT_WR)
            answer = rest_of(client)
            self.assertEqual(answer[:12], b"HTTP/1.1 200")
            self.assertIn(b'"predictions"', answer)

    def test_those_that_left_before_the_answer_hurt_nobody(self):
        for _ in range(10):
            with socket.create_connection(("127.0.0.1", self.server.port)) as client:
                client.sendall(HEAD + TEXT)
        self.check_served()

    def test_a_connection_is_used_again_and_again(self):
        n_before = self.connections()
        connection = self.server.connect()
        sockets = set()
        for i in range(50):
            if i % 5:
                answer = self.server.ask("GET", "/livez", connection=connection)
            else:
                answer = self.server.ask("POST", "/v1/models/stamps:predict", {"instances": [b64(PICTURE)]}, connection=connection)
            self.check_code(answer, 200)
            sockets.add(connection.sock.getsockname()[1])
        self.assertEqual(len(sockets), 1, "one connection for 50 requests")
        # Errors with and without a body do not cost the connection either.
        for method, path, body, code in (("GET", "/v1/models/nobody", None, 404), ("POST", "/v1/models/stamps:predict", b"{", 400),
                                         ("HEAD", "/livez", None, 200), ("GET", "/livez", None, 200)):
            self.check_code(self.server.ask(method, path, body, connection=connection), code)
            self.assertEqual(connection.sock.getsockname()[1], *sockets)
        self.assertLessEqual(self.connections() - n_before, 1)
        connection.close()

    def connections(self):
        """TCP connections of the server that are established, counted by the kernel."""
        wanted = f":{self.server.port:04X}"
        lines = harness.read("/proc/net/tcp").decode().splitlines()[1:]
        return sum(1 for line in lines if line.split()[1].endswith(wanted) and line.split()[3] == "01")

    def test_two_requests_in_one_packet_get_two_answers(self):
        pair = b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\nGET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        client = self.connect()
        client.sendall(pair)
        self.assertEqual(rest_of(client).count(b"HTTP/1.1 200"), 2)
        client = self.connect()
        client.sendall(HEAD.replace(b"Connection: close\r\n", b"") + TEXT + HEAD + TEXT)
        self.assertEqual(rest_of(client).count(b"HTTP/1.1 200"), 2)

    def test_more_than_the_connections_wait_for_their_turn(self):
        idle = [self.connect() for _ in range(100)]
        for client in idle:
            client.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
            self.assertEqual(client.recv(12), b"HTTP/1.1 200")
        late = self.connect()
        late.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        late.settimeout(0.2)
        self.assertRaises(TimeoutError, late.recv, 12)
        idle.pop().close()
        late.settimeout(harness.DEADLINE_S)
        self.assertEqual(late.recv(12), b"HTTP/1.1 200")
        for client in idle:
            client.close()


class Timeouts(harness.ServerCase):
    models = {}
    options = ("--read-timeout", 1)

    def test_a_silent_connection_is_closed_soon(self):
        for said in (b"", b"GET /livez HT", b"POST /v1/models/m:predict HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{"):
            start = time.monotonic()
            with socket.create_connection(("127.0.0.1", self.server.port), harness.DEADLINE_S) as client:
                try:
                    client.sendall(said)
                    self.assertIn(client.recv(1000)[:12], (b"", b"HTTP/1.1 408"))
                except (ConnectionResetError, BrokenPipeError):
                    pass  # said to a connection that was closed by then
            self.assertLess(time.monotonic() - start, SOON_S)

    def test_one_that_trickles_for_ever_is_closed_too(self):
        """A byte now and then keeps a socket busy and says nothing."""
        start = time.monotonic()
        with socket.create_connection(("127.0.0.1", self.server.port), harness.DEADLINE_S) as client:
            over = threading.Event()

            def trickle():
                try:
                    while not over.wait(0.05):
                        client.sendall(b"a")
                except OSError:
                    pass
            client.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\nX-Slow: ")
            thread = threading.Thread(target=trickle)
            thread.start()
            try:
                self.assertIn(client.recv(1000)[:12], (b"", b"HTTP/1.1 408"))
            except ConnectionResetError:
                pass
            finally:
                over.set()
                thread.join()
        self.assertLess(time.monotonic() - start, SOON_S)


if __name__ == "__main__":
    harness.main()
