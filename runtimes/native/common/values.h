/* Reading the values of weights, which the file has in float32 or in float16. */
#ifndef CE_COMMON_VALUES_H
#define CE_COMMON_VALUES_H

#include "edge.h"

/* 2^(e - 15) (1 + m / 1024), and 2^-14 (m / 1024) where e is 0; infinities and NaN where it is 31. */
static inline float ce_widen_half(uint16_t half) {
  const uint32_t sign = (uint32_t)(half >> 15) << 31, exponent = half >> 10 & 31, mantissa = half & 1023;
  if (exponent == 0) {
    const float small = (float)mantissa * 0x1p-24f;
    return sign ? -small : small;
  }
  const uint32_t bits = sign | (exponent == 31 ? 255u : exponent + 112) << 23 | mantissa << 13;
  float value;
  __builtin_memcpy(&value, &bits, sizeof value);
  return value;
}

/* Value number `at` of weights whose desc has these types. */
static inline float ce_value(const void *values, ce_dtypes types, int64_t at) {
  return types.values == CE_DTYPE_float16 ? ce_widen_half(((const uint16_t *)values)[at]) : ((const float *)values)[at];
}

#endif
