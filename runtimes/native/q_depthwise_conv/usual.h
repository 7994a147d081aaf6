/* Planes whose windows are in their usual place: vectors of a row but the last ones are whole, and nothing is asked for them. */
#ifndef CE_Q_DEPTHWISE_CONV_USUAL_H
#define CE_Q_DEPTHWISE_CONV_USUAL_H

#include "q_depthwise_conv/planes.h"

/* Windows in their usual place, that many columns of padding before a row as a window has on one side, so that vectors of inputs and
 * outputs begin at the same pixels; nothing after the convolution. */
static int is_usual(const job_t *job) {
  const ce_conv_geometry *g = &job->plan->g;
  return g->pad_left == g->kernel_w / 2 && job->out_w <= ce_ceil_div(job->w, g->stride_w) && !job->plan->finish.table &&
         !job->plan->finish.add;
}

/* Pixels from `left` on: all of a vector, or those of `mask`. */
CE_INLINE rows_t load_inside(const job_t *job, const lines_t *lines, int64_t left, const int whole, const ce_mask mask, const int rows) {
  rows_t loaded;
  CE_UNROLL for (int word = 0; word < (rows + 3) / 4; ++word) {
    vq row[4];
    CE_UNROLL for (int i = 0; i < 4; ++i) {
      row[i] = job->padding;
      if (4 * word + i >= rows) continue;
      const uint8_t *from = lines->row[4 * word + i] + left * 4;
      row[i] = whole ? ce_q_load_unaligned(from) : ce_q_load_mask(from, mask, job->padding);
    }
    ce_q_interleave(row, loaded.word[word]);
  }
  return loaded;
}

CE_INLINE rows_t padding_rows(const job_t *job) {
  rows_t rows;
  CE_UNROLL for (int word = 0; word < MOST_WORDS; ++word)
    CE_UNROLL for (int j = 0; j < 4; ++j) rows.word[word][j] = job->padding;
  return rows;
}

/* The last vector of a row that is not whole: where the plane goes on for long enough, all of it is loaded, and what is behind the row
 * is made padding. Without loads by mask that takes far less. */
typedef struct edge_t {
  int roomy;
  vq inside, padding;
} edge_t;

CE_INLINE edge_t edge_of(const job_t *job) {
  edge_t edge = {0, job->padding, job->padding};
#if !defined(CE_MASKED_LOADS)
  const int64_t rest = job->w % CE_LANES;
  edge.roomy = job->h * job->w + CE_LANES - rest <= ce_q_pitch(job->h, job->w);
  CE_UNROLL for (int lane = 0; lane < CE_LANES; ++lane) ((vu *)&edge.inside)[0][lane] = lane < rest ? UINT32_MAX : 0;
  edge.padding = job->padding & ~edge.inside;
#endif
  return edge;
}

/* Vector i of a row of inputs, of which `whole` are. */
CE_INLINE rows_t load_vector(const job_t *job, const lines_t *lines, const edge_t *edge, int64_t i, int64_t whole, const int rows) {
  const int64_t left = i * CE_LANES;
  if (i < whole) return load_inside(job, lines, left, 1, ce_lanes(0, CE_LANES), rows);
  if (left >= job->w) return padding_rows(job);
  if (!edge->roomy) return load_inside(job, lines, left, 0, ce_lanes(0, job->w - left), rows);
  rows_t loaded;
  CE_UNROLL for (int word = 0; word < (rows + 3) / 4; ++word) {
    vq row[4];
    CE_UNROLL for (int r = 0; r < 4; ++r) {
      row[r] = job->padding;
      if (4 * word + r >= rows) continue;
      row[r] = (ce_q_load_unaligned(lines->row[4 * word + r] + left * 4) & edge->inside) | edge->padding;
    }
    ce_q_interleave(row, loaded.word[word]);
  }
  return loaded;
}

/* Bytes from an output row to the one below it; where there is none, 0: what is stored there first is then overwritten, and both
 * rows are computed side by side. */
CE_INLINE int64_t below(const job_t *job, int64_t row) { return row + 1 < job->out_h ? job->out_w * 4 : 0; }

