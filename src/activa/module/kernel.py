"""The negative binomial's log-likelihood and its gradient in one pass over the counts, compiled for the processor by numba."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

f4 = np.float32
_ZERO, _HALF, _ONE, _TWO = f4(0), f4(0.5), f4(1), f4(2)
_LOG2E, _LN2_HI, _LN2_LO = f4(1.44269504), f4(0.693359375), f4(-2.12194440e-4)
_MIN_EXP = f4(-87.0)
_MIN_RATE = f4(1e-8)
_SMALL, _MAX, _MIN_FLOAT = f4(0.1), f4(0.3), f4(-3e38)
_OPTIONS: dict[str, Any] = {"nogil": True, "error_model": "numpy", "fastmath": {"nsz", "arcp", "contract"}}
_FAST = _OPTIONS | {"fastmath": True}
_FEW, _MIN_CHANCE = f4(6), f4(1e-30)


def _kept(function: Callable) -> Any:
    """Compile a function, and keep it on disk where there is a folder for it.

    The larger functions that it calls are inlined: what was compiled on its own as well can be linked in the place of the
    copy that is kept, and other machine code gives other last bits.
    """
    try:
        return njit(cache=True, **_FAST)(function)
    except RuntimeError:
        return njit(**_FAST)(function)


@intrinsic
def _as_float(typing_context: Any, value: Any) -> Any:
    """Float whose bits are those of an integer."""

    def codegen(context, builder, signature, arguments):
        return builder.bitcast(arguments[0], ir.FloatType())

    return types.float32(types.int32), codegen


@intrinsic
def _as_int(typing_context: Any, value: Any) -> Any:
    """Integer whose bits are those of a float."""

    def codegen(context, builder, signature, arguments):
        return builder.bitcast(arguments[0], ir.IntType(32))

    return types.int32(types.float32), codegen


@njit(**_OPTIONS)
def _exp(x):
    x = max(x, _MIN_EXP)
    n = np.int32(math.floor(x * _LOG2E + _HALF))
    k = f4(n)
    x = x - k * _LN2_HI
    x = x - k * _LN2_LO
    y = f4(1.9875691500e-4)
    y = y * x + f4(1.3981999507e-3)
    y = y * x + f4(8.3334519073e-3)
    y = y * x + f4(4.1665795894e-2)
    y = y * x + f4(1.6666665459e-1)
    y = y * x + f4(5.0000001201e-1)
    y = y * x * x + x + _ONE
    return y * _as_float((n + np.int32(127)) << np.int32(23))  # type: ignore[call-arg]


@njit(**_OPTIONS)
def _log(x):
    # m in [sqrt(1/2), sqrt(2)), x = m 2^e
    bits = np.int32(_as_int(x) - np.int32(0x3F3504F3))  # type: ignore[call-arg]
    e = f4(np.int32(bits >> np.int32(23)))
    m = _as_float(np.int32((bits & np.int32(0x007FFFFF)) + np.int32(0x3F3504F3))) - _ONE
    z = m * m
    y = f4(7.0376836292e-2)
    y = y * m + f4(-1.1514610310e-1)
    y = y * m + f4(1.1676998740e-1)
    y = y * m + f4(-1.2420140846e-1)
    y = y * m + f4(1.4249322787e-1)
    y = y * m + f4(-1.6668057665e-1)
    y = y * m + f4(2.0000714765e-1)
    y = y * m + f4(-2.4999993993e-1)
    y = y * m + f4(3.3333331174e-1)
    y = y * m * z
    y = y + e * _LN2_LO
    y = y - _HALF * z
    return m + y + e * _LN2_HI


@njit(**_OPTIONS)
def _log1p(x):
    u = _ONE + x
    return _log(u) + (x - (u - _ONE)) / u


@njit(**_OPTIONS)
def _expm1_of_minus(w):
    """exp(-w) - 1 for w >= 0, to a relative error of float32 where w is small too."""
    near = -w * (_ONE - w * (_HALF - w * (f4(1 / 6) - w * (f4(1 / 24) - w * f4(1 / 120)))))
    return near if w < _SMALL else _exp(-w) - _ONE


@njit(inline="always", **_OPTIONS)
def _zero(rate, a, c, share, size):
    """Log-probability of a zero, and its derivatives by rate, a, c, share and size: see :func:`likelihood_of_rows`."""
    w = rate * share / (size * _MAX)
    em = _expm1_of_minus(w)
    q = -_MAX * em
    kept = share * (_ONE + em)  # size dq/drate
    u = rate - q * size
    b = a * rate + c
    inverse = _ONE / b
    r = rate * inverse
    t = u / r
    log_t = _log1p(t)
    by_u = -_ONE / (_ONE + t)
    by_r = -t * by_u - log_t
    by_q = -_ONE / (_ONE - q)
    slope = by_q - by_u * size  # of q, which moves u too
    by_rate = by_u + slope * kept / size + by_r * c * inverse * inverse
    by_b = -by_r * inverse * inverse * rate
    by_share = slope * rate * (_ONE + em) / size
    by_size = -by_u * q - slope * rate * kept / (size * size)
    return -r * log_t + _log1p(-q), by_rate, by_b * rate, by_b, by_share, by_size


@njit(inline="always", **_OPTIONS)
def _rising(x, r):
    """The product of (r + k) / (k + 1) for k < x or, for many factors, its logarithm; and the derivative of that by r."""
    if x <= _FEW:
        product, slope = _ONE, _ZERO
        for k in range(int(x)):
            product *= (r + f4(k)) / f4(k + 1)
            slope += _ONE / (r + f4(k))
        return product, _ZERO, slope
    x, r = float(x), float(r)
    log = math.lgamma(x + r) - math.lgamma(r) - math.lgamma(x + 1.0)
    return _ONE, f4(log), f4(_digamma(x + r) - _digamma(r))


@njit(**_OPTIONS)
def _digamma(x):
    below = 0.0
    while x < 8.0:
        below += 1.0 / x
        x += 1.0
    y = 1.0 / (x * x)
    series = y * (1 / 12 - y * (1 / 120 - y * (1 / 252 - y * (1 / 240 - y * (1 / 132)))))
    return math.log(x) - 0.5 / x - series - below


@njit(inline="always", **_FAST)
def _states(m, rates, a, c, share, size, theta, r, theta_o):
    """Inverse dispersions of counts above zero, if usual and if outliers."""
    for j in range(m):
        rate = rates[j]
        w = rate * share / (size * _MAX)
        u = rate + _MAX * _expm1_of_minus(w) * size
        r[j] = rate / (a[j] * rate + c)
        v = u + size - _ONE
        theta_o[j] = v * v / (u * u / r[j] + size * size / theta)


@njit(inline="always", **_FAST)
def _counted(m, xs, rates, aa, c, share, size, theta, rising, rising_o, by_rates, by_as):
    """What changes in sums because counts are above zero, and the derivatives by rate and a of their log-probabilities."""
    log, sum_c, sum_share, sum_size, sum_theta = _ZERO, _ZERO, _ZERO, _ZERO, _ZERO
    absent = _ZERO if share > _ZERO else _MIN_FLOAT
    for j in range(m):
        x, rate, a = xs[j], rates[j], aa[j]
        l0, rate0, a0, c0, share0, size0 = _zero(rate, a, c, share, size)
        w = rate * share / (size * _MAX)
        em = _expm1_of_minus(w)
        q, kept = -_MAX * em, share * (_ONE + em)
        u, inverse = rate - q * size, _ONE / (a * rate + c)
        r = rate * inverse
        # usual: x log(u / (u + r)) - r log(1 + u / r)
        part = u / (u + r)
        usual = x * _log(part) + _log(rising[0, j]) + rising[1, j] - r * _log1p(u / r) + _log1p(-q)
        by_u = (x - u) * (r / (u + r)) / u
        by_r = rising[2, j] - (x - u) / (u + r) - _log1p(u / r)
        v = u + size - _ONE
        spread = u * u / r + size * size / theta
        t = v * v / spread
        y, part_o = x - _ONE, v / (v + t)
        chance = max(q, _MIN_CHANCE)
        outlier = y * _log(part_o) + _log(rising_o[0, j]) + rising_o[1, j] - t * _log1p(v / t) + _log(chance) + absent
        top = max(usual, outlier)
        e, e_o = _exp(usual - top), _exp(outlier - top)
        of_usual, of_outlier = e / (e + e_o), e_o / (e + e_o)
        by_q = of_outlier / chance - of_usual / (_ONE - q)
        by_t = of_outlier * (rising_o[2, j] - (y - v) / (v + t) - _log1p(v / t))
        by_v = of_outlier * (y - v) * (t / (v + t)) / v + by_t * _TWO * v / spread
        by_spread = -by_t * t / spread
        by_u = by_u * of_usual + by_v + by_spread * _TWO * u / r
        by_r = by_r * of_usual - by_spread * (u / r) * (u / r)
        slope = by_q - by_u * size
        by_rates[j] = by_u + slope * kept / size + by_r * c * inverse * inverse
        by_b = -by_r * rate * inverse * inverse
        by_as[j] = by_b * rate
        log += top + _log(e + e_o) - l0
        sum_c += by_b - c0
        sum_share += slope * rate * (_ONE + em) / size - share0
        sum_size += by_v - by_u * q - slope * rate * kept / (size * size) + by_spread * _TWO * size / theta - size0
        sum_theta -= by_spread * (size / theta) * (size / theta)
    return log, sum_c, sum_share, sum_size, sum_theta


@njit(inline="always", **_FAST)
def _row(out, contrast, library, inverse_theta, inverse_precision, clumping, share, size, rate, by_rate, by_theta):
    """The dense part of a row: rates, and log-probabilities and derivatives as if all counts were zero."""
    n = out.size
    top = _MIN_FLOAT
    for g in range(n):
        top = max(top, out[g] * contrast)
    total = _ZERO
    for g in range(n):
        e = _exp(out[g] * contrast - top)
        rate[g] = e
        total += e
    factor = library / total
    log, by_c, by_share, by_size = _ZERO, _ZERO, _ZERO, _ZERO
    for g in range(n):
        of_gene = max(rate[g] * factor, _MIN_RATE)
        a = inverse_theta[g] * inverse_precision
        l, d_rate, d_a, d_c, d_share, d_size = _zero(of_gene, a, clumping, share, size)
        rate[g], by_rate[g], by_theta[g] = of_gene, d_rate, d_a * a
        log += l
        by_c += d_c
        by_share += d_share
        by_size += d_size
    return log, by_c, by_share, by_size


@njit(inline="always", **_FAST)
def _end_row(out, weight, contrast, library, rate, by_rate, by_theta, d_out, d_theta):
    """Weighted gradients to output and dispersions; sums of the derivatives by the logs of rate and precision, and by contrast."""
    n = out.size
    by_log, by_precision, by_contrast = _ZERO, _ZERO, _ZERO
    for g in range(n):
        by_log += rate[g] * by_rate[g]
        by_precision += by_theta[g]
        d_theta[g] -= weight * by_theta[g]
    mean = by_log / library
    for g in range(n):
        d = rate[g] * (by_rate[g] - mean)
        by_contrast += d * out[g]
        d_out[g] = d * contrast * weight
    return by_log, by_precision, by_contrast


@_kept
def likelihood_of_rows(
    x, out, weight, contrast, library, clumping, inverse_precision, inverse_theta, share, size, theta, log, d_out, d_cells,
    d_theta, d_outliers, lower, upper,
):  # fmt: skip
    """Log-likelihoods of the rows ``lower`` to ``upper`` of a minibatch, and their derivatives.

    Inputs are counts and outputs of the generator ``(n_cells, n_genes)``, float32; of each cell ``(n_cells,)`` the weight
    of its gradients, contrast, library size, clumping and inverse precision; each gene's inverse theta; and of all outliers
    a share (0: there are none), size and theta. Written are ``log``, the log-likelihoods; ``d_out`` and ``d_theta``,
    weighted derivatives by outputs and by the log of theta, the latter added; ``d_cells``, by the log of the library size,
    contrast, clumping and the log of the inverse precision; and ``d_outliers``, by share, size and theta.
    """
    n_genes = out.shape[1]
    rate, by_rate, by_theta = np.empty(n_genes, f4), np.empty(n_genes, f4), np.empty(n_genes, f4)
    where = np.empty(n_genes, np.int32)
    xs, rates, a, r, theta_o, by_rates, by_as = (
        np.empty(n_genes, f4), np.empty(n_genes, f4), np.empty(n_genes, f4), np.empty(n_genes, f4),
        np.empty(n_genes, f4), np.empty(n_genes, f4), np.empty(n_genes, f4),
    )  # fmt: skip
    rising, rising_o = np.empty((3, n_genes), f4), np.empty((3, n_genes), f4)
    for i in range(lower, upper):
        total, by_c, by_share, by_size = _row(
            out[i], contrast[i], library[i], inverse_theta, inverse_precision[i], clumping[i], share, size, rate, by_rate,
            by_theta,
        )  # fmt: skip
        m = 0
        for g in range(n_genes):
            where[m], xs[m] = g, x[i, g]
            m += x[i, g] > _ZERO
        for j in range(m):
            rates[j], a[j] = rate[where[j]], inverse_theta[where[j]] * inverse_precision[i]
        _states(m, rates, a, clumping[i], share, size, theta, r, theta_o)
        for j in range(m):
            rising[0, j], rising[1, j], rising[2, j] = _rising(xs[j], r[j])
            # (x - 1)! instead of x!
            rising_o[0, j], rising_o[1, j], rising_o[2, j] = _rising(xs[j] - _ONE, theta_o[j])
        more, more_c, more_share, more_size, by_theta_o = _counted(
            m, xs, rates, a, clumping[i], share, size, theta, rising, rising_o, by_rates, by_as
        )
        for j in range(m):
            by_rate[where[j]], by_theta[where[j]] = by_rates[j], by_as[j] * a[j]
        by_log, by_precision, by_contrast = _end_row(
            out[i], weight[i], contrast[i], library[i], rate, by_rate, by_theta, d_out[i], d_theta
        )
        log[i] = total + more
        d_cells[i, 0], d_cells[i, 1], d_cells[i, 2], d_cells[i, 3] = by_log, by_contrast, by_c + more_c, by_precision
        d_outliers[i, 0], d_outliers[i, 1], d_outliers[i, 2] = by_share + more_share, by_size + more_size, by_theta_o
