/* Loops that benchmarks/int8_arm.py gives to llvm-mca beside those of the kernels: requantisation alone, and a dense product as
 * libraries for Arm have it, 8 rows by 8 pixels with both packed in words of four. */
#include "common/q_simd.h"

/* Four rows' sums of four pixels a turn. */
__attribute__((noinline, visibility("default"))) void requantise(const vi *sum, const float *factor, vq *to, int64_t count, int zero_) {
  const vh zero = (vh)(int16_t)zero_;
  CE_ONE_BY_ONE for (int64_t i = 0; i < count; ++i, sum += 4) {
    vi q[4];
    CE_UNROLL for (int r = 0; r < 4; ++r) q[r] = ce_q_scale(sum[r], ce_splat(factor[r]));
    to[i] = ce_q_turn(ce_q_pack4(ce_q_pack2(q[0], q[1], zero), ce_q_pack2(q[2], q[3], zero)));
  }
}

#if defined(CE_Q_WORDS_BY_LANE)
__attribute__((noinline, visibility("default"))) void dense_8x8(const vq *words, const vq *x, int64_t count, vi *to) {
  vi sum[8][2];
  CE_UNROLL for (int r = 0; r < 8; ++r) sum[r][0] = sum[r][1] = 0;
  CE_ONE_BY_ONE for (int64_t i = 0; i < count; ++i, words += 2, x += 2)
    CE_UNROLL for (int r = 0; r < 8; ++r)
      CE_UNROLL for (int v = 0; v < 2; ++v) sum[r][v] = ce_q_dot_lane(sum[r][v], x[v], words[r / 4], r % 4);
  CE_UNROLL for (int r = 0; r < 8; ++r) to[2 * r] = sum[r][0], to[2 * r + 1] = sum[r][1];
}
#endif
