/*
 * A straight line through five points with the vectorised signatures of UltraNest's C example (languages/c):
 * abi = "ultranest", prior = "my_c_transform_vectorized". Written for fitjob's examples.
 */
#include <stddef.h>

void my_c_transform_vectorized(double *params, size_t d, size_t n)
{
    size_t i;
    for (i = 0; i < n * d; i++) params[i] = 20.0 * params[i] - 10.0;
}

void my_c_likelihood_vectorized(double *params, size_t d, size_t n, double *like)
{
    static const double x[5] = {1, 2, 3, 4, 5}, y[5] = {3.1, 4.8, 7.2, 9.1, 10.9}, sigma = 0.2;
    size_t i;
    int j;
    for (i = 0; i < n; i++) {
        const double slope = params[i * d], offset = params[i * d + 1];
        like[i] = 0.0;
        for (j = 0; j < 5; j++) {
            const double r = (y[j] - slope * x[j] - offset) / sigma;
            like[i] -= 0.5 * r * r;
        }
    }
}
