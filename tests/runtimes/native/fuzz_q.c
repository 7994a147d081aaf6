/* The validation of int8 weights against the rules' definition, on whatever libFuzzer comes up with: as fuzz_csr.c.
 *
 * What is accepted is run by the reference kernel on one window whose inputs are the largest of either sign, so that a sum
 * that leaves int32 traps, and its result is held against loops over the arrays in 64 bits. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/quantized.h"
#include "ort/validate_q.h"

#define MOST_RUN 4096 /* rows or columns of a weight that is run */

extern const ce_kernel ce_q_conv_int8_reference;
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef struct bytes {
  const uint8_t *at, *end;
} bytes;

static uint8_t byte(bytes *b) { return b->at < b->end ? *b->at++ : 0; }

/* A small number in one byte; after 128, any of eight. */
static int64_t number(bytes *b) {
  const uint8_t first = byte(b);
  if (first != 128) return (int8_t)first;
  uint64_t value = 0;
  for (int i = 0; i < 8; ++i) value = value << 8 | byte(b);
  return (int64_t)value;
}

/* A usual scale in one byte; after 128, any bits of four. */
static float scale(bytes *b) {
  const uint8_t first = byte(b);
  if (first != 128) return ldexpf(1.0f + (float)(first & 7) / 8, (first >> 3) - 20);
  uint32_t bits = 0;
  for (int i = 0; i < 4; ++i) bits = bits << 8 | byte(b);
  float value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

static void *exactly(int64_t count, size_t element) {
  void *memory = malloc((size_t)count * element);
  if (!memory && count) abort();
  return memory;
}

static int is_scale(float value) { return isnormal(value) && value > 0; }

static int64_t value_count(const q_arrays *q) {
  if (q->csr.block_rows) return q->csr.n_values * q->csr.block_rows * 4;
  int64_t count = 1;
  for (int i = 0; i < 4; ++i) count *= q->csr.weight_shape[i];
  return count;
}

/* The weight [row, channel, tap]; 0 where there is no block. */
static int64_t weight(const q_arrays *q, const int64_t *shape, int64_t row, int64_t channel, int64_t tap) {
  const csr_arrays *c = &q->csr;
  const int64_t taps = shape[2] * shape[3];
  const int8_t *values = c->values;
  if (!c->block_rows) return values[(row * shape[1] + channel) * taps + tap];
  for (int64_t i = c->row_ptr[row / c->block_rows]; i < c->row_ptr[row / c->block_rows + 1]; ++i)
    if (csr_column(c, i) == channel / 4 * taps + tap) return values[(i * c->block_rows + row % c->block_rows) * 4 + channel % 4];
  return 0;
}

/* The rules of docs/file-format.md, once more and without haste. */
static int keeps_all_rules(const q_arrays *q, ce_q_grid x, ce_q_grid y) {
  const csr_arrays *c = &q->csr;
  const int64_t *shape = c->weight_shape;
  __int128 columns = 1;
  for (int i = 0; i < 4; ++i) {
    if (shape[i] < 1 || shape[i] > (i < 2 ? MAX_CHANNELS : MAX_KERNEL)) return 0;
    if (i) columns *= shape[i];
  }
  if (columns > MAX_ELEMENTS || c->n_bias != shape[0] || q->n_w_scale != shape[0]) return 0;
  for (int64_t row = 0; row < shape[0]; ++row)
    if (!is_scale(q->w_scale[row])) return 0;
  const int64_t taps = shape[2] * shape[3], rows = c->block_rows ? (shape[0] + c->block_rows - 1) / c->block_rows : 0;
  if (c->block_rows) {
    if (c->n_row_ptr != rows + 1 || c->n_values != c->n_col_idx || c->row_ptr[0] || c->row_ptr[rows] != c->n_values) return 0;
    for (int64_t r = 0; r < rows; ++r)
      if (c->row_ptr[r] > c->row_ptr[r + 1]) return 0;
  }
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t i = c->row_ptr[r]; i < c->row_ptr[r + 1]; ++i) {
      if (csr_column(c, i) < 0 || csr_column(c, i) >= (shape[1] + 3) / 4 * taps) return 0;
      if (i > c->row_ptr[r] && csr_column(c, i) <= csr_column(c, i - 1)) return 0;
      for (int64_t at = 0; at < c->block_rows * 4; ++at)
        if (((const int8_t *)c->values)[i * c->block_rows * 4 + at] &&
            (csr_column(c, i) / taps * 4 + at % 4 >= shape[1] || r * c->block_rows + at / 4 >= shape[0]))
          return 0;
    }
  for (int64_t row = 0; row < shape[0]; ++row) {
    int64_t bound = llabs((long long)q->bias[row]);
    for (int64_t channel = 0; channel < shape[1]; ++channel)
      for (int64_t tap = 0; tap < taps; ++tap) bound += 255 * llabs(weight(q, shape, row, channel, tap));
    if (bound > INT32_MAX || !((float)bound * ((x.scale * q->w_scale[row]) / y.scale) < 0x1p30f)) return 0;
  }
  return 1;
}

