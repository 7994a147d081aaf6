/* The activations other than the clip.
 *
 * A kernel stores its sums clipped and then has what it stored, while that is in the first cache, activated in place: the
 * registers and the code of the clip's path stay what they are, and all that a clip costs is a branch that is never taken.
 * With another activation the clip has infinite bounds.
 */
#ifndef CE_COMMON_ACTIVATE_H
#define CE_COMMON_ACTIVATE_H

#include "common/kernel.h"
#include "common/simd.h"

typedef int32_t vi __attribute__((ext_vector_type(CE_LANES)));

/* x clip(x / 6 + 1/2, 0, 1), as ONNX defines it. */
CE_INLINE vf ce_hard_swish(vf x) {
  const vf share = x * ce_splat(0x1.555556p-3f) + ce_splat(0.5f);
  return x * ce_clip(share, ce_splat(0), ce_splat(1));
}

/* x / (1 + exp(-x)) = x z / (1 + z) where x < 0, x / (1 + z) elsewhere, with z = exp(-|x|).
 *
 * -|x| = n ln 2 + r with |r| <= ln 2 / 2, ln 2 in two parts of which the first times n is exact; exp(r) is a polynomial of
 * degree 6 that differs from it by at most 2^-25 of it. 2^n is two factors, as z becomes denormal before x z does; the
 * second one is 0 where even that is, so that minus infinity gives NaN and no other number does. The result differs from
 * the exact one by at most 2^-21 of it and 2^-148, which a test shows over their whole range. */
CE_INLINE vf ce_silu(vf x) {
  const vf size = (vf)((vi)x & 0x7fffffff);
  const vf a = size < ce_splat(140) ? -size : ce_splat(-140); /* also for NaN, which x brings in again */
  const vf shifted = a * ce_splat(0x1.715476p0f) + ce_splat(0x1.8p23f), whole = shifted - ce_splat(0x1.8p23f);
  const vi n = (vi)shifted - (vi)ce_splat(0x1.8p23f), first = n > -64 ? n : -64, second = 127 + (n - first);
  const vf r = a - whole * ce_splat(0x1.62ep-1f) - whole * ce_splat(0x1.0bfbe8p-15f);
  vf p = ce_splat(0x1.6d769ap-10f);
  p = p * r + ce_splat(0x1.127110p-7f);
  p = p * r + ce_splat(0x1.5554acp-5f);
  p = p * r + ce_splat(0x1.555402p-3f);
  p = p * r + ce_splat(0.5f);
  p = p * r + ce_splat(1);
  p = p * r + ce_splat(1);
  const vf z = p * (vf)((127 + first) << 23), rest = (vf)((second > 0 ? second : 0) << 23);
  return (x < ce_splat(0) ? x * z * rest : x) / (ce_splat(1) + z * rest);
}

CE_NOINLINE vf ce_activate_other(vf x, int activation) {
  return activation == CE_HARD_SWISH ? ce_hard_swish(x) : ce_silu(x);
}

CE_NOINLINE void ce_activate_others(float *at, int64_t count, int activation) {
  const int64_t whole = count - count % CE_LANES;
  const int rest = (int)(count - whole);
  if (activation == CE_HARD_SWISH)
    for (int64_t i = 0; i < whole; i += CE_LANES) ce_store(at + i, ce_hard_swish(ce_load(at + i)));
  else
    for (int64_t i = 0; i < whole; i += CE_LANES) ce_store(at + i, ce_silu(ce_load(at + i)));
  if (rest) ce_store_part(at + whole, ce_activate_other(ce_load_part(at + whole, rest), activation), rest);
}

CE_INLINE vf ce_activate(vf x, int activation) {
  return __builtin_expect(activation == CE_CLIP, 1) ? x : ce_activate_other(x, activation);
}

/* `count` stored sums. */
CE_INLINE void ce_activate_stored(float *at, int64_t count, int activation) {
  if (__builtin_expect(activation != CE_CLIP, 0)) ce_activate_others(at, count, activation);
}

#endif
