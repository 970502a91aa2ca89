"""Runs made, stopped, resumed and read."""

import logging
import signal
import sys
import threading

import numpy as np
import pytest

import edgewalk

TINY = {"model.width": 4, "model.depth": 2, "data.train": 20, "data.test": 0, "run.steps": 3}


def tiny(out, **settings):
    settings = {key.replace("_", ".", 1): value for key, value in settings.items()}
    return edgewalk.train("quickstart", TINY | settings, out=out, device="native")


def test_a_run_is_made_and_read(tmp_path, caplog):
    caplog.set_level(logging.INFO, "edgewalk")
    run = tiny(tmp_path / "a")
    assert "3 steps in" in caplog.text
    assert isinstance(run, edgewalk.Run) and run.path == tmp_path / "a"
    assert list(run.metrics["step"]) == [0, 1, 2, 3] and np.asarray(run.metrics["loss"])[3] < 0.2
    curvature = run.curvature
    assert list(curvature["step"]) == [0, 3] and set(curvature["measured_on"]) == {"train"}
    assert np.isnan(np.asarray(curvature["lambda_min"], dtype=float)).all()
    np.testing.assert_allclose(curvature["lambda_1"], curvature["hessian_norm"])
    assert (np.asarray(curvature["lambda_1"]) > 2).all()
    assert run.config["model"]["width"] == 4 and run.config["optim"]["kind"] == "sam"
    assert run.manifest["steps_done"] == 3 and run.manifest["seed"] == 0
    assert run.checkpoints == [3]
    params = run.params()
    assert {name: array.shape for name, array in params.items()} == {
        "dense0.kernel": (784, 4), "dense0.bias": (4,), "dense1.kernel": (4, 10), "dense1.bias": (10,),
    }  # fmt: skip
    np.testing.assert_array_equal(run.params(3)["dense0.kernel"], params["dense0.kernel"])
    assert all(np.isfinite(array).all() and array.dtype == np.float32 for array in params.values())
    with pytest.raises(FileNotFoundError, match=r"measure\.window"):
        run.oscillation
    with pytest.raises(ValueError, match="no checkpoint of step 2"):
        run.params(2)


def test_tables_are_arrays_without_pandas(tmp_path, monkeypatch):
    run = tiny(tmp_path / "a")
    monkeypatch.setitem(sys.modules, "pandas", None)
    metrics = run.metrics
    assert type(metrics) is dict and metrics["step"].dtype == np.int64
    assert metrics["loss"].dtype == np.float64 and metrics["loss"].shape == (4,)
    # The last line of a run under way.
    with (run.path / "metrics.csv").open("a") as table:
        table.write("4,0.1,0.2,0.3,0.4,,,0.")
    assert list(run.metrics["step"]) == [0, 1, 2, 3]


def test_tables_are_data_frames_with_pandas(tmp_path):
    pandas = pytest.importorskip("pandas")
    run = tiny(tmp_path / "a")
    expected = pandas.read_csv(run.path / "curvature.csv")
    pandas.testing.assert_frame_equal(run.curvature, expected, check_dtype=False)


def test_oscillation_is_read(tmp_path):
    run = tiny(tmp_path / "a", run_steps=60, measure_every=30, measure_window=20)
    assert len(run.oscillation["step"]) > 0


def test_settings_are_those_of_the_command_line(tmp_path):
    run = tiny(tmp_path / "a", data_classes=[3, 5], optim_rho=np.float32(0.25), run_precision="f64")
    assert run.config["data"]["classes"] == [3, 5] and run.config["optim"]["rho"] == 0.25
    assert run.params()["dense0.bias"].dtype == np.float64
    again = edgewalk.train(run.path / "config.toml", out=str(tmp_path / "b"), device="native")
    np.testing.assert_array_equal(again.metrics["loss"], run.metrics["loss"])


def test_a_run_is_made_longer(tmp_path):
    run = edgewalk.resume(tiny(tmp_path / "a").path, {"run.steps": 6}, device="native")
    assert list(run.metrics["step"]) == list(range(7))
    whole = tiny(tmp_path / "b", run_steps=6)
    np.testing.assert_array_equal(run.metrics["loss"], whole.metrics["loss"])


