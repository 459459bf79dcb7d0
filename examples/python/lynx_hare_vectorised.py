"""The same likelihood for an array of points at once: `batch` in the job says for how many at most.

Every operation is element by element, so that a point's value does not depend on the others in its batch.
"""
import numpy as np
from lynx_hare import HARE, LOG_HARE, LOG_LYNX, STEPS, normal_constant, step


def log_likelihood(thetas):
    """(n, 8) -> (n,)"""
    alpha, beta, gamma, delta, hare0, lynx0, sigma_hare, sigma_lynx = np.ascontiguousarray(thetas.T)

    def slope(h, l):
        return alpha - beta * np.exp(l), delta * np.exp(h) - gamma

    with np.errstate(all="ignore"):  # populations without bound become inf or NaN
        h, l = np.log(hare0), np.log(lynx0)
        total = 0.0
        for year in range(len(HARE)):
            for _ in range(STEPS if year else 0):
                h, l = step(slope, h, l, 1.0 / STEPS)
            total = total - 0.5 * ((LOG_HARE[year] - h) / sigma_hare) ** 2 - 0.5 * ((LOG_LYNX[year] - l) / sigma_lynx) ** 2
        total = total - len(HARE) * (np.log(sigma_hare) + np.log(sigma_lynx)) + normal_constant
    return np.where(np.isfinite(total), total, -np.inf)
