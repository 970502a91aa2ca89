// Elementary functions that stay finite and accurate on every driver, for V = f32 or vec4<f32>.
//
// Some drivers compute tanh as (e^x - e^-x)/(e^x + e^-x), which is NaN for large |x|, or overflow in exp; near 0 the
// quotient loses relative accuracy, so small arguments take the odd polynomial x - x^3/3 + 2x^5/15 - 17x^7/315. WGSL has neither
// log1p nor expm1: log(1 + t) = 2(s + s^3/3 + s^5/5 + ...) with s = t/(2 + t), which is at most 1/3 for t <= 1, and near 0
// e^x - 1 = 2t/(1 - t) with t = tanh(x/2). The polynomials of erf are those of scripts/erf_polynomials.py: erf(x)/x - 1
// in x^2 below 1, and above log(1 - erf x) in x - 1 as far as 4, where erf is 1 to within a rounding.
// Hooks: V.

// As clamp, but NaN stays NaN: clamp and min may answer it with a bound, and a run that has diverged would go unnoticed.
fn ew_clamp(x: V, low: V, high: V) -> V {
    return select(select(x, low, x < low), high, x > high);
}

fn ew_exp(x: V) -> V {
    return exp(ew_clamp(x, V(-104.0), V(88.0)));
}

fn ew_tanh_near_0(x: V) -> V {
    let s = x * x;
    return x * (1.0 + s * (-0.33333333 + s * (0.13333333 - s * 0.053968254)));
}

fn ew_tanh(x: V) -> V {
    let t = exp(-2.0 * ew_clamp(abs(x), V(0.0), V(15.0)));
    return select(sign(x) * (1.0 - t) / (1.0 + t), ew_tanh_near_0(x), abs(x) < V(0.2));
}

fn ew_expm1(x: V) -> V {
    let t = ew_tanh_near_0(0.5 * x);
    return select(ew_exp(x) - 1.0, 2.0 * t / (1.0 - t), abs(x) < V(0.4));
}

fn ew_logistic(x: V) -> V {
    return 1.0 / (1.0 + exp(ew_clamp(-x, V(-88.0), V(88.0))));
}

fn ew_softplus(x: V) -> V {
    let t = exp(-ew_clamp(abs(x), V(0.0), V(88.0)));
    let s = t / (2.0 + t);
    let q = s * s;
    let series = 1.0 + q * (0.33333333 + q * (0.2 + q * (0.14285714 + q * (0.11111111 + q * (0.09090909 + q * 0.07692308)))));
    return max(x, V(0.0)) + 2.0 * s * series;
}

fn ew_erf(x: V) -> V {
    let size = ew_clamp(abs(x), V(0.0), V(4.0));
    let q = size * size;
    let near = 0.12837917 + q * (-0.37612626 + q * (0.112835854 + q * (-0.026853815 + q * (0.0051883305 + q * (-0.00080102024 + q * 0.0000785385)))));
    let s = size - 1.0;
    let far = -1.8496056 + s * (-2.6389668 + s * (-0.8431183 + s * (-0.04150068 + s * (0.009890879 + s * (-0.0018261533 + s * 0.00018557129)))));
    return select(sign(x) * (1.0 - exp(far)), x + x * near, size < V(1.0));
}
