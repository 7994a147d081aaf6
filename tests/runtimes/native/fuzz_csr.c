/* The validation of CSR weights against the rules' definition, on whatever libFuzzer comes up with.
 *
 * The bytes say how long each array is and what is in it; every array is exactly as long as it says, so that
 * AddressSanitizer sees each read beyond an end. What is accepted is packed as the vector kernels pack it, run by the
 * reference kernel, and its result held against loops over the arrays. */
#include <stdlib.h>
#include <string.h>

#include "common/kernel.h"
#include "csr_conv/storage.h"
#include "ort/validate_csr.h"

#define MOST_RUN 4096 /* rows or columns of a weight that is run */

extern const ce_kernel ce_csr_conv_float32_reference;
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

static void *exactly(int64_t count, size_t element) {
  void *memory = malloc((size_t)count * element);
  if (!memory && count) abort();
  return memory;
}

/* The rules of docs/file-format.md, once more and without haste. */
static int keeps_all_rules(const csr_arrays *c, int rank) {
  if (c->n_weight_shape != rank) return 0;
  __int128 columns = 1;
  for (int i = 0; i < rank; ++i) {
    if (c->weight_shape[i] < 1 || c->weight_shape[i] > (i < 2 ? MAX_CHANNELS : MAX_KERNEL)) return 0;
    if (i) columns *= c->weight_shape[i];
  }
  if (c->block_rows != 1 && c->block_rows != 2 && c->block_rows != 4) return 0;
  if (c->n_bias != c->weight_shape[0] || c->weight_shape[0] % c->block_rows) return 0;
  const int64_t rows = c->weight_shape[0] / c->block_rows;
  if (columns > MAX_ELEMENTS || c->n_row_ptr != rows + 1 || c->n_values != c->n_col_idx) return 0;
  if (c->row_ptr[0] != 0 || c->row_ptr[rows] != c->n_values) return 0;
  for (int64_t r = 0; r < rows; ++r)
    if (c->row_ptr[r] > c->row_ptr[r + 1]) return 0;
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t i = c->row_ptr[r]; i < c->row_ptr[r + 1]; ++i) {
      if (csr_column(c, i) < 0 || csr_column(c, i) >= columns) return 0;
      if (i > c->row_ptr[r] && csr_column(c, i) <= csr_column(c, i - 1)) return 0;
    }
  return 1;
}

static void run(const csr_arrays *c, const csr_dims *dims) {
  const int32_t rows = (int32_t)dims->rows, columns = (int32_t)dims->columns;
  int32_t *wide = exactly(c->n_col_idx, 4);
  float *bias = exactly(rows, 4), *x = exactly(columns, 4), *y = exactly(rows, 4);
  for (int64_t i = 0; i < c->n_col_idx; ++i) wide[i] = (int32_t)csr_column(c, i);
  for (int32_t i = 0; i < rows; ++i) bias[i] = (float)i;
  for (int32_t i = 0; i < columns; ++i) x[i] = (float)(i % 7);
  const ce_csr_conv_desc desc = {{0, 0}, {rows, columns, 1, 1, 1, 1, 0, 0, 0, 0, 1, 1}, -1e9f, 1e9f, c->values, wide, c->row_ptr,
                                 bias, CE_CLIP};
  void *packed = exactly((int64_t)plan_bytes(&desc), 1);
  plan_init(packed, &desc);
  const plan_t *plan = packed;
  void *slow = exactly((int64_t)ce_csr_conv_float32_reference.plan_bytes(&desc), 1);
  ce_csr_conv_float32_reference.plan_init(slow, &desc);
  const ce_run once = {{1, 1, 1}, x, 0, y, 0, 1};
  for (int task = ce_csr_conv_float32_reference.tasks(slow, once.shape, 1) - 1; task >= 0; --task)
    ce_csr_conv_float32_reference.run(slow, &once, task);
  const float *values = c->values;
  double all = 0;
  for (int32_t r = 0; r < rows; ++r) {
    double sum = r;
    for (int32_t i = c->row_ptr[r]; i < c->row_ptr[r + 1]; ++i) sum += (double)values[i] * x[wide[i]], all += values[i];
    if (y[r] != (float)sum) abort();
  }
  for (int64_t i = 0; i < c->n_values; ++i) all -= plan->nonzeros.values[i];
  if (all > 1e-3 || all < -1e-3) abort(); /* every value is packed, once */
  free(wide), free(bias), free(x), free(y), free(packed), free(slow);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  bytes b = {data, data + size};
  const uint8_t kind = byte(&b);
  const int rank = kind & 1 ? 2 : 4, width = 1 << (kind >> 1 & 3) & 7;
  csr_arrays c = {.col_idx_bytes = width ? width : 4};
  static const int64_t block_rows[] = {1, 2, 4, 3};
  c.block_rows = block_rows[kind >> 4 & 3];
  c.n_values = byte(&b), c.n_bias = byte(&b), c.n_row_ptr = c.n_bias / c.block_rows + 1;
  c.n_col_idx = c.n_values, c.n_weight_shape = rank;
  if (kind & 8) c.n_row_ptr = byte(&b), c.n_col_idx = byte(&b), c.n_weight_shape = byte(&b) % 6;
  float *values = exactly(c.n_values, 4);
  char *columns = exactly(c.n_col_idx, (size_t)c.col_idx_bytes);
  int32_t *row_ptr = exactly(c.n_row_ptr, 4);
  int64_t *shape = exactly(c.n_weight_shape, 8);
  for (int64_t i = 0; i < c.n_weight_shape; ++i) shape[i] = number(&b);
  for (int64_t i = 0; i < c.n_row_ptr; ++i) row_ptr[i] = (int32_t)number(&b);
  for (int64_t i = 0; i < c.n_col_idx; ++i) {
    const int64_t column = number(&b);
    memcpy(columns + i * c.col_idx_bytes, &column, (size_t)c.col_idx_bytes); /* the low bytes: little-endian machines only */
  }
  for (int64_t i = 0; i < c.n_values; ++i) values[i] = (float)(i % 5 + 1);
  c.values = values, c.col_idx = columns, c.row_ptr = row_ptr, c.weight_shape = shape;
  csr_dims dims;
  text why = {.length = 0};
  const int accepted = csr_validate(&c, rank, &dims, &why);
  if (accepted != keeps_all_rules(&c, rank)) abort();
  if (!accepted && !why.length) abort();
  if (accepted && c.block_rows == 1 && dims.rows <= MOST_RUN && dims.columns <= MOST_RUN) run(&c, &dims);
  free(values), free(columns), free(row_ptr), free(shape);
  return 0;
}