static void run(const q_arrays *q, const csr_dims *dims, ce_q_grid x_grid, ce_q_grid y_grid) {
  const int64_t *shape = dims->shape, taps = shape[2] * shape[3], pitch = ce_q_pitch(shape[2], shape[3]);
  const int64_t x_bytes = ce_q_bytes(1, shape[1], shape[2], shape[3]), y_bytes = ce_q_bytes(1, shape[0], 1, 1);
  int32_t *wide = exactly(q->csr.n_col_idx, 4);
  uint8_t *x = exactly(x_bytes, 1), *y = exactly(y_bytes, 1);
  for (int64_t i = 0; i < q->csr.n_col_idx; ++i) wide[i] = (int32_t)csr_column(&q->csr, i);
  for (int64_t i = 0; i < x_bytes; ++i) x[i] = (uint8_t)(i / 3 % 2 * 255);
  const ce_q_conv_desc desc = {
      .dtypes = {CE_DTYPE_int8, CE_DTYPE_int8},
      .geometry = {(int32_t)shape[0], (int32_t)shape[1], (int32_t)shape[2], (int32_t)shape[3], 1, 1, 0, 0, 0, 0, 1, 1},
      .x = x_grid,
      .y = y_grid,
      .block_rows = (int32_t)q->csr.block_rows,
      .values = q->csr.values,
      .col_idx = wide,
      .row_ptr = q->csr.row_ptr,
      .w_scale = q->w_scale,
      .bias = q->bias,
  };
  void *plan = exactly((int64_t)ce_q_conv_int8_reference.plan_bytes(&desc), 1);
  ce_q_conv_int8_reference.plan_init(plan, &desc);
  const ce_run once = {.shape = {.n = 1, .h = shape[2], .w = shape[3], .c = shape[1]}, .x = (const float *)x, .y = (float *)y, .threads = 1};
  ce_q_conv_int8_reference.run(plan, &once, 0);
  for (int64_t row = 0; row < shape[0]; ++row) {
    int64_t sum = q->bias[row];
    for (int64_t channel = 0; channel < shape[1]; ++channel)
      for (int64_t tap = 0; tap < taps; ++tap)
        sum += weight(q, shape, row, channel, tap) * ((x[(channel / 4 * pitch + tap) * 4 + channel % 4] ^ CE_Q_FLIP) - x_grid.zero);
    const float steps = rintf((float)sum * ((x_grid.scale * q->w_scale[row]) / y_grid.scale)) + (float)y_grid.zero;
    const uint8_t want = (uint8_t)(steps < 0 ? 0 : steps > 255 ? 255 : steps);
    if ((y[row / 4 * 64 + row % 4] ^ CE_Q_FLIP) != want) abort();
  }
  free(wide), free(x), free(y), free(plan);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  bytes b = {data, data + size};
  int64_t shape[4];
  const uint8_t kind = byte(&b);
  q_arrays q = {.csr = {.block_rows = kind % 3, .weight_shape = shape, .n_weight_shape = 4}};
  for (int i = 0; i < 4; ++i) shape[i] = i > 1 && kind & 64 ? 1 + byte(&b) % 3 : number(&b);
  const ce_q_grid x = {scale(&b), byte(&b)}, y = {scale(&b), byte(&b)};
  csr_arrays *c = &q.csr;
  /* A dense weight is as long as its shape says, whatever that is: ONNX Runtime has seen to it. */
  int64_t dense = 1;
  for (int i = 0; i < 4; ++i) dense = dense > MOST_RUN || shape[i] > MOST_RUN ? MOST_RUN + 1 : dense * (shape[i] < 0 ? 0 : shape[i]);
  if (!c->block_rows && dense > MOST_RUN) return 0;
  c->n_values = c->block_rows ? byte(&b) : 0;
  c->n_col_idx = kind & 8 ? byte(&b) : c->n_values;
  const int64_t rows = shape[0] > 0 && shape[0] < 64 ? shape[0] : 3;
  c->n_row_ptr = kind & 16 ? byte(&b) : c->block_rows ? (rows + c->block_rows - 1) / c->block_rows + 1 : 0;
  c->n_bias = kind & 32 ? byte(&b) : rows;
  q.n_w_scale = kind & 32 ? byte(&b) : rows;
  c->col_idx_bytes = kind & 4 ? 4 : 1;
  const int64_t count = c->block_rows ? c->n_values * c->block_rows * 4 : dense;
  int8_t *values = exactly(count, 1);
  uint8_t *col_idx = exactly(c->n_col_idx, (size_t)c->col_idx_bytes);
  int32_t *row_ptr = exactly(c->n_row_ptr, 4), *bias = exactly(c->n_bias, 4);
  float *w_scale = exactly(q.n_w_scale, 4);
  for (int64_t i = 0; i < c->n_col_idx; ++i) {
    const int32_t column = (int32_t)number(&b);
    if (c->col_idx_bytes == 1) col_idx[i] = (uint8_t)column;
    else memcpy(col_idx + 4 * i, &column, 4);
  }
  for (int64_t i = 0; i < c->n_row_ptr; ++i) row_ptr[i] = (int32_t)number(&b);
  for (int64_t i = 0; i < c->n_bias; ++i) bias[i] = (int32_t)number(&b);
  for (int64_t i = 0; i < q.n_w_scale; ++i) w_scale[i] = scale(&b);
  for (int64_t i = 0; i < count; ++i) values[i] = (int8_t)byte(&b);
  c->values = values, c->col_idx = col_idx, c->row_ptr = row_ptr, q.bias = bias, q.w_scale = w_scale;
  csr_dims dims;
  text why = {.length = 0};
  const int grids = q_scale_validate(x.scale, "x", &why) && q_scale_validate(y.scale, "y", &why);
  if (grids != (is_scale(x.scale) && is_scale(y.scale))) abort();
  if (grids) {
    const int accepted = q_weights_validate(&q, 4, 0, &dims, &why) && q_sums_validate(&q, &dims, x, &y, &why);
    if (!accepted && !why.length) abort();
    const int small = shape[0] <= MOST_RUN && shape[1] <= MOST_RUN && shape[2] <= 16 && shape[3] <= 16;
    if (small && accepted != keeps_all_rules(&q, x, y)) abort();
    if (accepted && small && value_count(&q) <= MOST_RUN && shape[0] * shape[1] * shape[2] * shape[3] <= MOST_RUN)
      run(&q, &dims, x, y);
  }
  free(values), free(col_idx), free(row_ptr), free(bias), free(w_scale);
  return 0;
}
