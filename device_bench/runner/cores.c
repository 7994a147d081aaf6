#define _GNU_SOURCE
#include "cores.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arguments.h"
#include "sensors.h"

static void refuse(const char* which) {
  fprintf(stderr, "runner: these cores cannot be used: %s\n", which);
  exit(2);
}

/* The highest clock of a core in kHz, 0 if the core or the figure is missing. */
static long top_clock(int core) {
  char path[120], text[40];
  snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%d/cpufreq/cpuinfo_max_freq", core);
  read_line(path, text, sizeof text);
  return strtol(text, NULL, 10);
}

static void pick_by_clock(int fastest, cpu_set_t* set) {
  long wanted = 0;
  for (int core = 0; core < MAX_CORES; core++) {
    const long clock = top_clock(core);
    if (clock > 0 && (!wanted || (fastest ? clock > wanted : clock < wanted))) wanted = clock;
  }
  for (int core = 0; core < MAX_CORES && wanted; core++)
    if (top_clock(core) == wanted) CPU_SET((size_t)core, set);
}

static void pick_by_number(const char* which, cpu_set_t* set) {
  const char* at = which;
  do {
    char* end;
    const long first = strtol(at, &end, 10);
    long last = first;
    if (end == at) refuse(which);
    if (*end == '-') {
      at = end + 1;
      last = strtol(at, &end, 10);
      if (end == at) refuse(which);
    }
    if (first < 0 || last < first || last >= MAX_CORES || (*end && *end != ',')) refuse(which);
    for (long core = first; core <= last; core++) CPU_SET((size_t)core, set);
    at = end + 1;
    if (!*end) return;
  } while (1);
}

void cores_pin(const char* which) {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (!strcmp(which, "big") || !strcmp(which, "little")) pick_by_clock(which[0] == 'b', &set);
  else pick_by_number(which, &set);
  if (!CPU_COUNT(&set) || sched_setaffinity(0, sizeof set, &set)) refuse(which);
}

int cores_allowed(int* out, int most) {
  cpu_set_t set;
  int count = 0;
  if (sched_getaffinity(0, sizeof set, &set)) return 0;
  for (int core = 0; core < MAX_CORES && count < most; core++)
    if (CPU_ISSET((size_t)core, &set)) out[count++] = core;
  return count;
}
