"""Jobs over HTTP, with a real server that runs real programs."""
import json
import os
import signal
import socket
import sys

import harness
import jobs
from harness import wait_for, write
from jobs import JOBS, WAITS

SAYS = """
import os, sys
print("arguments", sys.argv[1:], flush=True)
print("to stderr", file=sys.stderr)
"""
FAILS = """
import sys
print("so far so good", flush=True)
raise ValueError("the data are bad")
"""


class Jobs(harness.ServerCase):
    models = {}

    def release(self):
        """A path that a job which WAITS waits for; and what lets it go."""
        path = os.path.join(self.scratch(), "go")
        return path, lambda: write(path, b"")

    def test_a_program_is_run_with_its_arguments(self):
        created = jobs.create(self.server, "says", SAYS, "--steps", "3", "", jobDir="gs://jobs/out/says")
        self.assertEqual((created["jobId"], created["state"]), ("says", "QUEUED"))
        ended = jobs.wait_state(self.server, "says", "SUCCEEDED")
        self.assertLessEqual(created["createTime"], ended["startTime"])
        self.assertLessEqual(ended["startTime"], ended["endTime"])
        self.assertNotIn("errorMessage", ended)
        lines = jobs.log_of(self.server, "says")
        said = [line for line in lines if line.startswith("arguments")]
        self.assertEqual(len(said), 1, lines)
        self.assertIn("'--job-dir'", said[0].replace("--job-dir=", "'--job-dir', '"))
        self.assertTrue(said[0].endswith("'--steps', '3', '']"), said)
        self.assertIn("to stderr", lines)

    def test_a_program_that_fails_says_why(self):
        jobs.create(self.server, "fails", FAILS)
        ended = jobs.wait_state(self.server, "fails", "FAILED")
        self.assertIn("ValueError: the data are bad", ended["errorMessage"])
        self.assertIn("so far so good", "\n".join(jobs.log_of(self.server, "fails")))

    def test_lists_filters_and_pages(self):
        for i in range(3):
            jobs.create(self.server, f"list_{i}", SAYS)
        for i in range(3):
            jobs.wait_state(self.server, f"list_{i}", "SUCCEEDED")
        asked = self.ask("GET", f"{JOBS}?filter=jobId:list_*%20AND%20state:SUCCEEDED").json
        self.assertEqual([job["jobId"] for job in asked["jobs"]], ["list_2", "list_1", "list_0"])
        page = self.ask("GET", f"{JOBS}?filter=jobId:list_*&pageSize=2").json
        self.assertEqual(len(page["jobs"]), 2)
        rest = self.ask("GET", f"{JOBS}?filter=jobId:list_*&pageSize=2&pageToken={page['nextPageToken']}").json
        self.assertEqual([job["jobId"] for job in rest["jobs"]], ["list_0"])
        self.assertNotIn("nextPageToken", rest)
        self.assertEqual(self.ask("GET", f"{JOBS}?filter=jobId:none*").json, {})

    def test_labels_change_and_an_etag_guards_them(self):
        etag = jobs.create(self.server, "labels", SAYS)["etag"]
        jobs.wait_state(self.server, "labels", "SUCCEEDED")
        etag = jobs.get(self.server, "labels")["etag"]
        changed = self.check_code(self.ask("PATCH", f"{JOBS}/labels?updateMask=labels", {"labels": {"a": "b"}, "etag": etag}), 200).json
        self.assertEqual(changed["labels"], {"a": "b"})
        self.check_code(self.ask("PATCH", f"{JOBS}/labels?updateMask=labels", {"labels": {}, "etag": etag}), 409)
        self.check_code(self.ask("PATCH", f"{JOBS}/labels?updateMask=trainingInput", {"trainingInput": {}}), 400)
        self.check_code(self.ask("POST", JOBS, {"jobId": "labels", "trainingInput": {"scaleTier": "BASIC", "region": "r", "pythonModule": "graft.train"}}), 409)

    def test_cancels_what_runs(self):
        path, _ = self.release()
        jobs.create(self.server, "running", WAITS, path)
        jobs.wait_said(self.server, "running", "begun")
        jobs.cancel(self.server, "running")
        ended = jobs.wait_state(self.server, "running", "CANCELLED")
        self.assertTrue(ended["errorMessage"])
        jobs.wait_no_process(self.home)
        jobs.cancel(self.server, "running")  # it stays as it is
        self.assertEqual(jobs.state(self.server, "running"), "CANCELLED")

    def test_cancelling_what_has_ended_is_refused(self):
        jobs.create(self.server, "ended", SAYS)
        jobs.wait_state(self.server, "ended", "SUCCEEDED")
        answer = self.check_code(self.ask("POST", f"{JOBS}/ended:cancel", {}), 400)
        self.assertEqual(answer.json["error"]["status"], "FAILED_PRECONDITION")
        self.check_code(self.ask("POST", f"{JOBS}/nobody:cancel", {}), 404)

    def test_metrics_count(self):
        jobs.create(self.server, "counted", SAYS)
        jobs.wait_state(self.server, "counted", "SUCCEEDED")

        def look():
            """The end is noted first, and counted then."""
            page = self.ask("GET", "/metrics").body.decode()
            found = dict(line.rsplit(" ", 1) for line in page.splitlines() if line.startswith("graft_job"))
            return found if int(found['graft_jobs_ended_total{state="succeeded"}']) >= 1 else None
        values = wait_for(look, "the job to be counted")
        self.assertGreaterEqual(int(values["graft_job_submit_to_start_seconds_count"]), 1)
        self.assertGreater(float(values["graft_job_submit_to_start_seconds_sum"]), 0)
        self.assertEqual(self.check_code(self.ask("GET", "/graft/v1/jobs"), 200).json["runner"], "local")

    # ---- the log

    def test_the_log_is_streamed_while_it_grows(self):
        path, go = self.release()
        jobs.create(self.server, "grows", WAITS, path)
        connection = self.server.connect()
        connection.request("GET", f"{JOBS}/grows:streamLogs")
        response = connection.getresponse()
        self.assertEqual(response.getheader("Transfer-Encoding"), "chunked")
        text = ""
        while "begun" not in text:
            text += response.readline().decode()
        self.assertNotIn("done", text)
        self.assertNotIn("event: end", text)
        go()
        found = jobs.parse(text + response.read().decode())
        connection.close()
        states = [data["state"] for event, _, data in found if event == "state"]
        self.assertEqual(states[-1], "SUCCEEDED")
        self.assertEqual(found[-1][0], "end")
        self.assertEqual(found[-1][2]["state"], "SUCCEEDED")
        self.assertIn("done", [data["message"] for event, _, data in found if event == "log"])

    def test_a_stream_is_taken_up_where_it_was(self):
        jobs.create(self.server, "resumed", "for i in range(2000):\n    print('line', i)\n")
        jobs.wait_state(self.server, "resumed", "SUCCEEDED")
        every = [entry for entry in jobs.events(self.server, "resumed") if entry[0] == "log"]
        self.assertGreaterEqual(len(every), 2000)
        self.assertEqual(sorted({number for _, number, _ in every}), [number for _, number, _ in every], "ids grow")
        for i in (0, 1, 777, len(every) - 2):
            for found in (jobs.events(self.server, "resumed", f"?offset={every[i][1]}"),
                          jobs.events(self.server, "resumed", "?offset=0", {"Last-Event-ID": str(every[i][1])})):
                self.assertEqual([entry for entry in found if entry[0] == "log"], every[i + 1:])
                self.assertEqual(found[-1][0], "end")
        self.check_code(self.ask("GET", f"{JOBS}/resumed:streamLogs?offset=x"), 400)
        self.check_code(self.ask("GET", f"{JOBS}/nobody:streamLogs"), 404)

    def test_head_of_a_stream_ends_at_once(self):
        path, go = self.release()
        jobs.create(self.server, "head", WAITS, path)
        jobs.wait_said(self.server, "head", "begun")
        answer = self.check_code(self.ask("HEAD", f"{JOBS}/head:streamLogs"), 200)
        self.assertEqual((answer.headers["Content-Type"], answer.body), ("text/event-stream", b""))
        go()
        jobs.wait_state(self.server, "head", "SUCCEEDED")

    def in_flight(self):
        page = self.ask("GET", "/metrics").body.decode()
        return int(float(next(line for line in page.splitlines() if line.startswith("graft_http_requests_in_flight ")).split()[1]))

    def test_streams_whose_clients_have_gone_are_ended(self):
        path, go = self.release()
        jobs.create(self.server, "left", WAITS, path)
        jobs.wait_said(self.server, "left", "begun")
        clients = [self.server.connect() for _ in range(20)]
        for client in clients:
            client.request("GET", f"{JOBS}/left:streamLogs")
            client.getresponse().readline()
        self.assertGreaterEqual(self.in_flight(), 21)
        for client in clients:
            client.close()
        wait_for(lambda: self.in_flight() == 1, "the streams to be ended")
        go()
        jobs.wait_state(self.server, "left", "SUCCEEDED")


