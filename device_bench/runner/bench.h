/* Measure models in turns, as device_bench/interleave.py does. */
#ifndef CHITA_EDGE_RUNNER_BENCH_H
#define CHITA_EDGE_RUNNER_BENCH_H

#include <stddef.h>

#include "arguments.h"

/* Prints `s NAME START_NS ELAPSED_NS MHZ` for every sample, so that what was measured is not lost if the rest is; last
 * comes one JSON object on one line. ELAPSED_NS is of one run (a mean if repetitions were needed); MHZ is 0 if unknown. */
void bench(const arguments* a, float* input, size_t elements);

#endif
