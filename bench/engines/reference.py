"""Lynx and hare, and eight schools, by every engine that gives a posterior, beside posteriordb's reference posteriors.

    python3 bench/engines/reference.py FITJOB [--only ENGINE]... [--cores N]      a table on stdout

Columns: the largest |mean - reference| in units of the reference's sd, the largest |sd / reference - 1|, calls, n_eff, wall seconds.
The reference's own Monte Carlo error is .01 sd and .7% (10 000 draws).
"""

import argparse
import json
import pathlib
import subprocess
import tempfile

HERE = pathlib.Path(__file__).resolve().parents[2]
REFERENCE = {
    "lynx_hare": {
        "alpha": (0.546864, 0.063055), "beta": (0.027747, 0.004155), "gamma": (0.800095, 0.089370), "delta": (0.024086, 0.003528),
        "hare0": (34.035222, 2.916899), "lynx0": (5.935897, 0.530552), "sigma_hare": (0.248057, 0.043263), "sigma_lynx": (0.251017, 0.043590),
    },
    "eight_schools": {
        "mu": (4.410518, 3.309296), "tau": (3.602060, 3.198478), "theta1": (6.150502, 5.615863), "theta2": (4.939581, 4.645578),
        "theta3": (3.905906, 5.280712), "theta4": (4.796017, 4.770938), "theta5": (3.614436, 4.614721), "theta6": (4.051148, 4.796248),
        "theta7": (6.317170, 5.002855), "theta8": (4.883997, 5.317692),
    },
}
JOBS = {"lynx_hare": HERE / "src/job/examples/lynx_hare.toml", "eight_schools": HERE / "examples/eight_schools.toml"}
# The aim is an effective sample of 4000, so that Monte Carlo errors stay below the aims (.1 sd, 10%).
ENGINES = {
    "importance-nested": {}, "nested": {"n_eff": 4000}, "smc": {}, "nuts": {"n_eff": 4000}, "ensemble": {"n_eff": 4000},
}


def fit(fitjob, job, engine, settings, cores):
    text = JOBS[job].read_text()
    head = text[: text.index("[sampler]")]
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "job.toml")
        keys = "".join(f"{key} = {value}\n" for key, value in settings.items())
        path.write_text(f'{head}[sampler]\nmethod = "{engine}"\n{keys}')
        run = pathlib.Path(folder, "run")
        done = subprocess.run([fitjob, "run", "--ncores", str(cores), path, "--out", run], capture_output=True, text=True)
        if done.returncode:
            return done.stderr.strip().splitlines()[-1]
        return json.loads((run / "summary.json").read_text())


def main():
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("fitjob")
    asked.add_argument("--only", action="append")
    asked.add_argument("--job", action="append")
    asked.add_argument("--cores", type=int, default=2)
    asked = asked.parse_args()
    print("| job | engine | means off by, sd | sds off by | calls | n_eff | log Z | wall s |\n|---|---|---|---|---|---|---|---|")
    for job, reference in REFERENCE.items():
        for engine, settings in ENGINES.items():
            if (asked.only and engine not in asked.only) or (asked.job and job not in asked.job):
                continue
            found = fit(asked.fitjob, job, engine, settings, asked.cores)
            if isinstance(found, str):
                print(f"| {job} | {engine} | failed: {found} |", flush=True)
                continue
            of = found["parameters"]
            means = max(abs(of[name]["mean"] - mean) / sd for name, (mean, sd) in reference.items())
            sds = max(abs(of[name]["sd"] / sd - 1) for name, (mean, sd) in reference.items())
            log_z = "" if found["log_z"] is None else f"{found['log_z']:.3f} ± {found['log_z_err']:.3f}"
            print(f"| {job} | {engine} | {means:.3f} | {sds:.1%} | {found['n_like']} | {found['n_eff']:.0f} | {log_z} | {found['wall_s']:.1f} |", flush=True)


main()
