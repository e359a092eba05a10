"""The program that a notebook's marked cells make: kept by cell, replaced when a cell is run again,
put together as one module.

A cell is known by the name given with it (-id NAME), else by the id that its notebook sends
(JupyterLab, VS Code), else by its text. Where none is sent (nbconvert, the classic notebook), an
edited cell cannot be told from a new one: it is added, and alike() says which one it may have been.
"""

import ast
import collections
import difflib

ALIKE = 0.6  # share of equal text from which a cell may be an edited one

Cell = collections.namedtuple("Cell", "id source")


class Program:
    """Cells in the order in which they were first run."""

    def __init__(self):
        self.cells = []
        self.last = None  # the cell that was run with %%ml_run

    def keep(self, source, cell_id=None):
        """Takes a cell in; (number from 1, whether it replaced one)."""
        key = cell_id or source.strip()
        for i, cell in enumerate(self.cells):
            if (cell.id or cell.source.strip()) == key:
                self.cells[i] = Cell(cell_id, source)
                return i + 1, True
        self.cells.append(Cell(cell_id, source))
        return len(self.cells), False

    def alike(self, number):
        """The number of the cell without an id that is most like this one, likely an older form of
        it; None."""
        source, best, best_share = self.cells[number - 1].source, None, ALIKE
        for i, cell in enumerate(self.cells[: number - 1], 1):
            share = difflib.SequenceMatcher(None, cell.source, source, autojunk=False).ratio()
            if cell.id is None and share >= best_share:
                best, best_share = i, share
        return best

    def clear(self):
        self.cells, self.last = [], None

    def text(self, run=None):
        """All of it, with run as the last cell; plain Python."""
        cells = self.cells + ([Cell("ml_run", run)] if run and run.strip() else [])
        futures, parts = [], []
        for i, cell in enumerate(cells, 1):
            body, found = _without_futures(python_of(cell.source))
            futures += [line for line in found if line not in futures]
            name = f" ({cell.id})" if cell.id else ""
            parts.append(f"# ---- cell {i}{name}\n{body.strip(chr(10))}\n")
        head = "".join(line + "\n" for line in futures)
        return head + "\n".join(parts)


def is_python(source):
    try:
        ast.parse(source)
    except (SyntaxError, ValueError):
        return False
    return True


def python_of(source):
    """A cell whose lines of magics and shell commands have become comments."""
    if is_python(source):
        return source
    lines = [
        f"# {line}" if line.lstrip()[:1] in ("%", "!") else line for line in source.split("\n")
    ]
    return "\n".join(lines)


def _without_futures(source):
    """(source without its "from __future__" lines, these lines): a module has them at its top."""
    if "__future__" not in source or not is_python(source):
        return source, []
    lines, found = source.split("\n"), []
    for node in ast.parse(source).body:
        if isinstance(node, ast.ImportFrom) and node.module == "__future__":
            found.append(ast.unparse(node))
            for i in range(node.lineno - 1, node.end_lineno):
                lines[i] = ""
    return "\n".join(lines), found


def check_program(text):
    """SyntaxError where it cannot be a module, told with its line."""
    compile(text, "trainer/task.py", "exec", dont_inherit=True)
