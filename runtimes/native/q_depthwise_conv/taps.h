/* Windows of any size, step and dilation: four taps at a time, whose pixels are interleaved as four rows are elsewhere, so that a
 * dot product adds four of them. */
#ifndef CE_Q_DEPTHWISE_CONV_TAPS_H
#define CE_Q_DEPTHWISE_CONV_TAPS_H

#include "q_depthwise_conv/planes.h"

/* Every `step`-th pixel of an input row from x on, which may be outside of it. No branch depends on where: borders are as frequent as
 * not. */
CE_INLINE vq load_pixels(const job_t *job, int64_t y, int64_t x, int64_t step, const int steps) {
  const uint8_t *row = (uint64_t)y < (uint64_t)job->h ? job->x + y * job->w * 4 : job->outside, *from = row + x * 4;
  const int64_t left = job->w - x;
  if (steps == 1) return ce_q_load_mask(from, ce_lanes(-x, left), job->padding);
  if (steps == 2) {
    const vq a = ce_q_load_mask(from, ce_lanes(-x, left), job->padding);
    const vq b = ce_q_load_mask(from + CE_Q_VECTOR_BYTES, ce_lanes(-x - CE_LANES, left - CE_LANES), job->padding);
    return (vq)ce_q_even((vu)a, (vu)b);
  }
  uint32_t pixel[CE_LANES];
  for (int64_t i = 0; i < CE_LANES; ++i) {
    pixel[i] = ((vu)job->padding)[0];
    if (x + i * step >= 0 && i * step < left) __builtin_memcpy(&pixel[i], from + i * step * 4, 4);
  }
  return *(const vq_unaligned *)pixel;
}

/* Sums of a vector of outputs, in the order of registers that packing wants. steps: of a row, 1 or 2, or 0 for any. */
CE_INLINE void add_taps(const job_t *job, int64_t row, int64_t at, const int steps, vi total[4]) {
  const ce_conv_geometry *g = &job->plan->g;
  const int64_t top = row * g->stride_h - g->pad_top, left = at * g->stride_w - g->pad_left;
  const int8_t *weight = job->weight;
  int64_t i = 0, j = 0;
  va sum[4];
  CE_UNROLL for (int r = 0; r < 4; ++r) sum[r] = ce_q_begin(job->base);
  for (int64_t quad = 0; quad < job->plan->quads; ++quad) {
    vq pixels[4], mixed[4];
    CE_UNROLL for (int t = 0; t < 4; ++t) {
      pixels[t] = job->padding;
      if (i < g->kernel_h) pixels[t] = load_pixels(job, top + i * g->dilation_h, left + j * g->dilation_w, g->stride_w, steps);
      if (++j == g->kernel_w) j = 0, ++i;
    }
    ce_q_interleave(pixels, mixed);
    CE_UNROLL for (int part = 0; part < CE_Q_PARTS; ++part, weight += 16) {
      const vq word = ce_q_load_four(weight);
      CE_UNROLL for (int r = 0; r < 4; ++r) sum[r] = ce_q_part_dot(sum[r], ce_q_part(mixed[r], part), word);
    }
  }
  CE_UNROLL for (int r = 0; r < 4; ++r) total[r] = ce_q_scale(ce_q_end(sum[r]), job->factor);
}

CE_INLINE void run_taps(const job_t *plane, const int steps) {
  const job_t job = *plane;
  for (int64_t row = 0; row < job.out_h; ++row)
    for (int64_t at = 0; at < job.out_w; at += CE_LANES) {
      vi sum[4];
      add_taps(&job, row, at, steps, sum);
      store_row(&job, row, at, packed(&job, sum));
    }
}

#endif
