"""Table of the figures that the example `evidence` wrote: python3 bench/evidence/table.py FILE.jsonl"""

import collections
import json
import statistics
import sys

groups = collections.defaultdict(list)
for line in open(sys.argv[1]):
    row = json.loads(line)
    groups[row["method"], row["problem"], row.get("settings", "")].append(row)

print("| engine | problem | settings | seeds | z mean | z sd | error | means | calls | n_eff | n_eff a call | CPU us a call |\n|" + "---|" * 12)
for (method, problem, settings), rows in groups.items():
    mean = lambda of: statistics.fmean(map(of, rows))
    has_z = rows[0]["z"] is not None
    z = f"{mean(lambda r: r['z']):+.2f} | {statistics.stdev(r['z'] for r in rows):.2f} | {mean(lambda r: r['log_z_err']):.4f}" if has_z else "| |"
    # Spread of the posterior means over seeds, in units of sd / sqrt(n_eff).
    squares = []
    for i in range(len(rows[0]["mean"])):
        expected = mean(lambda r: r["sd"][i] / r["n_eff"] ** 0.5)
        squares.append((statistics.stdev(r["mean"][i] for r in rows) / expected) ** 2)
    calls, n_eff = mean(lambda r: r["calls"]), mean(lambda r: r["n_eff"])
    cpu = 1e6 * mean(lambda r: r["cpu_s"]) / calls
    print(f"| {method} | {problem} | {settings} | {len(rows)} | {z} | {statistics.fmean(squares) ** 0.5:.2f} | {calls:.0f} | {n_eff:.0f} | {n_eff / calls:.4f} | {cpu:.1f} |")
