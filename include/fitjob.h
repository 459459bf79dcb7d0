/*
 * fitjob.h: a likelihood in a shared library, for [model] kind = "plugin" of fitjob.
 *
 * Write the functions below, compile them with  cc -O2 -fPIC -shared -o mylike.so mylike.c -lm  and name
 * the library in the job file. C89; from C++ nothing else is needed, from Fortran use bind(C). The manual is
 * docs/plugins.md, an example examples/plugins/lynx_hare.c.
 *
 * Threads. fitjob opens one instance for each thread that evaluates (one in each rank unless the job asks for more).
 *   - fitjob_open and fitjob_close are called one at a time in a process, but maybe while another instance evaluates,
 *     and maybe on another thread than the one that evaluates.
 *   - fitjob_evaluate and fitjob_gradient are called for several instances at the same time. One instance is never
 *     used by two threads at once.
 *   - A library that cannot do this (global variables, Fortran SAVE or COMMON) defines a symbol
 *     fitjob_not_thread_safe, of any type: then its calls in one process are made one after the other, and only more
 *     ranks make it faster.
 *
 * Answers must depend on the parameters only: fitjob promises the same result on any number of ranks.
 */
#ifndef FITJOB_H
#define FITJOB_H

#if defined(__GNUC__)
#define FITJOB_EXPORT __attribute__((visibility("default")))
#else
#define FITJOB_EXPORT
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* The version of this header that a library was compiled with. fitjob refuses others. */
#define FITJOB_ABI_VERSION 1

/* What came of a point: */
#define FITJOB_OK 0     /* log_like holds its log-likelihood. NaN and +inf end the job or are counted, as the job says. */
#define FITJOB_REJECT 1 /* the point is impossible: the same as log L = -inf, but counted and reported with its message */
#define FITJOB_FAILED 2 /* no value for this point, the next may do: [run] on_error says what follows */

/* Bytes for the message of one point, with the final zero. */
#define FITJOB_MESSAGE_SIZE 256

/* Required: return FITJOB_ABI_VERSION. */
FITJOB_EXPORT int fitjob_abi_version(void);

/*
 * Required: makes an instance.
 *   config     [model] config of the job, "" if it has none
 *   names      n_params names of the parameters, in the order of theta; valid only during this call
 *   n_params   number of parameters: d
 *   n_derived  number of derived quantities that the job asks for: k
 *   instance   number of this instance in its process: 0, 1, ...
 *   state      *state is passed to the other functions; NULL on entry, and may stay so
 *   message    for the reason of a failure: FITJOB_MESSAGE_SIZE bytes, empty on entry
 * Returns 0, or another number if the instance cannot be made: a wrong number of parameters, an unreadable config.
 * The first instance of each rank is opened before the run begins.
 */
FITJOB_EXPORT int fitjob_open(const char *config, const char *const *names, int n_params, int n_derived, int instance, void **state,
                              char *message);

/*
 * Required: evaluates n >= 1 points.
 *   thetas    n x d, row by row: parameter j of point i is thetas[i * d + j]; physical values, not the unit cube
 *   log_like  n: natural logarithm of the likelihood; write it in order of the points, so that after a crash fitjob can
 *             tell which point it was
 *   derived   n x k: NaN on entry
 *   status    n: FITJOB_OK on entry
 *   messages  n x FITJOB_MESSAGE_SIZE bytes: empty on entry; used for points that are not FITJOB_OK
 * Returns 0, or another number if the model is broken and the job must end; messages[0...] then says why.
 */
FITJOB_EXPORT int fitjob_evaluate(void *state, const double *thetas, int n, double *log_like, double *derived, int *status,
                                  char *messages);

/*
 * Optional: log-likelihoods as above, and their derivatives by the parameters.
 *   gradients  n x d, row by row: d log L(i) / d theta(i, j)
 */
FITJOB_EXPORT int fitjob_gradient(void *state, const double *thetas, int n, double *log_like, double *gradients, int *status,
                                  char *messages);

/* Optional: the instance is no longer needed. Not called if the process is killed. */
FITJOB_EXPORT void fitjob_close(void *state);

#ifdef __cplusplus
}
#endif

#endif
