/* Convolution of bytes by blocks of int8 weights, or dense ones.
 *
 * Four input channels of a pixel are one word in memory, which a dot product takes with a word of weights; a block is such a
 * word, and its inputs are a vector of pixels of one plane. Windows of 1×1 and stride 1 read the planes as they lie, others a
 * panel (q_conv/panel.h).
 */
#include "q_conv/pack.h"
#include "q_conv/panel.h"
#include "q_conv/tiles.h"

#define MOST_TILES 6 /* that are run side by side */

typedef struct cut_t {
  source_t source;
  int64_t vectors;             /* of an output plane */
  int64_t by_pixels;           /* whether tasks share the pixels, else the groups of output channels */
  int64_t tasks;
  int64_t most, tiles;         /* most vectors of a tile, most tiles side by side */
  int64_t phases, panel, sums; /* bytes of a task's scratch */
} cut_t;

/* Whether the planes, or their first phases, are the inputs of the only tap as they lie. */
static int is_plain(const ce_conv_geometry *g) {
  return g->kernel_h == 1 && g->kernel_w == 1 && !g->pad_top && !g->pad_left && !g->pad_bottom && !g->pad_right;
}

static cut_t cut_of(const plan_t *plan, ce_shape in, int threads) {
  cut_t cut = {.source = source_of(plan, in)};
  cut.vectors = ce_ceil_div(cut.source.out_h * cut.source.out_w, CE_LANES);
  const int64_t most = most_vectors(plan);
  cut.by_pixels = cut.vectors >= most * threads || plan->groups < 2 * threads;
  cut.tasks = ce_max(1, ce_min(threads, cut.by_pixels ? cut.vectors : plan->groups));
  const int64_t each = cut.by_pixels ? ce_ceil_div(cut.vectors, cut.tasks) : cut.vectors;
  cut.most = ce_min(most, each);
  if (plan->rows == 1) cut.most = ce_max(ce_min(cut.most, 4), ce_min(cut.most, CE_Q_CACHED / plan->k_columns));
  cut.tiles = 1;
  if (plan->k_tiles == 1) cut.tiles = ce_max(1, ce_min(MOST_TILES, CE_Q_CACHED / (plan->k_columns * cut.most)));
  cut.phases = source_bytes(plan, &cut.source);
  cut.panel = is_plain(&plan->g) ? 0 : plan->k_columns * cut.most * cut.tiles * CE_Q_VECTOR_BYTES;
  cut.sums = plan->k_tiles == 1 ? 0 : 16 * plan->groups * cut.most * CE_LANES;
  return cut;
}

static size_t task_bytes(const cut_t *cut) { return ce_round_up((size_t)(cut->phases + cut->panel + cut->sums), 64); }

static size_t scratch_bytes(const void *plan, ce_shape shape, int threads) {
  const cut_t cut = cut_of(plan, shape, threads);
  return task_bytes(&cut) * (size_t)cut.tasks;
}

static int tasks(const void *plan, ce_shape shape, int threads) { return (int)cut_of(plan, shape, threads).tasks; }

typedef struct job_t {
  const plan_t *plan;
  const cut_t *cut;
  const uint8_t *x; /* of the image */
  const tap_t *taps;
  uint8_t *phases, *panel;
  tile_t tile; /* all but what is one tile's; its y and residual are the image's */
} job_t;

