/* Every rule that CSR weights from an untrusted file must keep before a kernel may believe them.
 *
 * Pure functions over plain arrays: the fuzzer and the sanitizer builds call them without ONNX Runtime. The lengths are
 * the true lengths of the arrays (ONNX Runtime has checked them against the file); everything else is a claim. */
#ifndef CHITA_EDGE_ORT_VALIDATE_CSR_H
#define CHITA_EDGE_ORT_VALIDATE_CSR_H

#include <stdint.h>

#include "text.h"

#define MAX_CHANNELS (1 << 24)
#define MAX_KERNEL (1 << 10)
#define MAX_ELEMENTS 2147483647 /* of one tensor or one weight row: offsets fit int32 */

typedef struct csr_arrays {
  const void* values; /* of whatever type: nothing depends on what they are */
  const void* col_idx;
  int col_idx_bytes; /* 1: uint8, 2: uint16, 4: int32 */
  const int32_t* row_ptr;
  const int64_t* weight_shape;
  int64_t block_rows; /* output channels that share a row of the CSR: 1, 2 or 4; values is [n_values, block_rows] */
  int64_t n_values, n_col_idx, n_row_ptr, n_weight_shape, n_bias;
} csr_arrays;

typedef struct csr_dims {
  int64_t rows;    /* output channels, block_rows to a row of the CSR */
  int64_t columns; /* product of the other dimensions */
  int64_t shape[4];
} csr_dims;

/* 1 when all rules hold (then `dims` is filled), 0 otherwise (then `why` has a sentence). `rank` is 2 or 4. */
int csr_validate(const csr_arrays* csr, int rank, csr_dims* dims, text* why);

/* The same of the index arrays alone: `rows` rows of the CSR, `columns` columns. */
int csr_rows_validate(const csr_arrays* csr, int64_t rows, int64_t columns, text* why);

/* Dimensions of a weight: 1 when there are `rank` of them, each at least 1 and small enough that offsets fit int32. */
int weight_shape_validate(const int64_t* shape, int64_t n, int rank, csr_dims* dims, text* why);

/* Column i, whatever its type. */
int64_t csr_column(const csr_arrays* csr, int64_t i);

#endif
