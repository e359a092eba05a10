"""Prints what the cells of an executed notebook say, as text: python3 tools/show-notebook.py NOTEBOOK [WORDS]

With WORDS only from the first cell on that has them. Tables and plots are for a browser; of them only a line is told.
"""
import json
import sys


def text_of(output):
    if output["output_type"] == "stream":
        return "".join(output["text"])
    text = "".join(output.get("data", {}).get("text/plain", ""))
    return "" if text.startswith("<graft.display") else text


def title_of(source):
    """The line that says most: the last of a cell that gives something, its magic else."""
    lines = [line for line in source.split("\n") if line.strip() and not line.startswith("#")]
    return lines[0] if lines and lines[0].startswith("%") else lines[-1]


def main(path, words=""):
    with open(path, encoding="utf-8") as file:
        cells = json.load(file)["cells"]
    is_shown = False
    for cell in cells:
        source = "".join(cell["source"])
        is_shown = is_shown or words in source
        if not is_shown or cell["cell_type"] != "code":
            continue
        text = "".join(text_of(output) for output in cell["outputs"]).rstrip("\n")
        if text:
            print(f"In [{cell['execution_count']}]: {title_of(source)}\n{text}")


if __name__ == "__main__":
    main(*sys.argv[1:])
