#include "validate_csr.h"

#define REFUSE(...) return text_add(why, __VA_ARGS__), 0

int64_t csr_column(const csr_arrays* csr, int64_t i) {
  if (csr->col_idx_bytes == 1) return ((const uint8_t*)csr->col_idx)[i];
  if (csr->col_idx_bytes == 2) return ((const uint16_t*)csr->col_idx)[i];
  return ((const int32_t*)csr->col_idx)[i];
}

int weight_shape_validate(const int64_t* shape, int64_t n, int rank, csr_dims* dims, text* why) {
  if (n != rank) REFUSE("the weight has %d dimensions, %d are needed", n, (int64_t)rank);
  int64_t columns = 1;
  for (int i = 0; i < rank; i++) {
    const int64_t limit = i < 2 ? MAX_CHANNELS : MAX_KERNEL;
    if (shape[i] < 1 || shape[i] > limit)
      REFUSE("dimension %d of the weight is %d, outside 1 to %d", (int64_t)i, shape[i], limit);
    /* Both factors are below 2^31, so the product cannot overflow. */
    if (i > 0) columns *= shape[i];
    if (columns > MAX_ELEMENTS) REFUSE("the weight's rows are longer than %d elements", (int64_t)MAX_ELEMENTS);
    dims->shape[i] = shape[i];
  }
  for (int i = rank; i < 4; i++) dims->shape[i] = 1;
  dims->rows = shape[0];
  dims->columns = columns;
  return 1;
}

static int row_ptr_validate(const csr_arrays* csr, int64_t rows, text* why) {
  if (csr->n_row_ptr != rows + 1)
    REFUSE("row_ptr has %d entries, a weight of %d rows needs %d", csr->n_row_ptr, rows, rows + 1);
  if (csr->row_ptr[0] != 0) REFUSE("row_ptr starts at %d, it must start at 0", (int64_t)csr->row_ptr[0]);
  for (int64_t row = 0; row < rows; row++)
    if (csr->row_ptr[row + 1] < csr->row_ptr[row])
      REFUSE("row_ptr falls from %d to %d at row %d, it must not fall", (int64_t)csr->row_ptr[row],
             (int64_t)csr->row_ptr[row + 1], row);
  if (csr->row_ptr[rows] != csr->n_values)
    REFUSE("row_ptr ends at %d, but there are %d values", (int64_t)csr->row_ptr[rows], csr->n_values);
  return 1;
}

static int columns_validate(const csr_arrays* csr, int64_t rows, int64_t columns, text* why) {
  for (int64_t row = 0; row < rows; row++) {
    int64_t previous = -1;
    for (int64_t i = csr->row_ptr[row]; i < csr->row_ptr[row + 1]; i++) {
      const int64_t column = csr_column(csr, i);
      if (column < 0 || column >= columns)
        REFUSE("col_idx[%d] is %d, outside the %d columns of row %d", i, column, columns, row);
      if (column == previous) REFUSE("row %d names column %d twice", row, column);
      if (column < previous)
        REFUSE("the columns of row %d are not ascending: %d comes after %d", row, column, previous);
      previous = column;
    }
  }
  return 1;
}

int csr_rows_validate(const csr_arrays* csr, int64_t rows, int64_t columns, text* why) {
  if (csr->n_col_idx != csr->n_values)
    REFUSE("there are %d values but %d column numbers", csr->n_values, csr->n_col_idx);
  return row_ptr_validate(csr, rows, why) && columns_validate(csr, rows, columns, why);
}

int csr_validate(const csr_arrays* csr, int rank, csr_dims* dims, text* why) {
  if (!weight_shape_validate(csr->weight_shape, csr->n_weight_shape, rank, dims, why)) return 0;
  if (csr->n_bias != dims->rows)
    REFUSE("bias has %d elements, a weight of %d rows needs as many", csr->n_bias, dims->rows);
  if (csr->block_rows != 1 && csr->block_rows != 2 && csr->block_rows != 4)
    REFUSE("blocks have %d output channels, 1, 2 or 4 are known", csr->block_rows);
  if (dims->rows % csr->block_rows)
    REFUSE("%d output channels are no whole number of blocks of %d", dims->rows, csr->block_rows);
  const int64_t rows = dims->rows / csr->block_rows, most = MAX_ELEMENTS / csr->block_rows;
  if (csr->n_values > most) REFUSE("there are %d values, more than %d", csr->n_values, most);
  return csr_rows_validate(csr, rows, dims->columns, why);
}
