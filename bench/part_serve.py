"""The server under load: one client, many, an open loop; waking from zero; a thousand versions; beside ONNX Runtime behind
LitServe and in KServe's own server."""
import atexit
import base64
import http.client
import itertools
import json
import os
import signal
import socket
import subprocess
import time
import urllib.request

from harness import environment, median, median_of_ratios, precisions_of, row, run, run_json, say, take_turns

N_VERSIONS = 1000
N_FILES = 20  # that the versions are made of: every version is a head of its own to the server, whatever file it came from
N_COLD_HEADS = 20
N_WAKES = 10
seeds = itertools.count(1)  # every load takes other versions at random, and another run of the benchmark the same ones
LOADS = (("1 client", 1), ("8 clients", 8), ("32 clients", 32))


class Process:
    """A server and all that it starts: a process group, which ends as one. LitServe's processes outlive the one that was started."""

    def __init__(self, *command):
        self.log = open(os.devnull, "wb")
        self.process = subprocess.Popen([str(word) for word in command], stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log,
                                        env=environment(), start_new_session=True)
        atexit.register(self.kill_group)  # where the benchmark fails or is interrupted

    def wait_until(self, condition, what):
        end = time.monotonic() + 120
        while not (value := condition()):
            if self.process.poll() is not None or time.monotonic() > end:
                raise SystemExit(f"bench: {what}: the server ended or is not ready")
            time.sleep(0.02)
        return value

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            pass
        self.kill_group()

    def kill_group(self):
        """Once: a group that has ended leaves its number to others."""
        atexit.unregister(self.kill_group)
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()
        self.log.close()


