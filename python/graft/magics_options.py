"""The options of the notebook magics: %ml_init's words in any spelling, and its cell's settings,
which are literals and never run.

-projectId, -scaleTier, as in the extension for Cloud ML Engine, mean the same as -projectid,
--project-id or -project_id.
"""

import ast
import re
import shlex

INIT_OPTIONS = {
    "projectid": ("project", "default", "the project that jobs, models and versions belong to"),
    "bucket": ("bucket", None, "where packages go, and what jobs make: gs://BUCKET/PROJECT/JOB/"),
    "region": ("region", "us-central1", "kept with the job; everything runs where the server is"),
    "scaletier": ("scale_tier", "BASIC", "BASIC, STANDARD_1, PREMIUM_1, BASIC_GPU, CUSTOM"),
    "mastertype": (
        "master_type",
        None,
        "of scale tier CUSTOM: standard, large_model, complex_model_s ...",
    ),
    "runtimeversion": ("runtime_version", "1.2", "kept with the job"),
    "maxrunningtime": ("max_running_time", None, "seconds after which a job is ended, as 3600s"),
    "server": ("server", None, "address of graft serve; else $GRAFT_SERVER, else 127.0.0.1:8080"),
    "token": ("token", None, "where the server asks for one; default $GRAFT_TOKEN"),
}
RUN_OPTIONS = {
    "jobid": ("job_id", None, "default mlmagic__ and the time"),
    "args": ("args", None, 'for the program: -args "--epochs 20"'),
    "id": ("id", None, "the cell's name"),
}
CODE_OPTIONS = {"id": ("id", None, "the cell's name: a cell of the same name is replaced")}
SETTINGS = ("install_requires", "args")


class OptionError(ValueError):
    """What is wrong with a magic's line or cell, and what was expected."""


def _plain(word):
    return word.lstrip("-").replace("-", "").replace("_", "").lower()


def parse(line, options, magic, flags=()):
    """{attribute: value} of a magic's line: "-name value", "-name=value", and flags (as True)."""
    try:
        words = shlex.split(line)
    except ValueError as problem:
        raise OptionError(f"{magic}: {problem} in {line!r}") from None
    found = {attribute: default for attribute, default, _ in options.values()}
    found.update({flag: False for flag in flags})
    while words:
        word = words.pop(0)
        name, is_assigned, value = word.partition("=")
        name = _plain(name)
        if name in flags and not is_assigned:
            found[name] = True
        elif word.startswith("-") and name in options:
            if not is_assigned and not words:
                raise OptionError(f"{magic}: {word} without a value")
            found[options[name][0]] = value if is_assigned else words.pop(0)
        else:
            raise OptionError(f"{magic}: {word!r} is not known\n\n{usage(options, magic, flags)}")
    return found


def check_bucket(name, magic):
    """A name that the server takes; OptionError."""
    if not re.fullmatch("[a-z0-9._-]{3,63}", name) or ".." in name:
        raise OptionError(f"{magic}: -bucket is {name!r}, expected a name alone: 3 to 63 of a-z 0-9 "
                          "- _ .")


def split_args(text):
    """Of -args "...", as a shell would; OptionError."""
    try:
        return shlex.split(text)
    except ValueError as problem:
        raise OptionError(f"%%ml_run: -args: {problem} in {text!r}") from None


def usage(options, magic, flags=()):
    lines = [f"{magic} {' '.join(f'[{flag}]' for flag in flags)}".rstrip()]
    for name, (_, default, text) in options.items():
        lines.append(f"    -{name:<16}{text}" + (f" (default {default})" if default else ""))
    return "\n".join(lines)


def _literal(node, name):
    try:
        return ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        raise OptionError(
            f"%%ml_init: {name} is {ast.unparse(node)[:80]!r}, expected a literal as "
            "['keras', 'h5py']; nothing in this cell is run"
        ) from None


def parse_settings(cell):
    """{"install_requires": [...], "args": [...]} of a %%ml_init cell, written as assignments or as
    one dict. Nothing is evaluated: anything but literals is an OptionError."""
    found = {}
    try:
        body = ast.parse(cell).body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as problem:
        why = getattr(problem, "msg", problem)
        raise OptionError(
            f"%%ml_init: {why}; expected install_requires = ['keras', 'h5py']"
        ) from None
    for node in body:
        if (
            isinstance(node, ast.Assign)
            and len(node.targets) == 1
            and isinstance(node.targets[0], ast.Name)
        ):
            name = node.targets[0].id
            found[name] = _literal(node.value, name)
        elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Dict):
            found.update(_literal(node.value, "the cell"))
        else:
            raise OptionError(
                f"%%ml_init: {ast.unparse(node)[:80]!r}: expected install_requires = [...] or a "
                "dict of literals; nothing in this cell is run"
            )
    for name, value in found.items():
        if name not in SETTINGS:
            raise OptionError(f"%%ml_init: {name!r} is not known; expected {' or '.join(SETTINGS)}")
        if not isinstance(value, (list, tuple)) or not all(isinstance(item, str) for item in value):
            raise OptionError(
                f"%%ml_init: {name} is {value!r}, expected a list as ['keras', 'h5py']"
            )
    return {name: list(value) for name, value in found.items()}
