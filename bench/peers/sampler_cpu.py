"""Sampler CPU a call, calls and log Z: fitjob beside nautilus, same problems, same session, one core each.

usage: sampler_cpu.py [--problems gauss3tut rosen2 ...] [--seed 0] [--fitjob ./target/release/fitjob] [--out FILE.jsonl]

Needs ../shared/peers/problems.py (problem definitions) and `pip install nautilus-sampler`.
CPU is user + system time of the whole process less the likelihood's own CPU; both samplers at n_live 2000, n_eff 10000.
"""
import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[variable] = "1"
HERE = os.path.dirname(os.path.abspath(__file__))
PEERS = os.environ.get("FITJOB_PEERS", os.path.join(HERE, "../../../shared/peers"))


def nautilus(problem, seed):
    sys.path.insert(0, PEERS)
    import problems
    from nautilus import Sampler

    p = problems.get(problem)
    inside = [0.0]

    def likelihood(x):
        t = time.process_time()
        value = p["loglike"](x)
        inside[0] += time.process_time() - t
        return value

    t = time.process_time()
    s = Sampler(lambda u: p["lo"] + (p["hi"] - p["lo"]) * u, likelihood, n_dim=p["d"], n_live=2000, vectorized=True, pass_dict=False, seed=seed)
    s.run(n_eff=10000, verbose=False)
    cpu = time.process_time() - t - inside[0]
    return dict(sampler="nautilus", problem=problem, seed=seed, calls=int(s.n_like), cpu_s=cpu, log_z=float(s.log_z), err=float(s.n_eff) ** -0.5, true=p["logz"])


def fitjob(problem, seed, binary):
    with tempfile.TemporaryDirectory() as folder:
        job = os.path.join(folder, "job.toml")
        with open(job, "w") as f:
            f.write(f'seed = {seed}\n[model]\nkind = "problem"\nname = "{problem}"\n[sampler]\nmethod = "nautilus"\nn_live = 2000\nn_eff = 10000\n')
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([binary, job, "--out", folder + "/run", "--ncores", "1"], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        s = json.load(open(folder + "/run/summary.json"))
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return dict(sampler="fitjob", problem=problem, seed=seed, calls=s["n_like"], cpu_s=cpu, log_z=s["log_z"], err=s["log_z_err"])


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--problems", nargs="+", default=["gauss3tut", "rosen2", "shells2"])
    ap.add_argument("--seed", type=int, default=0)
    ap.add_argument("--fitjob", default="./target/release/fitjob")
    ap.add_argument("--out")
    a = ap.parse_args()
    if not os.path.exists(PEERS + "/problems.py"):
        sys.exit(f"{PEERS}/problems.py is not there: set FITJOB_PEERS to the folder that holds it")
    print("| problem | sampler | calls | ms CPU a call | log Z | err | ratio |\n|---|---|---|---|---|---|---|")
    for problem in a.problems:
        ours = fitjob(problem, a.seed, a.fitjob)
        theirs = nautilus(problem, a.seed)
        for r in (theirs, ours):
            r["ms_per_call"] = 1e3 * r["cpu_s"] / r["calls"]
            ratio = r["ms_per_call"] / theirs["ms_per_call"]
            print(f"| {problem} | {r['sampler']} | {r['calls']} | {r['ms_per_call']:.3f} | {r['log_z']:.4f} | {r['err']:.4f} | {ratio:.3f} |", flush=True)
            if a.out:
                with open(a.out, "a") as f:
                    f.write(json.dumps(dict(r, when=time.strftime("%Y-%m-%d"))) + "\n")


if __name__ == "__main__":
    main()
