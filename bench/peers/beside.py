"""Every engine beside its peer, same problem, same session, one core each: calls, effective samples, log Z and CPU a call outside the likelihood.

    python3 -m venv V; V/bin/pip install nautilus-sampler dynesty pocomc numpyro emcee cma scipy
    V/bin/python bench/peers/beside.py [--only nested smc] [--seeds 1] [--fitjob ./target/release/fitjob] [--out FILE.jsonl]

Needs ../shared/peers/problems.py (or FITJOB_PEERS): the problems' definitions. Peers run with their defaults unless PAIRS says so. fitjob's CPU is that of the
whole process on one thread, likelihood included; its last column leaves out the start (MPI_Init, HDF5, the job: the CPU of a run of 200 calls). A peer's is without
imports, without the likelihood and, of NumPyro, without compiling.
Effective samples are each program's own figure: Kish's of a weighted sample, from autocorrelations of chains; of an optimiser, log L at its best point.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time

os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", XLA_FLAGS="--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1")
import numpy as np

HERE = os.path.dirname(os.path.abspath(__file__))
SCHOOLS = os.path.join(HERE, "../../examples/eight_schools.toml")
sys.path.insert(0, os.environ.get("FITJOB_PEERS", os.path.join(HERE, "../../../shared/peers")))


class Likelihood:
    """A problem of problems.py that counts its calls and the CPU inside."""

    def __init__(self, name):
        import problems

        problem = problems.get(name)
        self.n_dim, self.low, self.range = problem["d"], np.asarray(problem["lo"]), np.asarray(problem["hi"]) - problem["lo"]
        self.true, self.calls, self.seconds, self.of = problem["logz"], 0, 0.0, problem["loglike"]

    def many(self, x):
        start = time.process_time()
        values = self.of(np.atleast_2d(x))
        self.seconds += time.process_time() - start
        self.calls += len(values)
        return values

    def one(self, x):
        return float(self.many(x)[0])

    def of_cube(self, u):
        """-inf outside: for walkers that know no prior."""
        inside = np.all((u > 0) & (u < 1))
        return self.one(self.low + self.range * u) if inside else -np.inf

    def prior(self, u):
        return self.low + self.range * u


def kish(log_weight):
    w = np.exp(log_weight - np.max(log_weight))
    return w.sum() ** 2 / (w * w).sum()


# Peers: each gives n_eff (or log_like), log_z and err where it has them.


def nautilus(like, seed):
    from nautilus import Sampler

    s = Sampler(like.prior, like.many, n_dim=like.n_dim, n_live=2000, vectorized=True, pass_dict=False, seed=seed)
    s.run(n_eff=10000, verbose=False)
    return dict(n_eff=s.n_eff, log_z=s.log_z, err=s.n_eff**-0.5)


def dynesty(like, seed):
    from dynesty import NestedSampler

    s = NestedSampler(like.one, like.prior, like.n_dim, nlive=500, rstate=np.random.default_rng(seed))
    s.run_nested(print_progress=False)
    return dict(n_eff=kish(s.results.logwt), log_z=s.results.logz[-1], err=s.results.logzerr[-1])


def dynesty_dynamic(like, seed):
    from dynesty import DynamicNestedSampler

    s = DynamicNestedSampler(like.one, like.prior, like.n_dim, rstate=np.random.default_rng(seed))
    s.run_nested(print_progress=False, n_effective=10000)
    return dict(n_eff=kish(s.results.logwt), log_z=s.results.logz[-1], err=s.results.logzerr[-1])


def pocomc(like, seed):
    import pocomc as pc
    import torch
    from scipy.stats import uniform

    torch.set_num_threads(1)
    torch.manual_seed(seed)
    prior = pc.Prior([uniform(low, width) for low, width in zip(like.low, like.range)])
    s = pc.Sampler(prior, like.many, vectorize=True, random_state=seed)
    s.run(progress=False)
    log_z, err = s.evidence()
    return dict(n_eff=kish(np.log(s.posterior()[1] + 1e-300)), log_z=log_z, err=err)


def emcee(like, seed):
    """Stretch moves of 40 walkers, as fitjob's default has, until 2000 effective steps; looks every 500 steps. Its burn-in, twice tau, counts as calls."""
    from emcee import EnsembleSampler

    np.random.seed(seed)
    walkers = max(40, 4 * like.n_dim)
    draws = np.random.uniform(size=(10 * walkers, like.n_dim))
    best = np.argsort([like.of_cube(u) for u in draws])[-walkers:]
    s = EnsembleSampler(walkers, like.n_dim, like.of_cube)
    state = draws[best]
    while True:
        state = s.run_mcmc(state, 500)
        tau = np.max(s.get_autocorr_time(tol=0))
        n_eff = walkers * (s.iteration - 2 * tau) / tau
        if n_eff > 2000 and s.iteration > 50 * tau:
            return dict(n_eff=n_eff)


