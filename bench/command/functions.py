"""What costs nothing, one point a call and many: the rest is overhead."""
import numpy as np


def plain(x):
    return float(-0.5 * np.dot(x, x))


def free(x):
    return 0.0


def many(xs):
    return -0.5 * np.einsum("ij,ij->i", xs, xs)
