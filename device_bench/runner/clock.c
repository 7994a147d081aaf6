#define _GNU_SOURCE
#include "clock.h"

#include <time.h>

uint64_t now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

uint64_t since_ns(uint64_t begin) {
  const uint64_t now = now_ns();
  return now > begin ? now - begin : 0;
}
