/* What may follow requantisation in the same kernel: a table, and the sum with a residual. */
#ifndef CE_COMMON_Q_FINISH_H
#define CE_COMMON_Q_FINISH_H

#include "common/q_channels.h"

/* A vector after requantisation; `residual` is its own where there is an add. */
CE_NOINLINE vq ce_q_finished(const ce_q_finish *finish, vq q, vq residual) {
  if (finish->table) q = ce_q_lookup(finish->table, q);
  if (finish->add == 1) q = ce_q_add(&finish->sum, q, residual);
  if (finish->add == 2) q = ce_q_add(&finish->sum, residual, q);
  return q;
}

#endif
