/* Planes of a group of four channels, two rows of outputs at a time, or one of stride 2. */
#ifndef CE_Q_DEPTHWISE_CONV_PLANES_H
#define CE_Q_DEPTHWISE_CONV_PLANES_H

#include "common/q_channels.h"
#include "q_depthwise_conv/plan.h"

typedef struct job_t {
  const plan_t *plan;
  const uint8_t *x, *residual; /* of a group's plane */
  const uint8_t *outside;      /* a row of padding */
  uint8_t *y;
  int64_t group, h, w, out_h, out_w;
  const int8_t *weight;
  vi base;
  vf factor;
  vq padding;
  vh zero;
} job_t;

/* Planes of a task, and bytes from one to the next. */
typedef struct planes_t {
  const ce_run *run;
  int64_t x, y;
  int64_t begin, end;
} planes_t;

/* Turns to a plane, and to the weights of its group of channels. */
CE_INLINE void aim(job_t *job, const planes_t *planes, int64_t plane) {
  const plan_t *plan = job->plan;
  const int64_t group = plane % plan->groups;
  job->x = (const uint8_t *)planes->run->x + plane * planes->x;
  job->y = (uint8_t *)planes->run->y + plane * planes->y;
  if (planes->run->residual) job->residual = (const uint8_t *)planes->run->residual + plane * planes->y;
  job->group = group;
  job->weight = plan->weight + group * group_bytes(&plan->g);
  job->base = (vi)ce_q_load_four((const int8_t *)(plan->base + 4 * group));
  job->factor = (vf)ce_q_load_four((const int8_t *)(plan->factor + 4 * group));
}

/* Input rows of a pair of output rows, or of one. */
typedef struct lines_t {
  const uint8_t *row[4 * MOST_WORDS];
} lines_t;

CE_INLINE lines_t lines_of(const job_t *job, int64_t top, const int rows) {
  lines_t lines;
  if (top >= 0 && top + rows <= job->h) { /* most of them: no choice for each row */
    const uint8_t *from = job->x + top * job->w * 4;
    CE_UNROLL for (int i = 0; i < rows; ++i, from += job->w * 4) lines.row[i] = from;
    return lines;
  }
  CE_UNROLL for (int i = 0; i < rows; ++i)
    lines.row[i] = top + i >= 0 && top + i < job->h ? job->x + (top + i) * job->w * 4 : job->outside;
  return lines;
}

/* Interleaved rows of CE_LANES pixels: register j has pixel 4 i + j in its 128 bits i. */
typedef struct rows_t {
  vq word[MOST_WORDS][4];
} rows_t;

/* Whether a part of a word has any of the `k` rows from `down` on. */
CE_INLINE int has_rows(const int word, const int part, const int down, const int k) {
  const int row = 4 * word + part - down;
  if (CE_Q_PARTS == 1) return 1;
  return (row >= 0 && row < k) || (row + 2 >= 0 && row + 2 < k);
}

/* Pixels from `left` on, of which any may be outside of the image. */
CE_INLINE rows_t load_rows(const job_t *job, const lines_t *lines, int64_t left, const int rows) {
  rows_t loaded;
  if (left >= job->w || left + CE_LANES <= 0) {
    CE_UNROLL for (int word = 0; word < (rows + 3) / 4; ++word)
      CE_UNROLL for (int j = 0; j < 4; ++j) loaded.word[word][j] = job->padding;
    return loaded;
  }
  const int whole = left >= 0 && left + CE_LANES <= job->w;
  const ce_mask inside = ce_lanes(-left, job->w - left);
  CE_UNROLL for (int word = 0; word < (rows + 3) / 4; ++word) {
    vq row[4];
    if (whole) {
      CE_UNROLL for (int i = 0; i < 4; ++i)
        row[i] = 4 * word + i < rows ? ce_q_load_unaligned(lines->row[4 * word + i] + left * 4) : job->padding;
    } else {
      CE_UNROLL for (int i = 0; i < 4; ++i)
        row[i] = 4 * word + i < rows ? ce_q_load_mask(lines->row[4 * word + i] + left * 4, inside, job->padding) : job->padding;
    }
    ce_q_interleave(row, loaded.word[word]);
  }
  return loaded;
}

/* Register i, of which those below 0 and above 3 have a pixel of the vector before or after. */
CE_INLINE vq pixels_at(const rows_t *before, const rows_t *now, const rows_t *after, const int word, const int i) {
  if (i < 0) return ce_q_from_left(before->word[word][i + 4], now->word[word][i + 4]);
  if (i > 3) return ce_q_from_right(now->word[word][i - 4], after->word[word][i - 4]);
  return now->word[word][i];
}

/* Weights of output rows 0 and 1, in registers as far as there are. */
typedef struct window_t {
  vq weight[2 * MOST_WORDS * 5 * CE_Q_PARTS];
} window_t;

CE_INLINE window_t window_of(const job_t *job, const int rows, const int k) {
  window_t window;
  const int count = rows * (k == 3 ? 1 : 2) * k * CE_Q_PARTS;
  CE_UNROLL for (int i = 0; i < count; ++i) window.weight[i] = ce_q_load_four(job->weight + i * 16);
  return window;
}

/* Sums of one or two output rows whose windows' middles are registers 0 to 3, or 0 and 2: each input is read once, a
 * word's part after the other, so that sums and inputs are registers. */
