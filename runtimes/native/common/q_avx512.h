/* Included by common/q_simd.h: AVX-512 with VNNI. */

CE_INLINE vi ce_q_dot(vi sum, vq x, vq w) { return (vi)_mm512_dpbusd_epi32((__m512i)sum, (__m512i)x, (__m512i)w); }

/* rne(float(sum) * factor) */
CE_INLINE vi ce_q_scale(vi sum, vf factor) {
  return (vi)_mm512_cvtps_epi32(_mm512_mul_ps(_mm512_cvtepi32_ps((__m512i)sum), (__m512)factor));
}
CE_INLINE vi ce_q_round_vector(vf value) { return (vi)_mm512_cvtps_epi32((__m512)value); }
CE_INLINE vf ce_q_float(vi value) { return (vf)_mm512_cvtepi32_ps((__m512i)value); }
CE_INLINE vf ce_q_fmadd(vf a, vf b, vf c) { return (vf)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c); }

CE_INLINE vh ce_q_pack2(vi a, vi b, vh zero) {
  return (vh)_mm512_adds_epi16(_mm512_packs_epi32((__m512i)a, (__m512i)b), (__m512i)zero);
}
CE_INLINE vq ce_q_pack4(vh ab, vh cd) { return (vq)_mm512_packus_epi16((__m512i)ab, (__m512i)cd); }

CE_INLINE vq ce_q_turn(vq q) {
  const __m128i order = _mm_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
  return (vq)_mm512_shuffle_epi8((__m512i)q, _mm512_broadcast_i32x4(order));
}

#define CE_Q_SORTS_ROWS
CE_INLINE vq ce_q_turn_by(vq q, const uint8_t *order) {
  return (vq)_mm512_shuffle_epi8((__m512i)q, _mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)order)));
}

/* Pixels `mask` of a load; `other` where it is not, which memory is not touched for. */
CE_INLINE vq ce_q_load_mask(const uint8_t *from, ce_mask mask, vq other) {
  return (vq)_mm512_mask_loadu_epi32((__m512i)other, mask, from);
}
CE_INLINE void ce_q_store_mask(uint8_t *to, ce_mask mask, vq value) { _mm512_mask_storeu_epi32(to, mask, (__m512i)value); }
/* Pixels whose coordinate, and `by` more, is one of `size`. */
CE_INLINE ce_mask ce_q_below(vi at, int32_t by, int32_t size) {
  return _mm512_cmplt_epu32_mask((__m512i)(at + (vi)by), _mm512_set1_epi32(size));
}

/* Sums while blocks are added to them; two chains of them hide vpdpbusd's latency where there are few. */
#define CE_Q_DENSE_ROWS 4
#define CE_Q_TWO_CHAINS 7 /* up to so many vectors */
typedef vi va;
CE_INLINE va ce_q_begin(vi sum) { return sum; }
CE_INLINE vi ce_q_end(va sum) { return sum; }
CE_INLINE va ce_q_join(va a, va b) { return a + b; }
CE_INLINE int ce_q_is_whole(ce_mask mask) { return mask == 0xffff; }
CE_INLINE ce_mask ce_q_both(ce_mask a, ce_mask b) { return a & b; }

/* Four rows of pixels: register j gets, of pixel 4 i + j, a word of the four rows for each channel, as its 128 bits i. */
CE_INLINE void ce_q_interleave(const vq *row, vq *to) {
  const __m512i r0 = (__m512i)row[0], r1 = (__m512i)row[1], r2 = (__m512i)row[2], r3 = (__m512i)row[3];
  const __m512i a = _mm512_unpacklo_epi8(r0, r1), b = _mm512_unpackhi_epi8(r0, r1);
  const __m512i c = _mm512_unpacklo_epi8(r2, r3), d = _mm512_unpackhi_epi8(r2, r3);
  to[0] = (vq)_mm512_unpacklo_epi16(a, c), to[1] = (vq)_mm512_unpackhi_epi16(a, c);
  to[2] = (vq)_mm512_unpacklo_epi16(b, d), to[3] = (vq)_mm512_unpackhi_epi16(b, d);
}
/* The last 128 bits of a vector before all but the last of this one; and all but the first, before the first of one after. */
CE_INLINE vq ce_q_from_left(vq before, vq now) { return (vq)_mm512_alignr_epi32((__m512i)now, (__m512i)before, 12); }
CE_INLINE vq ce_q_from_right(vq now, vq after) { return (vq)_mm512_alignr_epi32((__m512i)after, (__m512i)now, 4); }
/* 16 bytes in all 128 bits. */
CE_INLINE vq ce_q_load_four(const int8_t *from) {
  return (vq)_mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)from));
}
/* Packed halves, two pixels of each in each 128 bits, one after the other. */
CE_INLINE vq ce_q_join_halves(vq q) {
  return (vq)_mm512_permutexvar_epi64(_mm512_setr_epi64(0, 2, 4, 6, 1, 3, 5, 7), (__m512i)q);
}

CE_INLINE va ce_q_exact_dot(va sum, vq x, vq w) { return ce_q_dot(sum, x, w); }
#define CE_Q_PARTS 1
CE_INLINE vq ce_q_part(vq x, const int part) { return (void)part, x; }
CE_INLINE va ce_q_part_dot(va sum, vq x, vq w) { return ce_q_dot(sum, x, w); }
CE_INLINE vu ce_q_even(vu a, vu b) {
  return __builtin_shufflevector(a, b, 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
}
/* table[q]: sixteen entries a time, of those bytes that are among their indices. */
CE_INLINE vq ce_q_lookup(const uint8_t *table, vq q) {
  __m512i found = _mm512_setzero_si512(), index = (__m512i)q;
  const __m512i none = _mm512_set1_epi8(0x70), sixteen = _mm512_set1_epi8(16);
  CE_UNROLL for (int i = 0; i < 256; i += 16, index = _mm512_sub_epi8(index, sixteen)) {
    const __m512i entries = _mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)(table + i)));
    found = _mm512_or_si512(found, _mm512_shuffle_epi8(entries, _mm512_adds_epu8(index, none)));
  }
  return (vq)found;
}
