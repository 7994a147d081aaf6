/* A q_gemm as its kernels read it: unfolded to dense rows, or with its blocks alone (q_gemm/blocks.h). */
#ifndef CE_Q_GEMM_PLAN_H
#define CE_Q_GEMM_PLAN_H

#include "common/q_simd.h"
#include "common/q_words.h"

typedef struct plan_t {
  ce_plan_head head;
  int32_t rows, blocks, groups; /* vectors of rows; words of a row */
  int32_t from_zero, y_zero, to_float;
  int32_t pairs;           /* of rows, where blocks alone are kept; else 0 */
  const int32_t *base;     /* [blocks * CE_LANES], likewise the factors; or of pairs [pairs, 2] */
  const float *factor;
  const int32_t *words;    /* of up to MOST_VECTORS vectors of rows that are run at once: [groups][vectors][CE_LANES]; or, of pairs,
                            * four words of the first row and four of the second [quads][2][4] */
  const int32_t *row_at;   /* of pairs: their rows [pairs, 2] */
  const int32_t *begin;    /* of pairs: their first quad [pairs + 1] */
  const uint16_t *column;  /* [quads][2][4] */
} plan_t;

/* Vectors that begin on 64 bytes. */
static size_t header_bytes(void) { return ce_round_up(sizeof(plan_t), 64); }

#endif
