/* Every rule that the numbers of an int8 layer from an untrusted file must keep: pure functions over plain arrays. */
#ifndef CHITA_EDGE_ORT_VALIDATE_Q_H
#define CHITA_EDGE_ORT_VALIDATE_Q_H

#include "../edge.h"
#include "validate_csr.h"

typedef struct q_arrays {
  csr_arrays csr; /* blocks: values [n_values, block_rows, 4]; block_rows 0: dense, values as weight_shape says */
  const float* w_scale;
  const int32_t* bias;
  int64_t n_w_scale;
} q_arrays;

/* 1 when a scale is a positive number that is not denormal, infinite or NaN. */
int q_scale_validate(float scale, const char* name, text* why);

/* 1 when blocks, or a dense weight, scales and biases fit the weight's shape (then `dims` is filled), 0 otherwise (then `why`
 * has a sentence). `rank` is 2 or 4. depthwise: dense, each row having its own channel. */
int q_weights_validate(const q_arrays* q, int rank, int depthwise, csr_dims* dims, text* why);

/* 1 when no row's sum leaves int32, and none, times its factor, leaves +-2^30 steps of y: then every kernel may convert it to
 * an integer. y NULL: the sums become float32. */
int q_sums_validate(const q_arrays* q, const csr_dims* dims, ce_q_grid x, const ce_q_grid* y, text* why);

/* 1 when a value of the first grid is a moderate number of steps of the second one. */
int q_ratio_validate(float scale, float of, const char* name, text* why);

#endif
