#!/usr/bin/env python3
"""Writes numpy_rng.h: what numpy.random.RandomState gives, for tests/unit/test_base_rng.c.

    python3 tests/golden/numpy_rng.py > tests/golden/numpy_rng.h      (needs numpy; any version: the legacy stream is frozen)
"""
import numpy

SEEDS = (0, 42)
SIZES = (10, 40, 200, 1000)


def rows(values, per_line):
    texts = [str(v) for v in values]
    lines = [", ".join(texts[i:i + per_line]) for i in range(0, len(texts), per_line)]
    return ",\n    ".join(lines)


print(f"/* Written by numpy_rng.py with numpy {numpy.__version__}; do not edit. */")
print("/* clang-format off */")
for seed in SEEDS:
    state = numpy.random.RandomState(seed)
    print(f"static const uint32_t numpy_u32_{seed}[] = {{")
    print(f"    {rows([f'{v}u' for v in state.randint(0, 2**32, size=8, dtype=numpy.uint32)], 8)}}};")
    state = numpy.random.RandomState(seed)
    print(f"static const double numpy_double_{seed}[] = {{")
    print(f"    {rows([float(v).hex() for v in state.random_sample(6)], 3)}}};")
    for n in SIZES:
        state = numpy.random.RandomState(seed)
        print(f"static const uint16_t numpy_permutation_{seed}_{n}[] = {{")
        print(f"    {rows(state.permutation(n), 20)}}};")
        print(f"static const double numpy_after_{seed}_{n} = {float(state.random_sample()).hex()};")
# More than 624 draws: the state is refilled along the way.
state = numpy.random.RandomState(42)
print(f"static const double numpy_double_42_at_10000 = {float(state.random_sample(10001)[-1]).hex()};")
