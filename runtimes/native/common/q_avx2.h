/* Included by common/q_simd.h: AVX2, with or without VNNI.
 *
 * Without it a dot product is three instructions, of which vpmaddubsw saturates sums of two products: words whose weights can
 * reach that are split in two when a plan is made (common/q_words.h), or every second byte is taken apart, as 8 or 16 bits.
 */
#define CE_Q_TWO_CHAINS 0

#if defined(__AVXVNNI__)
#define CE_Q_DENSE_ROWS 2
CE_INLINE vi ce_q_dot(vi sum, vq x, vq w) { return (vi)_mm256_dpbusd_avx_epi32((__m256i)sum, (__m256i)x, (__m256i)w); }
CE_INLINE vi ce_q_exact_dot(vi sum, vq x, vq w) { return ce_q_dot(sum, x, w); }
#define CE_Q_PARTS 1
CE_INLINE vq ce_q_part(vq x, const int part) { return (void)part, x; }
CE_INLINE vi ce_q_part_dot(vi sum, vq x, vq w) { return ce_q_dot(sum, x, w); }
#else
#define CE_Q_DENSE_ROWS 1
#define CE_Q_WORDS_BY_TWO
CE_INLINE vi ce_q_dot(vi sum, vq x, vq w) {
  const __m256i pairs = _mm256_maddubs_epi16((__m256i)x, (__m256i)w);
  return sum + (vi)_mm256_madd_epi16(pairs, _mm256_set1_epi16(1));
}
/* Two of them, whose products are added in 16 bits. */
CE_INLINE vi ce_q_dot_two(vi sum, vq x, vq w, vq other_x, vq other_w) {
  const __m256i pairs = _mm256_maddubs_epi16((__m256i)x, (__m256i)w);
  const __m256i all = _mm256_add_epi16(pairs, _mm256_maddubs_epi16((__m256i)other_x, (__m256i)other_w));
  return sum + (vi)_mm256_madd_epi16(all, _mm256_set1_epi16(1));
}
CE_INLINE vi ce_q_exact_dot(vi sum, vq x, vq w) {
  const vq even = (vq)_mm256_set1_epi16(0x00ff);
  return ce_q_dot(ce_q_dot(sum, x & even, w), x & ~even, w);
}
/* Bytes 0 and 2 of words, or 1 and 3, as 16 bits, and their products with weights that are. */
#define CE_Q_PARTS 2
CE_INLINE vq ce_q_part(vq x, const int part) {
  return part ? (vq)_mm256_srli_epi16((__m256i)x, 8) : x & (vq)_mm256_set1_epi16(0x00ff);
}
CE_INLINE vi ce_q_part_dot(vi sum, vq x, vq w) { return sum + (vi)_mm256_madd_epi16((__m256i)x, (__m256i)w); }
#endif

typedef vi va;
CE_INLINE va ce_q_begin(vi sum) { return sum; }
CE_INLINE vi ce_q_end(va sum) { return sum; }

CE_INLINE vi ce_q_round_vector(vf value) { return (vi)_mm256_cvtps_epi32((__m256)value); }
CE_INLINE vf ce_q_float(vi value) { return (vf)_mm256_cvtepi32_ps((__m256i)value); }
CE_INLINE vf ce_q_fmadd(vf a, vf b, vf c) { return (vf)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c); }
CE_INLINE vi ce_q_scale(vi sum, vf factor) {
  return (vi)_mm256_cvtps_epi32(_mm256_mul_ps(_mm256_cvtepi32_ps((__m256i)sum), (__m256)factor));
}

CE_INLINE vh ce_q_pack2(vi a, vi b, vh zero) {
  return (vh)_mm256_adds_epi16(_mm256_packs_epi32((__m256i)a, (__m256i)b), (__m256i)zero);
}
CE_INLINE vq ce_q_pack4(vh ab, vh cd) { return (vq)_mm256_packus_epi16((__m256i)ab, (__m256i)cd); }
CE_INLINE vq ce_q_turn(vq q) {
  const __m128i order = _mm_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
  return (vq)_mm256_shuffle_epi8((__m256i)q, _mm256_broadcastsi128_si256(order));
}
#define CE_Q_SORTS_ROWS
CE_INLINE vq ce_q_turn_by(vq q, const uint8_t *order) {
  return (vq)_mm256_shuffle_epi8((__m256i)q, _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)order)));
}

CE_INLINE vq ce_q_load_mask(const uint8_t *from, ce_mask mask, vq other) {
  const __m256i loaded = _mm256_maskload_epi32((const int *)from, mask);
  return (vq)_mm256_blendv_epi8((__m256i)other, loaded, mask);
}
CE_INLINE void ce_q_store_mask(uint8_t *to, ce_mask mask, vq value) { _mm256_maskstore_epi32((int *)to, mask, (__m256i)value); }
CE_INLINE int ce_q_is_whole(ce_mask mask) { return _mm256_movemask_epi8(mask) == -1; }
CE_INLINE ce_mask ce_q_both(ce_mask a, ce_mask b) { return _mm256_and_si256(a, b); }
CE_INLINE ce_mask ce_q_below(vi at, int32_t by, int32_t size) { return (__m256i)((vu)(at + (vi)by) < (vu)(uint32_t)size); }

CE_INLINE void ce_q_interleave(const vq *row, vq *to) {
  const __m256i r0 = (__m256i)row[0], r1 = (__m256i)row[1], r2 = (__m256i)row[2], r3 = (__m256i)row[3];
  const __m256i a = _mm256_unpacklo_epi8(r0, r1), b = _mm256_unpackhi_epi8(r0, r1);
  const __m256i c = _mm256_unpacklo_epi8(r2, r3), d = _mm256_unpackhi_epi8(r2, r3);
  to[0] = (vq)_mm256_unpacklo_epi16(a, c), to[1] = (vq)_mm256_unpackhi_epi16(a, c);
  to[2] = (vq)_mm256_unpacklo_epi16(b, d), to[3] = (vq)_mm256_unpackhi_epi16(b, d);
}
CE_INLINE vq ce_q_from_left(vq before, vq now) { return (vq)_mm256_permute2x128_si256((__m256i)before, (__m256i)now, 0x21); }
CE_INLINE vq ce_q_from_right(vq now, vq after) { return (vq)_mm256_permute2x128_si256((__m256i)now, (__m256i)after, 0x21); }
CE_INLINE vq ce_q_load_four(const int8_t *from) {
  return (vq)_mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)from));
}
CE_INLINE vq ce_q_join_halves(vq q) { return (vq)_mm256_permute4x64_epi64((__m256i)q, 0xd8); }

CE_INLINE vu ce_q_even(vu a, vu b) { return __builtin_shufflevector(a, b, 0, 2, 4, 6, 8, 10, 12, 14); }

/* table[q]: sixteen entries a time, of those bytes that are among their indices. */
CE_INLINE vq ce_q_lookup(const uint8_t *table, vq q) {
  __m256i found = _mm256_setzero_si256(), index = (__m256i)q;
  const __m256i none = _mm256_set1_epi8(0x70), sixteen = _mm256_set1_epi8(16);
  CE_UNROLL for (int i = 0; i < 256; i += 16, index = _mm256_sub_epi8(index, sixteen)) {
    const __m256i entries = _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)(table + i)));
    found = _mm256_or_si256(found, _mm256_shuffle_epi8(entries, _mm256_adds_epu8(index, none)));
  }
  return (vq)found;
}
