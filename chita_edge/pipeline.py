"""Pipeline from a network to a bundle: load, prune, export, check, judge, measure, bundle."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

import onnx
import torch

import device_bench
import exporters
import runtimes
from chita_edge.bundle import check_target, write_bundle
from chita_edge.config import BuildConfig
from chita_edge.deploy.dense import dense_baseline, input_sizes
from chita_edge.deploy.doors import open_network, prunable_weights, short_name, suited
from chita_edge.deploy.int8_baseline import BaselineError, int8_baseline
from chita_edge.deploy.judge import Judge
from chita_edge.deploy.load import load_inputs
from chita_edge.deploy.make import make
from chita_edge.deploy.manifest_content import manifest_content, not_measured
from chita_edge.deploy.result import BuildResult, Compared, Latency, built_layers
from chita_edge.engine.threads import torch_threads
from chita_edge.latency.measure import measure_bundle, measure_models
from chita_edge.latency.summary import summarise
from chita_edge.network.inputs import SeveralInputs, example_of
from chita_edge.progress import Progress, silent
from chita_edge.report.bundle_page import FirstRun
from device_bench.bundle_models import DENSE_FILE, INT8_FILE, SPARSE_FILE, models_in

_APART = "model.apart.onnx"


def build(
    config: BuildConfig,
    folder: Path,
    *,
    weights: Path | None = None,
    data: str | Path | None = None,
    validation: str | Path | None = None,
    force: bool = False,
    state_dir: Path | None = None,
    progress: Progress = silent,
) -> BuildResult:
    """Build the bundle `folder`: a pruned network as sparse ONNX, kernels, baseline, and what was measured.

    `weights` is a state dict to prune instead of the embedded one, `data` holds samples instead of the embedded ones
    (see `chita_edge.datasets.opened.open_data`), `validation` those to judge on. An existing bundle is replaced with
    `force` only, and only once the new one is complete. `state_dir` keeps finished work of the pruning, see `prune`.
    Raises an error of one of our packages, with a sentence, when anything is wrong; nothing is left behind then.
    """
    # 1. What is asked for exists, and the result will have a place.
    target = runtimes.get_target(config.export.target)
    check_target(folder, force)
    entry = open_network(config.model, weights=weights, arguments=config.model_args)

    # 2. Load the network and the data that it was trained on.
    inputs = load_inputs(
        entry,
        weights=weights,
        data=data,
        validation=validation,
        calibration_images=config.calibration_images,
        seed=config.prune.seed,
        transform=config.transform,
    )
    config = config.model_copy(
        update={"calibration_images": len(inputs.images), "prune": suited(config.prune, inputs.model)}
    )
    model, test = inputs.model, inputs.validation or inputs.calibration
    judge = Judge.of(
        model,
        test,
        metric=config.metric,
        better=config.better,
        seen=inputs.validation is None,
        kinds=config.prune.distance,
    )
    example = example_of(test.images[:1])

    # 3. Calibrate, prune, tune, round, export: layers become sparse where that pays on the target.
    prunable = prunable_weights(entry, model)
    made = make(config, inputs, prunable, state_dir=state_dir, progress=progress)

    with tempfile.TemporaryDirectory(prefix="chita-edge-") as scratch, torch_threads(config.prune.threads):
        # 4. Export the dense network, and ONNX Runtime's int8 of it, as baselines.
        dense, int8, sparse, apart = (Path(scratch, name) for name in (DENSE_FILE, INT8_FILE, SPARSE_FILE, _APART))
        progress("export", 0, 3)
        baseline = dense_baseline(model, example)
        exporters.save(baseline.model, dense)
        progress("export", 1, 3)
        unmade = _write_int8(baseline.model, inputs.images, int8)
        progress("export", 2, 3)
        exporters.save(made.model, sparse)
        # What small layers take is measured where each is a node of its own; the bundle has them in one.
        exporters.save(made.apart, apart)
        progress("export", 3, 3)

        # 5. Check: four ways to run the file have to agree with torch, or with the integers.
        agreement = made.check(sparse, test.images[:2])

        # 6. Judge all files on images that no step above has seen, in the runtimes that will run them.
        models = {name: replace(one, trusted=True) for name, one in models_in(Path(scratch)).items()}
        models["sparse"] = replace(models["sparse"], profiled=apart)
        right = {
            name: judge.file(
                (runtimes.session if model.sparse else runtimes.dense_session)(model.path, threads=2, trusted=True),
                f"{judge.metric.name} of {name}",
                progress,
            )
            for name, model in models.items()
        }
        sizes = {name: model.path.stat().st_size for name, model in models.items()}

        # 7. Measure all on this machine, in turns.
        shapes = input_sizes(baseline.model, config.inputs, example)
        plan = device_bench.BenchPlan(**config.bench.model_dump(), profile=True, input_shapes=shapes)
        measurement = measure_models(models, plan, "local", progress)

        # 8. Bundle.
        result = BuildResult(
            bundle=folder.absolute(),
            model=short_name(config.model),
            target=config.export.target,
            dtype=made.config.dtype,
            method=made.method,
            structure=made.config.prune.structure,
            sparsity=made.sparsity,
            accuracy=Compared(**right),
            metric=judge.metric,
            judged_on=judge.on,
            notes=inputs.notes,
            size_bytes=Compared(**sizes),
            layers=built_layers(made.layers, baseline.layers),
            agreement=agreement,
            latency=summarise(measurement),
            not_measured=(*not_measured(target), *unmade),
            reason=made.reason,
            remarks=made.remarks,
            candidates=made.candidates,
        )
        content = manifest_content(made.config, result, None if made.int8 is None else made.int8.network)
        libraries = {path: runtimes.library(platform) for path, platform in target.platforms.items()}
        run = FirstRun(content, dense, measurement.results)
        files = {model.path.name: model.path for model in models.values()}
        write_bundle(folder, {**files, **libraries}, content, measurements=run, force=force)
    return replace(result, dropped_runs=run.dropped)


def _write_int8(dense: onnx.ModelProto, samples: torch.Tensor | SeveralInputs, path: Path) -> tuple[str, ...]:
    """Write ONNX Runtime's int8 of the dense network; a sentence where it cannot be made."""
    try:
        exporters.save(int8_baseline(dense, samples), path)
    except BaselineError as error:
        return (f"ONNX Runtime's int8: {error}",)
    return ()


def bench(
    bundle: Path,
    plan: device_bench.BenchPlan | None = None,
    *,
    device: str = "local",
    out: Path | None = None,
    progress: Progress = silent,
) -> Latency:
    """Measure the models of a verified bundle on `device`; with `out`, keep the raw samples there.

    What was measured before a device failed is kept as well. Raises BundleTamperedError and what device_bench raises.
    """
    return summarise(
        measure_bundle(bundle, plan or device_bench.BenchPlan(), device=device, out=out, progress=progress)
    )
