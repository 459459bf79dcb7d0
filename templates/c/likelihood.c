/*
 * Exponential decay with a background: the likelihood of fit.toml.
 *
 * Several threads may call it at once; if yours has global variables that change, add a line
 *     int fitjob_not_thread_safe;
 * and it gets one call at a time in each process. Derived quantities, messages, files to read at the start, gradients:
 * fitjob.h and docs/plugins.md of fitjob.
 */
#include <math.h>

#define ROWS 20

static const double counts[ROWS] = {120, 92, 58, 63, 58, 57, 38, 38, 31, 34, 26, 27, 22, 17, 12, 19, 13, 10, 16, 12}; /* at t = 0, 1, ... */
static const double err[ROWS] = {10.5, 9.6, 8.8, 8.1, 7.4, 6.8, 6.3, 5.9, 5.5, 5.2, 4.9, 4.6, 4.4, 4.2, 4.0, 3.9, 3.8, 3.7, 3.6, 3.5};

/* ln L at theta: the n parameters in the order of fit.toml. -INFINITY: impossible. */
double log_likelihood(const double *theta, int n)
{
    double a = theta[0], tau = theta[1], background = theta[2], sum = 0;
    int t;
    (void)n;
    for (t = 0; t < ROWS; t++) {
        double r = (counts[t] - a * exp(-t / tau) - background) / err[t];
        sum -= 0.5 * r * r + log(err[t]) + 0.91893853320467274178; /* ln(2 pi) / 2 */
    }
    return sum;
}
