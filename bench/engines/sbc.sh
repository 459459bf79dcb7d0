#!/bin/bash
# How often does `fitjob sbc` cry wolf? Right jobs (a line with a normal posterior), calibrated over and over with other seeds, by every engine that samples:
# of each the share of calibrations whose corrected p-value is below .01, .05, .1, .5, and the CPU.
#
#   bench/engines/sbc.sh FITJOB      SEEDS=100 SIMS=100 ONLY="nested nuts"
set -eu
fitjob=$(realpath "${1:?the built fitjob}")
line=$(realpath "$(dirname "$0")/../../tests/line.toml")
cd "$(mktemp -d)"
trap 'rm -rf "$PWD"' EXIT
cp "$line" line.toml
echo "| engine | calibrations | p < .01 | < .05 | < .1 | < .5 | CPU s each |"
echo "|---|---|---|---|---|---|---|"
calibrate() { # METHOD SETTING...
  local method=$1 set=("sampler.method=$1"); shift
  case " ${ONLY:-$method} " in *" $method "*) ;; *) return 0 ;; esac
  set+=("$@")
  : > p
  local start
  start=$(awk '{print $16 + $17}' /proc/$$/stat)
  for seed in $(seq "${SEEDS:-100}"); do
    "$fitjob" sbc line.toml --seed "$seed" --sims "${SIMS:-100}" --draws 99 --ncores 1 --force --out run "${set[@]/#/--set=}" > log 2>&1 || [ $? = 1 ] || { cat log; return 1; }
    python3 -c 'import json; print(min(r["p"] for r in json.load(open("run/sbc.json"))["results"]))' >> p
  done
  awk -v method="$method" -v jiffies="$(($(awk '{print $16 + $17}' /proc/$$/stat) - start))" -v hz="$(getconf CLK_TCK)" '
    { n++; for (i = 1; i <= 4; i++) if ($1 < limit[i]) below[i]++ }
    BEGIN { split(".01 .05 .1 .5", limit) }
    END { printf "| %s | %d | %d | %d | %d | %d | %.2f |\n", method, n, below[1], below[2], below[3], below[4], jiffies / hz / n }' p
}
calibrate importance-nested sampler.n_live=200 sampler.n_eff=1000 sampler.n_networks=0
calibrate nested sampler.n_live=100 sampler.n_eff=1000
calibrate smc sampler.precondition='"affine"'
calibrate nuts
calibrate ensemble
