! Exponential decay with a background: the likelihood of fit.toml.
!
! Several threads may call it at once; if yours has SAVE or COMMON variables, add to a module
!     integer(c_int), bind(C, name="fitjob_not_thread_safe") :: not_thread_safe = 1
! and it gets one call at a time in each process. More: docs/plugins.md of fitjob.

! ln L at theta: the n parameters in the order of fit.toml. -infinity: impossible.
function log_likelihood(theta, n) bind(C, name="log_likelihood") result(log_like)
    use, intrinsic :: iso_c_binding, only: c_double, c_int
    implicit none
    integer(c_int), value :: n
    real(c_double), intent(in) :: theta(n)
    real(c_double) :: log_like
    integer, parameter :: dp = c_double, rows = 20
    integer :: i
    real(dp), parameter :: t(rows) = [(real(i, dp), i = 0, rows - 1)]
    real(dp), parameter :: counts(rows) = [120, 92, 58, 63, 58, 57, 38, 38, 31, 34, 26, 27, 22, 17, 12, 19, 13, 10, 16, 12]
    real(dp), parameter :: err(rows) = [10.5_dp, 9.6_dp, 8.8_dp, 8.1_dp, 7.4_dp, 6.8_dp, 6.3_dp, 5.9_dp, 5.5_dp, 5.2_dp, &
        4.9_dp, 4.6_dp, 4.4_dp, 4.2_dp, 4.0_dp, 3.9_dp, 3.8_dp, 3.7_dp, 3.6_dp, 3.5_dp]
    real(dp), parameter :: two_pi = 6.28318530717958647692_dp
    real(dp) :: r(rows)

    associate (a => theta(1), tau => theta(2), background => theta(3))
        r = (counts - a * exp(-t / tau) - background) / err
    end associate
    log_like = -0.5_dp * sum(r**2) - sum(log(err)) - 0.5_dp * rows * log(two_pi)
end function
