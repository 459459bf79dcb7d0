#!/usr/bin/env python3
"""Writes tests/priors_scipy.csv: quantiles, log densities and distribution functions of priors, by scipy.

Run: python3 tests/priors_scipy.py > tests/priors_scipy.csv

Each line: the prior as a job file writes it; u; quantile at u; log density there; cdf there.
A truncated quantile is taken from the tail in which the probability is small, as scipy's own cdf/ppf
or sf/isf; split-normal, power-law and log-power-law, which scipy does not have, are transformed from
laws that it has (powerlaw, halfnorm, loguniform).
"""
import numpy as np
from scipy import stats

U = [1e-12, 1e-4, 0.05, 0.3, 0.5, 0.72, 0.97, 1 - 2.0**-20]


class Split:
    """Two half-normals joined at the mode with weights in proportion to their widths."""

    def __init__(self, mode, low, high):
        self.mode, self.low, self.high, self.w = mode, low, high, low / (low + high)

    def cdf(self, x):
        return 2 * self.w * stats.norm.cdf(x, self.mode, self.low) if x < self.mode else 1 - self.sf(x)

    def sf(self, x):
        return 2 * (1 - self.w) * stats.norm.sf(x, self.mode, self.high) if x >= self.mode else 1 - self.cdf(x)

    def ppf(self, p):
        return stats.norm.ppf(p / (2 * self.w), self.mode, self.low) if p < self.w else self.isf(1 - p)

    def isf(self, q):
        return stats.norm.isf(q / (2 * (1 - self.w)), self.mode, self.high) if q <= 1 - self.w else self.ppf(1 - q)

    def logpdf(self, x):
        sd = self.low if x < self.mode else self.high
        return np.log(2 * (self.low if x < self.mode else self.high) / (self.low + self.high)) + stats.norm.logpdf(x, self.mode, sd)


class Power:
    """x^exponent on [low, high], exponent > -1: scipy's powerlaw on [0, high], cut at low; below -1: of 1/x."""

    def __init__(self, exponent, low, high):
        self.up = exponent > -1
        b = abs(exponent + 1)
        self.base = stats.powerlaw(b, scale=high if self.up else 1 / low)
        self.a, self.c = (low, high) if self.up else (1 / high, 1 / low)
        self.pa = self.base.cdf(self.a)

    def ppf(self, u):
        u = u if self.up else 1 - u
        x = self.base.ppf(self.pa + u * (1 - self.pa))
        return x if self.up else 1 / x

    def cdf(self, x):
        p = (self.base.cdf(x if self.up else 1 / x) - self.pa) / (1 - self.pa)
        return p if self.up else 1 - p

    def logpdf(self, x):
        if self.up:
            return self.base.logpdf(x) - np.log1p(-self.pa)
        return self.base.logpdf(1 / x) - np.log1p(-self.pa) - 2 * np.log(x)


class LogOf:
    """x whose logarithm has the law."""

    def __init__(self, law):
        self.law = law

    def ppf(self, u):
        return np.exp(self.law.ppf(u))

    def cdf(self, x):
        return self.law.cdf(np.log(x))

    def logpdf(self, x):
        return self.law.logpdf(np.log(x)) - np.log(x)


class Cut:
    """A law cut to [low, high] and renormalised."""

    def __init__(self, law, low=-np.inf, high=np.inf):
        self.law = law
        self.pa, self.qa = (law.cdf(low), law.sf(low)) if np.isfinite(low) else (0.0, 1.0)
        self.pb, self.qb = (law.cdf(high), law.sf(high)) if np.isfinite(high) else (1.0, 0.0)
        self.upper = self.pa > 0.5
        self.mass = self.qa - self.qb if self.upper else self.pb - self.pa

    def ppf(self, u):
        if self.upper or self.pa + u * self.mass > 0.5:
            return self.law.isf(self.qb + (1 - u) * self.mass)
        return self.law.ppf(self.pa + u * self.mass)

    def cdf(self, x):
        return (self.qa - self.law.sf(x)) / self.mass if self.upper else (self.law.cdf(x) - self.pa) / self.mass

    def logpdf(self, x):
        return self.law.logpdf(x) - np.log(self.mass)


