#define _GNU_SOURCE
#include "series.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "sensors.h"

void series_run(series* s) {
  OrtValue* output = model_run(&s->model, &s->inputs);
  ORT(s->model.runtime->api, ReleaseValue)(output);
}

/* The options of one model among several. */
static arguments options_of(const arguments* a, const benched* which) {
  arguments own = *a;
  own.model = which->path;
  if (!which->sparse) own.library = NULL;
  return own;
}

void series_open(series* s, const runtime* r, const arguments* a, const benched* which, const inputs* given) {
  const arguments own = options_of(a, which);
  memset(s, 0, sizeof *s);
  s->name = which->name;
  memory_peak_restart();
  const long long before = memory_bytes("VmRSS:");
  const uint64_t begin = now_ns();
  s->model = model_open(r, &own, NULL);
  s->session_ms = (double)since_ns(begin) / 1e6;
  s->inputs = inputs_bind(r, given);
  series_run(s);
  s->steady_bytes = memory_bytes("VmRSS:") - before;
  s->peak_bytes = memory_bytes("VmHWM:") - before;
}

void series_profile(series* s, const arguments* a, const benched* which) {
  const arguments own = options_of(a, which);
  model watched = model_open(s->model.runtime, &own, "profile");
  for (int run = 0; run < PROFILED_RUNS; run++)
    ORT(s->model.runtime->api, ReleaseValue)(model_run(&watched, &s->inputs));
  s->trace = model_trace(&watched);
  model_close(&watched);
}

void series_close(series* s) {
  free(s->trace);
  inputs_release(s->model.runtime, &s->inputs);
  model_close(&s->model);
  free(s->start_ns);
  free(s->elapsed_ns);
  free(s->mhz);
  free(s->sensed);
  free(s->age_ns);
}

static int by_size(const void* a, const void* b) {
  const uint64_t x = *(const uint64_t*)a, y = *(const uint64_t*)b;
  return x < y ? -1 : x > y;
}

static double median_of_window(const uint64_t* times) {
  uint64_t sorted[WARMUP_WINDOW];
  memcpy(sorted, times, sizeof sorted);
  qsort(sorted, WARMUP_WINDOW, sizeof *sorted, by_size);
  return (double)sorted[WARMUP_WINDOW / 2];
}

int series_warm_up(series* s) {
  const uint64_t start = now_ns();
  series_run(s);
  const uint64_t elapsed = since_ns(start);
  memmove(s->last_ns, s->last_ns + 1, sizeof s->last_ns - sizeof *s->last_ns);
  s->last_ns[2 * WARMUP_WINDOW - 1] = elapsed;
  /* Nothing at all is what a clock sees that was set back, and would ask for endless repetitions. */
  if (elapsed && (!s->shortest_ns || elapsed < s->shortest_ns)) s->shortest_ns = elapsed;
  s->warmup_rounds++;
  const double before = median_of_window(s->last_ns), after = median_of_window(s->last_ns + WARMUP_WINDOW);
  const double change = after > before ? after - before : before - after;
  return s->warmup_stable = s->warmup_rounds >= 2 * WARMUP_WINDOW && change <= 0.02 * before;
}

void series_choose_inner(series* s, uint64_t clock_step) {
  const uint64_t one = s->shortest_ns ? s->shortest_ns : 1;
  s->inner = (1000 * clock_step + one - 1) / one;
  if (s->inner < 1) s->inner = 1;
  if (s->inner > 100000) s->inner = 100000;
}

static void* grown(void* old, size_t bytes) {
  void* data = realloc(old, bytes);
  if (!data) {
    fprintf(stderr, "runner: not enough memory for the samples\n");
    exit(1);
  }
  return data;
}

static void grow(series* s) {
  s->capacity = s->capacity ? 2 * s->capacity : 1024;
  s->start_ns = grown(s->start_ns, s->capacity * sizeof *s->start_ns);
  s->elapsed_ns = grown(s->elapsed_ns, s->capacity * sizeof *s->elapsed_ns);
  s->mhz = grown(s->mhz, s->capacity * sizeof *s->mhz);
  s->sensed = grown(s->sensed, (s->capacity * (size_t)s->sensors + 1) * sizeof *s->sensed);
  s->age_ns = grown(s->age_ns, s->capacity * sizeof *s->age_ns);
}

void series_sample(series* s, uint64_t begin, watch* w, int keep) {
  if (s->count == s->capacity) grow(s);
  uint64_t start, end;
  for (int tries = 0;; tries++) {
    start = now_ns();
    for (uint64_t i = 0; i < s->inner; i++) series_run(s);
    end = now_ns();
    if (end >= start) break;
    s->clock_jumps++;
    if (tries < 10) continue;
    fprintf(stderr, "runner: the clock goes back again and again\n");
    exit(1);
  }
  const uint64_t elapsed = end > start ? end - start : 1; /* less than a step of the clock, not nothing */
  const long mhz = watch_mhz(w, sched_getcpu());
  watch_read(w, elapsed);
  if (!keep) return;
  const size_t at = s->count++;
  s->start_ns[at] = start > begin ? start - begin : 0;
  s->elapsed_ns[at] = (double)elapsed / (double)s->inner;
  s->mhz[at] = mhz;
  s->age_ns[at] = watch_age_ns(w, end);
  memcpy(s->sensed + at * (size_t)s->sensors, w->value, (size_t)s->sensors * sizeof *s->sensed);
  printf("s %s %llu %.3f %ld %llu\n", s->name, (unsigned long long)s->start_ns[at], s->elapsed_ns[at], mhz,
         (unsigned long long)s->age_ns[at]);
}

void series_halve(series* s) {
  size_t kept = 0;
  for (size_t i = 0; i < s->count; i += 2, kept++) {
    s->start_ns[kept] = s->start_ns[i];
    s->elapsed_ns[kept] = s->elapsed_ns[i];
    s->mhz[kept] = s->mhz[i];
    s->age_ns[kept] = s->age_ns[i];
    memmove(s->sensed + kept * (size_t)s->sensors, s->sensed + i * (size_t)s->sensors,
            (size_t)s->sensors * sizeof *s->sensed);
  }
  s->count = kept;
}