def rss_mb(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        return next(int(line.split()[1]) / 1024 for line in file if line.startswith("VmRSS:"))


class Graft(Process):
    def __init__(self, bench, home, *options):
        port_file = f"{bench.data}/serve-port"
        if os.path.exists(port_file):
            os.remove(port_file)
        super().__init__(bench.graft, "serve", "--home", home, "--port", 0, "--port-file", port_file, *options)
        self.wait_until(lambda: os.path.exists(port_file) and os.path.getsize(port_file) > 0, "graft serve")
        with open(port_file, encoding="ascii") as file:
            self.port = int(file.read())

    def call(self, method, path, body=None, content_type="application/json"):
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", data, {"Content-Type": content_type}, method=method)
        with urllib.request.urlopen(request) as answer:
            return json.load(answer)

    def deploy(self, path, model, versions):
        with open(path, "rb") as file:
            self.call("PUT", f"/graft/v1/buckets/bench/objects/{model}.safetensors", file.read())
        self.call("POST", "/v1/projects/p/models", {"name": model})
        names = [self.call("POST", f"/v1/projects/p/models/{model}/versions",
                           {"name": version, "deploymentUri": f"gs://bench/{model}.safetensors"})["name"] for version in versions]
        for name in names:
            self.finish(name)

    def finish(self, operation):
        answer = self.wait_until(lambda: (o := self.call("GET", f"/v1/{operation}")).get("done") and o, operation)
        if "error" in answer:
            raise SystemExit(f"bench: {operation}: {answer['error']}")

    def nodes(self):
        return [node for pool in self.call("GET", "/graft/v1/pools")["pools"] for node in pool["nodes"]]


def load(bench, port, paths, body, clients=1, rate=0.0, seconds=None):
    """A load that has to be answered whole: percentiles of the answers that came would flatter a server that refuses."""
    words = [word for path in paths for word in ("--path", path)]
    result = run_json(bench.program("bench_http"), "--port", port, *words, "--body", body, "--clients", clients, "--rate", f"{rate:.3f}",
                      "--seconds", seconds or 2 * bench.seconds, "--seed", next(seeds))
    if result["n_failed"] > 0 or result["n_ok"] == 0:
        raise SystemExit(f"bench: {result['n_failed']} of {result['n_failed'] + result['n_ok']} requests failed: {result['codes']}")
    return result


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


# name: (script, the path that says it is ready, the path that predicts)
PEERS = {"LitServe": ("peer_litserve.py", "/health", "/predict"), "KServe": ("peer_kserve.py", "/v1/models/peer", "/v1/models/peer:predict")}


def start_peer(bench, name):
    script, ready_path, _ = PEERS[name]
    port = free_port()
    python = bench.python_kserve if name == "KServe" else bench.python
    peer = Process(python, bench.script(script), bench.model("trunk-top"), port, 2)
    peer.port = port

    def is_up():
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{ready_path}", timeout=1) as answer:
                return answer.status == 200
        except OSError:
            return False
    peer.wait_until(is_up, name)
    return peer


def path_of(model, version=None):
    return f"/v1/projects/p/models/{model}{f'/versions/{version}' if version else ''}:predict"


def engine_ms(bench, precision, photo, n=30):
    """Decoding, network and head of one picture by `graft predict`: the engine without a server; the median."""
    answer = run_json(bench.graft, "predict", f"{bench.data}/serve-{precision}.safetensors", *[photo] * n, "--home",
                      bench.home, "--precision", precision, "--threads", 2, "--json", "--quiet")
    return median([sum(item["timing"].values()) for item in answer])


def row_of_overhead(bench, server, body, photo, precision):
    """What a client waits beyond the work itself, in turns with that work."""
    results = take_turns(bench.n_rounds, {"http": lambda: load(bench, server.port, [path_of(precision)], body)["p50_ms"],
                                          "engine": lambda: engine_ms(bench, precision, photo)})
    over = median([a - b for a, b in zip(results["http"], results["engine"])])
    return row(f"{precision}, 1 client: overhead over the bare engine, p50", over, "ms", target=("<=", 3), judged="graft",
               note=f"engine {median(results['engine']):.1f} ms")


def row_of_own_overhead(server, photo, precision, n=100):
    """The same from the answers themselves: what of a request's time its own picture's decoding, network and head do not explain. The
    client, in Python, is in it."""
    with open(photo, "rb") as file:
        picture = file.read()
    connection = http.client.HTTPConnection("127.0.0.1", server.port)
    over = []
    for _ in range(n):
        start = time.perf_counter()
        connection.request("POST", f"/graft/v1/projects/p/models/{precision}:classify", picture, {"Content-Type": "image/jpeg"})
        timings = json.loads(connection.getresponse().read())["timings"]
        over.append((time.perf_counter() - start) * 1e3 - timings["decode_ms"] - timings["network_ms"] - timings["head_ms"])
    connection.close()
    return row(f"{precision}, 1 client: overhead over the same answer's own work, p50", median(over), "ms", target=("<=", 3), judged="graft",
               note=f"p95 {sorted(over)[int(0.95 * n)]:.2f} ms")


def rows_beside(precision, name, clients, ours, peer, theirs):
    """One load, beside one peer."""
    peer_name = f"{peer}, ONNX Runtime f32"
    if clients == 1:
        rows = []
        for which in ("p50_ms", "p95_ms", "p99_ms"):
            a, b = [r[which] for r in ours], [r[which] for r in theirs]
            rows.append(row(f"{precision}, {name}: {which[:3]}", median(a), "ms", median(b), peer_name, median_of_ratios(b, a)))
        return rows
    a, b = [r["per_second"] for r in ours], [r["per_second"] for r in theirs]
    return [row(f"{precision}, {name}: throughput", median(a), "pictures/s", median(b), peer_name, median_of_ratios(a, b),
                note=f"p99 {median([r['p99_ms'] for r in ours]):.0f} ms, peer {median([r['p99_ms'] for r in theirs]):.0f} ms")]


def rows_of_loads(bench, servers, paths, body, precisions):
    """Every load on every server, in turns; the ratios are of rounds."""
    rows = []
    for name, clients in LOADS:
        say(f"serve: {name}")
        runners = {key: lambda key=key: load(bench, servers[key].port, [paths[key]], body, clients) for key in servers}
        results = take_turns(bench.n_rounds, runners)
        for precision in precisions:
            for peer in PEERS:
                rows += rows_beside(precision, name, clients, results[precision], peer, results[peer])
    return rows


def rows_of_open_loop(bench, servers, paths, body, precisions):
    rows = []
    for precision in precisions:
        capacity = load(bench, servers[precision].port, [paths[precision]], body, 8)["per_second"]
        for part in (0.6, 0.7):
            say(f"serve: Poisson, {precision}, {part:.0%}")
            result = load(bench, servers[precision].port, [paths[precision]], body, 64, part * capacity, 8 * bench.seconds)
            rows.append(row(f"{precision}, Poisson at {part:.0%} of capacity: p99", result["p99_ms"], "ms",
                            note=f"{part * capacity:.1f} requests/s, p50 {result['p50_ms']:.0f} ms"))
    return rows


def rows_of_waking(bench, home, body):
    say("serve: waking from zero")
    server = Graft(bench, home, "--idle-timeout", 0.3)
    with open(body, "rb") as file:
        request = file.read()
    times = []
    for _ in range(N_WAKES):
        server.wait_until(lambda: not server.nodes(), "no worker")
        start = time.perf_counter()
        server.call("POST", path_of("auto"), request)
        times.append((time.perf_counter() - start) * 1e3)
    server.wait_until(lambda: not server.nodes(), "no worker")
    idle = rss_mb(server.process.pid)
    server.call("POST", path_of("auto"), request)
    worker = max(node["rssBytes"] for node in server.nodes()) / 1e6
    server.stop()
    return [row("wake from zero: the first answer", median(times), "ms", target=("<=", 150), judged="graft",
                note=f"largest of {N_WAKES}: {max(times):.0f} ms"),
            row("gateway without a worker: RSS", idle, "MB"), row("worker, auto precision: RSS", worker, "MB")]


def deploy_many(bench, server):
    """N_VERSIONS versions of N_FILES files; how long that took."""
    for i in range(N_FILES):
        path = f"{bench.data}/serve-many-{i}.safetensors"
        run(bench.graft, "train", bench.article, "--home", bench.home, "--quiet", "--epochs", 1, "--seed", i, "--output", path)
        with open(path, "rb") as file:
            server.call("PUT", f"/graft/v1/buckets/bench/objects/many/{i}.safetensors", file.read())
    server.call("POST", "/v1/projects/p/models", {"name": "many"})
    start = time.perf_counter()
    names = [server.call("POST", "/v1/projects/p/models/many/versions",
                         {"name": f"v{i}", "deploymentUri": f"gs://bench/many/{i % N_FILES}.safetensors"})["name"]
             for i in range(N_VERSIONS)]
    for name in names:
        server.finish(name)
    return time.perf_counter() - start


def cold_heads(server, photo):
    """Milliseconds that loading took, of the first request to each of some versions."""
    with open(photo, "rb") as file:
        picture = file.read()
    return [server.call("POST", f"/graft/v1/projects/p/models/many/versions/v{i * (N_VERSIONS // N_COLD_HEADS)}:classify", picture,
                        "image/jpeg")["timings"]["load_ms"] for i in range(N_COLD_HEADS)]


def rows_of_versions(bench, photo, body):
    """As many versions as a provider may have customers, on one trunk. Few of their heads fit the server's default memory for heads, so most
    random requests load one."""
    say(f"serve: {N_VERSIONS} versions")
    home = bench.fresh_home("versions")
    server = Graft(bench, home)
    made_s = deploy_many(bench, server)
    server.stop()
    start = time.perf_counter()
    server = Graft(bench, home)
    started_s = time.perf_counter() - start
    idle = rss_mb(server.process.pid)
    paths = [path_of("many", f"v{i}") for i in range(N_VERSIONS)]
    load(bench, server.port, paths[:1], body, seconds=1)
    one_worker = max(node["rssBytes"] for node in server.nodes()) / 1e6
    cold = cold_heads(server, photo)
    results = take_turns(2 * bench.n_rounds, {"one": lambda: load(bench, server.port, paths[:1], body),
                                              "many": lambda: load(bench, server.port, paths, body)})
    one, many = ([r["p50_ms"] for r in results[key]] for key in ("one", "many"))
    nodes = server.nodes()
    rows = [row(f"{N_VERSIONS} versions: p50 over random versions", median(many), "ms", median(one), "one version",
                median_of_ratios(many, one), ("<=", 1.1), note=f"{len(nodes)} worker; default --head-memory, so most heads are loaded for the request"),
            row(f"{N_VERSIONS} versions: loading a cold head", median(cold), "ms", note=f"largest of {N_COLD_HEADS}: {max(cold):.1f} ms"),
            row(f"{N_VERSIONS} versions: making them over HTTP, self-tests included", made_s, "s"),
            row(f"{N_VERSIONS} versions: start of the server", started_s, "s"),
            row(f"{N_VERSIONS} versions: RSS of the gateway", idle, "MB"),
            row(f"{N_VERSIONS} versions: RSS of the worker", max(node["rssBytes"] for node in nodes) / 1e6, "MB",
                note=f"{max(node['loadedHeads'] for node in nodes)} heads loaded; {one_worker:.0f} MB with one")]
    server.stop()
    return rows


def measure_part(bench, facts):
    precisions = precisions_of(facts)
    photo, body = f"{bench.photos}/photo-640.jpg", f"{bench.data}/serve-body.json"
    with open(photo, "rb") as file, open(body, "w", encoding="ascii") as out:
        json.dump({"instances": [base64.b64encode(file.read()).decode()]}, out)
    home = bench.fresh_home("serve")
    for name in precisions + ["auto"]:
        run(bench.graft, "train", bench.article, "--home", home, "--quiet", "--epochs", 2, "--precision", name, "--output",
            f"{bench.data}/serve-{name}.safetensors")
    ours = {}
    for precision in precisions:  # a server each: it computes in what it is told, whatever is faster on this CPU
        ours[precision] = Graft(bench, bench.fresh_home(f"serve-{precision}"), "--precision", precision)
        ours[precision].deploy(f"{bench.data}/serve-{precision}.safetensors", precision, ["v1"])
    peers = {name: start_peer(bench, name) for name in PEERS}
    servers = ours | peers
    paths = {precision: path_of(precision) for precision in precisions} | {name: peer[2] for name, peer in PEERS.items()}
    for key in servers:
        load(bench, servers[key].port, [paths[key]], body, 2, seconds=1)
    rows = rows_of_loads(bench, servers, paths, body, precisions)
    for peer in peers.values():
        peer.stop()
    rows += [row_of_overhead(bench, ours[precision], body, photo, precision) for precision in precisions]
    rows += [row_of_own_overhead(ours[precision], photo, precision) for precision in precisions]
    rows += rows_of_open_loop(bench, servers, paths, body, precisions)
    for server in ours.values():
        server.stop()
    server = Graft(bench, home)
    server.deploy(f"{bench.data}/serve-auto.safetensors", "auto", ["v1"])
    server.stop()
    return rows + rows_of_waking(bench, home, body) + rows_of_versions(bench, photo, body)
