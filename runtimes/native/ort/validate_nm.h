/* Every rule that N:M weights from an untrusted file must keep before a kernel may believe them: as validate_csr.h. */
#ifndef CHITA_EDGE_ORT_VALIDATE_NM_H
#define CHITA_EDGE_ORT_VALIDATE_NM_H

#include "validate_csr.h"

typedef struct nm_arrays {
  const void* values; /* float32, or float16 where value_bytes is 2 */
  int value_bytes;
  const uint8_t* index;
  const int64_t* weight_shape;
  int64_t m;
  int64_t value_dims[4]; /* rows, groups, taps, n */
  int64_t n_index, n_weight_shape, n_bias;
} nm_arrays;

/* 1 when all rules hold (then `dims` is filled), 0 otherwise (then `why` has a sentence). `rank` is 2 or 4. */
int nm_validate(const nm_arrays* nm, int rank, csr_dims* dims, text* why);

#endif
