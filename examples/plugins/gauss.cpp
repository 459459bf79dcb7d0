// A correlated normal distribution in C++ by fitjob.h: an object as state, a config, a gradient, exceptions kept inside.
#include "fitjob.h"
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <stdexcept>
#include <string>

namespace {

// exp(-x' P x / 2) with 1 on the diagonal of P and `coupling` beside it.
class Gauss {
public:
    Gauss(int dimension, const std::string &config) : d(dimension), coupling(0.0)
    {
        if (!config.empty() && std::sscanf(config.c_str(), "coupling = %lf", &coupling) != 1)
            throw std::runtime_error("config must read \"coupling = NUMBER\", not \"" + config + "\"");
        if (std::fabs(coupling) >= 0.5) throw std::runtime_error("coupling must be less than 0.5");
    }

    double log_like(const double *x, double *gradient) const
    {
        double sum = 0.0;
        for (int i = 0; i < d; i++) {
            const double left = i > 0 ? x[i - 1] : 0.0, right = i + 1 < d ? x[i + 1] : 0.0;
            const double pull = x[i] + coupling * (left + right);
            if (gradient) gradient[i] = -pull;
            sum += x[i] * pull;
        }
        return -0.5 * sum;
    }

    const int d;

private:
    double coupling;
};

// An exception must not leave a function that C calls: it becomes a message.
template <class Work> int guarded(char *message, Work work)
{
    try {
        work();
        return 0;
    } catch (const std::exception &error) {
        std::snprintf(message, FITJOB_MESSAGE_SIZE, "%s", error.what());
        return 1;
    }
}

} // namespace

int fitjob_abi_version(void) { return FITJOB_ABI_VERSION; }

int fitjob_open(const char *config, const char *const *, int n_params, int n_derived, int, void **state, char *message)
{
    return guarded(message, [&] {
        if (n_derived != 0) throw std::runtime_error("there are no derived quantities");
        *state = new Gauss(n_params, config);
    });
}

int fitjob_evaluate(void *state, const double *thetas, int n, double *log_like, double *, int *, char *messages)
{
    const Gauss &gauss = *static_cast<const Gauss *>(state);
    return guarded(messages, [&] {
        for (int i = 0; i < n; i++) log_like[i] = gauss.log_like(thetas + i * gauss.d, nullptr);
    });
}

int fitjob_gradient(void *state, const double *thetas, int n, double *log_like, double *gradients, int *, char *messages)
{
    const Gauss &gauss = *static_cast<const Gauss *>(state);
    return guarded(messages, [&] {
        for (int i = 0; i < n; i++) log_like[i] = gauss.log_like(thetas + i * gauss.d, gradients + i * gauss.d);
    });
}

void fitjob_close(void *state) { delete static_cast<Gauss *>(state); }
