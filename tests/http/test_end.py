"""The end of a server: SIGTERM under load loses no request; kill -9 loses nothing that was acknowledged."""
import json
import signal
import socket
import threading
import time

import harness
from harness import JPEG, PICTURE, Load, b64, wait_for

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
    def drain(self, wait_s, *options):
        """Ends a server under load; the requests of all streams, and the moment that the signal was sent."""
        server = self.serve(*options)
        if server.ask("GET", "/v1/models/stamps").code == 404:
            server.deploy("stamps", "v1", harness.stamps())
        streams = [Stream(server.port, is_kept=i % 2 == 0) for i in range(8)]
        wait_for(lambda: sum(len(stream.requests) for stream in streams) > 60, "60 answers")
        term_s = time.monotonic()
        server.signal(signal.SIGTERM)
        if wait_s:
            wait_for(lambda: server.ask("GET", "/readyz").code == 503, "readiness to go")
            self.check_code(server.ask("GET", "/livez"), 200)
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
            requests, term_s = self.drain(0)
            self.assertGreater(self.check_answered(requests, term_s), 60)

    def test_with_a_delay_all_that_comes_within_it_is_answered_too(self):
        delay_s = 0.7
        requests, term_s = self.drain(delay_s, "--drain-delay", delay_s)
        n = self.check_answered(requests, term_s + delay_s - 0.1)
        self.assertGreater(n, sum(sent <= term_s for sent, _, _ in requests) + 10, "requests after the signal")

    def test_one_long_request_is_ended_before_the_server_is(self):
        server = self.serve()
        server.deploy("stamps", "v1", harness.stamps())
        started = []
        answers = []
        thread = threading.Thread(target=lambda: (started.append(1), answers.append(server.predict("stamps", *[JPEG] * 200))))
        thread.start()
        wait_for(lambda: sum(n["busy"] for p in server.pools() for n in p["nodes"]) or answers, "the request to be worked on")
        self.assertEqual(answers, [], "it takes a while")
        server.signal(signal.SIGTERM)
        self.assertEqual(server.wait(), 0)
        thread.join(harness.DEADLINE_S)
        self.assertEqual(len(harness.scores_of(self.check_code(answers[0], 200))), 200)

    def test_sigint_is_the_same(self):
        server = self.serve()
        server.deploy("stamps", "v1", harness.stamps())
        load = Load(server, 4, lambda connection, i: server.predict("stamps", PICTURE, connection=connection))
        load.until(12)
        load.stopped.set()
        server.signal(signal.SIGINT)
        answers = load.stop()
        self.assertEqual(server.wait(), 0)
        self.assertEqual({answer.code for _, answer in answers}, {200})
        self.assertEqual(load.failures, [])

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
