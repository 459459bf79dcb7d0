#!/bin/sh
# Fuzzes one target: fuzz/run.sh job_file|checkpoint|journal [SECONDS]. Findings are left in fuzz/artifacts/TARGET.
set -eu
cd "$(dirname "$0")/.."
target=$1
corpus=target/fuzz-corpus/$target
mkdir -p "$corpus"
# The readers are safe Rust: without a sanitizer they run several times faster.
exec nice -n 19 cargo +nightly fuzz run "$target" --sanitizer none --target-dir target/fuzz "$corpus" "fuzz/seeds/$target" "tests/fuzz_findings/$target" -- \
    -max_total_time="${2:-60}" -max_len=16384 -timeout=10 -rss_limit_mb=2048 -print_final_stats=1
