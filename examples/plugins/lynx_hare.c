/*
 * Lynx and hare: the built-in job of fitjob with its likelihood in C, by fitjob.h.
 *
 * The predator-prey equations for the logarithms of both populations are integrated with the explicit method of
 * Dormand and Prince (1980, orders 5 and 4) at a tolerance of 1e-11 a step.
 * theta: alpha, beta, gamma, delta, hare0, lynx0, sigma_hare, sigma_lynx. Derived, if asked for: most hares, most lynxes
 * (thousands, in the years with data).
 */
#include "fitjob.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

#define YEARS 21
#define TOLERANCE 1e-11
#define MAX_STEPS 20000

static const double hare[YEARS] = {30, 47.2, 70.2, 77.4, 36.3, 20.6, 18.1, 21.4, 22, 25.4, 27.1,
                                   40.3, 57, 76.6, 52.3, 19.5, 11.2, 7.6, 14.6, 16.2, 24.7};
static const double lynx[YEARS] = {4, 6.1, 9.8, 35.2, 59.4, 41.7, 19, 13, 8.3, 9.1, 7.4,
                                   8, 12.3, 19.5, 45.7, 51.1, 29.7, 15.8, 9.7, 10.1, 8.6};

/* d/dt of (ln hares, ln lynxes) */
static void slope(const double *theta, const double *u, double *du)
{
    du[0] = theta[0] - theta[1] * exp(u[1]);
    du[1] = theta[3] * exp(u[0]) - theta[2];
}

/* One step of length h from u, whose slope is k1; gives the new state, its slope and the estimated error. */
static double step(const double *theta, double h, const double *u, const double *k1, double *end, double *k7)
{
    double k2[2], k3[2], k4[2], k5[2], k6[2], v[2], error = 0;
    int i;
    for (i = 0; i < 2; i++) v[i] = u[i] + h * k1[i] / 5;
    slope(theta, v, k2);
    for (i = 0; i < 2; i++) v[i] = u[i] + h * (3 * k1[i] + 9 * k2[i]) / 40;
    slope(theta, v, k3);
    for (i = 0; i < 2; i++) v[i] = u[i] + h * (44 * k1[i] / 45 - 56 * k2[i] / 15 + 32 * k3[i] / 9);
    slope(theta, v, k4);
    for (i = 0; i < 2; i++)
        v[i] = u[i] + h * (19372 * k1[i] / 6561 - 25360 * k2[i] / 2187 + 64448 * k3[i] / 6561 - 212 * k4[i] / 729);
    slope(theta, v, k5);
    for (i = 0; i < 2; i++)
        v[i] = u[i] + h * (9017 * k1[i] / 3168 - 355 * k2[i] / 33 + 46732 * k3[i] / 5247 + 49 * k4[i] / 176 - 5103 * k5[i] / 18656);
    slope(theta, v, k6);
    for (i = 0; i < 2; i++)
        end[i] = u[i] + h * (35 * k1[i] / 384 + 500 * k3[i] / 1113 + 125 * k4[i] / 192 - 2187 * k5[i] / 6784 + 11 * k6[i] / 84);
    slope(theta, end, k7);
    for (i = 0; i < 2; i++) {
        double e = h * (71 * k1[i] / 57600 - 71 * k3[i] / 16695 + 71 * k4[i] / 1920 - 17253 * k5[i] / 339200 + 22 * k6[i] / 525 - k7[i] / 40);
        if (!(fabs(e) <= error)) error = fabs(e); /* also if e is not a number */
    }
    return error;
}

/* Moves u on by one year. Returns 0, or 1 if that takes too many steps. *h: the length of step to begin with, and to go on with. */
static int one_year(const double *theta, double *u, double *h, int *steps)
{
    double t = 0, k1[2], k7[2], end[2];
    slope(theta, u, k1);
    while (t < 1) {
        double left = 1 - t, length = *h < left ? *h : left, error = step(theta, length, u, k1, end, k7), factor;
        if (++*steps > MAX_STEPS) return 1;
        factor = error > 0 ? 0.9 * pow(TOLERANCE / error, 0.2) : 5;
        if (!(factor >= 0.2)) factor = 0.2;
        if (factor > 5) factor = 5;
        if (error <= TOLERANCE) {
            t = length == left ? 1 : t + length;
            memcpy(u, end, sizeof end);
            memcpy(k1, k7, sizeof k7);
            if (length == *h || factor < 1) *h = length * factor;
        } else {
            *h = length * factor;
        }
    }
    return 0;
}

/* ln of the log-normal density of y about exp(mean) */
static double log_normal(double y, double mean, double sigma)
{
    double r = (log(y) - mean) / sigma;
    return -0.5 * r * r - log(sigma) - log(y) - 0.91893853320467274178; /* ln(2 pi) / 2 */
}

/* Returns FITJOB_OK or FITJOB_REJECT; peak: the largest of each population. */
static int log_likelihood(const double *theta, double *log_like, double *peak)
{
    double u[2], h = 0.01, sum = 0;
    int year, steps = 0;
    u[0] = log(theta[4]);
    u[1] = log(theta[5]);
    peak[0] = peak[1] = 0;
    for (year = 0; year < YEARS; year++) {
        if (year > 0 && one_year(theta, u, &h, &steps)) return FITJOB_REJECT;
        sum += log_normal(hare[year], u[0], theta[6]) + log_normal(lynx[year], u[1], theta[7]);
        peak[0] = fmax(peak[0], exp(u[0]));
        peak[1] = fmax(peak[1], exp(u[1]));
    }
    *log_like = sum;
    return FITJOB_OK;
}

int fitjob_abi_version(void)
{
    return FITJOB_ABI_VERSION;
}

/* There is nothing to keep between calls but the number of derived quantities. */
static const int with_derived = 2, without_derived = 0;

int fitjob_open(const char *config, const char *const *names, int n_params, int n_derived, int instance, void **state, char *message)
{
    static const char *const mine[8] = {"alpha", "beta", "gamma", "delta", "hare0", "lynx0", "sigma_hare", "sigma_lynx"};
    int i;
    (void)config;
    (void)instance;
    if (n_params != 8 || (n_derived != 0 && n_derived != 2)) {
        sprintf(message, "lynx_hare takes 8 parameters and gives 0 or 2 derived quantities, the job has %d and %d", n_params, n_derived);
        return 1;
    }
    for (i = 0; i < 8; i++) {
        if (strcmp(names[i], mine[i]) != 0) {
            sprintf(message, "parameter %d must be `%s`, the job has `%.100s`", i + 1, mine[i], names[i]);
            return 1;
        }
    }
    *state = (void *)(n_derived ? &with_derived : &without_derived);
    return 0;
}

int fitjob_evaluate(void *state, const double *thetas, int n, double *log_like, double *derived, int *status, char *messages)
{
    int i, k = *(const int *)state;
    for (i = 0; i < n; i++) {
        double peak[2];
        status[i] = log_likelihood(thetas + 8 * i, log_like + i, peak);
        if (status[i] == FITJOB_REJECT) strcpy(messages + i * FITJOB_MESSAGE_SIZE, "the equations are too stiff at this point");
        if (k) memcpy(derived + 2 * i, peak, sizeof peak);
    }
    return 0;
}
