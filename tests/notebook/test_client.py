"""graft.Client against a real server: resources, predictions, buckets, errors; and a scripted one:
retries, log streams that break."""

import http.server
import json
import os
import threading
import time
import unittest
import unittest.mock

import numpy as np

from scene import harness

import graft
from graft import client as graft_client
from graft import transport
from graft.client import ApiError, Client


class RealServer(harness.ServerCase):
    models = {"stamps": harness.stamps, "iris": harness.iris}

    def setUp(self):
        self.client = Client(self.server.url)
        self.addCleanup(self.client.close)

    def test_predicts_paths_bytes_and_lists_of_them_in_order(self):
        paths = [harness.pictures(kind)[10] for kind in harness.KINDS]
        wanted = harness.expected_scores(harness.stamps(), *paths)
        for inputs in (paths, [harness.read(path) for path in paths], iter(paths)):
            found = self.client.predict("stamps", inputs)
            self.assertEqual(len(found), 3)
            for scores, expected in zip(found, wanted):
                self.check_scores(scores, expected)
        self.check_scores(self.client.predict("stamps", paths[1])[0], wanted[1])
        self.check_scores(self.client.predict("stamps", [paths[1]], version="v1")[0], wanted[1])

    def test_an_array_of_bytes_says_what_its_pixels_say(self):
        pixels = np.random.default_rng(3).integers(0, 256, (40, 50, 3)).astype(np.uint8)
        as_picture = self.client.predict("stamps", pixels)[0]
        as_pixels = self.client.predict("stamps", [pixels.tolist()])[0]
        self.check_scores(
            as_picture, as_pixels, "the same pixels as PNG and as numbers", delta=1e-6
        )
        batch = self.client.predict("stamps", np.stack([pixels, 255 - pixels]))
        self.check_scores(batch[0], as_pixels)
        self.assertNotEqual(batch[0], batch[1])

    def test_predicts_rows_of_numbers(self):
        rows = [harness.iris_row(2, k) for k in range(3)]
        found = self.client.predict("iris", rows)
        self.assertEqual([int(np.argmax(scores)) for scores in found], [0, 1, 2])
        self.assertEqual(self.client.predict("iris", np.array(rows)), found)
        self.assertEqual(self.client.predict("iris", rows[1]), found[1:2])

    def test_many_inputs_go_in_several_requests(self):
        row = harness.iris_row(1, 1)
        found = self.client.predict("iris", [row] * 600)
        self.assertEqual(len(found), 600)
        self.assertEqual(found[0], found[599])

    def test_classifies(self):
        path = harness.pictures("food")[10]
        found = self.client.classify("stamps", path, top=2)
        scores = harness.expected_scores(harness.stamps(), path)[0]
        classes = harness.classes_of(harness.stamps())
        self.assertEqual(len(found), 1)
        self.assertEqual(found[0]["label"], classes[int(np.argmax(scores))])
        self.assertEqual(len(found[0]["top"]), 2)
        with self.assertRaisesRegex(TypeError, "numbers go to predict"):
            self.client.classify("stamps", [[1.0, 2.0]])

    def test_models_and_versions_come_and_go(self):
        address = self.client.upload(harness.stamps(), "gs://client/stamps/")
        self.assertEqual(address, ["gs://client/stamps/stamps.safetensors"])
        mine = Client(self.server.url, project="other")
        self.assertEqual(
            mine.models.create("m1", description="a try")["name"], "projects/other/models/m1"
        )
        version = mine.versions.create("m1", "v1", "gs://client/stamps/")
        self.assertEqual(version["state"], "READY")
        mine.versions.create("m1", "v2", "gs://client/stamps/")
        self.assertEqual(
            mine.versions.set_default("m1", "v2")["name"], "projects/other/models/m1/versions/v2"
        )
        self.assertEqual(
            [item["name"].rsplit("/", 1)[1] for item in mine.versions.list("m1")], ["v1", "v2"]
        )
        self.assertEqual(mine.models.get("m1")["description"], "a try")
        self.assertEqual(len(mine.predict("m1", harness.pictures("food")[10])[0]), 3)
        mine.versions.delete("m1", "v1")
        mine.versions.delete("m1", "v2")
        mine.models.delete("m1")
        self.assertEqual(mine.models.list(), [])

    def test_lists_follow_every_page(self):
        mine = Client(self.server.url, project="pages")
        for i in range(103):
            mine.models.create(f"m{i:03}")
        self.assertEqual(len(mine.models.list()), 103)
        self.assertEqual(len(mine.models.list(filter="name:m10*")), 3)

    def test_a_version_that_cannot_be_is_an_error_with_its_reason(self):
        self.client.buckets.put(b"no model", "gs://client/broken/model.safetensors")
        mine = Client(self.server.url, project="broken")
        mine.models.create("m")
        with self.assertRaises(ApiError) as failed:
            mine.versions.create("m", "v1", "gs://client/broken/")
        self.assertIn("no model file", failed.exception.message)

    def test_buckets_keep_bytes_files_and_folders(self):
        folder = self.scratch()
        os.makedirs(os.path.join(folder, "in", "deep er"))
        harness.write(os.path.join(folder, "in", "a.txt"), b"one")
        harness.write(os.path.join(folder, "in", "deep er", "b%c.bin"), bytes(range(256)) * 9000)
        self.assertEqual(
            self.client.upload(os.path.join(folder, "in"), "gs://client/tree/"),
            ["gs://client/tree/a.txt", "gs://client/tree/deep er/b%c.bin"],
        )
        self.assertEqual(
            self.client.ls("gs://client/tree/"),
            ["gs://client/tree/a.txt", "gs://client/tree/deep er/b%c.bin"],
        )
        self.assertEqual(self.client.buckets.get("gs://client/tree/a.txt"), b"one")
        path = self.client.download("gs://client/tree/deep er/b%c.bin", folder)
        self.assertEqual(harness.read(path), bytes(range(256)) * 9000)
        self.client.buckets.delete("gs://client/tree/a.txt")
        with self.assertRaises(ApiError) as missing:
            self.client.download("gs://client/tree/a.txt", folder)
        self.assertEqual(missing.exception.code, 404)
        self.assertEqual(sorted(os.listdir(folder)), ["b%c.bin", "in"])

    def test_errors_carry_code_status_and_message(self):
        with self.assertRaises(ApiError) as missing:
            self.client.models.get("nobody")
        self.assertEqual((missing.exception.code, missing.exception.status), (404, "NOT_FOUND"))
        self.assertIn("nobody", missing.exception.message)
        with self.assertRaises(ApiError) as broken:
            self.client.predict(
                "stamps", [harness.read(harness.pictures("food")[0]), b"no picture"]
            )
        self.assertEqual(broken.exception.code, 400)
        self.assertIn("instances[1]", broken.exception.message)
        self.assertEqual(len(self.client.predict("stamps", harness.pictures("food")[0])), 1)

    def test_threads_share_a_client(self):
        path = harness.pictures("food")[10]
        wanted = self.client.predict("stamps", path)[0]
        for found in harness.in_parallel(6, lambda i: self.client.predict("stamps", path)[0]):
            self.check_scores(found, wanted)

    def test_a_server_that_was_started_again_is_found_again(self):
        server = harness.Server(harness.new_home(self.scratch()))
        self.addCleanup(server.stop)
        client = Client(server.url)
        self.assertEqual(client.models.list(), [])
        server.kill()
        with self.assertRaisesRegex(ApiError, "is the server running there"):
            client.models.list()
        server.options += ["--port", str(server.port)]
        server.start()
        self.assertEqual(client.models.list(), [])


