/* Which cores to run on. */
#ifndef CHITA_EDGE_RUNNER_CORES_H
#define CHITA_EDGE_RUNNER_CORES_H

/* Keeps this process to the cores of "0,2-3", to the fastest ("big") or the slowest ones ("little"); ends the program with
 * a sentence if there are none such or the system refuses. */
void cores_pin(const char* which);

/* The cores on which this process may run; returns how many were written. */
int cores_allowed(int* out, int most);

#endif
