! Lynx and hare: the built-in job of fitjob with its likelihood in Fortran, as a plain function: abi = "plain".
!
! The same equations and the same method (Dormand and Prince 1980, tolerance 1e-11 a step) as lynx_hare.c.
! theta: alpha, beta, gamma, delta, hare0, lynx0, sigma_hare, sigma_lynx. Several threads may call it at once: nothing is kept.
module lynx_hare
    use, intrinsic :: iso_c_binding, only: c_double, c_int
    use, intrinsic :: ieee_arithmetic, only: ieee_value, ieee_negative_inf
    implicit none
    private
    public :: log_likelihood
    integer, parameter :: dp = c_double, years = 21, max_steps = 20000
    real(dp), parameter :: tolerance = 1e-11_dp
    real(dp), parameter :: hare(years) = [30.0_dp, 47.2_dp, 70.2_dp, 77.4_dp, 36.3_dp, 20.6_dp, 18.1_dp, 21.4_dp, 22.0_dp, &
        25.4_dp, 27.1_dp, 40.3_dp, 57.0_dp, 76.6_dp, 52.3_dp, 19.5_dp, 11.2_dp, 7.6_dp, 14.6_dp, 16.2_dp, 24.7_dp]
    real(dp), parameter :: lynx(years) = [4.0_dp, 6.1_dp, 9.8_dp, 35.2_dp, 59.4_dp, 41.7_dp, 19.0_dp, 13.0_dp, 8.3_dp, &
        9.1_dp, 7.4_dp, 8.0_dp, 12.3_dp, 19.5_dp, 45.7_dp, 51.1_dp, 29.7_dp, 15.8_dp, 9.7_dp, 10.1_dp, 8.6_dp]

contains

    function log_likelihood(theta, n) bind(C, name="log_likelihood") result(log_like)
        integer(c_int), value, intent(in) :: n
        real(c_double), intent(in) :: theta(n)
        real(c_double) :: log_like
        real(dp) :: u(2), h
        integer :: year, steps
        u = log(theta(5:6))
        h = 0.01_dp
        steps = 0
        log_like = 0
        do year = 1, years
            if (year > 1) call one_year(theta, u, h, steps)
            if (steps > max_steps) then
                log_like = ieee_value(log_like, ieee_negative_inf)
                return
            end if
            log_like = log_like + log_normal(hare(year), u(1), theta(7)) + log_normal(lynx(year), u(2), theta(8))
        end do
    end function

    ! d/dt of (ln hares, ln lynxes)
    pure function slope(theta, u) result(du)
        real(dp), intent(in) :: theta(:), u(2)
        real(dp) :: du(2)
        du = [theta(1) - theta(2) * exp(u(2)), theta(4) * exp(u(1)) - theta(3)]
    end function

    ! One step of length h from u, whose slope is k1; gives the new state, its slope and the estimated error.
    pure subroutine step(theta, h, u, k1, end, k7, error)
        real(dp), intent(in) :: theta(:), h, u(2), k1(2)
        real(dp), intent(out) :: end(2), k7(2), error
        real(dp), dimension(2) :: k2, k3, k4, k5, k6, e
        k2 = slope(theta, u + h * k1 / 5)
        k3 = slope(theta, u + h * (3 * k1 + 9 * k2) / 40)
        k4 = slope(theta, u + h * (44 * k1 / 45 - 56 * k2 / 15 + 32 * k3 / 9))
        k5 = slope(theta, u + h * (19372 * k1 / 6561 - 25360 * k2 / 2187 + 64448 * k3 / 6561 - 212 * k4 / 729))
        k6 = slope(theta, u + h * (9017 * k1 / 3168 - 355 * k2 / 33 + 46732 * k3 / 5247 + 49 * k4 / 176 - 5103 * k5 / 18656))
        end = u + h * (35 * k1 / 384 + 500 * k3 / 1113 + 125 * k4 / 192 - 2187 * k5 / 6784 + 11 * k6 / 84)
        k7 = slope(theta, end)
        e = abs(h * (71 * k1 / 57600 - 71 * k3 / 16695 + 71 * k4 / 1920 - 17253 * k5 / 339200 + 22 * k6 / 525 - k7 / 40))
        error = e(1)
        if (.not. e(2) <= error) error = e(2)
    end subroutine

    ! Moves u on by one year, unless that takes too many steps. h: the length of step to begin with, and to go on with.
    pure subroutine one_year(theta, u, h, steps)
        real(dp), intent(in) :: theta(:)
        real(dp), intent(inout) :: u(2), h
        integer, intent(inout) :: steps
        real(dp) :: t, left, length, error, factor, k1(2), k7(2), end(2)
        t = 0
        k1 = slope(theta, u)
        do while (t < 1)
            left = 1 - t
            length = min(h, left)
            call step(theta, length, u, k1, end, k7, error)
            steps = steps + 1
            if (steps > max_steps) return
            factor = 5
            if (error > 0) factor = 0.9_dp * (tolerance / error)**0.2_dp
            if (.not. factor >= 0.2_dp) factor = 0.2_dp
            factor = min(factor, 5.0_dp)
            if (error <= tolerance) then
                if (length == left) then
                    t = 1
                else
                    t = t + length
                end if
                u = end
                k1 = k7
                if (length == h .or. factor < 1) h = length * factor
            else
                h = length * factor
            end if
        end do
    end subroutine

    ! ln of the log-normal density of y about exp(mean)
    pure function log_normal(y, mean, sigma) result(value)
        real(dp), intent(in) :: y, mean, sigma
        real(dp) :: value
        value = -0.5_dp * ((log(y) - mean) / sigma)**2 - log(sigma) - log(y) - 0.91893853320467274178_dp
    end function
end module
