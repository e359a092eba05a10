#!/bin/sh
# Installs the Debian packages that building, testing and the demo need. Does nothing where all are there.
# Usage: tools/install-deps.sh [build] [test] [check] [bench] [interop] [slurm] [npm]     default: build
set -eu

build="gcc libc6-dev pkg-config meson ninja-build libdnnl-dev libjpeg62-turbo-dev libturbojpeg0-dev libpng-dev
       libwebp-dev libgif-dev libzip-dev libjansson-dev libssl-dev libcurl4-openssl-dev libhdf5-dev
       libsqlite3-dev libcairo2-dev libarchive-dev libmicrohttpd-dev libseccomp-dev libcap-ng-dev
       libprotobuf-c-dev protobuf-c-compiler libyaml-dev curl ca-certificates xz-utils"
test="libbz2-dev libcmocka-dev python3 python3-numpy python3-pip python3-setuptools file locales procps openssl
      jupyter-nbconvert python3-ipykernel python3-googleapi"
check="g++ clang clang-format cppcheck libclang-rt-14-dev"
bench="python3-venv"
interop="python3-torch python3-torchvision python3-onnx"
slurm="slurmctld slurmd slurm-client slurm-wlm-basic-plugins munge"

wanted=""
for group in "${@:-build}"; do
    case $group in
    build) wanted="$wanted $build" ;;
    test) wanted="$wanted $test" ;;
    check) wanted="$wanted $check" ;;
    bench) wanted="$wanted $bench" ;;
    interop) wanted="$wanted $interop" ;;
    slurm) wanted="$wanted $slurm" ;;
    npm) command -v npm >/dev/null 2>&1 || wanted="$wanted npm" ;;
    *) echo "install-deps: no group named $group" >&2; exit 2 ;;
    esac
done

missing=""
for package in $wanted; do
    status=$(dpkg-query -W -f '${db:Status-Abbrev}' "$package" 2>/dev/null || true)
    case $status in
    ii*) ;;
    *) missing="$missing $package" ;;
    esac
done
[ -n "$missing" ] || exit 0

if ! command -v apt-get >/dev/null 2>&1; then
    echo "install-deps: this is not Debian; install the equivalents of:$missing" >&2
    exit 1
fi
as_root=""
if [ "$(id -u)" != 0 ]; then
    command -v sudo >/dev/null 2>&1 || {
        echo "install-deps: run this once as root: apt-get install$missing" >&2
        exit 1
    }
    as_root=sudo
fi
echo "installing:$missing" >&2
log=$(mktemp)
trap 'rm -f "$log"' EXIT
# shellcheck disable=SC2086
if ! { $as_root apt-get update -q &&
       $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $missing; } \
       >"$log" 2>&1; then
    cat "$log" >&2
    exit 1
fi
