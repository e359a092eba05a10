# graft: `make demo` and `make test` do all set-up on a fresh Debian machine; the rest assumes one of them ran.
# Each target is one script in tools/ or one meson call; read those for the details.

BUILD ?= build

.DEFAULT_GOAL := build
.PHONY: setup build

setup:
	@tools/install-deps.sh

build: setup
	@test -f $(BUILD)/build.ninja || meson setup $(BUILD) >/dev/null
	@ninja -C $(BUILD)
