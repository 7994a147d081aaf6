/* The samples of one model. */
#ifndef CHITA_EDGE_RUNNER_SERIES_H
#define CHITA_EDGE_RUNNER_SERIES_H

#include <stddef.h>
#include <stdint.h>

#include "model.h"
#include "watch.h"

#define WARMUP_WINDOW 5
#define PROFILED_RUNS 10

typedef struct series {
  const char* name;
  model model;
  bound_inputs inputs;
  /* Of each sample: when it began (since the first round), how long one run took, the clock of its core, what the
   * sensors said (`sensors` values a sample), and how old the oldest of that was when the sample was over. */
  uint64_t* start_ns;
  double* elapsed_ns;
  long* mhz;
  int32_t* sensed;
  uint64_t* age_ns;
  int sensors;
  size_t count, capacity;
  uint64_t inner; /* runs a sample */
  double session_ms;
  long long steady_bytes, peak_bytes; /* what opening and running it added to the process */
  uint64_t last_ns[2 * WARMUP_WINDOW];
  uint64_t shortest_ns;
  int warmup_rounds, warmup_stable;
  int clock_jumps; /* samples taken again because the clock went back meanwhile */
  char* trace; /* ONNX Runtime's profile, JSON; NULL: none was asked for */
} series;

void series_open(series* s, const runtime* r, const arguments* a, const benched* which, const inputs* given);
void series_close(series* s);

/* Fills `trace` from a session of its own: the profiler slows down what it watches. */
void series_profile(series* s, const arguments* a, const benched* which);
void series_run(series* s);

/* One warm-up run; says whether the last runs agree with those before. */
int series_warm_up(series* s);

/* Repetitions that make a sample a thousand steps of the clock long. */
void series_choose_inner(series* s, uint64_t clock_step);

/* One sample; it is kept and printed if `keep`. The sensors are read after it. */
void series_sample(series* s, uint64_t begin, watch* w, int keep);

/* Forgets every other sample, the second first. */
void series_halve(series* s);

#endif
