/* What may follow requantisation in the same kernel: a table, and the sum with a residual. */
#ifndef CE_COMMON_Q_FINISH_H
#define CE_COMMON_Q_FINISH_H

#include "common/q_channels.h"

/* Vectors of so many bytes after requantisation, in place; `residual` is theirs where there is an add. */
CE_NOINLINE void ce_q_finish_all(const ce_q_finish *finish, uint8_t *to, const uint8_t *residual, int64_t bytes) {
  const ce_q_sum sum = finish->sum;
  if (finish->add == 1) {
    for (int64_t i = 0; i < bytes; i += CE_Q_VECTOR_BYTES)
      ce_q_store(to + i, ce_q_add(&sum, ce_q_load(to + i), ce_q_load(residual + i)));
  } else if (finish->add == 2) {
    for (int64_t i = 0; i < bytes; i += CE_Q_VECTOR_BYTES)
      ce_q_store(to + i, ce_q_add(&sum, ce_q_load(residual + i), ce_q_load(to + i)));
  } else {
    for (int64_t i = 0; i < bytes; i += CE_Q_VECTOR_BYTES) ce_q_store(to + i, ce_q_lookup(finish->table, ce_q_load(to + i)));
  }
}

#endif
