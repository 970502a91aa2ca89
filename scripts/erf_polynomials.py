#!/usr/bin/env python3
"""Prints the polynomials of the error function in src/cpu/functions.rs and shaders/math.wgsl, lowest power first.

    pip install mpmath
    scripts/erf_polynomials.py

erf x = x + x P(x^2) for |x| < 1, of least largest relative error, and erf x = 1 - exp(Q(|x| - 1)) from 1 to where erf x
rounds to 1, of least largest absolute error: Remez exchange.
"""

from mpmath import cos, erf, erfc, lu_solve, log, matrix, mp, mpf, pi, polyval, sqrt

mp.dps = 60


def remez(f, weight, low, high, center, degree):
    """Coefficients in x - center of the polynomial whose weighted error has `degree` + 2 equal extrema."""
    count = degree + 2
    points = [(low + high) / 2 - (high - low) / 2 * cos(pi * k / (count - 1)) for k in range(count)]
    grid = [low + (high - low) * (1 - cos(pi * k / (60 * count))) / 2 for k in range(60 * count + 1)]
    while True:
        system = matrix(count, count)
        for i, x in enumerate(points):
            for j in range(degree + 1):
                system[i, j] = (x - center) ** j
            system[i, degree + 1] = (-1) ** i / weight(x)
        solution = lu_solve(system, matrix([f(x) for x in points]))
        coefficients = [solution[j] for j in range(degree + 1)]
        errors = [(polyval(coefficients[::-1], x - center) - f(x)) * weight(x) for x in grid]
        extrema = [0]
        for k in range(1, len(grid)):
            if (errors[k] > 0) != (errors[extrema[-1]] > 0):
                extrema.append(k)
            elif abs(errors[k]) > abs(errors[extrema[-1]]):
                extrema[-1] = k
        while len(extrema) > count:
            extrema.pop(0 if abs(errors[extrema[0]]) < abs(errors[extrema[-1]]) else -1)
        sizes = [abs(errors[k]) for k in extrema]
        if len(extrema) < count or max(sizes) < mpf("1.02") * min(sizes):
            return coefficients, max(sizes)
        points = [grid[k] for k in extrema]


def near(s):
    return erf(sqrt(s)) / sqrt(s) if s > 0 else 2 / sqrt(pi)


for name, degrees, end in [("float32", (6, 6), 4), ("float64", (12, 18), 6)]:
    p, p_error = remez(near, lambda s: 1 / near(s), mpf(0), mpf(1), mpf(0), degrees[0])
    q, q_error = remez(lambda x: log(erfc(x)), erfc, mpf(1), mpf(end), mpf(1), degrees[1])
    p[0] -= 1
    print(name, "P, error", mp.nstr(p_error, 2), [float(c) for c in p])
    print(name, "Q, error", mp.nstr(q_error, 2), [float(c) for c in q])
