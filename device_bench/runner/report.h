/* The results file, on one line. */
#ifndef CHITA_EDGE_RUNNER_REPORT_H
#define CHITA_EDGE_RUNNER_REPORT_H

#include "arguments.h"
#include "sensors.h"
#include "series.h"

/* How the run went. */
typedef struct course {
  const machine_state *before, *after;
  const looks* seen;
  const watch* sensors;
  uint64_t rounds, stride; /* rounds in all, of which every stride-th is kept */
} course;

void report(const arguments* a, const runtime* r, const course* taken, const series* all, int count);

#endif
