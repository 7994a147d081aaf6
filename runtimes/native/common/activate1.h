/* The activations one value at a time and in double, slow and obvious: what common/activate.h is held against. */
#ifndef CE_COMMON_ACTIVATE1_H
#define CE_COMMON_ACTIVATE1_H

#include "common/kernel.h"

/* exp(-a) for a >= 0: its Taylor series at a / 2^12, squared twelve times; below 2^-1080 it is 0. The library links no libm. */
static inline double ce_exp_minus(double a) {
  if (a > 750) return 0;
  const double r = -a / 4096;
  double term = 1, sum = 1;
  for (int i = 1; i < 12; ++i) term *= r / i, sum += term;
  for (int i = 0; i < 12; ++i) sum *= sum;
  return sum;
}

/* NaN passes; minus infinity, which both functions multiply by 0, becomes NaN. */
static inline float ce_activate1(double value, int32_t activation, float lowest, float highest) {
  if (activation == CE_HARD_SWISH) {
    double share = value / 6 + 0.5;
    share = 0 > share ? 0 : share;
    share = 1 < share ? 1 : share;
    return (float)(value * share);
  }
  if (activation == CE_SILU) {
    const double e = ce_exp_minus(value < 0 ? -value : value);
    return (float)(value * ((value < 0 ? e : 1) / (1 + e)));
  }
  return ce_clip1((float)value, lowest, highest);
}

#endif
