#!/bin/bash
# The whole bank by every engine that samples, and the tables of docs/truth.md: bench/truth/run.sh [SEEDS [FIRST [ROWS.jsonl]]]
#
# ONLY="nested smc": these engines. Rows are added to the file; delete it to begin anew.
set -eu
cd "$(dirname "$0")/../.."
. scripts/site.sh
rows=${3:-bench/truth/out/$(date +%F).jsonl}
mkdir -p "$(dirname "$rows")"
scripts/build build -q --example truth
truth=$CARGO_TARGET_DIR/release/examples/truth
for method in ${ONLY:-importance-nested nested smc nuts ensemble}; do
  "$truth" --method "$method" --seeds "${1:-3}" --first "${2:-100}" --set n_like_max=6000000 --json "$rows"
done
"$truth" --table docs/truth.md "$rows"