def numpyro(name):
    """NUTS, its defaults, 4 chains of 1000 + 1000: counts gradients, warm-up included."""

    def run(like, seed):
        import jax
        from numpyro.diagnostics import effective_sample_size, split_gelman_rubin
        from numpyro.infer import MCMC, NUTS

        jax.config.update("jax_enable_x64", True)
        mcmc = MCMC(NUTS(globals()[name + "_numpyro"]), num_warmup=1000, num_samples=1000, num_chains=4, chain_method="sequential", progress_bar=False)
        for key in (seed + 1000, seed):  # once to compile
            start = time.process_time()
            mcmc.warmup(jax.random.PRNGKey(key), extra_fields=("num_steps",), collect_warmup=True)
            warmup = mcmc.get_extra_fields()["num_steps"].sum()
            mcmc.run(jax.random.PRNGKey(key), extra_fields=("num_steps",))
            calls, cpu = int(warmup + mcmc.get_extra_fields()["num_steps"].sum()), time.process_time() - start
        draws = mcmc.get_samples(group_by_chain=True)
        over = lambda figure: [float(v) for x in draws.values() for v in np.ravel(figure(np.asarray(x)))]
        return dict(calls=calls, cpu_s=cpu, n_eff=min(over(effective_sample_size)), r_hat=max(over(split_gelman_rubin)))

    return run


def gauss10c_numpyro():
    import jax.numpy as jnp
    import numpyro
    from numpyro.distributions import MultivariateNormal, Uniform

    x = numpyro.sample("x", Uniform(-10, 10).expand([10]))
    numpyro.factor("log_like", MultivariateNormal(jnp.zeros(10), 0.05 * jnp.eye(10) + 0.95).log_prob(x))


def eight_schools_numpyro():
    import jax.numpy as jnp
    import numpyro
    from numpyro.distributions import HalfCauchy, Normal

    mu, tau = numpyro.sample("mu", Normal(0, 5)), numpyro.sample("tau", HalfCauchy(5))
    eta = numpyro.sample("eta", Normal(0, 1).expand([8]))
    error = jnp.array([15.0, 10, 16, 11, 9, 11, 10, 18])
    numpyro.sample("effect", Normal(mu + tau * eta, error), obs=jnp.array([28.0, 8, -3, 7, -1, 1, 18, 12]))


def begin(like):
    """Where all optimisers begin: u_i = (i+1)/(d+2)."""
    return (np.arange(like.n_dim) + 1) / (like.n_dim + 2)


def pycma(like, seed):
    import cma

    # tolfun as fitjob's tol_log_like; pycma's own default is 1e-11.
    best = cma.fmin(lambda u: -like.of_cube(np.asarray(u)), begin(like), 0.2, dict(bounds=[0, 1], seed=seed + 1, verbose=-9, tolfun=1e-8))
    return dict(log_like=-best[1])


def scipy(method):
    def run(like, seed):
        from scipy.optimize import minimize

        options = dict(maxfev=20000, maxiter=20000, fatol=1e-8) if method == "Nelder-Mead" else {}
        found = minimize(lambda u: -like.one(like.prior(u)), begin(like), method=method, bounds=[(0, 1)] * like.n_dim, options=options)
        return dict(log_like=-found.fun)

    return run


def one_start(n_dim):
    return "sampler.n_starts=1", f"sampler.points=[{[(i + 1) / (n_dim + 2) for i in range(n_dim)]}]"


