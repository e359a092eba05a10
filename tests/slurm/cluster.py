"""A Slurm of its own: munged, slurmctld and three slurmd on this machine, in a scratch folder, on free ports.

    with cluster.Cluster() as slurm:
        slurm.run("sbatch", "--parsable", "job.sh")
        slurm.kill_node("n1")          # the daemon and everything it ran, at once
        subprocess.run([...], env=slurm.environment)

All of it ends with the block, and with this process, however that ends. Needs Debian's slurmctld, slurmd, slurm-client and munge,
no systemd, no cgroups, and no root: without it, jobs are of the same user. Every call has a time limit: a job that no node can run
waits for ever.
"""
import contextlib
import ctypes
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

NODES = ("n1", "n2", "n3")
CALL_S = 60
START_S = 120  # for what must happen; nothing waits this long unless it is broken
PR_SET_PDEATHSIG = 1

CONF = """\
ClusterName=graft-test
SlurmctldHost=localhost(127.0.0.1)
SlurmUser={user}
SlurmdUser={user}
SlurmctldPort={ctld_port}
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket
CredType=cred/munge
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
MpiDefault=none
SchedulerParameters=batch_sched_delay=0,sched_interval=1,sched_min_interval=0
ReturnToService=2
StateSaveLocation={folder}/state
SlurmctldPidFile={folder}/slurmctld.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdSpoolDir={folder}/spool-%n
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmdLogFile={folder}/slurmd-%n.log
SlurmdParameters=config_overrides
TmpFS={folder}/tmp-%n
KillWait=2
{more}
"""
NODE = "NodeName={name} NodeHostname=localhost NodeAddr=127.0.0.1 Port={port} CPUs=2 RealMemory=4000\n"


def free_ports(n):
    with contextlib.ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(n)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def die_with_parent():
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def wait_for(condition, what, limit_s=START_S):
    end = time.monotonic() + limit_s
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"not within {limit_s} s: {what}")
        time.sleep(0.05)


def processes(*words):
    """Those that were started with one of the words in their environment."""
    found = []
    for name in os.listdir("/proc"):
        with contextlib.suppress(OSError):
            if name.isdigit() and int(name) != os.getpid():
                with open(f"/proc/{name}/environ", "rb") as file:
                    entries = file.read().split(b"\0")
                if all(word.encode() in entries for word in words):
                    found.append(int(name))
    return found


