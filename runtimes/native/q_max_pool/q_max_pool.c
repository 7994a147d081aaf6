/* The largest byte of each window: the rows of the window first, then its columns. */
#include "common/geometry.h"
#include "common/q_simd.h"

typedef struct plan_t {
  ce_plan_head head;
  ce_conv_geometry g;
} plan_t;

static size_t plan_bytes(const void *desc) { return (void)desc, sizeof(plan_t); }

static void plan_init(void *plan_, const void *desc_) {
  plan_t *plan = plan_;
  const ce_q_max_pool_desc *desc = desc_;
  plan->g = desc->geometry;
}

static int64_t all_planes(ce_shape s) { return s.n * ce_q_groups(s.c); }

static int tasks(const void *plan, ce_shape shape, int threads) {
  return (void)plan, (int)ce_max(1, ce_min(threads, all_planes(shape)));
}

/* A row of pixels between those of the padding, and a vector that a load may reach past. */
static size_t row_bytes(const plan_t *plan, ce_shape s) {
  const size_t past = (size_t)(2 * plan->g.stride_w + 2) * CE_Q_VECTOR_BYTES;
  return ce_round_up((size_t)(plan->g.pad_left + s.w + plan->g.pad_right) * 4 + past, 64);
}

static size_t scratch_bytes(const void *plan, ce_shape shape, int threads) {
  return row_bytes(plan, shape) * (size_t)tasks(plan, shape, threads);
}

/* As they are stored: signed on Arm. */
typedef int8_t vq_signed __attribute__((ext_vector_type(4 * CE_LANES)));
typedef uint8_t word_t __attribute__((ext_vector_type(4), aligned(1)));
typedef int8_t word_signed __attribute__((ext_vector_type(4)));
CE_INLINE vq larger(vq a, vq b) {
#if CE_Q_FLIP
  return (vq_signed)a > (vq_signed)b ? a : b;
#else
  return a > b ? a : b;
#endif
}
CE_INLINE uint8_t larger1(uint8_t a, uint8_t b) { return (a ^ CE_Q_FLIP) > (b ^ CE_Q_FLIP) ? a : b; }

/* Rows [begin, end) of a plane to one. */
CE_INLINE void fold_rows(const uint8_t *x, int64_t row, int64_t begin, int64_t end, uint8_t *to) {
  int64_t at = 0;
  for (; at + CE_Q_VECTOR_BYTES <= row; at += CE_Q_VECTOR_BYTES) {
    vq most = ce_q_load_unaligned(x + begin * row + at);
    for (int64_t i = begin + 1; i < end; ++i) most = larger(most, ce_q_load_unaligned(x + i * row + at));
    *(vq_unaligned *)(to + at) = most;
  }
  for (; at < row; ++at) {
    uint8_t most = x[begin * row + at];
    for (int64_t i = begin + 1; i < end; ++i) most = larger1(most, x[i * row + at]);
    to[at] = most;
  }
}

typedef uint32_t vu_unaligned __attribute__((ext_vector_type(CE_LANES), aligned(4)));

/* CE_LANES pixels, every one or every second. */
CE_INLINE vq load_every(const uint8_t *from, const int stride) {
  const vu a = *(const vu_unaligned *)from;
  if (stride == 1) return (vq)a;
  const vu b = *(const vu_unaligned *)(from + CE_Q_VECTOR_BYTES);
  return (vq)ce_q_even(a, b);
}

CE_INLINE void fold_columns(const uint8_t *from, int64_t taps, int64_t pixels, const int stride, uint8_t *to) {
  int64_t at = 0;
  for (; at + CE_LANES <= pixels; at += CE_LANES) {
    vq most = load_every(from + at * stride * 4, stride);
    for (int64_t i = 1; i < taps; ++i) most = larger(most, load_every(from + (at * stride + i) * 4, stride));
    *(vq_unaligned *)(to + at * 4) = most;
  }
  if (at == pixels) return;
  vq most = load_every(from + at * stride * 4, stride);
  for (int64_t i = 1; i < taps; ++i) most = larger(most, load_every(from + (at * stride + i) * 4, stride));
  ce_q_store_mask(to + at * 4, ce_lanes(0, pixels - at), most);
}

static void fold_far_columns(const uint8_t *from, int64_t taps, int64_t pixels, int64_t stride, uint8_t *to) {
  for (int64_t at = 0; at < pixels * 4; ++at) {
    const uint8_t *first = from + at / 4 * stride * 4 + at % 4;
    uint8_t most = *first;
    for (int64_t i = 1; i < taps; ++i) most = larger1(most, first[4 * i]);
    to[at] = most;
  }
}

static void run_task(const void *plan_, const ce_run *run, int task) {
  const plan_t *plan = plan_;
  const ce_conv_geometry *g = &plan->g;
  const ce_shape s = run->shape;
  const int64_t out_h = ce_out_h(g, s), out_w = ce_out_w(g, s), all = tasks(plan, s, run->threads), planes = all_planes(s);
  const size_t bytes = row_bytes(plan, s);
  uint8_t *row = (uint8_t *)run->scratch + bytes * (size_t)task;
  for (size_t i = 0; i < bytes; ++i) row[i] = CE_Q_FLIP;
  for (int64_t plane = planes * task / all; plane < planes * (task + 1) / all; ++plane) {
    const uint8_t *x = (const uint8_t *)run->x + plane * ce_q_plane(s.h, s.w);
    uint8_t *y = (uint8_t *)run->y + plane * ce_q_plane(out_h, out_w);
    for (int64_t oh = 0; oh < out_h; ++oh) {
      const int64_t top = oh * g->stride_h - g->pad_top;
      fold_rows(x, s.w * 4, ce_max(0, top), ce_min(s.h, top + g->kernel_h), row + g->pad_left * 4);
      uint8_t *to = y + oh * out_w * 4;
      if (g->stride_w == 1) fold_columns(row, g->kernel_w, out_w, 1, to);
      else if (g->stride_w == 2) fold_columns(row, g->kernel_w, out_w, 2, to);
      else fold_far_columns(row, g->kernel_w, out_w, g->stride_w, to);
    }
  }
}

CE_DEFINE_KERNEL(q_max_pool, CE_ISA)
