# graft: `make demo` and `make test` do all set-up on a fresh Debian machine (root or sudo). The work is done by the
# scripts in tools/ and by meson; this file only names it.

BUILD   ?= build
PREFIX  ?= /usr/local
MESON_ARGS ?= --prefix=$(PREFIX) --libdir=lib

.DEFAULT_GOAL := build
.PHONY: build demo test check asan tsan fuzz interop bench format install clean help

help:
	@sed -n 's/^## //p' $(MAKEFILE_LIST)

## build    the program at build/graft, the libraries beside it
build:
	@tools/install-deps.sh build test
	@tools/build.sh $(BUILD) $(MESON_ARGS)

## demo     the main job on real pictures: data set, features, train, evaluate, report, predict
demo: build
	@tools/demo.sh $(BUILD)/graft

## test     every test that Debian and npm packages can serve
test: build
	@tools/install-deps.sh slurm
	@tools/test.sh $(BUILD)

## check    layers, format, static analysis, banned calls, headers, docs
check: build
	@tools/install-deps.sh check
	@tools/check.sh $(BUILD)

## asan     the suite under AddressSanitizer and UndefinedBehaviorSanitizer
asan:
	@tools/install-deps.sh build test slurm
	@tools/build.sh build-asan -Db_sanitize=address,undefined -Dbuildtype=debugoptimized -Db_lundef=false
	@tools/test.sh build-asan

## tsan     the concurrent parts under ThreadSanitizer
tsan:
	@tools/install-deps.sh build test
	@tools/build.sh build-tsan -Db_sanitize=thread -Dbuildtype=debugoptimized -Db_lundef=false
	@tools/test.sh build-tsan threads

## fuzz     every fuzz target for SECONDS_EACH (default 30)
fuzz:
	@tools/install-deps.sh build test check
	@tools/fuzz.sh $(or $(SECONDS_EACH),30)

## interop  comparisons with Keras, scikit-learn, numpy, ONNX Runtime (PyPI), PyTorch (Debian)
interop: build
	@tools/install-deps.sh bench interop npm
	@tools/interop.sh $(BUILD)

## bench    speed and numerics beside the peers; results in bench/results
bench: build
	@tools/install-deps.sh bench npm
	@bench/run.sh $(BUILD)

## format   clang-format on every C file
format:
	@tools/check-format.sh --fix

## install  program, libraries, headers and pkg-config file below PREFIX
install: build
	@meson install -C $(BUILD)

## clean    everything built; what was downloaded stays in .deps
clean:
	@rm -rf build build-* demo
