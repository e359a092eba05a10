"""Notebook magics: cells become a program, and the program a job on a server.

    %load_ext graft
    %%ml_init -projectId opera -bucket mine -scaleTier BASIC
    install_requires = ['h5py']
    %%ml_code              this cell is run here and belongs to the program, too (also %ml_code)
    %%ml_run               this cell is run here; %%ml_run cloud: program and cell run as a job
    %ml_show               the program

As the extension cloudml-magic has them for Cloud ML Engine: its notebooks need other import
lines only. Cells that are run again are replaced (program.py says how they are known).
"""

from IPython.core.error import UsageError
from IPython.core.magic import Magics, cell_magic, line_cell_magic, line_magic, magics_class

from . import cloud, display
from . import magics_options as options
from .client import Client
from .program import Program, check_program
from .transport import ApiError


class Quiet:
    """Mixed into exceptions whose one line says all: a notebook shows it without a traceback."""

    def _render_traceback_(self):
        return [f"{type(self).__name__}: {self}"]


class CellFailed(Quiet, Exception):
    """The cell's own error is shown above."""


class JobFailed(Quiet, Exception):
    """A job ended, and not well."""


class JobInterrupted(Quiet, KeyboardInterrupt):
    """The cell was interrupted, and its job cancelled."""


class JobResult:
    """What a cloud run came to, as its cell shows it. job: the API's document."""

    def __init__(self, run):
        self.run, self.job, self.state = run, run.job, run.state
        self.artefacts = run.artefacts()

    def _rows(self):
        rows = [("job", self.job.get("jobId", self.run.job_id)), ("state", self.state)]
        for name in ("createTime", "startTime", "endTime"):
            if name in self.job:
                rows.append((name, self.job[name]))
        return rows + [(address, f"{size:,} bytes") for address, size in self.artefacts]

    def _repr_html_(self):
        return display.table(("Cloud job", ""), self._rows())._repr_html_()

    def __repr__(self):
        return "\n".join(f"{name}: {value}" for name, value in self._rows())


def _usage_error(problem):
    return UsageError(str(problem))


