/* Words of four int8 weights, which of them an ISA has to take in two pieces that add up to them, and which may share 16 bits.
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
#if defined(CE_Q_PAIRS_SATURATE) || defined(CE_Q_LEAST_OVERFLOWS)
#define CE_Q_SPLITS_WORDS
#endif

static inline uint32_t ce_q_word(const int8_t *weight) {
  uint32_t word;
  __builtin_memcpy(&word, weight, 4);
  return word;
}

/* Of the four weights of a word. */
static inline int32_t ce_q_word_sum(uint32_t word) {
  return (int8_t)(word & 255) + (int8_t)(word >> 8 & 255) + (int8_t)(word >> 16 & 255) + (int8_t)(word >> 24);
}

/* Two sums of 16 bits: of the positive weights of bytes 0 and 1, and of 2 and 3; and those of the negative ones, as positive
 * numbers. */
static inline uint32_t ce_q_positive_pairs(uint32_t word) {
  const uint32_t bytes = 0x00ff00ffu, positive = word & ~((word >> 7 & 0x01010101u) * 255);
  return (positive & bytes) + (positive >> 8 & bytes);
}
static inline uint32_t ce_q_negative_pairs(uint32_t word) {
  const uint32_t bytes = 0x00ff00ffu, ones = word >> 7 & 0x01010101u, negative = (~word & ones * 255) + ones;
  return (negative & bytes) + (negative >> 8 & bytes);
}

/* All four of them; those of several words may be added up. */
static inline uint64_t ce_q_pair_sums(uint32_t word) {
  return ce_q_positive_pairs(word) | (uint64_t)ce_q_negative_pairs(word) << 32;
}

/* Whether products with bytes fit 16 bits: no sum is more than 128. */
static inline int ce_q_sums_fit(uint64_t sums) { return !((sums + 0x7f7f7f7f7f7f7f7fu) & 0x8000800080008000u); }

static inline int ce_q_word_must_split(uint32_t word) {
#if defined(CE_Q_PAIRS_SATURATE)
  return (((ce_q_positive_pairs(word) + 0x7f7f7f7fu) | (ce_q_negative_pairs(word) + 0x7f7f7f7fu)) & 0x80008000u) != 0;
#elif defined(CE_Q_LEAST_OVERFLOWS)
  const uint32_t low = (word & 0x7f7f7f7fu) + 0x7f7f7f7fu; /* whose bytes have no sign where those of the word are 0 or -128 */
  return (word & ~low & 0x80808080u) != 0;
#else
  return (void)word, 0;
#endif
}

/* The first of two pieces: half of each weight, towards zero; the other one is what is left. */
static inline uint32_t ce_q_half_word(uint32_t word, int other) {
  uint32_t made = 0;
  for (int i = 0; i < 4; ++i) {
    const int weight = (int8_t)(word >> (8 * i) & 255), half = weight / 2;
    made |= (uint32_t)((other ? weight - half : half) & 255) << (8 * i);
  }
  return made;
}

#endif