CE_INLINE void run_usual_1(const job_t *plane, const int k) {
  const job_t job = *plane;
  const window_t window = window_of(&job, 2, k);
  const edge_t edge = edge_of(&job);
  const int64_t last = ce_ceil_div(job.out_w, CE_LANES) - 1, whole = job.w / CE_LANES, plain = ce_min(last, whole - 1);
  for (int64_t row = 0; row < job.out_h; row += 2) {
    const lines_t lines = lines_of(&job, row - job.plan->g.pad_top, k + 1);
    uint8_t *to = job.y + row * job.out_w * 4;
    const int64_t down = below(&job, row);
    rows_t before = padding_rows(&job), now = load_vector(&job, &lines, &edge, 0, whole, k + 1);
    vi sum[2][4];
    int64_t v = 0;
    for (; v < plain; ++v, to += CE_Q_VECTOR_BYTES) {
      const rows_t after = load_inside(&job, &lines, (v + 1) * CE_LANES, 1, ce_lanes(0, CE_LANES), k + 1);
      sums_of(&job, &window, &before, &now, &after, 2, 1, k, sum);
      *(vq_unaligned *)(to + down) = packed(&job, sum[1]);
      *(vq_unaligned *)to = packed(&job, sum[0]);
      before = now, now = after;
    }
    for (; v <= last; ++v, to += CE_Q_VECTOR_BYTES) {
      const rows_t after = load_vector(&job, &lines, &edge, v + 1, whole, k + 1);
      const ce_mask mask = ce_lanes(0, job.out_w - v * CE_LANES);
      sums_of(&job, &window, &before, &now, &after, 2, 1, k, sum);
      ce_q_store_mask(to + down, mask, packed(&job, sum[1]));
      ce_q_store_mask(to, mask, packed(&job, sum[0]));
      before = now, now = after;
    }
  }
}

/* The half of a vector of outputs that vector `now` of inputs is the middle of. */
CE_INLINE vh half_of(const job_t *job, const window_t *window, const rows_t *before, const rows_t *now, const rows_t *after, const int k) {
  vi sum[2][4];
  sums_of(job, window, before, now, after, 1, 2, k, sum);
  return ce_q_pack2(sum[0][0], sum[0][2], job->zero);
}

CE_INLINE void run_usual_2(const job_t *plane, const int k) {
  const job_t job = *plane;
  const window_t window = window_of(&job, 1, k);
  const edge_t edge = edge_of(&job);
  const int64_t last = ce_ceil_div(job.out_w, CE_LANES) - 1, whole = job.w / CE_LANES, plain = ce_min(last, (whole - 1) / 2);
  for (int64_t row = 0; row < job.out_h; ++row) {
    const lines_t lines = lines_of(&job, 2 * row - job.plan->g.pad_top, k);
    uint8_t *to = job.y + row * job.out_w * 4;
    rows_t before = padding_rows(&job), now = load_vector(&job, &lines, &edge, 0, whole, k);
    int64_t v = 0;
    for (; v < plain; ++v, to += CE_Q_VECTOR_BYTES) {
      const rows_t middle = load_inside(&job, &lines, (2 * v + 1) * CE_LANES, 1, ce_lanes(0, CE_LANES), k);
      const rows_t after = load_inside(&job, &lines, (2 * v + 2) * CE_LANES, 1, ce_lanes(0, CE_LANES), k);
      const vh low = half_of(&job, &window, &before, &now, &middle, k), high = half_of(&job, &window, &now, &middle, &after, k);
      *(vq_unaligned *)to = ce_q_join_halves(ce_q_pack4(low, high));
      before = middle, now = after;
    }
    for (; v <= last; ++v, to += CE_Q_VECTOR_BYTES) {
      const rows_t middle = load_vector(&job, &lines, &edge, 2 * v + 1, whole, k), after = load_vector(&job, &lines, &edge, 2 * v + 2, whole, k);
      const vh low = half_of(&job, &window, &before, &now, &middle, k), high = half_of(&job, &window, &now, &middle, &after, k);
      ce_q_store_mask(to, ce_lanes(0, job.out_w - v * CE_LANES), ce_q_join_halves(ce_q_pack4(low, high)));
      before = middle, now = after;
    }
  }
}

#endif