@magics_class
class MLMagics(Magics):
    """One program a notebook."""

    def __init__(self, shell=None, **more):
        super().__init__(shell=shell, **more)
        self.settings, self.client = None, None
        self.install_requires, self.args = [], []
        self.program = Program()

    # ---- the cell that is being run

    def _parent(self):
        get_parent = getattr(self.shell, "get_parent", None)
        try:
            return (get_parent() if get_parent else None) or {}
        except LookupError:
            return {}

    def _cell_id(self):
        """As the notebook sends it; None where it does not."""
        return (self._parent().get("metadata") or {}).get("cellId")

    def _whole_cell(self):
        source = (self._parent().get("content") or {}).get("code")
        return source if source is not None else self.shell.history_manager.input_hist_raw[-1]

    def _run_here(self, source, so=""):
        result = self.shell.run_cell(source)
        if isinstance(result.error_in_exec, KeyboardInterrupt):
            raise JobInterrupted("the cell was interrupted")
        if not result.success:
            raise CellFailed(f"the cell failed{so}; its error is above")

    def _parse(self, line, known, magic, flags=()):
        try:
            return options.parse(line, known, magic, flags)
        except options.OptionError as problem:
            raise _usage_error(problem) from None

    # ---- the magics

    @line_cell_magic
    def ml_init(self, line, cell=None):
        """Where jobs run and what they need; the cell: install_requires = [...], as a literal."""
        magic = "%ml_init" if cell is None else "%%ml_init"
        settings = self._parse(line, options.INIT_OPTIONS, magic)
        if not settings["bucket"]:
            usage = options.usage(options.INIT_OPTIONS, magic)
            raise UsageError(f"{magic}: -bucket is missing\n\n{usage}")
        try:
            options.check_bucket(settings["bucket"], magic)
            found = options.parse_settings(cell) if cell is not None else {}
            requires = cloud.check_requires(found.get("install_requires", []))
            client = Client(settings["server"], settings["token"], settings["project"])
        except ValueError as problem:
            raise _usage_error(problem) from None
        self.settings, self.client = settings, client
        self.install_requires, self.args = requires, found.get("args", [])
        print(f"project {client.project} at {client.server}, bucket gs://{settings['bucket']}/")

    @line_cell_magic
    def ml_code(self, line, cell=None):
        """The cell becomes a part of the program. %%ml_code runs it as well; below a %ml_code line
        it runs as any cell does. -id NAME: its name. --show: the program, nothing else."""
        magic = "%ml_code" if cell is None else "%%ml_code"
        given = self._parse(line, options.CODE_OPTIONS, magic, ("show", "norun"))
        if given["show"]:
            return self.ml_show("")
        source = cell if cell is not None else _below_magic(self._whole_cell(), "%ml_code")
        if not source.strip():
            raise UsageError(f"{magic}: there is no code below it in its cell")
        if cell is not None and not given["norun"]:
            # One that fails here would fail every job, too.
            self._run_here(cell, " and is not taken into the program")
        self._keep(source, given["id"])
        return None

    def _keep(self, source, name):
        number, is_replaced = self.program.keep(source, name or self._cell_id())
        alike = None if is_replaced else self.program.alike(number)
        if alike is not None:
            print(
                f"ml_code: added as cell {number}, much like cell {alike}. This notebook sends no "
                "cell ids: to replace a cell when it is edited, name it (%%ml_code -id NAME); "
                "%ml_show shows all, %ml_reset starts over"
            )

    @cell_magic
    def ml_run(self, line, cell):
        """Runs the cell here; with the word cloud the program and then this cell, as a job."""
        given = self._parse(line, options.RUN_OPTIONS, "%%ml_run", ("cloud", "detach", "show"))
        self.program.last = cell
        if given["show"]:
            return self.ml_show("")
        if not given["cloud"]:
            return self._run_here(cell)
        if self.client is None:
            raise UsageError("%%ml_run cloud: run %ml_init -projectId PROJECT -bucket BUCKET first")
        return self._run_cloud(cell, given)

    @line_magic
    def ml_show(self, line):
        """The program, with the last %%ml_run cell at its end."""
        print(self.program.text(self.program.last), end="")

    @line_magic
    def ml_reset(self, line):
        """Forgets all cells of the program."""
        self.program.clear()

    # ---- the cloud

    def _package(self, cell):
        text = self.program.text(cell)
        if not text.strip():
            raise UsageError("%%ml_run cloud: the program is empty; mark its cells with %%ml_code")
        try:
            check_program(text)
        except SyntaxError as problem:
            line = text.split("\n")[(problem.lineno or 1) - 1].strip()
            raise UsageError(
                f"%%ml_run cloud: the program is no module: {problem.msg} at line "
                f"{problem.lineno}: {line!r}; %ml_show shows all of it"
            ) from None
        return cloud.sdist(text, self.install_requires)

    def _training(self):
        settings = self.settings
        training = {
            "scaleTier": settings["scale_tier"],
            "masterType": settings["master_type"],
            "region": settings["region"],
            "runtimeVersion": settings["runtime_version"],
        }
        if settings["max_running_time"]:
            training["scheduling"] = {"maxRunningTime": settings["max_running_time"]}
        return training

    def _run_cloud(self, cell, given):
        package = self._package(cell)
        try:
            args = options.split_args(given["args"]) if given["args"] else self.args
        except options.OptionError as problem:
            raise _usage_error(problem) from None
        try:
            run = cloud.submit(
                self.client,
                package,
                self.settings["bucket"],
                given["job_id"],
                args,
                **self._training(),
            )
            if given["detach"]:
                print(f"job {run.job_id} was created; it goes on without this cell")
                return JobResult(run)
            return self._follow(run)
        except ApiError as problem:
            raise JobFailed(str(problem)) from None

    def _follow(self, run):
        try:
            run.follow()
        except KeyboardInterrupt:
            print(f"interrupted: cancelling job {run.job_id}", flush=True)
            run.cancel()
            print(f"job {run.job_id}: {run.state}", flush=True)
            raise JobInterrupted(f"job {run.job_id} is {run.state}") from None
        if run.state != "SUCCEEDED":
            why = run.job.get("errorMessage", "it says nothing of why")
            raise JobFailed(f"job {run.job_id} is {run.state}: {why}")
        result = JobResult(run)
        self.shell.user_ns["ml_job"] = result
        return result


def _below_magic(source, magic):
    """What stands in a cell below the line of a magic."""
    lines = source.split("\n")
    for i, line in enumerate(lines):
        if line.split()[:1] == [magic]:
            return "\n".join(lines[i + 1 :])
    return ""


def load_ipython_extension(ipython):
    """What %load_ext graft calls."""
    ipython.register_magics(MLMagics)
