"""ctypes believes whatever it is told: each struct and function of native.py against the headers, by the C compiler."""
import ctypes
import os
import shlex
import subprocess
import unittest

import words

from graft import native

INCLUDE = os.path.join(os.path.dirname(words.TESTS), "include")
PARTLY_READ = {"gf_metrics"}  # made by the library, and longer than what is read of it


def structs():
    return [value for value in vars(native).values()
            if isinstance(value, type) and issubclass(value, ctypes.Structure) and value.__module__ == native.__name__]


def struct_lines(struct):
    name = struct.__name__
    compare = "<=" if name in PARTLY_READ else "=="
    yield f'_Static_assert({ctypes.sizeof(struct)} {compare} sizeof({name}), "size of {name}");'
    for field, *_ in struct._fields_:
        at = getattr(struct, field)
        yield f'_Static_assert(offsetof({name}, {field}) == {at.offset}, "place of {name}.{field}");'
        yield f'_Static_assert(sizeof((({name} *)0)->{field}) == {at.size}, "size of {name}.{field}");'


def function_lines():
    """A call with one 0 for each argument: a 0 is a number and a pointer."""
    for line in native._FUNCTIONS.strip().split("\n"):
        name, result, *arguments = line.split()
        call = f"{name}({', '.join('0' for _ in arguments + ['error'] * (result == 'st'))})"
        if result == "st":
            yield f"gf_status from_{name}(void) {{ return {call}; }}"
        elif result == "void":
            yield f"void from_{name}(void) {{ {call}; }}"
        else:
            size = ctypes.sizeof(native._C[result])
            yield f'_Static_assert(sizeof({call}) == {size}, "result of {name}");'


class Headers(unittest.TestCase):
    def compiled(self, lines):
        source = "\n".join(['#include "graft/graft.h"', "#include <stddef.h>", *lines, ""])
        return subprocess.run([*shlex.split(os.environ.get("CC", "cc")), "-std=c11", "-fsyntax-only", "-Werror=implicit",
                               "-I", INCLUDE, "-x", "c", "-"], input=source, capture_output=True, text=True, check=False)

    def test_structs_and_functions_are_the_headers(self):
        self.assertGreater(len(structs()), 15)
        done = self.compiled([line for struct in structs() for line in struct_lines(struct)] + list(function_lines()))
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_a_struct_that_has_grown_is_seen(self):
        class gf_progress(ctypes.Structure):
            _fields_ = native.gf_progress._fields_[:-1]
        done = self.compiled(struct_lines(gf_progress))
        self.assertIn("size of gf_progress", done.stderr)


if __name__ == "__main__":
    unittest.main()
