#!/bin/sh
# Fuzzes the Dockerfile parser without cargo-fuzz: fuzz/run.sh [SECONDS [libFuzzer options…]]. Needs a C++ compiler.
set -eu
cd "$(dirname "$0")"
seconds=${1:-60}
[ $# -eq 0 ] || shift
host=$(rustc -vV | sed -n 's/^host: //p')
# What cargo-fuzz sets. A target is named so that build scripts go without.
RUSTFLAGS="-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
-Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
-Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1 --cfg fuzzing" \
    cargo build --release --target "$host" --target-dir target
mkdir -p corpus/dockerfile artifacts
exec "target/$host/release/dockerfile" -max_total_time="$seconds" -max_len=4096 -timeout=10 -rss_limit_mb=1024 \
    -dict=dockerfile.dict -artifact_prefix=artifacts/ "$@" corpus/dockerfile ../crates/jettison-dockerfile/tests/corpus