def test_an_interrupted_run_is_saved_and_resumed(tmp_path):
    before = signal.signal(signal.SIGALRM, signal.default_int_handler)
    try:
        signal.setitimer(signal.ITIMER_REAL, 1.5)
        with pytest.raises(KeyboardInterrupt, match="resume"):
            tiny(tmp_path / "a", run_steps=10_000_000)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    run = edgewalk.Run(tmp_path / "a")
    done = run.manifest["steps_done"]
    assert run.checkpoints[-1] == done > 0
    run = edgewalk.resume(run.path, {"run.steps": done + 5})
    assert run.manifest["steps_done"] == done + 5


def test_other_threads_run_during_training(tmp_path):
    count, done = 0, threading.Event()

    def counting():
        nonlocal count
        while not done.wait(0.001):
            count += 1

    thread = threading.Thread(target=counting)
    thread.start()
    tiny(tmp_path / "a", run_steps=100)
    done.set()
    thread.join()
    assert count > 5


def test_wrong_arguments_are_refused(tmp_path):
    run = tiny(tmp_path / "a")
    cases = [
        (lambda: edgewalk.Run(tmp_path), FileNotFoundError, "manifest"),
        (lambda: edgewalk.resume(tmp_path / "none"), FileNotFoundError, "none"),
        (lambda: edgewalk.resume(run.path, {"optim.lr": 0.1}), ValueError, "lr"),
        (lambda: edgewalk.train("nothing", out=tmp_path / "b"), ValueError, "quickstart"),
        (lambda: edgewalk.train(tmp_path / "none.toml", out=tmp_path / "b"), ValueError, "none.toml"),
        (lambda: edgewalk.train(settings={"optim.lrr": 1}, out=tmp_path / "b"), ValueError, "optim.lr"),
        (lambda: edgewalk.train(settings={"optim.lr": "fast"}, out=tmp_path / "b"), ValueError, "lr"),
        (lambda: edgewalk.train(settings={"optim.lr": None}, out=tmp_path / "b"), TypeError, "NoneType"),
        (lambda: edgewalk.train(settings=TINY, out=run.path, device="native"), RuntimeError, "a"),
        (lambda: edgewalk.train(settings=TINY, out=tmp_path / "b", device="no such"), ValueError, "no such"),
        (lambda: tiny(tmp_path / "c", optim_lr=1e30), RuntimeError, "lr"),
    ]
    for call, error, words in cases:
        with pytest.raises(error, match=words):
            call()
    assert not (tmp_path / "b").exists()
    assert edgewalk.Run(tmp_path / "c").manifest["ended"] != "done"


def test_damaged_tables_are_refused(tmp_path):
    run = tiny(tmp_path / "a")
    table = run.path / "metrics.csv"
    whole = table.read_text()
    table.write_text("")
    assert len(run.metrics) == 0
    table.write_text(whole.splitlines(keepends=True)[0])
    assert len(run.metrics["loss"]) == 0
    for damaged in (whole + "4,0.1\n", whole + "x,,,,,,,\n", whole + "4,0.1,y,,,,,\n", whole + '4,"\n'):
        table.write_text(damaged)
        with pytest.raises(ValueError, match="metrics.csv is damaged"):
            run.metrics
    (run.path / "manifest.json").write_text("{")
    with pytest.raises(ValueError, match="manifest.json is damaged"):
        run.config


def test_a_run_and_a_hessian_agree(tmp_path, mlp):
    settings = {
        "model.kind": "onnx", "model.path": mlp.path, "data.name": "arrays", "data.path": mlp.path.with_name("set.npz"),
        "data.centre": False, "loss.kind": "cross-entropy", "run.steps": 20, "run.precision": "f64",
    }  # fmt: skip
    run = edgewalk.train(settings=settings, out=tmp_path / "a", device="native")
    H = mlp.hessian(params=run.params())
    found = H.eigenvalues(top=3)
    for number in (1, 2, 3):
        expected = np.asarray(run.curvature[f"lambda_{number}"])
        np.testing.assert_allclose(found.values[number - 1], expected[-1], rtol=1e-4)
        assert expected[0] != expected[-1]


def test_damaged_parameters_are_refused(tmp_path):
    run = tiny(tmp_path / "a")
    file = run.path / "checkpoints" / "step_00000003" / "params.safetensors"
    data = file.read_bytes()
    for damaged in (b"", data[:100], data[:-1], b"\xff" * 20, b"\x02" + bytes(7) + b"[]"):
        file.write_bytes(damaged)
        with pytest.raises(ValueError, match="damaged"):
            run.params()