CE_INLINE void raw_sums_of(const job_t *job, const window_t *window, const rows_t *before, const rows_t *now, const rows_t *after,
                           const int rows, const int stride, const int k, vi total[2][4]) {
  const int words = k == 3 ? 1 : 2;
  va sum[2][4];
  CE_UNROLL for (int down = 0; down < rows; ++down)
    CE_UNROLL for (int j = 0; j < 4; j += stride) sum[down][j] = ce_q_begin(job->base);
  CE_UNROLL for (int word = 0; word < words; ++word)
    CE_UNROLL for (int part = 0; part < CE_Q_PARTS; ++part)
      CE_UNROLL for (int i = -(k / 2); i <= 3 + k / 2 - (stride - 1); ++i) {
        const vq x = ce_q_part(pixels_at(before, now, after, word, i), part);
        CE_UNROLL for (int column = 0; column < k; ++column) {
          const int j = i - column + k / 2;
          if (j < 0 || j > 3 || j % stride) continue;
          CE_UNROLL for (int down = 0; down < rows; ++down)
            if (has_rows(word, part, down, k))
              sum[down][j] = ce_q_part_dot(sum[down][j], x, window->weight[((down * words + word) * k + column) * CE_Q_PARTS + part]);
        }
      }
  CE_UNROLL for (int down = 0; down < rows; ++down)
    CE_UNROLL for (int j = 0; j < 4; j += stride) total[down][j] = ce_q_end(sum[down][j]);
}

CE_INLINE void scale_sums(const job_t *job, vi total[2][4], const int rows, const int stride) {
  CE_UNROLL for (int down = 0; down < rows; ++down)
    CE_UNROLL for (int j = 0; j < 4; j += stride) total[down][j] = ce_q_scale(total[down][j], job->factor);
}

/* Requantised ones. */
CE_INLINE void sums_of(const job_t *job, const window_t *window, const rows_t *before, const rows_t *now, const rows_t *after,
                       const int rows, const int stride, const int k, vi total[2][4]) {
  raw_sums_of(job, window, before, now, after, rows, stride, k, total);
  scale_sums(job, total, rows, stride);
}

/* A vector of an output row, from its sums. */
CE_INLINE vq packed(const job_t *job, const vi *sum) {
  return ce_q_pack4(ce_q_pack2(sum[0], sum[1], job->zero), ce_q_pack2(sum[2], sum[3], job->zero));
}

/* A vector after requantisation; `residual` is its own where there is an add. */
CE_NOINLINE vq finished(const ce_q_finish *finish, vq q, vq residual) {
  if (finish->table) q = ce_q_lookup(finish->table, q);
  if (finish->add == 1) q = ce_q_add(&finish->sum, q, residual);
  if (finish->add == 2) q = ce_q_add(&finish->sum, residual, q);
  return q;
}

CE_INLINE void store_row(const job_t *job, int64_t row, int64_t left, vq q) {
  const ce_q_finish *finish = &job->plan->finish;
  const int64_t at = (row * job->out_w + left) * 4;
  const ce_mask mask = ce_lanes(0, job->out_w - left);
  if (finish->table || finish->add) q = finished(finish, q, finish->add ? ce_q_load_mask(job->residual + at, mask, q) : q);
  ce_q_store_mask(job->y + at, mask, q);
}

CE_INLINE void run_plane_1(const job_t *plane, const int k) {
  const job_t job = *plane;
  const window_t window = window_of(&job, 2, k);
  const int64_t left = k / 2 - job.plan->g.pad_left, above = job.plan->g.pad_top;
  for (int64_t row = 0; row < job.out_h; row += 2) {
    const lines_t lines = lines_of(&job, row - above, k + 1);
    rows_t before = load_rows(&job, &lines, left - CE_LANES, k + 1), now = load_rows(&job, &lines, left, k + 1);
    for (int64_t at = 0; at < job.out_w; at += CE_LANES) {
      const rows_t after = load_rows(&job, &lines, left + at + CE_LANES, k + 1);
      vi sum[2][4];
      sums_of(&job, &window, &before, &now, &after, 2, 1, k, sum);
      CE_UNROLL for (int down = 0; down < 2; ++down)
        if (down == 0 || row + 1 < job.out_h) store_row(&job, row + down, at, packed(&job, sum[down]));
      before = now, now = after;
    }
  }
}

CE_INLINE void run_plane_2(const job_t *plane, const int k) {
  const job_t job = *plane;
  const window_t window = window_of(&job, 1, k);
  const int64_t left = k / 2 - job.plan->g.pad_left, above = job.plan->g.pad_top;
  for (int64_t row = 0; row < job.out_h; ++row) {
    const lines_t lines = lines_of(&job, 2 * row - above, k);
    rows_t before = load_rows(&job, &lines, left - CE_LANES, k), now = load_rows(&job, &lines, left, k), after;
    for (int64_t at = 0; at < job.out_w; at += CE_LANES) {
      vh half[2];
      CE_UNROLL for (int u = 0; u < 2; ++u) {
        after = load_rows(&job, &lines, left + 2 * at + (u + 1) * CE_LANES, k);
        vi sum[2][4];
        sums_of(&job, &window, &before, &now, &after, 1, 2, k, sum);
        half[u] = ce_q_pack2(sum[0][0], sum[0][2], job.zero);
        before = now, now = after;
      }
      store_row(&job, row, at, ce_q_join_halves(ce_q_pack4(half[0], half[1])));
    }
  }
}

#endif
