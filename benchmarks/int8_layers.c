/* The int8 kernels of a network's layers, one after another, for a count of instructions: no ONNX Runtime, one thread.
 *
 *   int8_layers RUNS LAYER...    a LAYER is op:in:out:kernel:stride:side:count:block_rows:zeros, zeros in percent of the blocks
 *
 * Ops are those of benchmarks/layers.py, and quantize. Weights, zeros and inputs are random; the last line printed is a sum of
 * all outputs' bytes. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "edge.h"

typedef struct layer {
  char op[32];
  int in, out, kernel, stride, side, count, block_rows, zeros;
} layer;

static unsigned state = 1;
static unsigned next_random(void) { return state = state * 1664525u + 1013904223u, state >> 8; }

static void *need(size_t bytes) {
  void *memory;
  if (posix_memalign(&memory, 64, bytes + 64)) exit(2);
  for (size_t i = 0; i < bytes; ++i) ((unsigned char *)memory)[i] = (unsigned char)next_random();
  return memory;
}

static size_t tensor_bytes(int channels, int side) {
  return (size_t)((channels + 3) / 4) * (size_t)((side * side + 15) / 16 * 16) * 4;
}

/* Blocks of which so many percent are left out, or dense weights. */
static void fill_weights(const layer *l, ce_q_conv_desc *desc) {
  const int groups = (l->in + 3) / 4 * l->kernel * l->kernel, depthwise = !strcmp(l->op, "depthwise_conv");
  float *w_scale = need((size_t)l->out * 4);
  int32_t *bias = need((size_t)l->out * 4);
  for (int i = 0; i < l->out; ++i) w_scale[i] = 0.01f / (float)(1 + l->in), bias[i] = i;
  desc->w_scale = w_scale, desc->bias = bias;
  if (!l->block_rows) {
    desc->values = need((size_t)l->out * (size_t)(depthwise ? 1 : l->in) * (size_t)(l->kernel * l->kernel));
    return;
  }
  const int rows = (l->out + l->block_rows - 1) / l->block_rows;
  int32_t *row_ptr = need((size_t)(rows + 1) * 4), *col_idx = need((size_t)rows * (size_t)groups * 4);
  row_ptr[0] = 0;
  for (int r = 0, nnz = 0; r < rows; row_ptr[++r] = nnz)
    for (int c = 0; c < groups; ++c)
      if ((int)(next_random() % 100) >= l->zeros) col_idx[nnz++] = c;
  int8_t *values = need((size_t)row_ptr[rows] * (size_t)l->block_rows * 4);
  for (int i = 0; i < row_ptr[rows] * l->block_rows * 4; ++i) values[i] = values[i] == -128 ? 0 : values[i];
  desc->block_rows = l->block_rows;
  desc->values = values, desc->col_idx = col_idx, desc->row_ptr = row_ptr;
}

#define RUN(op_, desc, shape_)                                                                                   \
  do {                                                                                                           \
    void *plan = need(ce_##op_##_plan_bytes(&desc, CE_ISA_best));                                                \
    ce_##op_##_plan_init(plan, &desc, CE_ISA_best);                                                              \
    const ce_run run = {.shape = shape_, .x = x, .y = y, .threads = 1,                                           \
                        .scratch = need(ce_##op_##_scratch_bytes(plan, shape_, 1))};                             \
    const int tasks = ce_##op_##_tasks(plan, shape_, 1);                                                         \
    for (int i = 0; i < runs * l->count; ++i)                                                                    \
      for (int task = 0; task < tasks; ++task) ce_##op_##_run(plan, &run, task);                                 \
  } while (0)

static unsigned run_layer(const layer *l, int runs) {
  const int out_side = (l->side - 1) / l->stride + 1, pad = l->kernel / 2;
  const int pools = !strcmp(l->op, "global_average_pool"), gemm = !strcmp(l->op, "csr_gemm");
  const int quantizes = !strcmp(l->op, "quantize");
  const size_t y_bytes = gemm ? (size_t)l->out * 4 : tensor_bytes(l->out, pools ? 1 : out_side);
  void *x = need(quantizes ? (size_t)l->in * (size_t)(l->side * l->side) * 4 : tensor_bytes(l->in, l->side)), *y = need(y_bytes);
  if (quantizes)
    for (int i = 0; i < l->in * l->side * l->side; ++i) ((float *)x)[i] = (float)(next_random() % 1000) / 200 - 2.5f;
  const ce_dtypes dtypes = {CE_DTYPE_int8, CE_DTYPE_int8};
  const ce_q_grid grid = {0.02f, 128}, result = {0.05f, 0};
  ce_q_conv_desc conv = {.dtypes = dtypes, .x = grid, .y = result};
  conv.geometry = (ce_conv_geometry){l->out, l->in, l->kernel, l->kernel, l->stride, l->stride, pad, pad, pad, pad, 1, 1};
  const ce_shape shape = {1, l->side, l->side, l->in};
  if (pools) {
    const ce_q_global_average_pool_desc desc = {dtypes, grid, result};
    RUN(q_global_average_pool, desc, shape);
  } else if (quantizes) {
    const ce_q_quantize_desc desc = {dtypes, grid};
    RUN(q_quantize, desc, shape);
  } else if (gemm) {
    fill_weights(l, &conv);
    const ce_q_gemm_desc desc = {dtypes, l->out, l->in, grid, result, l->block_rows, 1, conv.values,
                                 conv.col_idx, conv.row_ptr, conv.w_scale, conv.bias};
    RUN(q_gemm, desc, shape);
  } else if (!strcmp(l->op, "depthwise_conv")) {
    fill_weights(l, &conv);
    RUN(q_depthwise_conv, conv, shape);
  } else {
    fill_weights(l, &conv);
    RUN(q_conv, conv, shape);
  }
  unsigned sum = 0;
  for (size_t i = 0; i < y_bytes; ++i) sum += ((unsigned char *)y)[i];
  return sum;
}

int main(int count, char **given) {
  unsigned sum = 0;
  for (int i = 2; i < count; ++i) {
    layer l;
    if (sscanf(given[i], "%31[a-z_]:%d:%d:%d:%d:%d:%d:%d:%d", l.op, &l.in, &l.out, &l.kernel, &l.stride, &l.side, &l.count,
               &l.block_rows, &l.zeros) != 9) {
      fprintf(stderr, "no layer: %s\n", given[i]);
      return 2;
    }
    sum += run_layer(&l, atoi(given[1]));
  }
  printf("%u\n", sum);
  return 0;
}
