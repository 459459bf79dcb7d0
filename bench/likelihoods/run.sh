#!/bin/bash
# Overhead a point of each kind of likelihood beside Python's pools, in one run: one table (least of many rounds), and the raw figures.
#
#   PYTHON=venv/bin/python bench/likelihoods/run.sh      PYTHON: one with numpy, mpi4py (for MPIPoolExecutor) and loky
#   POOLS=...    the script that measures the pools [default: ../shared/peers/pool_overhead.py]     WORKERS=2
#
# Raw figures, a line of JSON each: bench/likelihoods/out/likelihoods.jsonl and pools.jsonl. Takes two minutes.
set -eu
cd "$(dirname "$0")/../.."
. scripts/site.sh
python=${PYTHON:-python3}; pools=${POOLS:-../shared/peers/pool_overhead.py}; workers=${WORKERS:-2}
out=bench/likelihoods/out
export OMPI_MCA_rmaps_base_oversubscribe=1 PRTE_MCA_rmaps_default_mapping_policy=:oversubscribe
if [ "$(id -u)" = 0 ]; then export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1; fi
KEEP=yes scripts/build build -q --example likelihoods
mkdir -p "$out"; rm -f "$out"/*.jsonl
python=$(realpath -s "$python" 2>/dev/null || command -v "$python")

echo "load before: $(cut -d' ' -f1-3 /proc/loadavg)"
PATH="$(dirname "$python"):$PATH" "$CARGO_TARGET_DIR/release/examples/likelihoods" >"$out/likelihoods.jsonl"
if [ -f "$pools" ]; then
  "$python" "$pools" smp --n "$workers" --out "$out/pools.jsonl" >/dev/null
  [ "$KIND" = none ] || "$MPIEXEC" -n $((workers + 1)) "$python" -m mpi4py.futures "$pools" futures --out "$out/pools.jsonl" >/dev/null
else
  echo "no $pools: the pools are left out"
fi
echo "load after: $(cut -d' ' -f1-3 /proc/loadavg)"
"$python" - "$out" <<'PY'
import collections, json, pathlib, sys
out, rows = pathlib.Path(sys.argv[1]), collections.OrderedDict()
for line in map(json.loads, (out / "likelihoods.jsonl").read_text().splitlines()):
    rows.setdefault(line["kind"], {})[line["batch"]] = line["us_overhead"]
bare = {line["batch"]: line["us_bare"] for line in map(json.loads, (out / "likelihoods.jsonl").read_text().splitlines()) if line["kind"] == "python, plain"}
pools = out / "pools.jsonl"
for line in map(json.loads, pools.read_text().splitlines() if pools.exists() else []):
    if line["cost_ms"] == 0:
        rows.setdefault(line["mode"] + f" ({line['workers']} workers)", {})[line["batch"]] = line["us_per_point_min"] - bare[line["batch"]] / line["workers"]
print("| overhead, us a point | alone | 100 together | 1000 together |\n|---|---|---|---|")
for kind, us in rows.items():
    print(f"| {kind} | " + " | ".join(f"{us[n]:.3f}" if n in us else "" for n in (1, 100, 1000)) + " |")
PY
