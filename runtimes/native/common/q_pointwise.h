/* What the kernels without weights share: tasks that share vectors or planes, and plans without kernels' own arrays. */
#ifndef CE_COMMON_Q_POINTWISE_H
#define CE_COMMON_Q_POINTWISE_H

#include "common/q_channels.h"

/* Bytes that are worth a task of their own. */
#define CE_Q_TASK_BYTES 4096

static inline int ce_q_share_bytes(int64_t bytes, int threads) {
  return (int)ce_max(1, ce_min(threads, bytes / CE_Q_TASK_BYTES));
}

/* Conversion to int32 would fail past 2^31, long after bytes are saturated; NaN is no bound. */
static inline int ce_q_is_small(float bound) { return bound < 0x1p30f && bound > -0x1p30f; }

static size_t scratch_bytes(const void *plan, ce_shape shape, int threads) {
  return (void)plan, (void)shape, (void)threads, 0;
}

#endif
