"""Products and eigenvalues against a dense Hessian by numpy, PyTorch and SciPy."""

import signal
import threading

import numpy as np
import pytest
from conftest import ROOT, dense, gradient
from scipy.sparse.linalg import aslinearoperator, eigsh

import edgewalk


def test_products_are_those_of_the_dense_hessian(mlp):
    H = mlp.hessian()
    exact = dense(H, mlp.x, mlp.y, "cross-entropy")
    assert H.shape == exact.shape == (155, 155) and H.dtype == np.float64
    v = np.random.default_rng(0).normal(size=(155, 6))
    for product in (H @ v, H.matmat(v), H.rmatmat(v), np.stack([H.matvec(column) for column in v.T], 1)):
        np.testing.assert_allclose(product, exact @ v, atol=1e-8)
    np.testing.assert_array_equal(H.rmatvec(v[:, :1]), H.matvec(v[:, 0])[:, None])
    assert (H @ v[:, :0]).shape == (155, 0)
    np.testing.assert_array_equal(v.T @ H, (H @ v).T)
    np.testing.assert_array_equal(v[:, 0] @ H, H @ v[:, 0])


def test_targets_are_those_of_a_regression(mlp):
    y = np.random.default_rng(1).normal(size=(12, 3)).astype(np.float32)
    H = edgewalk.Hessian(mlp.path.read_bytes(), mlp.x, y, loss="mse", device="native", precision="f64")
    exact = dense(H, mlp.x, y, "mse")
    v = np.ones(155)
    np.testing.assert_allclose(H @ v, exact @ v, atol=1e-8)
    half = edgewalk.Hessian(mlp.path, mlp.x, y, loss="mse", reduction="half-sum", device="native", precision="f64")
    np.testing.assert_allclose(half @ v, 1.5 * (exact @ v), atol=1e-8)
    # Classes are unit vectors.
    H = mlp.hessian(loss="mse")
    np.testing.assert_allclose(H @ v, dense(H, mlp.x, np.eye(3)[mlp.y], "mse") @ v, atol=1e-8)


def test_eigenvalues_are_those_of_scipy_and_pytorch(mlp):
    H = mlp.hessian()
    found = H.eigenvalues(top=5, bottom=1, tol=1e-8)
    assert found.converged.all() and found.products > 5
    np.testing.assert_allclose(found.values[:5], mlp.expected["eigenvalues"], rtol=1e-5)
    scipy = eigsh(H, k=5, which="LM", tol=1e-10, return_eigenvectors=False)
    order = np.argsort(-np.abs(scipy))
    np.testing.assert_allclose(found.values[:5], scipy[order], rtol=1e-7)
    exact = np.linalg.eigvalsh(dense(H, mlp.x, mlp.y, "cross-entropy"))
    assert abs(found.values[5] - exact[0]) < found.errors[5] + 1e-7
    top = exact[np.argsort(-np.abs(exact))][:5]
    assert (np.abs(found.values[:5] - top) < found.errors[:5] + 1e-7).all()
    np.testing.assert_allclose(H @ found.vectors, found.vectors * found.values, atol=1e-6)
    np.testing.assert_allclose(aslinearoperator(H) @ found.vectors[:, 0], H @ found.vectors[:, 0])
    algebraic = H.eigenvalues(top=2, order="algebraic", block=2).values
    np.testing.assert_allclose(algebraic, exact[:-3:-1], rtol=1e-4)


def test_single_precision_is_close(mlp):
    single, double = mlp.hessian(precision="f32"), mlp.hessian()
    v = np.linspace(-1, 1, 155)
    np.testing.assert_allclose(single @ v, double @ v, atol=1e-5)
    assert (single @ v != double @ v).any()
    # Numbers beyond 32 bits are scaled first.
    for scale in (2.0**-1000, 2.0**900):
        np.testing.assert_array_equal(single @ (scale * v), scale * (single @ v))
    assert not (single @ np.zeros(155)).any()


def test_the_trace_is_that_of_the_dense_hessian(mlp):
    H = mlp.hessian()
    exact = np.trace(dense(H, mlp.x, mlp.y, "cross-entropy"))
    np.testing.assert_allclose(H.trace(products=155).value, exact, rtol=1e-6)
    found = H.trace(products=60, level=0.999)
    assert found.interval[0] < exact < found.interval[1] and found.products <= 60


