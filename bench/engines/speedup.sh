#!/bin/bash
# How much ranks help each engine as it comes: 10 ms a call, whole run with MPI_Init, `calls x 10 ms / wall` beside the number of ranks.
# The calls are the same on any number of ranks (so is the digest), so that is the speed-up over one core.
#
#   bench/engines/speedup.sh [RANKS] [MS]       default 16 ranks, 10 ms; a table on stdout      ONLY="nuts smc"
set -u
cd "$(dirname "$0")/../.."
. scripts/site.sh
ranks=${1:-16} ms=${2:-10}
export OMPI_MCA_rmaps_base_oversubscribe=1 PRTE_MCA_rmaps_default_mapping_policy=:oversubscribe OMPI_MCA_mpi_yield_when_idle=1
if [ "$(id -u)" = 0 ]; then export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1; fi
scripts/build build -q --bin fitjob || exit 1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
echo "| engine | problem | settings | calls | wall s | speed-up on $ranks | busy |"
echo "|---|---|---|---|---|---|---|"
run() { # METHOD PROBLEM SETTINGS
  case " ${ONLY:-$1} " in *" $1 "*) ;; *) return ;; esac
  local name=$1-$2-$RANDOM
  printf 'seed = 1\n[model]\nkind = "problem"\nname = "%s"\n[model.delay]\nms = %s\n[sampler]\nmethod = "%s"\n%s\n' "$2" "$ms" "$1" "$3" >"$work/$name.toml"
  "$MPIEXEC" -n "$ranks" "$CARGO_TARGET_DIR/release/fitjob" run --ncores 1 "$work/$name.toml" --out "$work/$name" >"$work/$name.log" 2>&1 ||
    { echo "| $1 | $2 | $3 | failed: $(tail -1 "$work/$name.log") |"; return; }
  python3 - "$work/$name/summary.json" "$1" "$2" "${3//$'\n'/, }" "$ms" <<'END'
import json, sys
s = json.load(open(sys.argv[1]))
method, problem, settings, ms = sys.argv[2:]
wall = s["total_wall_s"]
print(f"| {method} | {problem} | {settings} | {s['n_like']} | {wall:.1f} | {s['n_like'] * float(ms) / 1000 / wall:.1f} | {s['busy_fraction']:.2f} |")
END
}
run importance-nested gauss3tut $'n_live = 1000\nn_eff = 5000'
run nested gauss3tut ''
run nested gauss10c $'n_live = 400\nn_eff = 0'
run smc gauss3tut ''
run smc gauss3tut 'precondition = "affine"'
run smc gauss10c ''
run smc gauss10c 'precondition = "affine"'
run nuts gauss3tut ''
run nuts gauss3tut 'chains = 16'
run nuts gauss3tut $'chains = 4\ngradient = "differences"'
run ensemble gauss3tut ''
run cmaes gauss10c ''
run lbfgs gauss10c ''
run nelder-mead gauss10c ''
