/* A chain of convolutions, a few rows at a time through all of its stages.
 *
 * Between two stages only the rows that the next one still needs are kept, so that what passes between them stays in the
 * second-level cache; layer by layer, the large early images of a network would go to memory and back each time. For each
 * band of output rows of the last stage, every stage computes the rows that are missing and keeps those that its reader's
 * window still covers. Tasks are ranges of output rows of an image; at the seams a few rows are computed twice, to the same
 * bits, as what a pixel is summed from does not depend on the band it is in.
 */
#include "common/simd.h"
#include "conv_chain/steps.h"

#if defined(__ARM_NEON)
#define BAND_BYTES (192 * 1024)
#else
#define BAND_BYTES (960 * 1024)
#endif

typedef struct rows_t {
  int64_t first, end;
} rows_t;

/* How an image is cut. Step i writes rows of `in[i + 1]`, in planes of `room[i]` rows (of all rows for the last). */
typedef struct cut_t {
  step_t steps[CE_MOST_STAGES];
  int32_t count;
  ce_shape in[CE_MOST_STAGES + 1]; /* of each step; the last one is the output */
  int whole;                       /* some plane is so narrow that kernels compute it as a whole: one band */
  int64_t rows;                    /* of a band of the output */
  int64_t room[CE_MOST_STAGES];
  int64_t buffer[CE_MOST_STAGES]; /* floats before the rows of step i in a task's scratch */
  int64_t buffers;                /* floats of all */
  size_t scratch;                 /* bytes, of the step that needs most */
} cut_t;

/* The rows of its input that a step computes output rows from. */
static rows_t rows_needed(const cut_t *cut, int32_t step, rows_t out) {
  const ce_conv_geometry *g = &cut->steps[step].first->g;
  const int64_t in_h = cut->in[step].h;
  if (cut->whole) return (rows_t){0, in_h};
  const int64_t first = out.first * g->stride_h - g->pad_top;
  const int64_t end = (out.end - 1) * g->stride_h - g->pad_top + (int64_t)(g->kernel_h - 1) * g->dilation_h + 1;
  const int64_t begin = ce_max(0, ce_min(first, in_h));
  return (rows_t){begin, ce_max(begin, ce_min(end, in_h))};
}

/* Rows that the buffer after each step has to hold where a band has `rows` rows: those that are new, whose number is
 * largest in the first band of a task, and those that the reader's window still covers. */
static void find_room(cut_t *cut, int64_t rows) {
  cut->buffers = 0;
  for (int32_t i = cut->count - 1; i >= 0; --i) {
    const ce_conv_geometry *g = &cut->steps[i].first->g;
    cut->room[i] = cut->whole ? cut->in[i + 1].h : ce_min(rows, cut->in[i + 1].h);
    rows = (rows - 1) * g->stride_h + (int64_t)(g->kernel_h - 1) * g->dilation_h + 1;
    if (i == cut->count - 1) continue;
    cut->buffer[i] = cut->buffers;
    const int64_t floats = cut->steps[i].last->g.out_channels * cut->room[i] * cut->in[i + 1].w;
    cut->buffers += (int64_t)ce_round_up((size_t)floats, 16);
  }
}

static cut_t cut_rows(const plan_t *plan, ce_shape shape, int threads) {
  cut_t cut = {.in = {{.n = 1, .h = shape.h, .w = shape.w}}};
  cut.count = find_steps(plan, shape, cut.steps);
  const int32_t last = cut.count - 1;
  for (int32_t i = 0; i <= last; ++i) {
    cut.in[i + 1] = next_shape(cut.steps[i].first, cut.in[i]);
    cut.whole |= cut.in[i + 1].w <= CE_LANES / 2;
  }
  const int64_t all = cut.in[last + 1].h;
  cut.rows = all;
  find_room(&cut, all);
  while (!cut.whole && cut.rows > 1 && cut.buffers * 4 > BAND_BYTES) find_room(&cut, --cut.rows);
  int64_t bands = ce_ceil_div(all, ce_max(1, cut.rows));
  if (!cut.whole) bands = ce_max(bands, ce_ceil_div(threads, ce_max(1, shape.n)));
  cut.rows = ce_ceil_div(all, ce_max(1, bands));
  find_room(&cut, cut.rows);
  for (int32_t i = 0; i <= last; ++i) {
    const size_t needed = step_scratch_bytes(&cut.steps[i], cut.in[i]);
    cut.scratch = needed > cut.scratch ? needed : cut.scratch;
  }
  cut.scratch = ce_round_up(cut.scratch, 64);
  return cut;
}

