#include "validate_q.h"

#include "../common/quantized.h"

#define REFUSE(...) return text_add(why, __VA_ARGS__), 0
#define LEAST_SCALE 0x1p-126f
#define MOST_RATIO 0x1p20f
#define MOST_STEPS 0x1p30f

int q_scale_validate(float scale, const char* name, text* why) {
  if (!(scale >= LEAST_SCALE && scale < __builtin_inff()))
    REFUSE("%s is not a positive, finite number of at least 2^-126", name);
  return 1;
}

int q_ratio_validate(float scale, float of, const char* name, text* why) {
  const float ratio = scale / of;
  if (!(ratio < MOST_RATIO)) REFUSE("%s is more than 2^20 times the scale of its output", name);
  return 1;
}

/* Block rows are M / block_rows, the last one of which may be half there; columns are groups of four channels by taps. */
static int blocks_validate(const q_arrays* q, csr_dims* dims, text* why) {
  const csr_arrays* csr = &q->csr;
  const int64_t per_block = csr->block_rows * CE_Q_GROUP, taps = dims->shape[2] * dims->shape[3];
  const int64_t rows = ce_ceil_div(dims->rows, csr->block_rows), columns = ce_q_groups(dims->shape[1]) * taps;
  if (csr->n_values > MAX_ELEMENTS / per_block)
    REFUSE("there are %d blocks, more than %d", csr->n_values, (int64_t)MAX_ELEMENTS / per_block);
  if (!csr_rows_validate(csr, rows, columns, why)) return 0;
  if (dims->shape[1] % CE_Q_GROUP == 0 && dims->rows % csr->block_rows == 0) return 1;
  const int8_t* values = csr->values;
  for (int64_t row = 0; row < rows; row++)
    for (int64_t i = csr->row_ptr[row]; i < csr->row_ptr[row + 1]; i++) {
      const int64_t first = csr_column(csr, i) / taps * CE_Q_GROUP;
      if (first + CE_Q_GROUP <= dims->shape[1] && (row + 1) * csr->block_rows <= dims->rows) continue;
      for (int64_t at = 0; at < per_block; at++)
        if (values[i * per_block + at] && (first + at % CE_Q_GROUP >= dims->shape[1] ||
                                           row * csr->block_rows + at / CE_Q_GROUP >= dims->rows))
          REFUSE("block %d has a value for a channel that there is not", i);
    }
  return 1;
}

int q_weights_validate(const q_arrays* q, int rank, int depthwise, csr_dims* dims, text* why) {
  const csr_arrays* csr = &q->csr;
  if (!weight_shape_validate(csr->weight_shape, csr->n_weight_shape, rank, dims, why)) return 0;
  if (depthwise && dims->shape[1] != 1)
    REFUSE("dimension 1 of its weight is %d, a depthwise weight has 1", dims->shape[1]);
  if (csr->n_bias != dims->rows)
    REFUSE("bias has %d elements, a weight of %d rows needs as many", csr->n_bias, dims->rows);
  if (q->n_w_scale != dims->rows)
    REFUSE("w_scale has %d elements, a weight of %d rows needs as many", q->n_w_scale, dims->rows);
  for (int64_t row = 0; row < dims->rows; row++)
    if (!q_scale_validate(q->w_scale[row], "w_scale", why)) return text_add(why, ", at row %d", row), 0;
  if (!csr->block_rows) return 1;
  if (csr->block_rows > 2) REFUSE("blocks have %d output channels, 1 or 2 are known", csr->block_rows);
  return blocks_validate(q, dims, why);
}

/* In pieces whose sums fit int32, which a compiler adds up in vectors. */
static int64_t magnitudes(const int8_t* values, int64_t count) {
  int64_t sum = 0;
  for (int64_t first = 0; first < count; first += 1 << 20) {
    const int64_t end = ce_min(count, first + (1 << 20));
    int32_t piece = 0;
    for (int64_t i = first; i < end; i++) piece += values[i] < 0 ? -values[i] : values[i];
    sum += piece;
  }
  return sum;
}

/* The sum of the magnitudes of a row's values. */
static int64_t row_magnitude(const q_arrays* q, const csr_dims* dims, int64_t row) {
  const csr_arrays* csr = &q->csr;
  const int8_t* values = csr->values;
  if (!csr->block_rows) return magnitudes(values + row * dims->columns, dims->columns);
  const int64_t of = row / csr->block_rows, lane = row % csr->block_rows;
  int64_t sum = 0;
  if (csr->block_rows == 1)
    return magnitudes(values + (int64_t)csr->row_ptr[row] * CE_Q_GROUP, (int64_t)(csr->row_ptr[row + 1] - csr->row_ptr[row]) * CE_Q_GROUP);
  for (int64_t i = csr->row_ptr[of]; i < csr->row_ptr[of + 1]; i++)
    sum += magnitudes(values + (i * csr->block_rows + lane) * CE_Q_GROUP, CE_Q_GROUP);
  return sum;
}

int q_sums_validate(const q_arrays* q, const csr_dims* dims, ce_q_grid x, const ce_q_grid* y, text* why) {
  for (int64_t row = 0; row < dims->rows; row++) {
    const int64_t bias = q->bias[row], bound = (bias < 0 ? -bias : bias) + 255 * row_magnitude(q, dims, row);
    if (bound > INT32_MAX) REFUSE("the sums of row %d may be as large as %d, which no int32 holds", row, bound);
    const float factor = ce_q_factor(x.scale, q->w_scale[row], y ? y->scale : 1);
    if (!(factor * (float)bound < (y ? MOST_STEPS : __builtin_inff())))
      REFUSE(y ? "the sums of row %d may be as large as 2^30 steps of its output" : "the sums of row %d may be infinite", row);
  }
  return 1;
}
