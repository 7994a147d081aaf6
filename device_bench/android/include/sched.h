#pragma once
#include <stddef.h>
typedef struct {
  unsigned long bits[16];
} cpu_set_t;
int sched_getaffinity(int, size_t, cpu_set_t*);
int sched_setaffinity(int, size_t, const cpu_set_t*);
int sched_getcpu(void);
#define CPU_ZERO(set) __builtin_memset((set), 0, sizeof(cpu_set_t))
#define CPU_SET(core, set) ((set)->bits[(core) / 64] |= 1ul << (core) % 64)
#define CPU_ISSET(core, set) ((set)->bits[(core) / 64] >> (core) % 64 & 1)
#define CPU_COUNT(set) cpu_count(set)
static inline int cpu_count(const cpu_set_t* set) {
  int count = 0;
  for (int i = 0; i < 16; i++) count += __builtin_popcountl(set->bits[i]);
  return count;
}
