/* Reading N:M weights: see ce_nm_weight in edge.h. */
#ifndef CE_COMMON_NM_H
#define CE_COMMON_NM_H

#include "common/kernel.h"

/* As few bits as hold 0 to m - 1. */
static inline int ce_nm_bits(int64_t m) { return 1 + (m > 2) + (m > 4) + (m > 8); }

static inline int64_t ce_nm_groups(int64_t channels, int64_t m) { return ce_ceil_div(channels, m); }

/* The channel, within its group, of a slot; reads no byte that has no bit of it. */
static inline int32_t ce_nm_channel(const uint8_t *index, int bits, int64_t slot) {
  const int64_t bit = slot * bits, byte = bit >> 3;
  const int shift = (int)(bit & 7);
  unsigned word = index[byte];
  if (shift + bits > 8) word |= (unsigned)index[byte + 1] << 8;
  return (int32_t)(word >> shift & ((1u << bits) - 1));
}

#endif