class Environment(harness.HomeCase):
    models = {}

    def test_is_cancelled_while_it_installs(self):
        """pip asks an index that takes the connection and says nothing."""
        index = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(index.close)
        index.settimeout(harness.DEADLINE_S)
        server = self.serve(env={"PIP_INDEX_URL": f"http://127.0.0.1:{index.getsockname()[1]}/simple", "no_proxy": "127.0.0.1", "PIP_NO_INDEX": "0",
                                 "PIP_CONFIG_FILE": "/dev/null"})
        jobs.create(server, "installs", SAYS, package=jobs.sdist(SAYS, requires="no-such-package-anywhere\n"))
        connection, _ = index.accept()  # pip is at work
        self.addCleanup(connection.close)
        self.assertEqual(jobs.state(server, "installs"), "PREPARING")
        jobs.cancel(server, "installs")
        ended = jobs.wait_state(server, "installs", "CANCELLED")
        self.assertNotIn("startTime", ended)
        jobs.wait_no_process(self.home)
        self.assertFalse([line for line in jobs.log_of(server, "installs") if line.startswith("arguments")])

    def test_python_is_what_runs_packages(self):
        folder = self.scratch()
        python = os.path.join(folder, "python")
        write(python, f'#!/bin/sh\nMARK=chosen exec "{sys.executable}" "$@"\n'.encode())
        os.chmod(python, 0o755)
        server = self.serve("--python", os.path.relpath(python), env={"GRAFT_TOKEN": "of the server"})
        jobs.create(server, "chosen", "import os\nprint('MARK', os.environ.get('MARK'), os.environ.get('GRAFT_TOKEN'), flush=True)\n")
        jobs.wait_state(server, "chosen", "SUCCEEDED")
        self.assertIn("MARK chosen None", jobs.log_of(server, "chosen"))

    def test_a_python_that_is_not_there_is_told(self):
        self.assertIn("python: /nowhere/python: no program that can be run", self.refused("--python", "/nowhere/python"))


