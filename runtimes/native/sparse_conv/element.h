/* What a sparse convolution multiplies and sums within a K tile: float32, or float16 where the source is compiled with
 * CE_OF_float16. There the inputs of a panel and the values are float16, and so is the sum over the non-zeros of a K tile, which
 * begins at 0; bias, the sums of K tiles and all that follows are float32.
 *
 * With u = 2^-11 and n the most non-zeros that a row has in a K tile, |error| <= (n + 3) u |W| |X|, and n 2^-24 more where
 * products or inputs are below float16's normal range (Higham, Accuracy and Stability, section 4.2; the K tiles' sums add
 * float32's error). Inputs and sums of a K tile beyond 65504 are infinite.
 */
#ifndef CE_SPARSE_CONV_ELEMENT_H
#define CE_SPARSE_CONV_ELEMENT_H

#include "common/simd.h"

#if defined(CE_OF_float16)
typedef _Float16 element;
typedef _Float16 sum_t __attribute__((ext_vector_type(CE_LANES)));
typedef _Float16 unaligned_inputs __attribute__((ext_vector_type(CE_LANES), aligned(2)));

CE_INLINE sum_t begin_sum(vf start) { return (void)start, (sum_t)(_Float16)0; }
CE_INLINE vf end_sum(sum_t sum, vf start) { return start + __builtin_convertvector(sum, vf); }
CE_INLINE void put_inputs(element *to, vf inputs) { *(sum_t *)to = __builtin_convertvector(inputs, sum_t); }
#else
typedef float element;
typedef vf sum_t;
typedef vf_unaligned unaligned_inputs;

CE_INLINE sum_t begin_sum(vf start) { return start; }
CE_INLINE vf end_sum(sum_t sum, vf start) { return (void)start, sum; }
CE_INLINE void put_inputs(element *to, vf inputs) { *(vf *)to = inputs; }
#endif

#endif
