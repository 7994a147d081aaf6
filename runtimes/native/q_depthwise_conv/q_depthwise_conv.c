/* Depthwise convolution of bytes, windows of 3×3 and 5×5, steps of 1 and 2.
 *
 * The bytes of four input rows are interleaved, so that a word has four rows of a channel: a dot product with a column of the
 * window sums up to four rows at once. Of stride 1, two output rows come from the same words, by weights that are shifted by a
 * row. Neighbours to the left and right are other registers of the same interleaved rows; packing the sums puts the bytes back
 * in order. Outside of the image a load gives the zero point, and no padded copy is made.
 */
#include "common/geometry.h"
#include "common/q_finish.h"
#include "common/q_words.h"

#define MOST_WORDS 2 /* of rows: two of four hold 5 + 1 rows */

typedef struct plan_t {
  ce_plan_head head;
  ce_conv_geometry g;
  int32_t groups, x_zero;
  int32_t pieces; /* words that a word of weights is split into */
  ce_q_finish finish;
  const int8_t *weight; /* [groups][output row 0 or 1][word][kw][pieces][4 channels][4 rows] */
  const int32_t *base;  /* [groups * 4] */
  const float *factor;
  uint8_t table[256];
} plan_t;

static int is_square(const ce_conv_geometry *g) {
  return g->kernel_h == g->kernel_w && (g->kernel_h == 3 || g->kernel_h == 5) && g->stride_h == g->stride_w &&
         g->stride_h <= 2 && g->dilation_h == 1 && g->dilation_w == 1;
}

static int32_t words_of(const ce_conv_geometry *g) { return g->kernel_h == 3 ? 1 : 2; }

static int64_t group_bytes(const ce_conv_geometry *g, int64_t pieces) { return 2 * words_of(g) * g->kernel_w * pieces * 16; }

/* Weights of a word of rows, for an output row that begins `down` rows into the first word. */
static void rows_of_word(const ce_q_conv_desc *desc, int64_t channel, int down, int word, int column, int8_t *to) {
  const ce_conv_geometry *g = &desc->geometry;
  for (int i = 0; i < 4; ++i) {
    const int row = 4 * word + i - down;
    const int there = channel < g->out_channels && row >= 0 && row < g->kernel_h;
    to[i] = there ? desc->values[(channel * g->kernel_h + row) * g->kernel_w + column] : 0;
  }
}

/* 2 where a word of any channel has to be split. */
static int32_t pieces_of(const ce_q_conv_desc *desc) {
#if defined(CE_Q_PAIRS_SATURATE)
  const ce_conv_geometry *g = &desc->geometry;
  for (int64_t channel = 0; channel < g->out_channels; ++channel)
    for (int down = 0; down < 2; ++down)
      for (int word = 0; word < words_of(g); ++word)
        for (int column = 0; column < g->kernel_w; ++column) {
          int8_t rows[4];
          rows_of_word(desc, channel, down, word, column, rows);
          if (ce_q_word_must_split(rows)) return 2;
        }
#endif
  return (void)desc, 1;
}

static size_t plan_bytes(const void *desc_) {
  const ce_q_depthwise_conv_desc *desc = desc_;
  const ce_conv_geometry *g = &desc->geometry;
  if (!is_square(g)) return 0;
  const int64_t groups = ce_q_groups(g->out_channels);
  return sizeof(plan_t) + (size_t)(groups * (32 + group_bytes(g, pieces_of(desc))));
}

static void plan_init(void *plan_, const void *desc_) {
  plan_t *plan = plan_;
  const ce_q_depthwise_conv_desc *desc = desc_;
  const ce_conv_geometry *g = &desc->geometry;
  plan->g = *g;
  plan->groups = (int32_t)ce_q_groups(g->out_channels);
  plan->x_zero = desc->x.zero;
  plan->pieces = pieces_of(desc);
  plan->finish = ce_q_finish_of(desc);
  for (int i = 0; i < 256 && desc->table; ++i) plan->table[i] = desc->table[i];
  if (desc->table) plan->finish.table = plan->table;
  int32_t *base = (int32_t *)(plan + 1);
  float *factor = (float *)(base + 4 * plan->groups);
  int8_t *weight = (int8_t *)(factor + 4 * plan->groups), *to = weight;
  const int64_t taps = g->kernel_h * g->kernel_w;
  for (int64_t channel = 0; channel < 4 * plan->groups; ++channel) {
    const int real = channel < g->out_channels;
    base[channel] = real ? desc->bias[channel] : 0;
    factor[channel] = real ? ce_q_factor(desc->x.scale, desc->w_scale[channel], desc->y.scale) : 0;
    for (int64_t i = 0; real && i < taps; ++i) base[channel] -= (desc->x.zero - CE_Q_FLIP) * desc->values[channel * taps + i];
  }
  for (int64_t group = 0; group < plan->groups; ++group)
    for (int down = 0; down < 2; ++down)
      for (int word = 0; word < words_of(g); ++word)
        for (int column = 0; column < g->kernel_w; ++column)
          for (int piece = 0; piece < plan->pieces; ++piece)
            for (int lane = 0; lane < 4; ++lane, to += 4) {
              int8_t rows[4];
              rows_of_word(desc, 4 * group + lane, down, word, column, rows);
              const int32_t bytes = ce_q_word_of(rows, piece, plan->pieces);
              __builtin_memcpy(to, &bytes, 4);
            }
  plan->base = base, plan->factor = factor, plan->weight = weight;
}

