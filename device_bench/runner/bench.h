/* Measure models in turns, as device_bench/sampling/interleave.py does. */
#ifndef CHITA_EDGE_RUNNER_BENCH_H
#define CHITA_EDGE_RUNNER_BENCH_H

#include "arguments.h"
#include "inputs.h"

/* Prints `s NAME START_NS ELAPSED_NS MHZ AGE_NS` for every sample, so that what was measured is not lost if the rest is;
 * last comes one JSON object on one line. ELAPSED_NS is of one run (a mean if repetitions were needed); MHZ is 0 if
 * unknown; AGE_NS is of the oldest sensor's value (watch.h, which prints `z` and `c` lines). `t` says that every other
 * round is forgotten from here on, the second of those so far first: a long run must not outgrow its results file. */
void bench(const arguments* a, const inputs* given);

#endif
