"""`python -m device_bench.emulation`: fetch the files that emulation needs, and say which packages are missing."""

import sys

from device_bench.emulation import prepare


def main() -> int:
    """Status 0 when emulation is possible, 5 when something is missing."""
    try:
        sys.stdout.write(f"ONNX Runtime for arm64: {prepare.fetch_onnxruntime()}\n")
        sys.stdout.write(f"emulator: {prepare.qemu()}\nroot: {prepare.prefix()}\n")
    except prepare.EmulationUnavailableError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
