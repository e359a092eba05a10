#!/usr/bin/env python3
"""embed_file.py FILE OUT.c NAME: a C file that defines gf__NAME, the file's bytes with a NUL behind them, and gf__NAME_size.

JSON is written without the white space that only people need."""
import json
import sys

source, target, name = sys.argv[1:]
with open(source, encoding="utf-8") as file:
    text = file.read()
if source.endswith(".json"):
    text = json.dumps(json.loads(text), separators=(",", ":"), ensure_ascii=False)
data = text.encode()
with open(target, "w", encoding="ascii") as file:
    file.write('#include "server/assets_priv.h"\n\n')
    file.write(f"const size_t gf__{name}_size = {len(data)};\n")
    file.write(f"const char gf__{name}[] = {{\n")
    # As characters a byte above 127 would not fit a char everywhere: as numbers from -128 it does.
    values = [byte if byte < 128 else byte - 256 for byte in data] + [0]
    for i in range(0, len(values), 24):
        file.write(",".join(map(str, values[i:i + 24])) + ",\n")
    file.write("};\n")
