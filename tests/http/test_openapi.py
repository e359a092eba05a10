"""/openapi.json against the tables of routes in the source: every path is in the document, and every path of the document is there."""
import glob
import os
import re
import unittest

import harness

SOURCE = os.path.join(os.path.dirname(os.path.realpath(__file__)), "../../src/server")


def routes():
    """(method, pattern) of every row of the tables, macros expanded."""
    found = set()
    for path in glob.glob(os.path.join(SOURCE, "*.c")):
        text = harness.read(path).decode().replace("\\\n", " ")
        macros = dict(re.findall(r"#define (\w+)\s+((?:\w+|\"[^\"]*\")(?:\s+(?:\w+|\"[^\"]*\"))*)\s*$", HEADERS + text, re.M))

        def expand(words):
            return "".join(word[1:-1] if word[0] == '"' else expand(macros[word]) for word in re.findall(r'"[^"]*"|\w+', words))

        for table in re.findall(r"const gf__route gf__routes_\w+\[\] = \{(.*?)GF__ROUTES_END", text, re.S):
            for method, pattern in re.findall(r'[{(]\s*"([A-Z]+)",\s*((?:"[^"]*"|[A-Z_]\w*)(?:\s+(?:"[^"]*"|[A-Z_]\w*))*)\s*,', table):
                found.add((method.lower(), expand(pattern)))
    return found


HEADERS = "".join(harness.read(path).decode().replace("\\\n", " ") for path in glob.glob(os.path.join(SOURCE, "*.h")))


def plain(path):
    return re.sub(r"\{[^}]*\}", "{}", path)


class OpenApi(harness.ServerCase):
    models = {}

    def test_the_document_and_the_tables_name_the_same_paths(self):
        document = self.check_code(self.ask("GET", "/openapi.json"), 200).json
        self.assertEqual(document["openapi"], "3.0.3")
        documented = {(method, plain(path)) for path, methods in document["paths"].items() for method in methods if method != "parameters"}
        served = {(method, plain(path)) for method, path in routes() if not path.startswith("$")}
        self.assertGreater(len(served), 60)
        self.assertEqual(sorted(served - documented), [], "served, not in assets/openapi.json")
        self.assertEqual(sorted(documented - served), [], "in assets/openapi.json, not served")

    def test_every_path_of_the_document_has_a_handler(self):
        document = self.ask("GET", "/openapi.json").json
        for path, methods in document["paths"].items():
            for method in set(methods) - {"parameters"}:
                with self.subTest(method=method, path=path):
                    answer = self.ask(method.upper(), re.sub(r"\{[^}]*\}", "nobody", path))
                    self.assertNotIn(answer.code, (405, 500), answer)
                    for words in (b"there is nothing at", b"Malformed request"):
                        self.assertNotIn(words, answer.body)


if __name__ == "__main__":
    harness.main()
