/* Planes whose rows are a vector at most, or two of stride 2. */
#ifndef CE_Q_DEPTHWISE_CONV_NARROW_H
#define CE_Q_DEPTHWISE_CONV_NARROW_H

#include "q_depthwise_conv/usual.h"

/* A row is a vector, or two of stride 2: there is nothing to either side of it, and its masks are the same for all rows. Windows
 * of 3x3 with a column of padding, and nothing after them. */
static int is_narrow(const job_t *job) {
  const ce_conv_geometry *g = &job->plan->g;
  return g->kernel_h == 3 && g->pad_left == 1 && job->w <= CE_LANES * g->stride_h && job->out_w <= CE_LANES &&
         !job->plan->finish.table && !job->plan->finish.add;
}

/* Two output rows from their sums. */
CE_INLINE void store_narrow(const job_t *job, int64_t row, const ce_mask mask, vi sum[2][4]) {
  uint8_t *to = job->y + row * job->out_w * 4;
  scale_sums(job, sum, 2, 1);
  ce_q_store_mask(to + below(job, row), mask, packed(job, sum[1]));
  ce_q_store_mask(to, mask, packed(job, sum[0]));
}

/* Sums of two rows are requantised after those of the next two are begun: the processor then has both to choose from. */
CE_INLINE void run_narrow_1(const job_t *plane) {
  const job_t job = *plane;
  const window_t window = window_of(&job, 2, 3);
  const rows_t none = padding_rows(&job);
  const ce_mask inside = ce_lanes(0, job.w), to = ce_lanes(0, job.out_w);
  vi before[2][4], sum[2][4];
  for (int64_t row = 0; row < job.out_h; row += 2) {
    const lines_t lines = lines_of(&job, row - job.plan->g.pad_top, 4);
    const rows_t now = load_inside(&job, &lines, 0, 0, inside, 4);
    raw_sums_of(&job, &window, &none, &now, &none, 2, 1, 3, sum);
    if (row) store_narrow(&job, row - 2, to, before);
    CE_UNROLL for (int down = 0; down < 2; ++down)
      CE_UNROLL for (int j = 0; j < 4; ++j) before[down][j] = sum[down][j];
  }
  store_narrow(&job, (job.out_h - 1) / 2 * 2, to, before);
}

CE_INLINE void run_narrow_2(const job_t *plane) {
  const job_t job = *plane;
  const window_t window = window_of(&job, 1, 3);
  const rows_t none = padding_rows(&job);
  const ce_mask inside = ce_lanes(0, job.w), more = ce_lanes(0, job.w - CE_LANES), to = ce_lanes(0, job.out_w);
  for (int64_t row = 0; row < job.out_h; ++row) {
    const lines_t lines = lines_of(&job, 2 * row - job.plan->g.pad_top, 3);
    const rows_t now = load_inside(&job, &lines, 0, 0, inside, 3);
    vh half[2];
    vi sum[2][4];
    sums_of(&job, &window, &none, &now, &none, 1, 2, 3, sum);
    half[0] = half[1] = ce_q_pack2(sum[0][0], sum[0][2], job.zero);
    if (job.out_w > CE_LANES / 2) {
      const rows_t after = job.w > CE_LANES ? load_inside(&job, &lines, CE_LANES, 0, more, 3) : none;
      sums_of(&job, &window, &now, &after, &none, 1, 2, 3, sum);
      half[1] = ce_q_pack2(sum[0][0], sum[0][2], job.zero);
    }
    ce_q_store_mask(job.y + row * job.out_w * 4, to, ce_q_join_halves(ce_q_pack4(half[0], half[1])));
  }
}

#if CE_LANES == 16
/* Rows of up to seven pixels leave more than half of a vector empty: two groups of channels share it, a window of 3×3 and
 * stride 1. The pixel after a row's last is padding, which is what the other group's first one needs to its left. */
static int is_short(const job_t *job) { return is_narrow(job) && job->plan->g.stride_h == 1 && job->w <= 7 && job->out_w <= 7; }

CE_INLINE vq both_halves(vq low, vq high) { return (vq)_mm512_mask_blend_epi32(0xff00, (__m512i)low, (__m512i)high); }

CE_INLINE void store_pair(const job_t *job, int64_t y_plane, int64_t row, const ce_mask low, const ce_mask high, vi sum[2][4]) {
  scale_sums(job, sum, 2, 1);
  CE_UNROLL for (int down = 1; down >= 0; --down) {
    const vq q = packed(job, sum[down]);
    uint8_t *to = job->y + row * job->out_w * 4 + (down ? below(job, row) : 0);
    ce_q_store_mask(to, low, q);
    ce_q_store_mask(to + y_plane - 32, high, q);
  }
}

/* The planes of a group and of the next one. */
CE_INLINE void run_pair(const job_t *first, int64_t x_plane, int64_t y_plane) {
  job_t job = *first;
  const int32_t *base = job.plan->base + 4 * (job.group + 1);
  const float *factor = job.plan->factor + 4 * (job.group + 1);
  const window_t of_first = window_of(&job, 2, 3);
  job.weight += group_bytes(&job.plan->g);
  const window_t of_second = window_of(&job, 2, 3);
  window_t window;
  CE_UNROLL for (int i = 0; i < 6; ++i) window.weight[i] = both_halves(of_first.weight[i], of_second.weight[i]);
  job.base = (vi)both_halves((vq)job.base, ce_q_load_four((const int8_t *)base));
  job.factor = (vf)both_halves((vq)job.factor, ce_q_load_four((const int8_t *)factor));
  const ce_mask low = ce_lanes(0, job.w), high = ce_lanes(8, 8 + job.w);
  const ce_mask to_low = ce_lanes(0, job.out_w), to_high = ce_lanes(8, 8 + job.out_w);
  rows_t none, now;
  CE_UNROLL for (int j = 0; j < 4; ++j) none.word[0][j] = job.padding;
  vi before[2][4], sum[2][4];
  for (int64_t row = 0; row < job.out_h; row += 2) {
    const lines_t lines = lines_of(&job, row - job.plan->g.pad_top, 4);
    vq rows[4];
    CE_UNROLL for (int i = 0; i < 4; ++i) {
      const uint8_t *other = lines.row[i] == job.outside ? job.outside : lines.row[i] + x_plane;
      rows[i] = ce_q_load_mask(other - 32, high, ce_q_load_mask(lines.row[i], low, job.padding));
    }
    ce_q_interleave(rows, now.word[0]);
    raw_sums_of(&job, &window, &none, &now, &none, 2, 1, 3, sum);
    if (row) store_pair(&job, y_plane, row - 2, to_low, to_high, before);
    CE_UNROLL for (int down = 0; down < 2; ++down)
      CE_UNROLL for (int j = 0; j < 4; ++j) before[down][j] = sum[down][j];
  }
  store_pair(&job, y_plane, (job.out_h - 1) / 2 * 2, to_low, to_high, before);
}
#endif

#endif