/* `count` tiles of so many vectors, from one on. */
static void run_side_by_side(const job_t *job, int64_t first, int64_t vectors, int64_t count) {
  const plan_t *plan = job->plan;
  tile_t tile = job->tile;
  tile.count = count;
  tile.y += first * CE_Q_VECTOR_BYTES;
  if (tile.residual) tile.residual += first * CE_Q_VECTOR_BYTES;
  const int plain = is_plain(&plan->g);
  const uint8_t *planes = has_phases(&plan->g) ? job->phases : job->x;
  const int64_t rows = plain ? 0 : shared_rows(plan, &job->cut->source, first, vectors * count);
  const int64_t a_row = job->cut->source.out_w / CE_LANES, bytes = vectors * count * CE_Q_VECTOR_BYTES;
  tile.step = plain ? job->cut->source.group : rows ? rows * a_row * CE_Q_VECTOR_BYTES : bytes;
  tile.row_step = rows ? a_row * CE_Q_VECTOR_BYTES - plan->k_columns / 3 * tile.step : 0;
  for (tile.k_tile = 0; tile.k_tile < plan->k_tiles; ++tile.k_tile) {
    if (plain) {
      tile.x = planes + first * CE_Q_VECTOR_BYTES + tile.k_tile * plan->k_columns * tile.step;
    } else {
      const panel_t panel = {.plan = plan, .source = &job->cut->source, .taps = job->taps, .to = job->panel, .first = first,
                             .k_tile = tile.k_tile, .planes = planes, .vectors = vectors * count};
      if (rows) fill_shared(&panel, rows);
      else fill_panel(&panel);
      tile.x = job->panel + (rows ? first % a_row * CE_Q_VECTOR_BYTES : 0);
    }
    run_tiles_of(&tile, vectors);
  }
}

/* Vectors [first, end) of an image, in tiles of the same size, or one less. */
static void run_vectors(const job_t *job, int64_t first, int64_t end) {
  const int64_t tiles = ce_ceil_div(end - first, job->cut->most), least = (end - first) / tiles;
  int64_t larger = (end - first) - tiles * least, count;
  for (int64_t left = tiles; left > 0; left -= count) {
    const int64_t vectors = least + (larger > 0);
    count = ce_min(job->cut->tiles, larger > 0 ? larger : left);
    run_side_by_side(job, first, vectors, count);
    first += vectors * count;
    if (larger > 0) larger -= count;
  }
}

static void run_task(const void *plan_, const ce_run *run, int task) {
  const plan_t *plan = plan_;
  const ce_shape in = run->shape;
  const cut_t cut = cut_of(plan, in, run->threads);
  const source_t *s = &cut.source;
  uint8_t *scratch = (uint8_t *)run->scratch + task_bytes(&cut) * (size_t)task;
  const int64_t y_plane = ce_q_plane(s->out_h, s->out_w), y_image = plan->groups * y_plane;
  const int64_t x_image = ce_q_bytes(1, plan->g.in_channels, in.h, in.w);
  const int64_t first = cut.by_pixels ? cut.vectors * task / cut.tasks : 0;
  const int64_t end = cut.by_pixels ? cut.vectors * (task + 1) / cut.tasks : cut.vectors;
  tap_t taps[CE_Q_MOST_TAPS];
  find_taps(plan, s, taps);
  job_t job = {.plan = plan, .cut = &cut, .taps = taps, .phases = scratch, .panel = scratch + cut.phases};
  job.tile = (tile_t){.plan = plan, .y_plane = y_plane, .sums = (int32_t *)(scratch + cut.phases + cut.panel)};
  job.tile.group_begin = cut.by_pixels ? 0 : plan->groups * task / cut.tasks;
  job.tile.group_end = cut.by_pixels ? plan->groups : plan->groups * (task + 1) / cut.tasks;
  for (int64_t n = 0; n < in.n; ++n) {
    job.x = (const uint8_t *)run->x + n * x_image;
    job.tile.y = (uint8_t *)run->y + n * y_image;
    job.tile.residual = run->residual ? (const uint8_t *)run->residual + n * y_image : 0;
    if (has_phases(&plan->g))
      split_phases(plan, s, taps, job.x, job.phases, first * CE_LANES / s->out_w,
                   ce_min(s->out_h, (end * CE_LANES - 1) / s->out_w + 1));
    run_vectors(&job, first, end);
  }
}

CE_DEFINE_KERNEL(q_conv, CE_ISA)
