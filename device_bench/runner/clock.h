/* A clock that does not go back by itself, in nanoseconds. */
#ifndef CHITA_EDGE_RUNNER_CLOCK_H
#define CHITA_EDGE_RUNNER_CLOCK_H

#include <stdint.h>

uint64_t now_ns(void);
uint64_t since_ns(uint64_t begin); /* 0 while the clock is before it, as after a jump */

#endif
