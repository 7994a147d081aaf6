/* The results file, on one line. */
#ifndef CHITA_EDGE_RUNNER_REPORT_H
#define CHITA_EDGE_RUNNER_REPORT_H

#include "arguments.h"
#include "sensors.h"
#include "series.h"

void report(const arguments* a, const runtime* r, const machine_state* before, const looks* seen,
            const machine_state* after, const series* all, int count);

#endif
