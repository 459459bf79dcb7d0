"""Records the training sets of real nautilus runs, with held-out points and what nautilus's own networks make of them.

python bench/network/record.py PROBLEMS_DIR OUT_DIR NAME...     (PROBLEMS_DIR holds problems.py; needs nautilus-sampler)
One file a neural bound, OUT_DIR/NAME.BOUND.MODE.set: a line of JSON (d, n, m, reference figures), then little-endian f32:
x (n*d, standardised), score (n), held-out x (m*d), held-out label (m; 1 = above the threshold), map (d*d) and shift (d) with
x = map u + shift. Held-out points are uniform in the sampling bound of that stage, inside the outer ellipsoid.
"""
import json
import os
import sys
import time
import warnings

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"
import numpy as np
from nautilus import Sampler
from nautilus.bounds import nautilus as whole
from nautilus.bounds import neural

warnings.filterwarnings("ignore")
HELD_OUT = 20000
pending, state = [], dict(bound=0)


def train_recorded(x, y, n_networks=4, neural_network_kwargs={}, pool=None):
    start = time.process_time()
    emulator = original_train(x, y, n_networks, neural_network_kwargs, pool)
    pending.append(dict(x=x, y=y, emulator=emulator, seconds=time.process_time() - start))
    return emulator


def compute_recorded(points, log_l, log_l_min, log_v_target, **kwargs):
    pending.clear()
    bound = original_compute(points, log_l, log_l_min, log_v_target, **kwargs)
    state["bound"] += 1
    for mode, (record, part) in enumerate(zip(pending, bound.neural_bounds)):
        write(bound, part, record, mode, log_l_min)
    return bound


def held_out(bound, part):
    kept = []
    for _ in range(200):
        points = bound.outer_bound.sample(5000)
        kept.append(points[part.outer_bound.contains(points)])
        if sum(map(len, kept)) >= HELD_OUT:
            break
    return np.concatenate(kept)[:HELD_OUT]


def write(bound, part, record, mode, log_l_min):
    u = held_out(bound, part)
    emulator, d = record["emulator"], u.shape[1]
    truth = state["like"](u) >= log_l_min
    t = part.outer_bound.transform(u)
    figures = {}
    networks = emulator.neural_networks
    epochs = [int(n.n_iter_) for n in networks]
    for k in (1, len(networks)):
        emulator.neural_networks = networks[:k]
        fit = np.polyfit(record["y"], emulator.predict(record["x"]), 3)
        chosen = emulator.predict(t) > np.polyval(fit, record["y"][record["y"] > 0.5].min()) - 1e-9
        hit = np.sum(chosen & truth)
        figures[str(k)] = dict(precision=hit / max(chosen.sum(), 1), recall=hit / max(truth.sum(), 1))
    emulator.neural_networks = networks
    zero = part.outer_bound.transform(np.zeros((1, d)))[0]
    linear = (part.outer_bound.transform(np.eye(d)) - zero).T / emulator.scale[:, None]
    x = (record["x"] - emulator.mean) / emulator.scale
    head = dict(problem=state["name"], bound=state["bound"], mode=mode, d=d, n=len(x), m=len(u), positive=float(truth.mean()),
                seconds=record["seconds"], epochs=epochs, reference=figures)
    path = os.path.join(state["out"], "%s.%02d.%d.set" % (state["name"], state["bound"], mode))
    with open(path, "wb") as f:
        f.write((json.dumps(head) + "\n").encode())
        for a in (x, record["y"], (t - emulator.mean) / emulator.scale, truth, linear, (zero - emulator.mean) / emulator.scale):
            f.write(np.ascontiguousarray(a, dtype="<f4").tobytes())
    print(json.dumps(head), flush=True)


original_train = neural.NeuralNetworkEmulator.train
original_compute = whole.NautilusBound.compute
neural.NeuralNetworkEmulator.train = train_recorded
whole.NautilusBound.compute = compute_recorded

if __name__ == "__main__":
    sys.path.insert(0, sys.argv[1])
    import problems

    for name in sys.argv[3:]:
        p = problems.get(name)
        width = p["hi"] - p["lo"]
        state.update(name=name, out=sys.argv[2], bound=0, like=lambda u: p["loglike"](p["lo"] + width * u))
        sampler = Sampler(lambda u: u, lambda u: state["like"](u), n_dim=p["d"], vectorized=True, pass_dict=False, seed=1)
        sampler.run(n_eff=1, verbose=False)
        print(name, "calls", sampler.n_like, "log Z", sampler.log_z, "true", p["logz"], flush=True)