class Scripted(http.server.BaseHTTPRequestHandler):
    """Answers as its server's list says: functions of the handler, one a request."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_GET(self):
        self.server.seen.append((self.command, self.path, dict(self.headers)))
        length = int(self.headers.get("Content-Length", 0))
        self.rfile.read(length)
        self.server.answers.pop(0)(self)

    do_POST = do_GET

    def answer(self, code, document, **headers):
        body = json.dumps(document).encode() if not isinstance(document, bytes) else document
        self.send_response(code)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def stream(self, text):
        """Events without an end: the connection is cut after them."""
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(text.encode())
        self.close_connection = True


def answering(code, document, **headers):
    return lambda handler: handler.answer(code, document, **headers)


def streaming(text):
    return lambda handler: handler.stream(text)


class ScriptedServer(harness.Case):
    """What a real server does seldom: being busy, breaking off."""

    def client(self, *answers, **options):
        self.httpd = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Scripted)
        self.httpd.answers, self.httpd.seen = list(answers), []
        threading.Thread(target=self.httpd.serve_forever, daemon=True).start()
        self.addCleanup(self.httpd.server_close)
        self.addCleanup(self.httpd.shutdown)
        return Client(f"http://127.0.0.1:{self.httpd.server_address[1]}", **options)

    def test_waits_as_long_as_retry_after_says(self):
        busy = {"error": {"code": 429, "message": "full", "status": "RESOURCE_EXHAUSTED"}}
        client = self.client(
            answering(429, busy, Retry_After="1"),
            answering(503, busy, Retry_After="0"),
            answering(200, {"models": [{"name": "m"}]}),
        )
        began = time.monotonic()
        self.assertEqual(client.models.list(), [{"name": "m"}])
        self.assertGreaterEqual(time.monotonic() - began, 1.0)
        self.assertEqual(len(self.httpd.seen), 3)

    def test_gives_up_after_max_retries(self):
        client = self.client(
            *[answering(503, {"error": "not yet"}, Retry_After="0")] * 3, max_retries=2
        )
        with self.assertRaises(ApiError) as refused:
            client.models.list()
        self.assertEqual((refused.exception.code, refused.exception.message), (503, "not yet"))
        self.assertEqual(len(self.httpd.seen), 3)

    def test_other_failures_are_told_at_once(self):
        client = self.client(answering(500, b"<html>Bad\xff</html>"))
        with self.assertRaises(ApiError) as failed:
            client.models.list()
        self.assertEqual((failed.exception.code, failed.exception.status), (500, "INTERNAL"))
        self.assertIn("<html>Bad", failed.exception.message)

    def test_what_creates_is_never_sent_twice(self):
        def cut(handler):
            handler.close_connection = True
            handler.connection.close()

        client = self.client(answering(200, {}), cut)
        client.models.get("m")
        with self.assertRaises(ApiError) as lost:
            client.models.create("m")
        self.assertEqual(lost.exception.code, 0)
        self.assertEqual([seen[0] for seen in self.httpd.seen], ["GET", "POST"])

    def test_sends_the_token(self):
        client = self.client(answering(200, {}), token="graft_abc")
        client.models.list()
        self.assertEqual(self.httpd.seen[0][2]["Authorization"], "Bearer graft_abc")

    def test_an_answer_that_is_cut_off_is_an_error(self):
        def short(handler):
            handler.send_response(200)
            handler.send_header("Content-Length", "100")
            handler.end_headers()
            handler.wfile.write(b'{"models": ')
            handler.close_connection = True

        with self.assertRaisesRegex(ApiError, "UNAVAILABLE"):
            self.client(short).models.list()

    def test_a_download_that_is_cut_off_leaves_no_file(self):
        def short(handler):
            handler.send_response(200)
            handler.send_header("Content-Length", "100")
            handler.end_headers()
            handler.wfile.write(b"abc")
            handler.close_connection = True

        folder = self.scratch()
        with self.assertRaises(ApiError):
            self.client(short).download("gs://b/x", folder)
        self.assertEqual(os.listdir(folder), [])

    def test_a_log_is_read_on_where_the_connection_broke(self):
        client = self.client(
            streaming(
                ': hello\n\nevent: log\nid: 40\ndata: {"message": "one"}\n\nevent: log\nid: 8'
            ),
            answering(503, {"error": "starting"}, Retry_After="0"),
            streaming(
                'event: log\nid: 80\ndata: {"message": "two"}\n\n'
                'event: state\ndata: {"state": "RUNNING"}\n\n'
                'event: end\ndata: {"state": "SUCCEEDED"}\n\n'
            ),
        )
        events = list(client.jobs.stream_logs("j"))
        self.assertEqual([event.kind for event in events], ["log", "log", "state", "end"])
        self.assertEqual([event.data.get("message") for event in events[:2]], ["one", "two"])
        self.assertEqual(
            [seen[2].get("Last-Event-ID") for seen in self.httpd.seen], [None, "40", "40"]
        )

    def test_a_log_that_nobody_has_is_an_error_at_once(self):
        with self.assertRaises(ApiError) as missing:
            list(self.client(answering(404, {"error": "no such job"})).jobs.stream_logs("j"))
        self.assertEqual(missing.exception.code, 404)

    def test_a_log_without_news_is_given_up(self):
        client = self.client(*[streaming("")] * 50)
        with self.assertRaisesRegex(ApiError, "cannot be read on"):
            list(client.jobs.stream_logs("j", retry_for_s=0.3))


class Read(harness.Case):
    def test_reads_in_a_job_from_the_folder_and_else_from_the_server(self):
        folder = self.scratch()
        os.makedirs(os.path.join(folder, "here"))
        harness.write(os.path.join(folder, "here", "x.bin"), b"from the folder")
        with unittest.mock.patch.dict(os.environ, GRAFT_BUCKETS=folder):
            self.assertEqual(graft_client.read("gs://here/x.bin"), b"from the folder")
        server = harness.Server(harness.new_home(folder))
        self.addCleanup(server.stop)
        server.upload("gs://here/x.bin", b"from the server")
        with unittest.mock.patch.dict(os.environ, GRAFT_SERVER=server.url):
            os.environ.pop("GRAFT_BUCKETS", None)
            self.assertEqual(graft_client.read("gs://here/x.bin"), b"from the server")


class Small(unittest.TestCase):
    def test_retry_after_is_a_number_or_a_date_or_grows(self):
        self.assertEqual(transport.retry_after_s("7", 0), 7)
        self.assertEqual(transport.retry_after_s("99999", 0), transport.MAX_WAIT_S)
        self.assertEqual(transport.retry_after_s("Wed, 21 Oct 2015 07:28:00 GMT", 0), 0)
        self.assertEqual(transport.retry_after_s("soon", 1), 0.5)
        self.assertEqual(transport.retry_after_s(None, 2), 1.0)

    def test_what_the_package_itself_gives(self):
        self.assertIs(graft.Client, Client)
        self.assertIs(graft.ApiError, ApiError)
        self.assertTrue(issubclass(ApiError, graft.Error))
        self.assertTrue(callable(graft.display.layers))

    def test_addresses_and_servers_that_cannot_be(self):
        with self.assertRaisesRegex(ValueError, "expected gs://BUCKET/PATH"):
            graft_client.split_address("/etc/passwd")
        for server in ("ftp://x", "http://"):
            with self.assertRaisesRegex(ValueError, "expected an address"):
                Client(server)
        self.assertEqual(Client("localhost:80").server, "http://localhost:80")


if __name__ == "__main__":
    unittest.main()
