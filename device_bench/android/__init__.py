"""Build the native runner for Android without its development kit."""

from device_bench.android.build import FUNCTIONS, INTERPRETER, PLATFORM, build_android

__all__ = ["FUNCTIONS", "INTERPRETER", "PLATFORM", "build_android"]
