/* The sensors beside every sample: opened once, read between samples. */
#ifndef CHITA_EDGE_RUNNER_WATCH_H
#define CHITA_EDGE_RUNNER_WATCH_H

#include <stdint.h>

#include "sensors.h"

#define MAX_WATCHED (MAX_ZONES + 1)

typedef struct watch {
  int core[MAX_ZONES]; /* descriptors of the first cores' clocks, -1 where there is none */
  int fd[MAX_WATCHED]; /* of the zones, and of the battery after them if there is one */
  char label[MAX_WATCHED][64];
  int32_t value[MAX_WATCHED]; /* thousandths of a degree; the battery's per cent */
  uint64_t read_ns[MAX_WATCHED];
  int zones, count, next;
} watch;

/* Opens what `seen` found, reads all of it once, and prints `z NUMBER LABEL` for each. */
void watch_open(watch* w, const machine_state* seen);
void watch_close(watch* w);

/* Reads the sensors in turns, for a tenth of `sample_ns` or until each was read, at least one. On a phone a zone may take
 * a tenth of a millisecond, and there may be dozens: all of them after each sample of a fast model would be most of the
 * run. Prints `c NUMBER VALUE` for what changed. */
void watch_read(watch* w, uint64_t sample_ns);

/* How long before `ended`, when the sample was over, the oldest of the values was read; 0 if all are from after it. */
uint64_t watch_age_ns(const watch* w, uint64_t ended);

/* The clock of a core in MHz, 0 if unknown. */
long watch_mhz(const watch* w, int core);

#endif