static int64_t bands(const cut_t *cut) { return ce_ceil_div(cut->in[cut->count].h, ce_max(1, cut->rows)); }

static int tasks_of(const cut_t *cut, ce_shape shape, int threads) {
  return (int)ce_max(1, ce_min(threads, shape.n * bands(cut)));
}

static int tasks(const void *plan, ce_shape shape, int threads) {
  const cut_t cut = cut_rows(plan, shape, threads);
  return tasks_of(&cut, shape, threads);
}

static size_t task_bytes(const cut_t *cut) { return (size_t)cut->buffers * 4 + cut->scratch; }

static size_t scratch_bytes(const void *plan, ce_shape shape, int threads) {
  const cut_t cut = cut_rows(plan, shape, threads);
  return task_bytes(&cut) * (size_t)tasks_of(&cut, shape, threads);
}

/* Moves the rows from `first` on to the top of each plane. */
static void keep_rows(float *planes, int64_t channels, int64_t room, int64_t w, int64_t first, int64_t count) {
  if (first == 0 || count <= 0) return;
  for (int64_t c = 0; c < channels; ++c) {
    float *to = planes + c * room * w;
    const float *from = to + first * w;
    int64_t i = 0;
    for (; i + CE_LANES <= count * w; i += CE_LANES) ce_store(to + i, ce_load(from + i)); /* ascending: may overlap */
    for (; i < count * w; ++i) to[i] = from[i];
  }
}

static float *at_row_0(float *planes, int64_t first, int64_t w) {
  return (float *)((uintptr_t)planes - (uintptr_t)(first * w * 4));
}

typedef struct chain_t {
  const cut_t *cut;
  float *buffers;
  void *scratch;
  const float *x, *residual;
  float *y;                   /* x, residual, y: of this image */
  rows_t held[CE_MOST_STAGES]; /* rows in the buffer after each step */
} chain_t;


/* Floats of a plane of x that the next band or strip is going to read: its planes are far apart, so that the processor does not
 * foresee it. */
static int64_t ahead(const ce_conv_geometry *g, ce_shape in, rows_t rows) {
  const int64_t next = (rows.end - 1) * g->stride_h - g->pad_top + (int64_t)(g->kernel_h - 1) * g->dilation_h + 1;
  return ce_max(0, ce_min((rows.end - rows.first) * g->stride_h, in.h - next)) * in.w;
}

/* A depthwise stage as the feed of the 1×1 one after it. */
typedef struct feed_t {
  ce_feed feed; /* the first member: what fill gets is this */
  const stage_t *stage;
  ce_run run;
  ce_band band;
  int from_memory; /* its input is the chain's own */
} feed_t;

static void fill(const ce_feed *feed, int64_t channel, int64_t channels, int64_t first, int64_t end, float *to, int64_t plane) {
  const feed_t *own = (const feed_t *)feed;
  ce_band band = own->band;
  ce_run run = own->run;
  band.ahead = own->from_memory ? ahead(&own->stage->g, run.shape, (rows_t){first, end}) : 0;
  band.first = first, band.end = end, band.channel = channel, band.channels = channels, band.y_plane = plane;
  run.band = &band;
  run.y = at_row_0(at_row_0(to, first, ce_out_w(&own->stage->g, run.shape)), channel, plane);
  run_stage(own->stage, &run);
}

