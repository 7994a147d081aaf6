/* Channels of vectors of pixels, and what is computed of them one at a time. */
#ifndef CE_COMMON_Q_CHANNELS_H
#define CE_COMMON_Q_CHANNELS_H

#include "common/q_simd.h"

/* Channel c of pixels of bytes, and as floats. */
CE_INLINE vi ce_q_channel_bytes(vq q, const int c) {
  const vu words = (vu)q ^ (vu)(uint32_t)ce_q_four(CE_Q_FLIP);
  return (vi)(words >> (vu)(uint32_t)(8 * c) & (vu)(uint32_t)255);
}
CE_INLINE vf ce_q_channel(vq q, const int c) { return ce_q_float(ce_q_channel_bytes(q, c)); }

/* saturate(rne(fma(a, sum->a, fma(b, sum->b, sum->fixed)))) */
CE_INLINE vq ce_q_add(const ce_q_sum *sum, vq a, vq b) {
  const vf of_a = ce_splat(sum->a), of_b = ce_splat(sum->b), fixed = ce_splat(sum->fixed);
  const vh zero = (vh)(int16_t)-CE_Q_FLIP;
  vi q[4];
  CE_UNROLL for (int c = 0; c < 4; ++c)
    q[c] = ce_q_round_vector(ce_q_fmadd(ce_q_channel(a, c), of_a, ce_q_fmadd(ce_q_channel(b, c), of_b, fixed)));
  return ce_q_turn(ce_q_pack4(ce_q_pack2(q[0], q[1], zero), ce_q_pack2(q[2], q[3], zero)));
}

#endif
