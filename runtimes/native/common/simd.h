/* One vector type for all ISAs, in the compiler's vector extensions; the few things they cannot say are here per ISA. */
#ifndef CE_COMMON_SIMD_H
#define CE_COMMON_SIMD_H

#include <stddef.h>
#include <stdint.h>

#if defined(__AVX512F__)
#include <immintrin.h>
#define CE_LANES 16
#define CE_REGISTERS 32
#elif defined(__AVX2__)
#include <immintrin.h>
#define CE_LANES 8
#define CE_REGISTERS 16
#elif defined(CE_OF_float16) /* pixels of a vector of float16, which in float32 take two registers */
#define CE_LANES 8
#define CE_REGISTERS 32
#elif defined(__ARM_NEON)
#include <arm_neon.h>
#define CE_LANES 4
#if defined(__aarch64__)
#define CE_REGISTERS 32
#else
#define CE_REGISTERS 16 /* 32-bit Arm; its vector unit takes denormals for 0 */
#endif
#else
#define CE_LANES 4
#define CE_REGISTERS 16
#endif

#ifndef CE_INLINE /* the tests compile each function once, not in each place */
#define CE_INLINE static inline __attribute__((always_inline))
#endif
#define CE_NOINLINE static __attribute__((noinline))
#define CE_UNROLL _Pragma("clang loop unroll(full)")
#define CE_ONE_BY_ONE _Pragma("clang loop unroll(disable)")

/* Has the address computed once: on x86 a multiply-add whose memory operand has an index register counts as two
 * instructions (measured: 2.75 instead of 3.6 a nanosecond). */
#if defined(__x86_64__)
#define CE_ONE_REGISTER(address) __asm__("" : "+r"(address))
#else
#define CE_ONE_REGISTER(address) (void)(address)
#endif

typedef float vf __attribute__((ext_vector_type(CE_LANES)));
typedef float vf_unaligned __attribute__((ext_vector_type(CE_LANES), aligned(4)));

CE_INLINE vf ce_load(const float *from) { return *(const vf_unaligned *)from; }
CE_INLINE void ce_store(float *to, vf value) { *(vf_unaligned *)to = value; }
CE_INLINE vf ce_splat(float value) { return (vf)value; }

/* ORT's Clip, which NaN passes: it fails both comparisons, which are a max and a min on x86; on Arm these let it pass. */
CE_INLINE vf ce_clip(vf value, vf lowest, vf highest) {
#if defined(__ARM_NEON) && CE_LANES == 4
  return (vf)vminq_f32(vmaxq_f32((float32x4_t)value, (float32x4_t)lowest), (float32x4_t)highest);
#else
  value = lowest > value ? lowest : value;
  return highest < value ? highest : value;
#endif
}

/* With CE_MASKED_LOADS, a load of the lanes of a mask alone is as cheap as any: ce_lanes(a, b) is lanes a to b - 1, from
 * none at all where b <= a; either may lie outside a vector. ce_load_lanes gives 0 in the other lanes and touches no other
 * memory. */
#if defined(__AVX512F__)
#define CE_MASKED_LOADS
typedef __mmask16 ce_mask;
CE_INLINE uint32_t ce_below(int64_t n) { return n <= 0 ? 0 : n >= 16 ? 0xffff : (1u << n) - 1; }
CE_INLINE ce_mask ce_lanes(int64_t begin, int64_t end) { return (ce_mask)(ce_below(end) & ~ce_below(begin)); }
CE_INLINE vf ce_load_lanes(const float *from, ce_mask mask) { return (vf)_mm512_maskz_loadu_ps(mask, from); }
/* The vector that begins `by` lanes after x[1], of three that follow each other; 0 but in the lanes of the mask. */
CE_INLINE vf ce_moved_lanes(const vf *x, const int by, ce_mask mask) {
  const __m512i a = (__m512i)x[0], b = (__m512i)x[1], c = (__m512i)x[2];
  if (by == -2) return (vf)_mm512_maskz_alignr_epi32(mask, b, a, 14);
  if (by == -1) return (vf)_mm512_maskz_alignr_epi32(mask, b, a, 15);
  if (by == 1) return (vf)_mm512_maskz_alignr_epi32(mask, c, b, 1);
  if (by == 2) return (vf)_mm512_maskz_alignr_epi32(mask, c, b, 2);
  return x[1];
}
#elif defined(__AVX2__)
#define CE_MASKED_LOADS
typedef __m256i ce_mask;
CE_INLINE ce_mask ce_below(int64_t n) {
  const int clamped = n < 0 ? 0 : n > 8 ? 8 : (int)n;
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(clamped), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
CE_INLINE ce_mask ce_lanes(int64_t begin, int64_t end) { return _mm256_andnot_si256(ce_below(begin), ce_below(end)); }
CE_INLINE vf ce_load_lanes(const float *from, ce_mask mask) { return (vf)_mm256_maskload_ps(from, mask); }
#endif

/* The first n lanes, 0 <= n <= CE_LANES; touches no other memory. The other lanes of a load are 0. */
#if defined(__AVX512F__)
CE_INLINE vf ce_load_part(const float *from, int n) {
  return (vf)_mm512_maskz_loadu_ps((__mmask16)((1u << n) - 1), from);
}
CE_INLINE void ce_store_part(float *to, vf value, int n) {
  _mm512_mask_storeu_ps(to, (__mmask16)((1u << n) - 1), (__m512)value);
}
#elif defined(__AVX2__)
CE_INLINE __m256i ce_first_lanes(int n) {
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
CE_INLINE vf ce_load_part(const float *from, int n) { return (vf)_mm256_maskload_ps(from, ce_first_lanes(n)); }
CE_INLINE void ce_store_part(float *to, vf value, int n) { _mm256_maskstore_ps(to, ce_first_lanes(n), (__m256)value); }
#elif defined(CE_OF_float16)
CE_INLINE vf ce_load_part(const float *from, int n) {
  if (n == CE_LANES) return ce_load(from);
  vf value = 0.0f;
  CE_UNROLL for (int i = 0; i < CE_LANES - 1; ++i)
    if (i < n) value[i] = from[i];
  return value;
}
CE_INLINE void ce_store_part(float *to, vf value, int n) {
  if (n == CE_LANES) {
    ce_store(to, value);
    return;
  }
  CE_UNROLL for (int i = 0; i < CE_LANES - 1; ++i)
    if (i < n) to[i] = value[i];
}
#else
CE_INLINE vf ce_load_part(const float *from, int n) {
  if (n == 4) return ce_load(from);
  return (vf){n > 0 ? from[0] : 0, n > 1 ? from[1] : 0, n > 2 ? from[2] : 0, 0};
}
CE_INLINE void ce_store_part(float *to, vf value, int n) {
  if (n == 4) {
    ce_store(to, value);
    return;
  }
  if (n > 0) to[0] = value.x;
  if (n > 1) to[1] = value.y;
  if (n > 2) to[2] = value.z;
}
#endif

#endif