static int tasks(const void *plan_, ce_shape shape, int threads) {
  const plan_t *plan = plan_;
  return (int)ce_max(1, ce_min(threads, shape.n * plan->groups));
}

/* A task has a row of zero points, for the rows above and below the image. */
static size_t row_bytes(ce_shape shape) { return ce_round_up((size_t)shape.w * 4, 64); }

static size_t scratch_bytes(const void *plan, ce_shape shape, int threads) {
  return row_bytes(shape) * (size_t)tasks(plan, shape, threads);
}

typedef struct job_t {
  const plan_t *plan;
  const uint8_t *x, *residual; /* of a group's plane */
  const uint8_t *outside;      /* a row of padding */
  uint8_t *y;
  int64_t h, w, out_h, out_w;
  const int8_t *weight;
  vi base;
  vf factor;
  vq padding;
  vh zero;
} job_t;

/* Input rows of a pair of output rows, or of one. */
typedef struct lines_t {
  const uint8_t *row[4 * MOST_WORDS];
} lines_t;

CE_INLINE lines_t lines_of(const job_t *job, int64_t top, const int rows) {
  lines_t lines;
  CE_UNROLL for (int i = 0; i < rows; ++i)
    lines.row[i] = top + i >= 0 && top + i < job->h ? job->x + (top + i) * job->w * 4 : job->outside;
  return lines;
}

/* Interleaved rows of CE_LANES pixels: register j has pixel 4 i + j in its 128 bits i. */
typedef struct rows_t {
  vq word[MOST_WORDS][4];
} rows_t;

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
  vq weight[2 * MOST_WORDS * 5 * 2];
} window_t;

CE_INLINE window_t window_of(const job_t *job, const int rows, const int k, const int pieces) {
  window_t window;
  const int count = rows * (k == 3 ? 1 : 2) * k * pieces;
  CE_UNROLL for (int i = 0; i < count; ++i) window.weight[i] = ce_q_load_four(job->weight + i * 16);
  return window;
}

/* Sums of output row 0 or 1 whose window's middle is register j. */
CE_INLINE vi sum_at(const job_t *job, const window_t *window, const rows_t *before, const rows_t *now, const rows_t *after,
                    const int j, const int down, const int k, const int pieces) {
  const int words = k == 3 ? 1 : 2;
  va sum = ce_q_begin(job->base);
  CE_UNROLL for (int word = 0; word < words; ++word)
    CE_UNROLL for (int column = 0; column < k; ++column)
      CE_UNROLL for (int piece = 0; piece < pieces; ++piece)
        sum = ce_q_dot(sum, pixels_at(before, now, after, word, j + column - k / 2),
                       window->weight[((down * words + word) * k + column) * pieces + piece]);
  return ce_q_scale(ce_q_end(sum), job->factor);
}

CE_INLINE void store_row(const job_t *job, int64_t row, int64_t left, vq q, const int plain) {
  const ce_q_finish *finish = &job->plan->finish;
  const int64_t at = (row * job->out_w + left) * 4;
  if (plain && left + CE_LANES <= job->out_w) {
    *(vq_unaligned *)(job->y + at) = q;
    return;
  }
  const ce_mask mask = ce_lanes(0, job->out_w - left);
  if (!plain) q = ce_q_finished(finish, q, finish->add ? ce_q_load_mask(job->residual + at, mask, q) : q);
  ce_q_store_mask(job->y + at, mask, q);
}

CE_INLINE void run_plane_1(const job_t *plane, const int k, const int pieces, const int plain) {
  const job_t job = *plane;
  const window_t window = window_of(&job, 2, k, pieces);
  const int64_t left = k / 2 - job.plan->g.pad_left, above = job.plan->g.pad_top;
  for (int64_t row = 0; row < job.out_h; row += 2) {
    const lines_t lines = lines_of(&job, row - above, k + 1);
    rows_t before = load_rows(&job, &lines, left - CE_LANES, k + 1), now = load_rows(&job, &lines, left, k + 1);
    for (int64_t at = 0; at < job.out_w; at += CE_LANES) {
      const rows_t after = load_rows(&job, &lines, left + at + CE_LANES, k + 1);
      CE_UNROLL for (int down = 0; down < 2; ++down) {
        vi sum[4];
        CE_UNROLL for (int j = 0; j < 4; ++j) sum[j] = sum_at(&job, &window, &before, &now, &after, j, down, k, pieces);
        const vq q = ce_q_pack4(ce_q_pack2(sum[0], sum[1], job.zero), ce_q_pack2(sum[2], sum[3], job.zero));
        if (down == 0 || row + 1 < job.out_h) store_row(&job, row + down, at, q, plain);
      }
      before = now, now = after;
    }
  }
}

