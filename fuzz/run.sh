#!/bin/sh
# Fuzzes a parser without cargo-fuzz: fuzz/run.sh [TARGET] [SECONDS [libFuzzer options…]]. Needs a C++ compiler.
# The targets are those of fuzz_targets; without one it is the Dockerfile.
set -eu
cd "$(dirname "$0")"
target=dockerfile
case ${1-} in [a-z]*) target=$1; shift ;; esac
seconds=${1:-60}
[ $# -eq 0 ] || shift
host=$(rustc -vV | sed -n 's/^host: //p')
# What cargo-fuzz sets. A target is named so that build scripts go without.
RUSTFLAGS="-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
-Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
-Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1 --cfg fuzzing" \
    cargo build --release --bin "$target" --target "$host" --target-dir target
mkdir -p "corpus/$target" artifacts
exec "target/$host/release/$target" -max_total_time="$seconds" -max_len=4096 -timeout=10 -rss_limit_mb=1024 \
    -dict="$target.dict" -artifact_prefix=artifacts/ "$@" "corpus/$target" "../crates/jettison-$target/tests/corpus"
