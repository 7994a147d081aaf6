#include "bench.h"

#include <stdio.h>
#include <stdlib.h>

#include "clock.h"
#include "cores.h"
#include "report.h"
#include "sensors.h"
#include "series.h"
#include "watch.h"

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

/* Rounds to keep: `--keep`, or what fits. A sample and what stands beside it take 60 bytes of the results file, and each
 * sensor 9 more; the file may have 64 MiB. */
static size_t most_rounds(const arguments* a, const watch* w) {
  const size_t fitting = ((size_t)48 << 20) / ((size_t)a->model_count * (60 + 9 * (size_t)w->count));
  return (size_t)a->keep < fitting ? (size_t)a->keep : fitting;
}

static void look(looks* seen, uint64_t begin) {
  if (seen->count == MAX_LOOKS) {
    for (int i = 0; i < MAX_LOOKS / 2; i++) {
      seen->states[i] = seen->states[2 * i];
      seen->at_s[i] = seen->at_s[2 * i];
    }
    seen->count = MAX_LOOKS / 2;
    seen->every *= 2;
  }
  seen->at_s[seen->count] = (double)since_ns(begin) / 1e9;
  machine_state_read(&seen->states[seen->count++]);
}

/* Returns how many rounds there were; of those every `stride`-th is kept. */
static uint64_t take_samples(const arguments* a, series* all, looks* seen, watch* w, uint64_t* stride) {
  int order[MAX_MODELS];
  for (int i = 0; i < a->model_count; i++) order[i] = i;
  uint64_t state = 0x9E3779B97F4A7C15u ^ (uint64_t)a->seed, round = 0;
  const uint64_t begin = now_ns(), duration = (uint64_t)a->duration_ms * 1000000u;
  const size_t most = most_rounds(a, w);
  uint64_t flushed = begin, looked = begin;
  for (; round < (uint64_t)a->samples || since_ns(begin) < duration; round++) {
    if (all[0].count >= most && round % *stride == 0) {
      for (int i = 0; i < a->model_count; i++) series_halve(&all[i]);
      *stride *= 2;
      printf("t\n");
    }
    if (round || !a->abba) next_order(order, a->model_count, a->abba, &state);
    for (int i = 0; i < a->model_count; i++) {
      series* s = &all[order[i]];
      /* Its own data back into the caches, as in an app that runs one model. */
      if (a->model_count > 1 || w->count) series_run(s);
      series_sample(s, begin, w, round % *stride == 0);
    }
    if (since_ns(looked) > seen->every * LOOK_NS) {
      looked = now_ns();
      look(seen, begin);
    }
    /* Seldom, and between rounds: writing to whoever listens costs time. */
    if (since_ns(flushed) > 500000000u || now_ns() < flushed) {
      fflush(stdout);
      flushed = now_ns();
    }
  }
  return round;
}

void bench(const arguments* a, const inputs* given) {
  static machine_state before, after;
  static looks seen; /* megabytes: set below, since a value here would make the program's file as large */
  static watch sensors;
  series all[MAX_MODELS];
  static char buffer[1 << 20]; /* keeps stdout from being flushed while a sample is taken */
  setvbuf(stdout, buffer, _IOFBF, sizeof buffer);
  if (a->cores) cores_pin(a->cores);
  seen.every = 1;
  machine_state_read(&before);
  watch_open(&sensors, &before);
  runtime r = runtime_open(a->ort);
  for (int i = 0; i < a->model_count; i++) {
    series_open(&all[i], &r, a, &a->models[i], given);
    all[i].sensors = sensors.count;
  }
  warm_up(a, all);
  uint64_t stride = 1;
  const uint64_t rounds = take_samples(a, all, &seen, &sensors, &stride);
  machine_state_read(&after);
  for (int i = 0; i < a->model_count && a->profile; i++) series_profile(&all[i], a, &a->models[i]);
  const course taken = {.before = &before, .after = &after, .seen = &seen, .sensors = &sensors, .rounds = rounds,
                        .stride = stride};
  report(a, &r, &taken, all, a->model_count);
  for (int i = 0; i < a->model_count; i++) series_close(&all[i]);
  watch_close(&sensors);
  runtime_close(&r);
}
