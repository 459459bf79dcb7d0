// A Gaussian shell with the signatures of PolyChord's C++ interface (likelihoods/CC/CC_likelihood.cpp), as that code calls
// them: abi = "polychord", prior = "prior". Written for fitjob's examples. Nothing here knows fitjob; not even extern "C" is needed.
#include <cmath>

// One derived quantity: the distance from the centre.
double loglikelihood(double theta[], int nDims, double phi[], int nDerived)
{
    const double radius = 2.0, width = 0.1;
    double r2 = 0.0;
    for (int i = 0; i < nDims; i++) r2 += theta[i] * theta[i];
    const double r = std::sqrt(r2);
    if (nDerived > 0) phi[0] = r;
    return -0.5 * std::pow((r - radius) / width, 2) - 0.5 * std::log(2 * M_PI * width * width);
}

// Uniform from -6 to 6.
void prior(double cube[], double theta[], int nDims)
{
    for (int i = 0; i < nDims; i++) theta[i] = -6.0 + 12.0 * cube[i];
}

void setup_loglikelihood() {}
