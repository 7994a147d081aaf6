#include "report.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "cores.h"

static void print_state(const machine_state* s) {
  printf("{\"load_avg\": [");
  if (s->has_load) printf("%.2f, %.2f, %.2f", s->load[0], s->load[1], s->load[2]);
  printf("], \"frequencies_mhz\": [");
  for (int i = 0; i < s->cores; i++) printf("%s%ld", i ? ", " : "", s->mhz[i]);
  printf("], \"temperatures_c\": {");
  for (int i = 0; i < s->zone_count; i++)
    printf("%s\"thermal_zone%d %s\": %.3f", i ? ", " : "", s->zones[i].number, s->zones[i].type, s->zones[i].celsius);
  printf("}");
  if (s->battery_percent >= 0) printf(", \"battery_percent\": %d", s->battery_percent);
  if (s->on_battery >= 0) printf(", \"on_battery\": %s", s->on_battery ? "true" : "false");
  printf("}");
}

static void print_warnings(const course* taken, const series* all, int count) {
  int jumps = 0;
  for (int i = 0; i < count; i++) jumps += all[i].clock_jumps;
  printf(", \"warnings\": [");
  if (taken->stride > 1)
    printf("\"Of %llu rounds one in %llu is kept, so that the results file does not become too large.\"",
           (unsigned long long)taken->rounds, (unsigned long long)taken->stride);
  if (jumps)
    printf("%s\"The device's clock went back while %d samples were taken; they were taken again.\"",
           taken->stride > 1 ? ", " : "", jumps);
  printf("]");
}

static void print_context(const arguments* a, const runtime* r, const course* taken, const series* all, int count) {
  int cores[MAX_CORES];
  const int allowed = cores_allowed(cores, MAX_CORES);
  char governor[40];
  read_line("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", governor, sizeof governor);
  printf("\"schema_version\": 1, \"kind\": \"measured\", \"interleaved\": true, \"threads\": %d, \"seed\": %d, ",
         atoi(a->threads), a->seed);
  printf("\"num_cpus\": %ld, \"affinity\": [", sysconf(_SC_NPROCESSORS_ONLN));
  for (int i = 0; i < allowed; i++) printf("%s%d", i ? ", " : "", cores[i]);
  printf("], ");
  int plain = governor[0] != 0;
  for (const char* c = governor; *c; c++) plain = plain && ((*c >= 'a' && *c <= 'z') || *c == '_');
  if (plain) printf("\"governor\": \"%s\", ", governor);
  printf("\"versions\": {\"onnxruntime\": \"%s\"}", r->version);
  print_warnings(taken, all, count);
}

/* A JSON document as it is, but on one line: within its strings a line never ends. */
static void print_trace(char* trace) {
  for (char* c = trace; *c; c++)
    if (*c == '\n' || *c == '\r') *c = ' ';
  printf(", \"trace\": %s", trace);
}

/* What one sensor said beside each sample. */
static void print_column(const series* s, int sensor, double unit, int decimals) {
  printf("[");
  for (size_t i = 0; i < s->count; i++) {
    printf("%s%.*f", i ? ", " : "", decimals, s->sensed[i * (size_t)s->sensors + (size_t)sensor] / unit);
  }
  printf("]");
}

static void print_sensors(const series* s, const watch* w) {
  if (!w->count) return;
  printf(", \"temperatures_c\": {");
  for (int i = 0; i < w->zones; i++) {
    printf("%s\"%s\": ", i ? ", " : "", w->label[i]);
    print_column(s, i, 1000.0, 3);
  }
  printf("}");
  if (w->count > w->zones) {
    printf(", \"battery_percent\": ");
    print_column(s, w->zones, 1.0, 0);
  }
  printf(", \"sensors_age_s\": [");
  for (size_t i = 0; i < s->count; i++) printf("%s%.6f", i ? ", " : "", (double)s->age_ns[i] / 1e9);
  printf("]");
}

static void print_series(const series* s, const watch* w) {
  printf("{\"name\": \"%s\", \"time_unit\": \"ns\", \"session_ms\": %.3f, \"inner_repetitions\": %llu, ", s->name,
         s->session_ms, (unsigned long long)s->inner);
  printf("\"warmup_rounds\": %d, \"warmup_stable\": %s, ", s->warmup_rounds, s->warmup_stable ? "true" : "false");
  printf("\"steady_memory_bytes\": %lld, \"peak_memory_bytes\": %lld, \"samples\": [", s->steady_bytes, s->peak_bytes);
  for (size_t i = 0; i < s->count; i++) printf("%s%.3f", i ? ", " : "", s->elapsed_ns[i]);
  printf("], \"timestamps_s\": [");
  for (size_t i = 0; i < s->count; i++) printf("%s%.9f", i ? ", " : "", (double)s->start_ns[i] / 1e9);
  printf("], \"frequencies_mhz\": [");
  int known = 1;
  for (size_t i = 0; i < s->count; i++) known = known && s->mhz[i] > 0;
  for (size_t i = 0; i < s->count && known; i++) printf("%s%ld", i ? ", " : "", s->mhz[i]);
  printf("]");
  print_sensors(s, w);
  if (s->trace) print_trace(s->trace);
  printf("}");
}

void report(const arguments* a, const runtime* r, const course* taken, const series* all, int count) {
  const looks* seen = taken->seen;
  printf("{\"context\": {");
  printf("\"before\": ");
  print_state(taken->before);
  printf(", \"after\": ");
  print_state(taken->after);
  printf(", \"meanwhile\": [");
  for (int i = 0; i < seen->count; i++) {
    printf("%s{\"at_s\": %.3f, \"state\": ", i ? ", " : "", seen->at_s[i]);
    print_state(&seen->states[i]);
    printf("}");
  }
  printf("], ");
  print_context(a, r, taken, all, count);
  printf("}, \"benchmarks\": [");
  for (int i = 0; i < count; i++) {
    if (i) printf(", ");
    print_series(&all[i], taken->sensors);
  }
  printf("]}\n");
}
