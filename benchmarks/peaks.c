/* What one core reaches at most: dependent-free FMAs, and loads from a buffer. Compiled for an ISA by benchmarks/kernels.py. */
#include "common/simd.h"

#define CHAINS (CE_REGISTERS == 32 ? 16 : 12)

/* Runs `rounds` × 64 × CHAINS vector FMAs; returns the multiply-adds done. */
__attribute__((visibility("default"))) double peak_fma(long rounds, float *sink) {
  vf sum[CHAINS];
  vf factor = ce_splat(sink[0]);
  for (int i = 0; i < CHAINS; ++i) sum[i] = ce_splat(sink[i]);
  for (long r = 0; r < rounds; ++r)
    CE_UNROLL for (int u = 0; u < 64; ++u) {
      CE_UNROLL for (int i = 0; i < CHAINS; ++i) sum[i] = sum[i] * factor + factor;
      __asm__ volatile("" ::: "memory");
    }
  for (int i = 0; i < CHAINS; ++i) ce_store(sink + i * CE_LANES, sum[i]);
  return (double)rounds * 64 * CHAINS * CE_LANES;
}

/* Adds up `bytes` bytes `rounds` times; returns the bytes loaded. */
__attribute__((visibility("default"))) double peak_load(const float *from, long bytes, long rounds, float *sink) {
  vf sum[8] = {0};
  for (long r = 0; r < rounds; ++r)
    for (long i = 0; i < bytes / 4; i += 8 * CE_LANES)
      CE_UNROLL for (int v = 0; v < 8; ++v) sum[v] += ce_load(from + i + v * CE_LANES);
  for (int v = 0; v < 8; ++v) ce_store(sink + v * CE_LANES, sum[v]);
  return (double)rounds * (double)bytes;
}
