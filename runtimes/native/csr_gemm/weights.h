/* The non-zeros of the rows of W, from CSR, or from N:M weights (CE_NM, for nm_gemm.c). */
#ifndef CE_CSR_GEMM_WEIGHTS_H
#define CE_CSR_GEMM_WEIGHTS_H

#include "common/kernel.h"
#include "common/nm.h"
#include "common/values.h"

/* A non-zero after the other: start with those of a row, then take while there are any. Columns ascend. */
typedef struct row_reader {
  int64_t at, end;
} row_reader;

#if defined(CE_NM)
typedef ce_nm_gemm_desc desc_t;

static row_reader read_row(const desc_t *desc, int64_t row) {
  const int64_t slots = ce_nm_groups(desc->in_features, desc->weight.m) * desc->weight.n;
  return (row_reader){row * slots, (row + 1) * slots};
}

static int take(const desc_t *desc, row_reader *reader, float *value, int32_t *column) {
  const ce_nm_weight *w = &desc->weight;
  const int64_t slots = ce_nm_groups(desc->in_features, w->m) * w->n;
  while (reader->at < reader->end) {
    const int64_t slot = reader->at++;
    *value = ce_value(w->values, desc->dtypes, slot);
    if (*value == 0) continue;
    *column = (int32_t)(slot % slots / w->n * w->m) + ce_nm_channel(w->index, ce_nm_bits(w->m), slot);
    return 1;
  }
  return 0;
}
#else
typedef ce_csr_gemm_desc desc_t;

static row_reader read_row(const desc_t *desc, int64_t row) {
  return (row_reader){desc->row_ptr[row], desc->row_ptr[row + 1]};
}

static int take(const desc_t *desc, row_reader *reader, float *value, int32_t *column) {
  if (reader->at == reader->end) return 0;
  *value = ce_value(desc->values, desc->dtypes, reader->at);
  *column = desc->col_idx[reader->at++];
  return 1;
}
#endif

static int32_t count_row(const desc_t *desc, int64_t row) {
  row_reader reader = read_row(desc, row);
  float value;
  int32_t count = 0, column;
  while (take(desc, &reader, &value, &column)) ++count;
  return count;
}

#endif
