#!/bin/bash
# Every engine on the problems it is fit for, over seeds that no default was chosen by: one line a pair, raw figures in a file.
#
#   bench/evidence/engines.sh [OUT.jsonl]      SEEDS=40 FIRST=100 ONLY="nested smc"
set -u
cd "$(dirname "$0")/../.."
. scripts/site.sh
out=${1:-bench/evidence/out/$(date +%F).jsonl}
mkdir -p "$(dirname "$out")"
scripts/build build -q --example evidence || exit 1
run() { # METHOD PROBLEM SETTINGS...
  local method=$1 problem=$2 set=(); shift 2
  case " ${ONLY:-$method} " in *" $method "*) ;; *) return ;; esac
  for setting; do set+=(--set "$setting"); done
  "$CARGO_TARGET_DIR/release/examples/evidence" "$problem" --method "$method" --seeds "${SEEDS:-40}" --first "${FIRST:-100}" \
    --json "$out" "${set[@]}" | tail -1 | sed "s/$/${*:+   ($*)}/"
}
for problem in gauss3tut rosen2 shells2 eggbox2; do run importance-nested $problem; done
for problem in gauss3tut rosen2 shells2 eggbox2; do run nested $problem; done
for problem in gauss3tut gauss10c shells2; do run smc $problem; done
run smc rosen2 'precondition="maf"'
for problem in gauss3tut gauss10c gauss20 rosen2; do run nuts $problem; done
for problem in gauss3tut gauss10c rosen2; do run ensemble $problem; done
for problem in gauss10c loggamma10 shells10; do run importance-nested $problem; done
for problem in gauss10c loggamma10 shells10; do run nested $problem; done
run smc loggamma10