class Tokens(harness.HomeCase):
    def token(self, *options):
        return {"Authorization": "Bearer " + json.loads(harness.run_graft(self.home, "token", "create", *options, "--json").stdout)["token"]}

    def test_roles_and_projects(self):
        deploy, predict = self.token("--role", "deploy", "--project", "p"), self.token("--role", "predict")
        server = self.serve("--require-tokens")
        body = {"jobId": "j", "trainingInput": {"scaleTier": "BASIC", "region": "r", "pythonModule": "trainer.task",
                                                "packageUris": ["gs://jobs/p/trainer-0.0.0.tar.gz"], "args": ["--data=gs://jobs/p/x"]}}
        path = "/v1/projects/p/jobs"
        put = server.ask("PUT", "/graft/v1/buckets/jobs/objects/p/trainer-0.0.0.tar.gz", jobs.sdist(SAYS), deploy)
        self.assertIn(put.code, (200, 201), put)
        self.check_code(server.ask("POST", path, body), 401)
        self.check_code(server.ask("POST", path, body, predict), 403)
        self.check_code(server.ask("GET", path + "/j:streamLogs", headers=predict), 403)
        for member, value in (("packageUris", ["gs://jobs/q/x.tar.gz"]), ("args", ["--data=gs://jobs/q/x"]), ("jobDir", "gs://jobs/q")):
            other = {"jobId": "j", "trainingInput": dict(body["trainingInput"], **{member: value})}
            self.check_code(server.ask("POST", path, other, deploy), 403)
        self.check_code(server.ask("POST", "/v1/projects/q/jobs", body, deploy), 403)
        self.check_code(server.ask("POST", path, body, deploy), 200)
        ended = wait_for(lambda: (lambda job: job if job["state"] in jobs.ENDS else None)(server.ask("GET", path + "/j", headers=deploy).json), "the job")
        self.assertEqual(ended["state"], "SUCCEEDED", ended)