class Cluster:
    def __init__(self, more=""):
        self.more = more
        self.daemons = {}
        self.folder = None

    # ---- set-up ----

    def __enter__(self):
        try:
            self.start()
        except BaseException:
            self.stop(say=True)
            raise
        return self

    def __exit__(self, kind, *_):
        self.stop(say=kind is not None)

    def start(self):
        os.umask(0o022)  # munged wants folders that nobody else can write to
        self.folder = tempfile.mkdtemp(prefix="graft-slurm-", dir="/tmp")  # a socket's path is short
        os.chmod(self.folder, 0o755)  # other users' jobs read the configuration
        self.conf = f"{self.folder}/slurm.conf"
        self.environment = {**os.environ, "SLURM_CONF": self.conf}
        for name in ("munge", "state", *(f"{kind}-{node}" for node in NODES for kind in ("spool", "tmp"))):
            os.mkdir(f"{self.folder}/{name}")
        self.guard()
        self.start_munge()
        self.write_conf()
        self.daemon("slurmctld", ["slurmctld", "-D", "-i"])
        for node in NODES:
            self.start_node(node)
        wait_for(lambda: all(state == "idle" for state in self.node_states().values()), "all nodes idle")

    def guard(self):
        """A process that clears up after this one, should it be killed."""
        reader, writer = os.pipe()
        pid = os.fork()
        if pid > 0:
            os.close(reader)
            self.guard_pid, self.guard_fd = pid, writer
            return
        try:
            os.setsid()
            os.close(writer)
            os.read(reader, 1)
            self.kill_all()
            shutil.rmtree(self.folder, ignore_errors=True)
        finally:
            os._exit(0)

    def start_munge(self):
        folder = f"{self.folder}/munge"
        with open(f"{folder}/key", "wb", opener=lambda path, flags: os.open(path, flags, 0o400)) as key:
            key.write(os.urandom(1024))
        self.daemon("munged", ["munged", "--foreground", "--force", f"--key-file={folder}/key", f"--socket={folder}/socket",
                               f"--pid-file={folder}/pid", f"--seed-file={folder}/seed", f"--log-file={folder}/log",
                               "--origin=127.0.0.1"])
        wait_for(lambda: os.path.exists(f"{folder}/socket"), "munged's socket")

    def write_conf(self):
        ports = free_ports(1 + len(NODES))
        text = CONF.format(folder=self.folder, user=pwd.getpwuid(os.geteuid()).pw_name, ctld_port=ports[0], more=self.more)
        text += "".join(NODE.format(name=name, port=port) for name, port in zip(NODES, ports[1:]))
        text += "PartitionName=main Nodes=ALL Default=YES State=UP MaxTime=1-00:00:00\n"
        with open(self.conf, "w", encoding="ascii") as file:
            file.write(text)

    def daemon(self, name, command, **environment):
        path = shutil.which(command[0], path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
        if path is None:
            raise AssertionError(f"{command[0]} is not there; run tools/install-deps.sh slurm")
        with open(f"{self.folder}/{name}.out", "ab") as out:
            self.daemons[name] = subprocess.Popen(
                [path, *command[1:]], stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True,
                preexec_fn=die_with_parent, env={**self.environment, "GRAFT_TEST_DAEMON": name, **environment})

    def start_node(self, name):
        self.daemon(name, ["slurmd", "-D", "-N", name])

    # ---- use ----

    def run(self, *command, limit_s=CALL_S, check=True):
        done = subprocess.run([str(word) for word in command], env=self.environment, timeout=limit_s, check=False,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8")
        if check and done.returncode != 0:
            raise AssertionError(f"{command} gave {done.returncode}: {done.stdout}{done.stderr}")
        return done.stdout

    def node_states(self):
        lines = self.run("sinfo", "-h", "-N", "-o", "%N %t", check=False).splitlines()
        states = dict(line.split() for line in lines)
        return {name: states.get(name, "unknown") for name in NODES}

    def jobs(self):
        """[(job, task or "N/A", state, node, name)] of all that slurmctld remembers."""
        return [tuple(line.split("|", 4)) for line in self.run("squeue", "-h", "-r", "-t", "all", "-o", "%F|%K|%T|%N|%j").splitlines()]

    def kill_node(self, name):
        """As if its plug was pulled; then slurmctld is told, which would find out by itself in SlurmdTimeout."""
        conf = f"SLURM_CONF={self.conf}"
        def left():
            found = processes(conf, f"GRAFT_TEST_DAEMON={name}") + processes(conf, f"SLURMD_NODENAME={name}")
            for pid in found:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            self.daemons[name].poll()
            return found
        wait_for(lambda: not left(), f"{name} without processes")
        self.run("scontrol", "update", f"nodename={name}", "state=down", "reason=killed")

    # ---- the end ----

    def kill_all(self):
        conf = f"SLURM_CONF={self.conf}"
        for _ in range(20):
            found = set(processes(conf)) - {os.getpid(), os.getppid()}
            found |= {daemon.pid for daemon in self.daemons.values() if daemon.poll() is None}
            if not found:
                return
            for pid in found:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.05)

    def stop(self, say):
        if self.folder is None:
            return
        if say:
            self.say_logs()
        self.kill_all()
        for daemon in self.daemons.values():
            daemon.wait()
        if hasattr(self, "guard_fd"):
            os.close(self.guard_fd)
            os.waitpid(self.guard_pid, 0)
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder = None

    def say_logs(self):
        for name in sorted(os.listdir(self.folder)):
            if name.endswith((".log", ".out")):
                with open(f"{self.folder}/{name}", encoding="utf-8", errors="replace") as file:
                    print(f"---- {name}", *file.read().splitlines()[-25:], sep="\n", file=sys.stderr)


def main():
    """A cluster to play with: `cluster.py COMMAND...` runs the command in it."""
    with Cluster() as slurm:
        return subprocess.run(sys.argv[1:] or ["sinfo", "-N", "-l"], env=slurm.environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
