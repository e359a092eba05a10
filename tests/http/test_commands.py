"""The commands that talk to a server, where two meet or one is stopped in the middle."""
import os
import signal
import socket
import subprocess
import threading

import harness
from harness import PICTURE, wait_for


class HaltingRelay:
    """Between a command and a server: what is said goes on, up to this many bytes of the command's. Then it is silent until closed."""

    def __init__(self, port, n_bytes):
        self.port, self.n_left = port, n_bytes
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        self.sockets = [self.listener]
        threading.Thread(target=self.take, daemon=True).start()

    def take(self):
        try:
            while True:
                client, _ = self.listener.accept()
                server = socket.create_connection(("127.0.0.1", self.port), harness.DEADLINE_S)
                self.sockets += client, server
                threading.Thread(target=self.pass_on, args=(client, server, self.most), daemon=True).start()
                threading.Thread(target=self.pass_on, args=(server, client, lambda: 65536), daemon=True).start()
        except OSError:
            pass  # closed

    def most(self):
        return min(self.n_left, 65536)

    def pass_on(self, source, target, most):
        try:
            while n_bytes := most():
                some = source.recv(n_bytes)
                if not some:
                    return target.shutdown(socket.SHUT_WR)
                if most == self.most:
                    self.n_left -= len(some)
                target.sendall(some)
        except OSError:
            pass  # closed
        return None

    def close(self):
        for one in self.sockets:
            try:
                one.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            one.close()


class Commands(harness.ServerCase):
    models = {}

    def start(self, *words, server=None):
        return subprocess.Popen([harness.GRAFT, *words, "--server", server or self.server.url], env=harness.environment(self.home), stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def files(self, under):
        return [os.path.join(folder, name) for folder, _, names in os.walk(os.path.join(self.home, under)) for name in names]

    def test_two_versions_of_one_name_at_once_one_wins_and_the_other_says_so(self):
        self.server.graft("models", "create", "race")
        for i in range(3):
            both = [self.start("versions", "create", f"v{i}", "--model", "race", "--origin", harness.stamps()) for _ in range(2)]
            ends = [(*one.communicate(timeout=harness.DEADLINE_S), one.returncode) for one in both]
            self.assertEqual(sorted(code for _, _, code in ends), [0, 1], ends)
            (loser,) = [err for _, err, code in ends if code == 1]
            self.assertIn("exists already", loser)
            self.check_code(self.server.predict(f"race/versions/v{i}", PICTURE), 200)
        self.assertEqual(len(self.ask("GET", "/v1/projects/default/models/race/versions").json["versions"]), 3)

    def test_ctrl_c_in_the_middle_of_an_upload_leaves_nothing_half_made(self):
        self.server.graft("models", "create", "cut")
        big = os.path.join(self.folder, "big.safetensors")
        with open(big, "wb") as file:
            file.truncate(400 << 20)

        def size_of(path):
            try:
                return os.path.getsize(path)
            except FileNotFoundError:
                return 0  # cleared away since it was listed

        def arriving():
            return [path for path in self.files("uploads") if size_of(path) > 0]
        relay = HaltingRelay(self.server.port, 1 << 20)  # so that it is in the middle for as long as we like
        self.addCleanup(relay.close)
        command = self.start("versions", "create", "v1", "--model", "cut", "--origin", big, server=relay.url)
        wait_for(lambda: arriving() or command.poll() is not None, "the upload to begin")
        self.assertIsNone(command.poll())
        command.send_signal(signal.SIGINT)
        out, err = command.communicate(timeout=harness.DEADLINE_S)
        relay.close()
        self.assertEqual((command.returncode, out), (4, ""), err)
        said = [line for line in err.replace("\r", "\n").splitlines() if line.startswith("graft:")]
        self.assertEqual(len(said), 1, err)
        wait_for(lambda: not arriving(), "the half to be cleared away")
        self.assertEqual([path for path in self.files("buckets") if "/cut/" in path], [])
        self.assertEqual(self.ask("GET", "/v1/projects/default/models/cut/versions").json, {})
        self.check_code(self.ask("GET", "/readyz"), 200)
        # The same again, to the end.
        self.server.graft("versions", "create", "v1", "--model", "cut", "--origin", harness.stamps())
        self.check_code(self.server.predict("cut", PICTURE), 200)


if __name__ == "__main__":
    harness.main()
