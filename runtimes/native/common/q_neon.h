/* Included by common/q_simd.h: NEON with signed bytes; with dot products of four (SDOT) where CE_ISA has them, else by products
 * in 16 bits, of which two of one lane fit into them where no weight is -128 (common/q_words.h). Also Armv7, which has neither
 * rounding conversions nor tables of 16 bytes. */
#define CE_Q_DENSE_ROWS 4
#define CE_Q_TWO_CHAINS 0

/* Bit i: pixel i. */
typedef unsigned ce_mask;
CE_INLINE unsigned ce_below(int64_t n) { return n <= 0 ? 0 : n >= CE_LANES ? (1u << CE_LANES) - 1 : (1u << n) - 1; }
CE_INLINE ce_mask ce_lanes(int64_t begin, int64_t end) { return ce_below(end) & ~ce_below(begin); }
CE_INLINE int ce_q_is_whole(ce_mask mask) { return mask == 15; }
CE_INLINE ce_mask ce_q_both(ce_mask a, ce_mask b) { return a & b; }
CE_INLINE ce_mask ce_q_below(vi at, int32_t by, int32_t size) {
  const vu bit = {1, 2, 4, 8}, in = (vu)((vu)(at + (vi)by) < (vu)(uint32_t)size) & bit;
  return in.x | in.y | in.z | in.w;
}
CE_INLINE vq ce_q_load_mask(const uint8_t *from, ce_mask mask, vq other) {
  if (mask == 15) return ce_q_load_unaligned(from);
  vu value = (vu)other;
  CE_UNROLL for (int i = 0; i < CE_LANES; ++i)
    if (mask >> i & 1) {
      uint32_t word;
      __builtin_memcpy(&word, from + 4 * i, 4);
      value[i] = word;
    }
  return (vq)value;
}
CE_INLINE void ce_q_store_mask(uint8_t *to, ce_mask mask, vq value) {
  if (mask == 15) {
    *(vq_unaligned *)to = value;
    return;
  }
  CE_UNROLL for (int i = 0; i < CE_LANES; ++i)
    if (mask >> i & 1) {
      const uint32_t word = ((vu)value)[i];
      __builtin_memcpy(to + 4 * i, &word, 4);
    }
}

#if defined(__ARM_FEATURE_DOTPROD)
#define CE_Q_WORDS_BY_LANE
typedef vi va;
CE_INLINE va ce_q_begin(vi sum) { return sum; }
CE_INLINE vi ce_q_end(va sum) { return sum; }
CE_INLINE va ce_q_dot(va sum, vq x, vq w) { return (va)vdotq_s32((int32x4_t)sum, (int8x16_t)x, (int8x16_t)w); }
/* By word `lane`, a constant, of four. */
CE_INLINE va ce_q_dot_lane(va sum, vq x, vq words, const int lane) {
  const int32x4_t to = (int32x4_t)sum;
  const int8x16_t from = (int8x16_t)x, w = (int8x16_t)words;
  return (va)(lane == 0   ? vdotq_laneq_s32(to, from, w, 0)
              : lane == 1 ? vdotq_laneq_s32(to, from, w, 1)
              : lane == 2 ? vdotq_laneq_s32(to, from, w, 2)
                          : vdotq_laneq_s32(to, from, w, 3));
}
#else
#define CE_Q_WORDS_BY_TWO
/* Two sums a pixel: pixels 0 and 1, pixels 2 and 3. */
typedef struct va {
  int32x4_t low, high;
} va;
CE_INLINE va ce_q_begin(vi sum) {
  const vi none = 0;
  return (va){(int32x4_t)__builtin_shufflevector(sum, none, 0, 4, 1, 5), (int32x4_t)__builtin_shufflevector(sum, none, 2, 6, 3, 7)};
}
CE_INLINE vi ce_q_end(va sum) {
  const vi low = (vi)sum.low, high = (vi)sum.high;
  return __builtin_shufflevector(low, high, 0, 2, 4, 6) + __builtin_shufflevector(low, high, 1, 3, 5, 7);
}
CE_INLINE va ce_q_dot(va sum, vq x, vq w) {
  const int8x16_t a = (int8x16_t)x, b = (int8x16_t)w;
  return (va){vpadalq_s16(sum.low, vmull_s8(vget_low_s8(a), vget_low_s8(b))),
              vpadalq_s16(sum.high, vmull_s8(vget_high_s8(a), vget_high_s8(b)))};
}
/* Two of them, whose products are added in 16 bits. */
CE_INLINE va ce_q_dot_two(va sum, vq x, vq w, vq other_x, vq other_w) {
  const int8x16_t a = (int8x16_t)x, b = (int8x16_t)w, c = (int8x16_t)other_x, d = (int8x16_t)other_w;
  const int16x8_t low = vmlal_s8(vmull_s8(vget_low_s8(a), vget_low_s8(b)), vget_low_s8(c), vget_low_s8(d));
  const int16x8_t high = vmlal_s8(vmull_s8(vget_high_s8(a), vget_high_s8(b)), vget_high_s8(c), vget_high_s8(d));
  return (va){vpadalq_s16(sum.low, low), vpadalq_s16(sum.high, high)};
}
#endif
CE_INLINE va ce_q_exact_dot(va sum, vq x, vq w) { return ce_q_dot(sum, x, w); }
#define CE_Q_PARTS 1
CE_INLINE vq ce_q_part(vq x, const int part) { return (void)part, x; }
CE_INLINE va ce_q_part_dot(va sum, vq x, vq w) { return ce_q_dot(sum, x, w); }