def test_the_density_is_that_of_the_dense_hessian(mlp):
    H = mlp.hessian()
    exact = np.linalg.eigvalsh(dense(H, mlp.x, mlp.y, "cross-entropy"))
    found = H.density(probes=16, steps=60)
    assert found.products == 16 * 60 and (np.diff(found.values) >= 0).all()
    np.testing.assert_allclose(found.weights.sum(), 1)
    np.testing.assert_allclose(found.values[[0, -1]], exact[[0, -1]], rtol=1e-5)
    for x in (-0.1, -0.01, 0.01, 0.1):
        assert abs(found.weights[found.values <= x].sum() - (exact <= x).mean()) < 0.05
    x = np.linspace(-3, 3, 2001)
    np.testing.assert_allclose(found.at(x, 0.05).sum() * (x[1] - x[0]), 1, rtol=1e-6)
    smooth = np.exp(-0.5 * ((0.5 - exact) / 0.1) ** 2).mean() / (0.1 * np.sqrt(2 * np.pi))
    np.testing.assert_allclose(found.at(0.5, 0.1), smooth, rtol=0.3)
    with pytest.raises(ValueError, match="sigma"):
        found.at(x, 0)
    with pytest.raises(ValueError, match="probes"):
        H.density(probes=1)


def test_loss_and_gradient_are_those_of_numpy_and_pytorch(mlp):
    H = mlp.hessian()
    loss, found = H.loss_and_gradient()
    np.testing.assert_allclose(loss, mlp.expected["loss"], rtol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(found), mlp.expected["grad_norm"], rtol=1e-6)
    H.set_params(0.5 * H.params)
    exact = gradient(H.unflatten(H.params), mlp.x, mlp.y, "cross-entropy")
    np.testing.assert_allclose(H.loss_and_gradient()[1], exact, atol=1e-12)


def test_parameters_can_be_replaced(mlp):
    H = mlp.hessian()
    before, v = H.params, np.ones(155)
    product = H @ v
    H.set_params(0.5 * before)
    np.testing.assert_array_equal(H.params, 0.5 * before)
    np.testing.assert_allclose(H @ v, dense(H, mlp.x, mlp.y, "cross-entropy") @ v, atol=1e-8)
    parts = H.unflatten(before)
    assert [(name, part.shape) for name, part in parts.items()][:2] == [("0.weight", (8, 6)), ("0.bias", (8,))]
    H.set_params(parts)
    np.testing.assert_array_equal(H @ v, product)
    np.testing.assert_array_equal(mlp.hessian(params=parts) @ v, product)
    assert mlp.hessian(freeze=["0.*"]).shape == (155 - 56,) * 2


def test_tokens_are_read():
    arrays = np.load(ROOT / "tests" / "pytorch" / "gpt" / "set.npz")
    path = ROOT / "tests" / "pytorch" / "gpt" / "net.onnx"
    x, y = arrays["x_train"], arrays["y_train"]
    assert x.dtype.kind == "i" and x.shape == y.shape
    H = edgewalk.Hessian(path, x, y, loss="cross-entropy", device="native")
    v = np.random.default_rng(2).normal(size=(2, H.shape[0]))
    np.testing.assert_allclose(v[0] @ (H @ v[1]), v[1] @ (H @ v[0]), rtol=1e-3)
    with pytest.raises(TypeError, match="give integers: tokens"):
        edgewalk.Hessian(path, x.astype(float), y, loss="cross-entropy", device="native")
    with pytest.raises(ValueError, match="one class for each token"):
        edgewalk.Hessian(path, x, y[:, 0], loss="cross-entropy", device="native")
    with pytest.raises(ValueError, match="count tokens"):
        edgewalk.Hessian(path, x - x.max() - 1, y, loss="cross-entropy", device="native")


