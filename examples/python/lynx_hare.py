"""Lynx and hare in Canada, 1900-1920: the likelihood of `fitjob init --ode`, as a plain Python function of one point.

The equations of Lotka and Volterra for the logarithms of both populations are solved by extrapolated midpoint steps
(Gragg, Bulirsch, Stoer), which need no library and are accurate to 1e-10 here.
"""
import math

HARE = [30, 47.2, 70.2, 77.4, 36.3, 20.6, 18.1, 21.4, 22, 25.4, 27.1, 40.3, 57, 76.6, 52.3, 19.5, 11.2, 7.6, 14.6, 16.2, 24.7]
LYNX = [4, 6.1, 9.8, 35.2, 59.4, 41.7, 19, 13, 8.3, 9.1, 7.4, 8, 12.3, 19.5, 45.7, 51.1, 29.7, 15.8, 9.7, 10.1, 8.6]
LOG_HARE, LOG_LYNX = [math.log(v) for v in HARE], [math.log(v) for v in LYNX]

normal_constant = -sum(LOG_HARE) - sum(LOG_LYNX) - len(HARE) * math.log(2 * math.pi)
STEPS = 4  # a year
PARTS = (2, 4, 6, 8, 10, 12)


def midpoint(slope, h, l, step, n):
    """Gragg's modified midpoint rule over one step in n parts."""
    s = step / n
    dh, dl = slope(h, l)
    h0, l0, h1, l1 = h, l, h + s * dh, l + s * dl
    for _ in range(n - 1):
        dh, dl = slope(h1, l1)
        h0, l0, h1, l1 = h1, l1, h0 + 2 * s * dh, l0 + 2 * s * dl
    dh, dl = slope(h1, l1)
    return 0.5 * (h0 + h1 + s * dh), 0.5 * (l0 + l1 + s * dl)


def step(slope, h, l, size):
    """One step, extrapolated to infinitely many parts (Aitken and Neville, in 1 / n^2)."""
    before = []
    for j, n in enumerate(PARTS):
        row = [midpoint(slope, h, l, size, n)]
        for k in range(j):
            weight = 1.0 / ((n / PARTS[j - k - 1]) ** 2 - 1.0)
            (h1, l1), (h2, l2) = row[k], before[k]
            row.append((h1 + weight * (h1 - h2), l1 + weight * (l1 - l2)))
        before = row
    return before[-1]


def log_likelihood(theta):
    alpha, beta, gamma, delta, hare0, lynx0, sigma_hare, sigma_lynx = (float(v) for v in theta)

    def slope(h, l):
        return alpha - beta * math.exp(l), delta * math.exp(h) - gamma

    h, l = math.log(hare0), math.log(lynx0)
    total = 0.0
    try:
        for year in range(len(HARE)):
            for _ in range(STEPS if year else 0):
                h, l = step(slope, h, l, 1.0 / STEPS)
            total += normal(LOG_HARE[year], h, sigma_hare) + normal(LOG_LYNX[year], l, sigma_lynx)
    except OverflowError:  # populations without bound
        return -math.inf
    return total if math.isfinite(total) else -math.inf


def normal(log_y, log_mean, sigma):
    """Log-normal density of y, by its logarithm."""
    return -0.5 * ((log_y - log_mean) / sigma) ** 2 - math.log(sigma) - log_y - 0.5 * math.log(2 * math.pi)