CE_INLINE vf ce_q_float(vi value) { return (vf)vcvtq_f32_s32((int32x4_t)value); }
CE_INLINE vf ce_q_fmadd(vf a, vf b, vf c) { return (vf)vfmaq_f32((float32x4_t)c, (float32x4_t)a, (float32x4_t)b); }
#if defined(__aarch64__)
CE_INLINE vi ce_q_round_vector(vf value) { return (vi)vcvtnq_s32_f32((float32x4_t)value); }
#else
/* Past 2^22 bytes are long saturated; below, the sum with 1.5 * 2^23 has no bits for a fraction. */
CE_INLINE vi ce_q_round_vector(vf value) {
  const float32x4_t most = vdupq_n_f32(0x1p22f), shift = vdupq_n_f32(0x1.8p23f);
  const float32x4_t near = vminq_f32(vmaxq_f32((float32x4_t)value, vnegq_f32(most)), most);
  return (vi)vcvtq_s32_f32(vsubq_f32(vaddq_f32(near, shift), shift));
}
#endif
CE_INLINE vi ce_q_scale(vi sum, vf factor) { return ce_q_round_vector(ce_q_float(sum) * factor); }

CE_INLINE vh ce_q_pack2(vi a, vi b, vh zero) {
  return (vh)vqaddq_s16(vcombine_s16(vqmovn_s32((int32x4_t)a), vqmovn_s32((int32x4_t)b)), (int16x8_t)zero);
}
CE_INLINE vq ce_q_pack4(vh ab, vh cd) { return (vq)vcombine_s8(vqmovn_s16((int16x8_t)ab), vqmovn_s16((int16x8_t)cd)); }
CE_INLINE vq ce_q_turn(vq q) { return __builtin_shufflevector(q, q, 0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15); }
CE_INLINE vq ce_q_turn_by(vq q, const uint8_t *order) { return (void)order, ce_q_turn(q); } /* rows are not sorted */

typedef uint16_t vw __attribute__((ext_vector_type(2 * CE_LANES)));
CE_INLINE void ce_q_interleave(const vq *row, vq *to) {
  const vq r0 = row[0], r1 = row[1], r2 = row[2], r3 = row[3];
  const vw a = (vw)__builtin_shufflevector(r0, r1, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
  const vw b = (vw)__builtin_shufflevector(r0, r1, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
  const vw c = (vw)__builtin_shufflevector(r2, r3, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
  const vw d = (vw)__builtin_shufflevector(r2, r3, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
  to[0] = (vq)__builtin_shufflevector(a, c, 0, 8, 1, 9, 2, 10, 3, 11);
  to[1] = (vq)__builtin_shufflevector(a, c, 4, 12, 5, 13, 6, 14, 7, 15);
  to[2] = (vq)__builtin_shufflevector(b, d, 0, 8, 1, 9, 2, 10, 3, 11);
  to[3] = (vq)__builtin_shufflevector(b, d, 4, 12, 5, 13, 6, 14, 7, 15);
}
CE_INLINE vq ce_q_from_left(vq before, vq now) { return (void)now, before; }
CE_INLINE vq ce_q_from_right(vq now, vq after) { return (void)now, after; }
CE_INLINE vq ce_q_load_four(const int8_t *from) { return ce_q_load_unaligned((const uint8_t *)from); }
CE_INLINE vq ce_q_join_halves(vq q) { return q; }
CE_INLINE vu ce_q_even(vu a, vu b) { return __builtin_shufflevector(a, b, 0, 2, 4, 6); }

#if defined(__aarch64__)
/* table[q]: 64 entries a time; an index past them finds 0. */
CE_INLINE vq ce_q_lookup(const uint8_t *table, vq q) {
  uint8x16_t index = veorq_u8((uint8x16_t)q, vdupq_n_u8(CE_Q_FLIP)), found = vdupq_n_u8(0);
  CE_UNROLL for (int i = 0; i < 256; i += 64, index = vsubq_u8(index, vdupq_n_u8(64)))
    found = vorrq_u8(found, vqtbl4q_u8(vld1q_u8_x4(table + i), index));
  return (vq)veorq_u8(found, vdupq_n_u8(CE_Q_FLIP));
}
#else
CE_INLINE vq ce_q_lookup(const uint8_t *table, vq q) {
  for (int i = 0; i < CE_Q_VECTOR_BYTES; ++i) q[i] = table[q[i] ^ CE_Q_FLIP] ^ CE_Q_FLIP;
  return q;
}
#endif
