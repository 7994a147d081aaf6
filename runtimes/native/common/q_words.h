/* Words of four int8 weights, and which of them an ISA has to take in two pieces that add up to them.
 *
 * vpmaddubsw adds two products of a byte and a weight in 16 bits, which saturate where weights of one sign are more than 128
 * together; two products of smull and smlal pass 16 bits where both weights and inputs are -128. Halves do neither.
 */
#ifndef CE_COMMON_Q_WORDS_H
#define CE_COMMON_Q_WORDS_H

#include <stdint.h>

#if defined(__AVX2__) && !defined(__AVXVNNI__) && !defined(__AVX512VNNI__)
#define CE_Q_PAIRS_SATURATE
#elif defined(__ARM_NEON) && !defined(__ARM_FEATURE_DOTPROD)
#define CE_Q_LEAST_OVERFLOWS
#endif

static inline int ce_q_word_must_split(const int8_t *weight) {
#if defined(CE_Q_PAIRS_SATURATE)
  for (int pair = 0; pair < 4; pair += 2) {
    int positive = 0, negative = 0;
    for (int i = pair; i < pair + 2; ++i) *(weight[i] > 0 ? &positive : &negative) += weight[i];
    if (positive > 128 || negative < -128) return 1;
  }
#elif defined(CE_Q_LEAST_OVERFLOWS)
  for (int i = 0; i < 4; ++i)
    if (weight[i] == -128) return 1;
#endif
  return (void)weight, 0;
}

static inline int ce_q_must_split(const int8_t weight[][4], int rows) {
  for (int i = 0; i < rows; ++i)
    if (ce_q_word_must_split(weight[i])) return 1;
  return 0;
}

/* Piece 0 or 1 of `pieces`. */
static inline int32_t ce_q_word_of(const int8_t *weight, int piece, int pieces) {
  uint32_t word = 0;
  for (int i = 0; i < 4; ++i) {
    const int half = weight[i] / 2, value = pieces == 1 ? weight[i] : piece ? weight[i] - half : half;
    word |= (uint32_t)(value & 255) << (8 * i);
  }
  return (int32_t)word;
}

#endif
