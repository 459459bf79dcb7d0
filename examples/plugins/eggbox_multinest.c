/*
 * The egg box with the signature of MultiNest's C interface (example_eggbox_C/eggbox.c), as that code calls it:
 * abi = "multinest". Written for fitjob's examples. On entry Cube has *ndim coordinates of the unit cube, on return the
 * parameters (0 to 10 pi) and one derived quantity: the product of the cosines.
 */
#include <math.h>

void LogLike(double *Cube, int *ndim, int *npars, double *lnew, void *context)
{
    double product = 1.0;
    int i;
    (void)context;
    for (i = 0; i < *ndim; i++) {
        Cube[i] *= 10.0 * 3.14159265358979323846;
        product *= cos(Cube[i] / 2.0);
    }
    if (*npars > *ndim) Cube[*ndim] = product;
    *lnew = pow(2.0 + product, 5.0);
}