# Engine, problem, fitjob's settings, peer.
PAIRS = [
    *(("importance-nested", p, (), nautilus) for p in ("gauss3tut", "rosen2")),
    *(("nested", p, (), dynesty) for p in ("gauss3tut", "rosen2", "shells2", "eggbox2", "shells10", "gauss10c", "loggamma10")),
    *(("nested", p, ("sampler.n_eff=10000",), dynesty_dynamic) for p in ("gauss3tut", "rosen2")),
    *(("ensemble", p, (), emcee) for p in ("gauss3tut", "gauss10c")),
    *(("nuts", p, (), numpyro(p)) for p in ("gauss10c", "eight_schools")),
    *(("cmaes", p, ('sampler.restarts="none"', *one_start(d)), pycma) for p, d in (("gauss10c", 10), ("rosen5", 5))),
    *(("lbfgs", p, one_start(d), scipy("L-BFGS-B")) for p, d in (("gauss10c", 10), ("rosen5", 5))),
    *(("nelder-mead", p, one_start(d), scipy("Nelder-Mead")) for p, d in (("gauss3tut", 3), ("rosen5", 5))),
    *(("smc", p, (), pocomc) for p in ("gauss3tut", "shells2", "gauss10c")),
]


def peer(run, problem, seed):
    like = Likelihood(problem) if problem != "eight_schools" else None
    start = time.process_time()
    figures = run(like, seed)
    if "calls" not in figures:
        figures.update(calls=like.calls, cpu_s=time.process_time() - start - like.seconds)
    return figures


def fitjob(binary, engine, problem, settings, seed):
    with tempfile.TemporaryDirectory() as folder:
        job = SCHOOLS
        if problem != "eight_schools":
            job = os.path.join(folder, "job.toml")
            with open(job, "w") as f:
                f.write(f'[model]\nkind = "problem"\nname = "{problem}"\n[sampler]\nmethod = "{engine}"\n')
        command = [binary, "run", job, "--out", folder + "/run", "--ncores", "1", "--seed", str(seed)]
        command += [word for setting in settings for word in ("--set", setting)]
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        summary = json.load(open(folder + "/run/summary.json"))
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    figures = dict(calls=summary["n_like"], cpu_s=cpu, n_eff=summary["n_eff"], log_z=summary["log_z"], err=summary["log_z_err"])
    if engine in ("cmaes", "lbfgs", "nelder-mead"):
        figures["log_like"] = summary["best_log_like"]
    return figures


def start_of(binary):
    """CPU seconds of a run that does next to nothing: the least of five."""
    return min(fitjob(binary, "nelder-mead", "gauss3tut", ("sampler.n_starts=1", "sampler.n_like_max=200"), seed)["cpu_s"] for seed in range(5))


def line(row):
    text = lambda key, form: format(row[key], form) if row.get(key) is not None else ""
    found = text("log_like", ".6g") if "log_like" in row else text("n_eff", ".0f")
    each = f"{row['calls'] / row['n_eff']:.1f}" if "log_like" not in row else ""
    log_z = f"{row['log_z']:.3f} ± {row['err']:.3f}" if row.get("log_z") is not None else ""
    cpu = 1e6 * row["cpu_s"] / row["calls"]
    alone = 1e6 * (row["cpu_s"] - row.get("start_s", 0)) / row["calls"]
    return f"| {row['engine']} | {row['problem']} | {row['by']} | {row['seed']} | {row['calls']} | {found} | {each} | {log_z} | {cpu:.1f} | {alone:.1f} |"


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--only", nargs="+", metavar="ENGINE", help="these engines only")
    ap.add_argument("--problems", nargs="+", metavar="PROBLEM", help="these problems only")
    ap.add_argument("--seeds", type=int, default=1)
    ap.add_argument("--fitjob", default="./target/release/fitjob")
    ap.add_argument("--out", metavar="FILE.jsonl")
    a = ap.parse_args()
    print("| engine | problem | by | seed | calls | n_eff or log L | calls an effective sample | log Z | CPU us a call | without start |\n" + "|---" * 10 + "|")
    start_s = start_of(a.fitjob)
    for engine, problem, settings, run in PAIRS:
        if (a.only and engine not in a.only) or (a.problems and problem not in a.problems):
            continue
        for seed in range(a.seeds):
            theirs = peer(run, problem, seed) | dict(by=run.__qualname__.split(".")[0])
            ours = fitjob(a.fitjob, engine, problem, settings, seed) | dict(by="fitjob " + " ".join(settings), start_s=start_s)
            for row in (theirs, ours):
                row.update(engine=engine, problem=problem, seed=seed, when=time.strftime("%F"))
                print(line(row), flush=True)
                if a.out:
                    with open(a.out, "a") as f:
                        f.write(json.dumps(row, default=float) + "\n")


if __name__ == "__main__":
    main()
