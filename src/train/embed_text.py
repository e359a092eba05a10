#!/usr/bin/env python3
"""embed_text.py FILE.css OUT.c NAME: a C file that defines gf__NAME as an array of the file's lines up to a NULL.

Comments and indentation stay behind; a line is an item, as C does not promise strings above 4095 bytes."""
import re
import sys

source, target, name = sys.argv[1:]
with open(source, encoding="utf-8") as file:
    text = re.sub(r"/\*.*?\*/", "", file.read(), flags=re.S)
lines = [line.strip() for line in text.splitlines() if line.strip()]
with open(target, "w", encoding="ascii") as file:
    file.write('#include "train/report_priv.h"\n\n')
    file.write(f"const char *const gf__{name}[] = {{\n")
    for line in lines:
        escaped = line.replace("\\", "\\\\").replace('"', '\\"')
        file.write(f'    "{escaped}",\n')
    file.write("    (const char *)0,\n};\n")
