/* Vectors of the int8 kernels: CE_LANES pixels of a group of four channels (vq), their int32 sums (vi), two rows of sums as
 * int16 (vh); what the compiler's vector extensions cannot say is in one header an ISA. Bytes are as they are stored: unsigned
 * on x86, signed on Arm (CE_Q_FLIP).
 *
 *   ce_q_pack2(a, b, zero)  saturate16(saturate16(a, b) + zero): of each 128 bits four of a, four of b
 *   ce_q_pack4(ab, cd)      saturated bytes: of each 128 bits four of a, b, c and d
 *   ce_q_turn(q)            the 4x4 bytes of each 128 bits transposed: rows of a channel become pixels of four
 *   ce_q_turn_by(q, order)  likewise, of rows that q_conv/arrange.h has sorted where CE_Q_SORTS_ROWS is defined
 */
#ifndef CE_COMMON_Q_SIMD_H
#define CE_COMMON_Q_SIMD_H

#include "common/quantized.h"
#include "common/simd.h"

typedef int32_t vi __attribute__((ext_vector_type(CE_LANES)));
typedef uint32_t vu __attribute__((ext_vector_type(CE_LANES)));
typedef int16_t vh __attribute__((ext_vector_type(2 * CE_LANES)));
typedef uint8_t vq __attribute__((ext_vector_type(4 * CE_LANES)));
typedef uint8_t vq_unaligned __attribute__((ext_vector_type(4 * CE_LANES), aligned(1)));

#define CE_Q_VECTOR_BYTES (4 * CE_LANES)

CE_INLINE vq ce_q_load(const uint8_t *from) { return *(const vq *)from; }
CE_INLINE vq ce_q_load_unaligned(const uint8_t *from) { return *(const vq_unaligned *)from; }
CE_INLINE void ce_q_store(uint8_t *to, vq value) { *(vq *)to = value; }
CE_INLINE vq ce_q_splat(int32_t word) { return (vq)((vi)word); }
/* A stored byte, four times. */
CE_INLINE int32_t ce_q_four(int32_t byte) { return (int32_t)(0x01010101u * (uint32_t)(byte & 255)); }

#if defined(__AVX512F__)
#include "common/q_avx512.h"
#elif defined(__AVX2__)
#include "common/q_avx2.h"
#else
#include "common/q_neon.h"
#endif

#endif
