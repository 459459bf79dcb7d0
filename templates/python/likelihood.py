"""Exponential decay with a background: the likelihood of fit.toml. Needs numpy.

fitjob imports this file once in each worker and calls log_likelihood. Tried by hand:

    python3 -c "import likelihood; print(likelihood.log_likelihood([100, 5, 10]))"
"""
from pathlib import Path

import numpy as np

T, COUNTS, ERR = np.loadtxt(Path(__file__).with_name("data.csv"), delimiter=",", skiprows=1, unpack=True)
CONSTANT = -np.sum(np.log(ERR)) - 0.5 * len(T) * np.log(2 * np.pi)


def log_likelihood(theta):
    """ln L, a number, at theta: the parameters in the order of fit.toml. -inf: impossible."""
    a, tau, background = theta
    r = (COUNTS - a * np.exp(-T / tau) - background) / ERR
    return CONSTANT - 0.5 * np.sum(r * r)


# The rest is optional.


def log_likelihood_gradient(theta):
    """ln L and its derivatives (3,), for what uses gradients: the name is the function's with _gradient."""
    a, tau, background = theta
    decay = np.exp(-T / tau)
    r = (COUNTS - a * decay - background) / ERR
    pull = r / ERR
    slopes = [np.sum(pull * decay), np.sum(pull * a * decay * T / tau**2), np.sum(pull)]
    return CONSTANT - 0.5 * np.sum(r * r), slopes


def log_likelihood_of_many(thetas):
    """The same for n points at once, an array (n, 3): ln L (n,), and k derived quantities (n, k), here chi squared.

    Return ln L alone if fit.toml has no `derived`. A function of one point returns (ln L, [chi squared]) with it.
    """
    a, tau, background = thetas.T[:, :, np.newaxis]  # (n, 1) each, beside the data's (20,)
    r = (COUNTS - a * np.exp(-T / tau) - background) / ERR
    chi_squared = np.sum(r * r, axis=1)
    return CONSTANT - 0.5 * chi_squared, chi_squared[:, np.newaxis]