CE_INLINE void run_plane_2(const job_t *plane, const int k, const int pieces, const int plain) {
  const job_t job = *plane;
  const window_t window = window_of(&job, 1, k, pieces);
  const int64_t left = k / 2 - job.plan->g.pad_left, above = job.plan->g.pad_top;
  for (int64_t row = 0; row < job.out_h; ++row) {
    const lines_t lines = lines_of(&job, 2 * row - above, k);
    rows_t before = load_rows(&job, &lines, left - CE_LANES, k), now = load_rows(&job, &lines, left, k), after;
    for (int64_t at = 0; at < job.out_w; at += CE_LANES) {
      vh half[2];
      CE_UNROLL for (int u = 0; u < 2; ++u) {
        after = load_rows(&job, &lines, left + 2 * at + (u + 1) * CE_LANES, k);
        half[u] = ce_q_pack2(sum_at(&job, &window, &before, &now, &after, 0, 0, k, pieces),
                             sum_at(&job, &window, &before, &now, &after, 2, 0, k, pieces), job.zero);
        before = now, now = after;
      }
      store_row(&job, row, at, ce_q_join_halves(ce_q_pack4(half[0], half[1])), plain);
    }
  }
}

#define PLANE(k, stride, pieces)                                     \
  CE_NOINLINE void plane_##k##_##stride##_##pieces(const job_t *job) { \
    if (!job->plan->finish.table && !job->plan->finish.add) run_plane_##stride(job, k, pieces, 1); \
    else run_plane_##stride(job, k, pieces, 0); \
  }
PLANE(3, 1, 1)
PLANE(3, 2, 1)
PLANE(5, 1, 1)
PLANE(5, 2, 1)
#if defined(CE_Q_PAIRS_SATURATE)
PLANE(3, 1, 2)
PLANE(3, 2, 2)
PLANE(5, 1, 2)
PLANE(5, 2, 2)
#endif

static void run_plane(const job_t *job) {
  const ce_conv_geometry *g = &job->plan->g;
#if defined(CE_Q_PAIRS_SATURATE)
  if (job->plan->pieces == 2) {
    if (g->kernel_h == 3) (g->stride_h == 1 ? plane_3_1_2 : plane_3_2_2)(job);
    else (g->stride_h == 1 ? plane_5_1_2 : plane_5_2_2)(job);
    return;
  }
#endif
  if (g->kernel_h == 3) (g->stride_h == 1 ? plane_3_1_1 : plane_3_2_1)(job);
  else (g->stride_h == 1 ? plane_5_1_1 : plane_5_2_1)(job);
}

static void run_task(const void *plan_, const ce_run *run, int task) {
  const plan_t *plan = plan_;
  const ce_shape in = run->shape;
  const int64_t planes = in.n * plan->groups, all = tasks(plan, in, run->threads);
  job_t job = {.plan = plan, .h = in.h, .w = in.w, .out_h = ce_out_h(&plan->g, in), .out_w = ce_out_w(&plan->g, in)};
  job.padding = ce_q_splat(ce_q_four(plan->x_zero ^ CE_Q_FLIP));
  job.zero = (vh)(int16_t)(plan->finish.zero - CE_Q_FLIP);
  uint8_t *outside = (uint8_t *)run->scratch + row_bytes(in) * (size_t)task;
  for (int64_t i = 0; i < in.w * 4; ++i) outside[i] = (uint8_t)(plan->x_zero ^ CE_Q_FLIP);
  job.outside = outside;
  const int64_t x_plane = ce_q_plane(in.h, in.w), y_plane = ce_q_plane(job.out_h, job.out_w);
  for (int64_t plane = planes * task / all; plane < planes * (task + 1) / all; ++plane) {
    const int64_t group = plane % plan->groups;
    job.x = (const uint8_t *)run->x + plane * x_plane;
    job.y = (uint8_t *)run->y + plane * y_plane;
    if (run->residual) job.residual = (const uint8_t *)run->residual + plane * y_plane;
    job.weight = plan->weight + group * group_bytes(&plan->g, plan->pieces);
    job.base = (vi)ce_q_load_four((const int8_t *)(plan->base + 4 * group));
    job.factor = (vf)ce_q_load_four((const int8_t *)(plan->factor + 4 * group));
    run_plane(&job);
  }
}

CE_DEFINE_KERNEL(q_depthwise_conv, CE_ISA)