/* Rows of step i, from its input, of which the rows needed are held. */
static void compute_rows(const chain_t *chain, int32_t i, rows_t rows) {
  const cut_t *cut = chain->cut;
  const step_t *step = &cut->steps[i];
  const int last = i == cut->count - 1;
  const ce_shape in = cut->in[i], out = cut->in[i + 1];
  const ce_band band = {
      .first = rows.first,
      .end = rows.end,
      .x_plane = (i ? cut->room[i - 1] : in.h) * in.w,
      .y_plane = (last ? out.h : cut->room[i]) * out.w,
      .ahead = i ? 0 : ahead(&step->first->g, in, rows),
  };
  ce_run run = {
      .shape = in,
      .x = i ? at_row_0(chain->buffers + cut->buffer[i - 1], chain->held[i - 1].first, in.w) : chain->x,
      .residual = last ? chain->residual : 0,
      .y = last ? chain->y : at_row_0(chain->buffers + cut->buffer[i], chain->held[i].first, out.w),
      .scratch = chain->scratch,
      .threads = 1,
      .band = &band,
  };
  feed_t feed = {.feed = {fill}, .stage = step->first, .run = run, .band = band, .from_memory = !i};
  if (step->first != step->last) {
    feed.run.residual = 0;
    run.feed = &feed.feed;
    run.shape = out;
    run.scratch = (char *)chain->scratch + feeding_bytes(step, in);
  }
  run_stage(step->last, &run);
}

/* All steps, as far as `rows` of the output need them. */
static void run_band(chain_t *chain, rows_t rows) {
  const cut_t *cut = chain->cut;
  const int32_t last = cut->count - 1;
  rows_t missing[CE_MOST_STAGES];
  missing[last] = rows;
  for (int32_t i = last - 1; i >= 0; --i) {
    const rows_t needed = rows_needed(cut, i + 1, missing[i + 1]);
    rows_t *held = &chain->held[i];
    if (held->end <= needed.first) *held = (rows_t){needed.first, needed.first};
    keep_rows(chain->buffers + cut->buffer[i], cut->steps[i].last->g.out_channels, cut->room[i],
              cut->in[i + 1].w, needed.first - held->first, held->end - needed.first);
    held->first = needed.first;
    missing[i] = (rows_t){held->end, ce_max(held->end, needed.end)};
    held->end = missing[i].end;
  }
  for (int32_t i = 0; i <= last; ++i)
    if (missing[i].first < missing[i].end) compute_rows(chain, i, missing[i]);
}

static void run_task(const void *plan_, const ce_run *run, int task) {
  const plan_t *plan = plan_;
  const cut_t cut = cut_rows(plan, run->shape, run->threads);
  const ce_shape out = cut.in[cut.count];
  const int64_t a_image = bands(&cut), units = run->shape.n * a_image, all = tasks_of(&cut, run->shape, run->threads);
  const int64_t x_step = cut.steps[0].first->g.in_channels * run->shape.h * run->shape.w;
  const int64_t y_step = cut.steps[cut.count - 1].last->g.out_channels * out.h * out.w;
  float *buffers = (float *)((char *)run->scratch + (size_t)task * task_bytes(&cut));
  chain_t chain = {.cut = &cut, .buffers = buffers, .scratch = buffers + cut.buffers};
  for (int64_t unit = units * task / all, end = units * (task + 1) / all, image = -1; unit < end; ++unit) {
    const int64_t n = unit / a_image, first = unit % a_image * cut.rows;
    if (n != image) {
      for (int32_t i = 0; i < cut.count; ++i) chain.held[i] = (rows_t){0, 0};
      image = n;
    }
    chain.x = run->x + n * x_step;
    chain.y = run->y + n * y_step;
    chain.residual = run->residual ? run->residual + n * y_step : 0;
    run_band(&chain, (rows_t){first, ce_min(first + cut.rows, out.h)});
  }
}

CE_DEFINE_KERNEL(conv_chain, CE_ISA)