PRIORS = [
    ('prior = "uniform", min = -2.5, max = 4', stats.uniform(-2.5, 6.5)),
    ('prior = "log-uniform", min = 1e-6, max = 300', stats.loguniform(1e-6, 300)),
    ('prior = "normal", mean = 1, sd = 0.5', stats.norm(1, 0.5)),
    ('prior = "normal", mean = 1, sd = 0.5, min = 0', Cut(stats.norm(1, 0.5), 0)),
    ('prior = "normal", mean = 0.05, sd = 0.05, min = 0', Cut(stats.norm(0.05, 0.05), 0)),
    ('prior = "normal", mean = 0, sd = 1, min = 6', Cut(stats.norm(0, 1), 6)),
    ('prior = "normal", mean = 0, sd = 1, min = -30, max = -12', Cut(stats.norm(0, 1), -30, -12)),
    ('prior = "truncated-normal", mean = 3, sd = 2, min = 2.9, max = 3.2', Cut(stats.norm(3, 2), 2.9, 3.2)),
    ('prior = "half-normal", sd = 2.5', stats.halfnorm(scale=2.5)),
    ('prior = "half-normal", sd = 2.5, min = 5, max = 9', Cut(stats.halfnorm(scale=2.5), 5, 9)),
    ('prior = "log-normal", mu = -1, sigma = 1', stats.lognorm(1, scale=np.exp(-1))),
    ('prior = "log-normal", median = 10, sigma = 0.3, max = 12', Cut(stats.lognorm(0.3, scale=10), -np.inf, 12)),
    ('prior = "split-normal", mode = 2, sd_low = 0.5, sd_high = 3', Split(2, 0.5, 3)),
    ('prior = "split-normal", mode = 2, sd_low = 4, sd_high = 0.1, min = 0', Cut(Split(2, 4, 0.1), 0)),
    ('prior = "cauchy", location = 3, scale = 0.7', stats.cauchy(3, 0.7)),
    ('prior = "cauchy", location = 0, scale = 1, min = 100', Cut(stats.cauchy(0, 1), 100)),
    ('prior = "half-cauchy", scale = 5', stats.halfcauchy(scale=5)),
    ('prior = "half-cauchy", scale = 5, max = 20', Cut(stats.halfcauchy(scale=5), -np.inf, 20)),
    ('prior = "student-t", df = 3, location = 1, scale = 2', stats.t(3, 1, 2)),
    ('prior = "student-t", df = 1', stats.t(1)),
    ('prior = "student-t", df = 30, min = 0', Cut(stats.t(30), 0)),
    ('prior = "student-t", df = 250, location = -4', stats.t(250, -4)),
    ('prior = "beta", a = 2, b = 5', stats.beta(2, 5)),
    ('prior = "beta", a = 0.5, b = 0.5', stats.beta(0.5, 0.5)),
    ('prior = "beta", a = 0.08, b = 3', stats.beta(0.08, 3)),
    ('prior = "beta", a = 400, b = 3', stats.beta(400, 3)),
    ('prior = "beta", a = 3000, b = 5000', stats.beta(3000, 5000)),
    ('prior = "beta", a = 2, b = 5, min = 0.2, max = 0.9', Cut(stats.beta(2, 5), 0.2, 0.9)),
    ('prior = "gamma", shape = 2, rate = 0.5', stats.gamma(2, scale=2)),
    ('prior = "gamma", shape = 0.3, scale = 4', stats.gamma(0.3, scale=4)),
    ('prior = "gamma", shape = 1, rate = 1', stats.gamma(1)),
    ('prior = "gamma", shape = 150, rate = 3', stats.gamma(150, scale=1 / 3)),
    ('prior = "gamma", shape = 20000, rate = 1', stats.gamma(20000)),
    ('prior = "gamma", shape = 5, rate = 1, min = 12', Cut(stats.gamma(5), 12)),
    ('prior = "exponential", rate = 4', stats.expon(scale=0.25)),
    ('prior = "exponential", scale = 3, min = 1, max = 90', Cut(stats.expon(scale=3), 1, 90)),
    ('prior = "power-law", exponent = 2, min = 0, max = 7', stats.powerlaw(3, scale=7)),
    ('prior = "power-law", exponent = 1.5, min = 0.1, max = 7', Power(1.5, 0.1, 7)),
    ('prior = "power-law", exponent = -2.35, min = 0.1, max = 100', Power(-2.35, 0.1, 100)),
    ('prior = "power-law", exponent = -1, min = 0.1, max = 100', stats.loguniform(0.1, 100)),
    ('prior = "log-power-law", exponent = 2, min = 1, max = 1000', LogOf(stats.powerlaw(3, scale=np.log(1000)))),
    ('prior = "log-power-law", exponent = -2, min = 2, max = 1000', LogOf(Power(-2, np.log(2), np.log(1000)))),
]

print("# By tests/priors_scipy.py with scipy; prior; u; quantile; log density there; cdf there")
for text, law in PRIORS:
    for u in U:
        x = float(law.ppf(u))
        print(f"{text}; {u!r}; {x!r}; {float(law.logpdf(x))!r}; {float(law.cdf(x))!r}")