class Drain(harness.HomeCase):
    def test_sigterm_ends_streams_and_not_jobs(self):
        server, path = self.serve(), os.path.join(self.folder, "go")
        jobs.create(server, "long", WAITS, path)
        jobs.wait_said(server, "long", "begun")
        connection = server.connect()
        connection.request("GET", f"{JOBS}/long:streamLogs")
        response, text = connection.getresponse(), ""
        while "begun" not in text:
            text += response.readline().decode()
        server.signal(signal.SIGTERM)
        self.assertEqual(server.wait(), 0)
        found = jobs.parse(text + response.read().decode())
        connection.close()
        self.assertEqual(found[-1][0], "closing")
        last = max(number for _, number, _ in found)
        self.assertTrue(jobs.processes(self.home), "the job goes on")
        server.start()
        self.assertEqual(jobs.state(server, "long"), "RUNNING")
        write(path, b"")
        found = jobs.events(server, "long", headers={"Last-Event-ID": str(last)})
        said = [data["message"] for event, _, data in found if event == "log"]
        self.assertNotIn("begun", said)
        self.assertIn("done", said)
        self.assertEqual(found[-1][2]["state"], "SUCCEEDED")


class NoJobs(harness.HomeCase):
    def test_no_jobs_are_taken_with_no_jobs(self):
        server = self.serve("--no-jobs")
        answer = self.check_code(server.ask("POST", JOBS, {"jobId": "j", "trainingInput": {"scaleTier": "BASIC", "region": "r", "pythonModule": "graft.train"}}), 400)
        self.assertEqual(answer.json["error"]["status"], "FAILED_PRECONDITION")
        self.assertEqual(self.check_code(server.ask("GET", JOBS), 200).json, {})

    def test_a_queue_is_cancelled_from(self):
        server, path = self.serve("--job-cpus", "1"), os.path.join(self.folder, "go")
        jobs.create(server, "first", WAITS, path)
        jobs.wait_said(server, "first", "begun")
        jobs.create(server, "second", WAITS, path)
        self.assertEqual(jobs.state(server, "second"), "QUEUED")
        jobs.cancel(server, "second")
        ended = jobs.get(server, "second")
        self.assertEqual(ended["state"], "CANCELLED")
        self.assertTrue(ended["errorMessage"])
        self.assertNotIn("startTime", ended)
        write(path, b"")
        jobs.wait_state(server, "first", "SUCCEEDED")


if __name__ == "__main__":
    harness.main()