def test_wrong_vectors_are_refused(mlp):
    H = mlp.hessian()
    nan = np.full(155, np.nan)
    cases = [
        (lambda: H @ np.ones(154), ValueError, r"\(155,\)"),
        (lambda: H @ np.ones((154, 2)), ValueError, r"\(155, k\)"),
        (lambda: H @ np.float64(1), ValueError, r"\(155, k\)"),
        (lambda: H @ np.ones((155, 2, 1)), ValueError, r"\(155, k\)"),
        (lambda: H.matvec(np.ones((155, 2))), ValueError, r"\(155, 1\)"),
        (lambda: H @ nan, ValueError, "not finite"),
        (lambda: H @ np.ones(155, dtype=complex), TypeError, "real numbers"),
        (lambda: H @ np.array(["a"] * 155), TypeError, "real numbers"),
        (lambda: H.set_params(nan), ValueError, "not finite"),
        (lambda: H.set_params(np.ones(3)), ValueError, "155"),
        (lambda: H.set_params(np.ones((155, 1))), TypeError, None),
        (lambda: H.set_params(np.full(155, 1e300)), ValueError, "0.weight"),
        (lambda: H.set_params({"0.weight": np.ones((8, 6))}), ValueError, "missing"),
        (lambda: H.set_params(H.unflatten(H.params) | {"0.bias": [1.0]}), ValueError, "`0.bias`|0.bias"),
        (lambda: H.unflatten(np.ones(154)), ValueError, r"\(155,\)"),
        (lambda: H.eigenvalues(top=0), ValueError, "top = 0"),
        (lambda: H.eigenvalues(top=-1), ValueError, "top = -1"),
        (lambda: H.eigenvalues(top=1.5), TypeError, None),
        (lambda: H.eigenvalues(tol=float("nan")), ValueError, "tol"),
        (lambda: H.eigenvalues(order="size"), ValueError, "magnitude"),
        (lambda: H.eigenvalues(top=3, max_iterations=2), ValueError, "max_iterations"),
        (lambda: H.trace(products=1), ValueError, "products"),
        (lambda: H.trace(level=1.0), ValueError, "level"),
    ]
    for call, error, words in cases:
        with pytest.raises(error, match=words):
            call()
    H = mlp.hessian(precision="f32", loss="mse")
    H.set_params(np.full(155, 1e30))
    for call in (lambda: H @ np.ones(155), H.eigenvalues, H.trace):
        with pytest.raises(RuntimeError, match="not finite"):
            call()


def test_wrong_arguments_are_refused(mlp, tmp_path):
    x, y = mlp.x, mlp.y
    damaged = tmp_path / "net.onnx"
    damaged.write_bytes(mlp.path.read_bytes()[:500])

    def made(model=mlp.path, x=x, y=y, **options):
        return edgewalk.Hessian(model, x, y, **{"loss": "cross-entropy", "device": "native", **options})

    cases = [
        (lambda: made(tmp_path / "none.onnx"), ValueError, "cannot read"),
        (lambda: made(damaged), ValueError, "export it again"),
        (lambda: made(b"nothing"), ValueError, "export"),
        (lambda: made(3), TypeError, None),
        (lambda: made(x=x[:, :5]), ValueError, "5"),
        (lambda: made(x=x[:11]), ValueError, "one entry for each example"),
        (lambda: made(x=x[:0], y=y[:0]), ValueError, "no examples"),
        (lambda: made(x=np.float32(1)), ValueError, "one entry for each example"),
        (lambda: made(x=np.where(x > 0, np.nan, x)), ValueError, "x holds numbers that are not finite"),
        (lambda: made(x=x.astype(np.float64) * 1e300), ValueError, "32 bits"),
        (lambda: made(x=x.astype(complex)), TypeError, "real numbers"),
        (lambda: made(y=y + 1), ValueError, "4 classes"),
        (lambda: made(y=y - 1), ValueError, "count classes from 0"),
        (lambda: made(y=y + 2**40), ValueError, "count classes from 0"),
        (lambda: made(y=np.stack([y, y], 1)), ValueError, "one class for each example"),
        (lambda: made(y=y.astype(float)), ValueError, "needs classes"),
        (lambda: made(y=y.astype(float), loss="mse"), ValueError, "outputs"),
        (lambda: made(y=np.array(["a"] * 12)), TypeError, "real numbers"),
        (lambda: made(loss="hinge"), ValueError, "none of cross-entropy, mse"),
        (lambda: made(reduction="sum"), ValueError, "half-sum"),
        (lambda: made(precision="f16"), ValueError, "f64"),
        (lambda: made(device="no such device"), ValueError, "no such device"),
        (lambda: made(params=np.ones(3)), ValueError, "155"),
        (lambda: made(freeze="*"), ValueError, None),
    ]
    for call, error, words in cases:
        with pytest.raises(error, match=words):
            call()


def test_signals_end_a_solve(mlp):
    H = mlp.hessian(precision="f32")
    before = signal.signal(signal.SIGALRM, signal.default_int_handler)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.3)
        with pytest.raises(KeyboardInterrupt):
            # Products in 32 bits never become so accurate.
            H.eigenvalues(top=20, tol=1e-14, max_iterations=10**9)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert H.eigenvalues().converged.all()


def test_threads_share_an_operator(mlp):
    H, v = mlp.hessian(), np.ones(155)
    expected, found = H @ v, []
    threads = [threading.Thread(target=lambda: found.extend(H @ v for _ in range(20))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 80 and all((product == expected).all() for product in found)
