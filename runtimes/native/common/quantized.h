/* The bytes of the q_ ops: where they lie, and the arithmetic of edge.h one at a time, without libc. */
#ifndef CE_COMMON_QUANTIZED_H
#define CE_COMMON_QUANTIZED_H

#ifndef CE_DTYPE
#define CE_DTYPE int8
#endif

#include "common/kernel.h"

/* What bytes are stored xor with: dot products of Arm take signed ones. */
#if defined(__ARM_NEON)
#define CE_Q_FLIP 0x80
#else
#define CE_Q_FLIP 0
#endif

#define CE_Q_GROUP 4  /* channels that lie side by side */
#define CE_Q_PIXELS 16 /* that a pitch is a multiple of */

static inline int64_t ce_q_groups(int64_t channels) { return ce_ceil_div(channels, CE_Q_GROUP); }
static inline int64_t ce_q_pitch(int64_t h, int64_t w) { return ce_ceil_div(h * w, CE_Q_PIXELS) * CE_Q_PIXELS; }
/* Bytes of a group's plane; of a whole tensor. */
static inline int64_t ce_q_plane(int64_t h, int64_t w) { return ce_q_pitch(h, w) * CE_Q_GROUP; }
static inline int64_t ce_q_bytes(int64_t n, int64_t channels, int64_t h, int64_t w) {
  return n * ce_q_groups(channels) * ce_q_plane(h, w);
}
/* Where an element is, from the beginning of a tensor of `groups` groups an image, whose planes have `plane` bytes. */
static inline int64_t ce_q_at(int64_t groups, int64_t plane, int64_t n, int64_t channel, int64_t pixel) {
  return (n * groups + channel / CE_Q_GROUP) * plane + pixel * CE_Q_GROUP + channel % CE_Q_GROUP;
}

/* At the beginning of a function: no multiplication is contracted with an addition. */
#if defined(__clang__)
#define CE_Q_EACH_ROUNDED _Pragma("STDC FP_CONTRACT OFF")
#else
#define CE_Q_EACH_ROUNDED
#endif

static inline float ce_q_factor(float x_scale, float w_scale, float y_scale) {
  CE_Q_EACH_ROUNDED
  return (x_scale * w_scale) / y_scale;
}

/* Nearest even, of -2^22 to 2^22. */
static inline int32_t ce_q_round(float value) {
  const float shifted = value + 0x1.8p23f; /* has no bits for a fraction */
  return (int32_t)(shifted - 0x1.8p23f);
}

/* saturate(rne(value) + zero); NaN gives 0. */
static inline uint8_t ce_q_saturate(float value, int32_t zero) {
  const float least = (float)-zero, most = (float)(255 - zero);
  value = value > least ? value : least;
  value = value < most ? value : most;
  return (uint8_t)(ce_q_round(value) + zero);
}

static inline uint8_t ce_q_requantize(int32_t sum, float factor, int32_t zero) {
  return ce_q_saturate((float)sum * factor, zero);
}

/* a * b + c, rounded once: the product is exact in double, the sum is rounded to odd there, which rounding to float then
 * makes the nearest of (Boldo and Melquiond, Emulation of FMA and correctly rounded sums, 2008). a is a byte. */
static inline float ce_q_fma(float a, float b, float c) {
  CE_Q_EACH_ROUNDED
  const double product = (double)a * b, sum = product + c;
  const double back = sum - product, error = (product - (sum - back)) + (c - back);
  int64_t bits;
  __builtin_memcpy(&bits, &sum, sizeof bits);
  if (error != 0 && !(bits & 1)) bits += (error > 0) == (sum > 0) ? 1 : -1;
  double odd;
  __builtin_memcpy(&odd, &bits, sizeof odd);
  return (float)odd;
}

typedef struct ce_q_sum {
  float a, b, fixed; /* factors of both, and what is added */
} ce_q_sum;

static inline ce_q_sum ce_q_sum_of(ce_q_grid a, ce_q_grid b, ce_q_grid y) {
  CE_Q_EACH_ROUNDED
  const float fa = a.scale / y.scale, fb = b.scale / y.scale;
  return (ce_q_sum){fa, fb, (float)y.zero - ce_q_fma((float)a.zero, fa, fb * (float)b.zero)};
}

static inline uint8_t ce_q_add1(const ce_q_sum *sum, uint8_t a, uint8_t b) {
  return ce_q_saturate(ce_q_fma((float)a, sum->a, ce_q_fma((float)b, sum->b, sum->fixed)), 0);
}

static inline uint8_t ce_q_mul1(int32_t a, int32_t b, float factor, int32_t zero) {
  CE_Q_EACH_ROUNDED
  const float product = (float)(a * b) * factor;
  return ce_q_saturate(product + (float)zero, 0);
}

/* What becomes of a sum of a q_conv or a q_depthwise_conv. */
typedef struct ce_q_finish {
  int32_t zero, add;
  ce_q_sum sum;
  const uint8_t *table;
} ce_q_finish;

static inline ce_q_finish ce_q_finish_of(const ce_q_conv_desc *desc) {
  const ce_q_grid a = desc->add == 2 ? desc->residual : desc->y, b = desc->add == 2 ? desc->y : desc->residual;
  ce_q_finish finish = {.zero = desc->y.zero, .add = desc->add, .table = desc->table};
  if (desc->add) finish.sum = ce_q_sum_of(a, b, desc->sum);
  return finish;
}

/* As it is stored; of the residual the byte at `at`, where there is an add. */
static inline uint8_t ce_q_finish1(const ce_q_finish *finish, int32_t sum, float factor, const void *residual, int64_t at) {
  uint8_t q = ce_q_requantize(sum, factor, finish->zero);
  if (finish->table) q = finish->table[q];
  const uint8_t other = finish->add ? ((const uint8_t *)residual)[at] ^ CE_Q_FLIP : 0;
  if (finish->add == 1) q = ce_q_add1(&finish->sum, q, other);
  if (finish->add == 2) q = ce_q_add1(&finish->sum, other, q);
  return q ^ CE_Q_FLIP;
}

#endif
