#include "bench.h"

#include <stdio.h>
#include <stdlib.h>

#include "cores.h"
#include "report.h"
#include "sensors.h"
#include "series.h"

#define LOOK_NS 1000000000u

static uint64_t clock_step(void) {
  uint64_t least = 1000000000u;
  for (int i = 0; i < 20; i++) {
    const uint64_t start = now_ns();
    uint64_t now;
    int polls = 0;
    while ((now = now_ns()) <= start && polls++ < 1000000) continue;
    if (now > start && now - start < least) least = now - start;
  }
  return least;
}

/* xorshift64*: an order, not a secret. */
static uint32_t drawn(uint64_t* state) {
  *state ^= *state >> 12;
  *state ^= *state << 25;
  *state ^= *state >> 27;
  return (uint32_t)((*state * 0x2545F4914F6CDD1Du) >> 32);
}

static void next_order(int* order, int count, int abba, uint64_t* state) {
  for (int i = count - 1; i > 0; i--) {
    /* abba: reversing is swapping the ends inwards; otherwise a Fisher-Yates shuffle */
    const int j = abba ? count - 1 - i : (int)(drawn(state) % (uint32_t)(i + 1));
    if (abba && j >= i) break;
    const int kept = order[i];
    order[i] = order[j];
    order[j] = kept;
  }
}

static void warm_up(const arguments* a, series* all) {
  const uint64_t begin = now_ns();
  for (int round = 0, stable = 0; !stable; round++) {
    /* Two rounds whatever the bounds: inner repetitions need an honest time. */
    if (round >= 2 && (round >= a->warmup_rounds || since_ns(begin) > (uint64_t)a->warmup_ms * 1000000u)) break;
    stable = 1;
    for (int i = 0; i < a->model_count; i++) stable &= series_warm_up(&all[i]);
  }
  const uint64_t step = clock_step();
  for (int i = 0; i < a->model_count; i++) series_choose_inner(&all[i], step);
}

static void take_samples(const arguments* a, series* all, looks* seen) {
  int order[MAX_MODELS];
  for (int i = 0; i < a->model_count; i++) order[i] = i;
  uint64_t state = 0x9E3779B97F4A7C15u ^ (uint64_t)a->seed;
  const uint64_t begin = now_ns(), duration = (uint64_t)a->duration_ms * 1000000u;
  uint64_t flushed = begin, looked = begin;
  for (int round = 0; round < a->samples || (round < 2000000 && since_ns(begin) < duration); round++) {
    if (round || !a->abba) next_order(order, a->model_count, a->abba, &state);
    for (int i = 0; i < a->model_count; i++) {
      series* s = &all[order[i]];
      /* Its own data back into the caches, as in an app that runs one model. */
      if (a->model_count > 1) series_run(s);
      series_sample(s, begin);
    }
    if (since_ns(looked) > LOOK_NS && seen->count < MAX_LOOKS) {
      looked = now_ns();
      seen->at_s[seen->count] = (double)since_ns(begin) / 1e9;
      machine_state_read(&seen->states[seen->count++]);
    }
    /* Seldom, and between rounds: writing to whoever listens costs time. */
    if (since_ns(flushed) > 500000000u || now_ns() < flushed) {
      fflush(stdout);
      flushed = now_ns();
    }
  }
}

void bench(const arguments* a, float* input, size_t elements) {
  machine_state before, after;
  series all[MAX_MODELS];
  static char buffer[1 << 20]; /* keeps stdout from being flushed while a sample is taken */
  setvbuf(stdout, buffer, _IOFBF, sizeof buffer);
  if (a->cores) cores_pin(a->cores);
  machine_state_read(&before);
  runtime r = runtime_open(a->ort);
  for (int i = 0; i < a->model_count; i++) series_open(&all[i], &r, a, &a->models[i], input, elements);
  warm_up(a, all);
  static looks seen;
  take_samples(a, all, &seen);
  machine_state_read(&after);
  for (int i = 0; i < a->model_count && a->profile; i++) series_profile(&all[i], a, &a->models[i]);
  report(a, &r, &before, &seen, &after, all, a->model_count);
  for (int i = 0; i < a->model_count; i++) series_close(&all[i]);
  runtime_close(&r);
}
