"""The end of a server: SIGTERM under load loses no request; kill -9 loses nothing that was acknowledged."""
import json
import signal
import socket
import threading
import time

import harness
from harness import JPEG, PICTURE, b64, wait_for

BODY = json.dumps({"instances": [{"inputs": b64(PICTURE)}]}).encode()
PATH = "/v1/projects/default/models/stamps:predict"


class Stream:
    """Requests in a row on connections that are kept or new, each with the moment when all of it was handed to the kernel, and its end."""

    def __init__(self, port, is_kept):
        self.port, self.is_kept, self.requests, self.over = port, is_kept, [], threading.Event()
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        client = None
        while not self.over.is_set():
            try:
                if client is None:
                    client = socket.create_connection(("127.0.0.1", self.port), harness.DEADLINE_S)
            except OSError:
                return  # the port is closed
            is_open, client = self.one(client)
            if not is_open:
                client.close()
                client = None
        if client:
            client.close()

    def one(self, client):
        sent_at = None
        try:
            client.sendall(f"POST {PATH} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(BODY)}\r\n".encode() +
                           (b"" if self.is_kept else b"Connection: close\r\n") + b"\r\n" + BODY)
            sent_at = time.monotonic()
            response = harness.http.client.HTTPResponse(client)
            response.begin()
            text = response.read()
            self.requests.append((sent_at, response.status, text))
            return self.is_kept and not response.will_close, client
        except (OSError, harness.http.client.HTTPException) as problem:
            if sent_at:
                self.requests.append((sent_at, None, repr(problem)))
            return False, client


class TheEnd(harness.HomeCase):
    def drain(self, number=signal.SIGTERM, look=None, options=()):
        """Ends a server under load; the requests of all streams, and the moment that the signal was sent. look(server) comes after it."""
        server = self.serve(*options)
        if server.ask("GET", "/v1/models/stamps").code == 404:
            server.deploy("stamps", "v1", harness.stamps())
        streams = [Stream(server.port, is_kept=i % 2 == 0) for i in range(8)]
        wait_for(lambda: sum(len(stream.requests) for stream in streams) > 60, "60 answers")
        term_s = time.monotonic()
        server.signal(number)
        if look:
            look(server)
        self.assertEqual(server.wait(), 0, server.log_text())
        for stream in streams:
            stream.over.set()
            stream.thread.join(harness.DEADLINE_S)
        return [request for stream in streams for request in stream.requests], term_s

    def check_answered(self, requests, until_s):
        before = [request for request in requests if request[0] <= until_s]
        lost = [(round(sent - until_s, 4), code, text[:100]) for sent, code, text in before if code != 200]
        self.assertEqual(lost, [])
        outputs = {json.dumps(json.loads(text)["predictions"]) for _, _, text in before}
        self.assertEqual(len(outputs), 1, "all the same answer")
        # Whoever came later was answered, told to go elsewhere, or found the door shut.
        for _, code, text in requests:
            self.assertIn(code, (200, 503, None), text)
        return len(before)

    def test_sigterm_answers_all_that_was_sent_before_and_exits_0(self):
        for _ in range(3):
            requests, term_s = self.drain()
            self.assertGreater(self.check_answered(requests, term_s), 60)

    def test_with_a_delay_all_that_comes_within_it_is_answered_too(self):
        seen = []

        def look(server):
            """While the delay lasts: not ready, and alive. A busy machine may come when it is over."""
            try:
                wait_for(lambda: server.ask("GET", "/readyz").code == 503, "readiness to go")
                seen.append(server.ask("GET", "/livez").code)
            except (OSError, harness.http.client.HTTPException):
                pass
        n_after = 0
        for delay_s in (0.7, 3, 12):
            requests, term_s = self.drain(look=look, options=("--drain-delay", delay_s))
            n_after = self.check_answered(requests, term_s + delay_s - 0.1) - sum(sent <= term_s for sent, _, _ in requests)
            if n_after > 10 and seen:
                break
        self.assertEqual(set(seen), {200})
        self.assertGreater(n_after, 10, "requests after the signal")

    def test_what_is_being_worked_on_is_ended_before_the_server_is(self):
        server = self.serve()
        server.deploy("stamps", "v1", harness.stamps())
        self.check_code(server.predict("stamps", JPEG), 200)
        self.assertTrue(server.pause_workers())
        answers = []
        thread = threading.Thread(target=lambda: answers.append(server.predict("stamps", *[JPEG] * 20)))
        thread.start()
        wait_for(lambda: sum(n["busy"] for p in server.pools() for n in p["nodes"]), "the request to be worked on")
        server.signal(signal.SIGTERM)
        wait_for(lambda: not self.is_open(server), "the port to be closed")
        self.assertIsNone(server.process.poll(), "it waits for the answer")
        self.assertEqual(answers, [])
        server.resume_workers()
        self.assertEqual(server.wait(), 0)
        thread.join(harness.DEADLINE_S)
        self.assertEqual(len(harness.scores_of(self.check_code(answers[0], 200))), 20)

    def is_open(self, server):
        try:
            socket.create_connection(("127.0.0.1", server.port), harness.DEADLINE_S).close()
            return True
        except OSError:
            return False

    def test_sigint_is_the_same(self):
        requests, term_s = self.drain(signal.SIGINT)
        self.assertGreater(self.check_answered(requests, term_s), 60)

    def test_what_was_acknowledged_is_there_after_kill_9(self):
        server = self.serve()
        server.deploy("stamps", "v1", harness.stamps())
        server.graft("models", "update", "stamps", "--description", "kept")
        wanted = server.predict("stamps", PICTURE).json
        server.kill()
        server.start()
        self.assertEqual(server.predict("stamps", PICTURE).json, wanted)
        self.assertEqual(server.ask("GET", "/v1/projects/default/models/stamps").json["description"], "kept")


if __name__ == "__main__":
    harness.main()
