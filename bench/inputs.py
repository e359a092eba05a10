"""Where things are, and the inputs of the parts, each made when a part first asks for it."""
import functools
import os
import shutil

from harness import precisions_of, run, say


class Bench:
    def __init__(self, build, quick):
        self.build, self.is_quick = build, quick
        self.graft = f"{build}/graft"
        self.root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
        self.deps = os.environ.get("GRAFT_DEPS", f"{self.root}/.deps")
        self.home = f"{self.deps}/home"
        self.trunk = f"{self.home}/trunks/inception_v3.safetensors"
        self.data = f"{self.root}/bench/data"
        self.python = f"{self.root}/bench/.venv/bin/python"
        self.python_kserve = f"{self.root}/bench/.venv-kserve/bin/python"
        self.python_tf = f"{self.root}/bench/.venv-tf/bin/python"
        self.n_rounds = 3 if quick else 5
        self.seconds = 1.0 if quick else 2.0
        self.facts = {}
        os.makedirs(self.data, exist_ok=True)

    def script(self, name):
        return f"{self.root}/bench/{name}"

    def program(self, name):
        return f"{self.build}/bench/{name}"

    @functools.cached_property
    def photos(self):
        """The folder of make_pictures.py."""
        if not os.path.exists(f"{self.data}/photo-640.jpg"):
            say("making the pictures")
            run(self.python, self.script("make_pictures.py"), f"{self.deps}/pictures", self.data)
        return self.data

    @functools.cached_property
    def article(self):
        """The article's .npz, packed by graft."""
        path = f"{self.data}/article.npz"
        if not os.path.exists(path):
            run(self.graft, "dataset", "make", f"{self.photos}/article", "--quiet", "--output", path)
        return path

    @functools.cached_property
    def top_layer(self):
        """The name of the trunk's last layer; the ONNX models are there once it is known."""
        say("writing the trunk as ONNX")
        names = run(self.python, self.script("make_onnx.py"), self.trunk, f"{self.data}/trunk.onnx", "--optimized")
        return names.split()[1]

    def model(self, name):
        """An ONNX model of the trunk: "trunk", "trunk-top" or "trunk-optimized"."""
        assert self.top_layer
        return f"{self.data}/{name}.onnx"

    @functools.cached_property
    def packs(self):
        """Packed weights as they are after the first use of whatever will be timed."""
        say("packing the weights")
        path = f"{self.data}/packs"
        shutil.rmtree(path, ignore_errors=True)
        home = self.fresh_home("packing", has_packs=False)
        for precision in precisions_of(self.facts):
            run(self.graft, "train", self.article, "--home", home, "--quiet", "--epochs", 1, "--precision", precision,
                "--output", f"{self.data}/packing.safetensors")
        shutil.move(f"{home}/packs", path)
        return path

    def fresh_home(self, name, has_packs=True):
        """A home that holds the trunk, maybe its packed weights, and no features."""
        home = f"{self.data}/homes/{name}"
        shutil.rmtree(home, ignore_errors=True)
        os.makedirs(f"{home}/trunks")
        try:
            os.link(self.trunk, f"{home}/trunks/{os.path.basename(self.trunk)}")
        except OSError:
            shutil.copy(self.trunk, f"{home}/trunks")
        if has_packs:
            shutil.copytree(self.packs, f"{home}/packs")
        return home
