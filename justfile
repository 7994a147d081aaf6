# The everyday commands. `just` lists them; each line below can be typed by hand as well.

default:
    @just --list

# Install for development; the kernels are compiled in place
install:
    pip install -c constraints.txt -e '.[test]'

# Compile the kernel library for every platform into runtimes/_lib
kernels:
    python -m runtimes.toolchain

test *arguments:
    pytest {{arguments}}

# Measure on a whole arm64 machine below qemu-system; five minutes, see docs/arm64.md
test-system:
    CHITA_EDGE_QEMU_SYSTEM=1 pytest -s tests/device_bench/system

lint:
    ruff check .
    ruff format --check .
    mypy
    lint-imports

# Everything that continuous integration runs, from nothing
ci:
    .ci/run

# Every figure of the README and the docs; half an hour on two idle cores
benchmarks:
    python benchmarks/accuracy.py --json runs/accuracy.json
    python benchmarks/end_to_end.py --json runs/end_to_end.json
    python benchmarks/kernels.py --json runs/kernels.json
    python benchmarks/gate.py --json runs/gate.json
    python benchmarks/runtime.py --seconds 0 --json runs/runtime.json
    python benchmarks/chart.py runs/runtime.json --out docs/speed.svg

# Train the embedded network again from the data set in Debian's dataset-fashion-mnist
train data='/usr/share/datasets/fashion-mnist':
    python training/train_mobilenet.py --data {{data}} --out runs/mobilenet
    python training/embed_dataset.py --data {{data}}

# Train the embedded activity network again from the embedded recordings
train-watch:
    python training/train_watch.py --seeds 5 --out runs/watch
