/* Sparse convolution: Y [M, P] = clip(W X + bias + residual), a column of W being a tap of an input channel.
 *
 * For each tile of pixels, the inputs of a K tile of columns are brought into L1 (csr_conv/tiles.h); then every output row
 * runs through its non-zeros in those columns with its sums in registers: one broadcast value times one contiguous piece of
 * the inputs. The sums wait in an accumulator buffer between the K tiles. The rows of a block are in the order of their
 * number of non-zeros (csr_conv/plan.h), so that the branch at the end of a row is predicted.
 */
#include "common/activate.h"
#include "csr_conv/inner.h"

CE_INLINE void finish_row(const tile_t *tile, uint32_t row, vf *sum, const int vectors) {
  const vf lowest = ce_splat(tile->plan->clip_min), highest = ce_splat(tile->plan->clip_max);
  const int last = vectors - 1, tail = (int)(tile->count - (int64_t)last * CE_LANES);
  const int64_t at = row * tile->y_plane + tile->first;
  if (tile->residual) {
    const float *residual = tile->residual + at;
    CE_UNROLL for (int v = 0; v < last; ++v) sum[v] += ce_load(residual + v * CE_LANES);
    sum[last] += ce_load_part(residual + last * CE_LANES, tail);
  }
  float *to = tile->y + at;
  CE_UNROLL for (int v = 0; v < last; ++v) ce_store(to + v * CE_LANES, ce_clip(sum[v], lowest, highest));
  ce_store_part(to + last * CE_LANES, ce_clip(sum[last], lowest, highest), tail);
  ce_activate_stored(to, tile->count, tile->plan->activation);
  if (tile->fetch_ahead)
    CE_UNROLL for (int v = 0; v < vectors; v += 16 / CE_LANES) __builtin_prefetch(to + (vectors + v) * CE_LANES, 0, 2);
}

/* Each output row of the tile to its place, without what is between them. */
CE_INLINE void finish_windows(const tile_t *tile, uint32_t row, const vf *sum, const int vectors) {
  const vf lowest = ce_splat(tile->plan->clip_min), highest = ce_splat(tile->plan->clip_max);
  const int64_t out_w = tile->cut->out_w, pitch = tile->cut->windows.row;
  int64_t at = row * tile->y_plane + tile->out_row * out_w + tile->first;
  if (pitch % CE_LANES == 0) { /* a vector is within a row */
    int64_t column = 0;
    CE_UNROLL for (int v = 0; v < vectors; ++v) {
      const int n = (int)ce_min(CE_LANES, tile->count - column);
      if (n > 0) {
        vf value = sum[v];
        if (tile->residual) value += ce_load_part(tile->residual + at + column, n);
        ce_store_part(tile->y + at + column, ce_clip(value, lowest, highest), n);
        ce_activate_stored(tile->y + at + column, n, tile->plan->activation);
      }
      column += CE_LANES;
      if (column == pitch) column = 0, at += out_w;
    }
    return;
  }
  CE_UNROLL for (int v = 0; v < vectors; ++v) ce_store(tile->spread + v * CE_LANES, sum[v]);
  const float *from = tile->spread;
  for (int64_t r = 0; r < tile->rows; ++r, at += out_w, from += pitch) {
    for (int64_t i = 0; i < tile->count; i += CE_LANES) {
      const int n = (int)ce_min(CE_LANES, tile->count - i);
      vf value = ce_load(from + i);
      if (tile->residual) value += ce_load_part(tile->residual + at + i, n);
      ce_store_part(tile->y + at + i, ce_clip(value, lowest, highest), n);
    }
    ce_activate_stored(tile->y + at, tile->count, tile->plan->activation);
  }
}

/* `rows` rows of the CSR, each the `group` output rows of a block. */
CE_INLINE size_t run_rows(const tile_t *tile, int32_t k_tile, const row_t *row, size_t at, const int vectors,
                          const int rows, const int group, const int windows) {
  sum_t sum[MOST_ROWS * MOST_GROUP][MOST_VECTORS];
  size_t next[MOST_ROWS];
  CE_UNROLL for (int r = 0; r < rows; ++r) {
    next[r] = at;
    at += row[r].count;
  }
  CE_UNROLL for (int r = 0; r < rows * group; ++r) {
    const uint32_t out = row[r / group].row * group + r % group;
    const float *waiting = tile->sums + (size_t)out * vectors * CE_LANES;
    const vf bias = ce_splat(tile->plan->bias[out]);
    CE_UNROLL for (int v = 0; v < vectors; ++v)
      sum[r][v] = begin_sum(k_tile ? *(const vf *)(waiting + v * CE_LANES) : bias);
  }
  accumulate(tile, row, next, sum, vectors, rows, group, windows);
  CE_UNROLL for (int r = 0; r < rows * group; ++r) {
    const uint32_t out = row[r / group].row * group + r % group;
    float *waiting = tile->sums + (size_t)out * vectors * CE_LANES;
    const vf bias = ce_splat(tile->plan->bias[out]);
    vf whole[MOST_VECTORS];
    CE_UNROLL for (int v = 0; v < vectors; ++v)
      whole[v] = end_sum(sum[r][v], k_tile ? *(const vf *)(waiting + v * CE_LANES) : bias);
    if (k_tile + 1 == tile->plan->k_tiles && windows && !tile->contiguous) finish_windows(tile, out, whole, vectors);
    else if (k_tile + 1 == tile->plan->k_tiles) finish_row(tile, out, whole, vectors);
    else CE_UNROLL for (int v = 0; v < vectors; ++v) *(vf *)(waiting + v * CE_LANES) = whole[v];
  }
  return at;
}

/* The K tile t of a tile; its inputs are there already if the tile has no x. */
CE_INLINE void run_tile(const tile_t *tile, int32_t t, const int vectors, const int rows, const int group, const int windows) {
  const plan_t *plan = tile->plan;
  const int32_t m = plan->csr_rows;
  const int32_t first = t * plan->channel_tile, channels = (int32_t)ce_min(plan->channel_tile, plan->g.in_channels - first);
  if (windows)
    fill_windows(&plan->g, &tile->cut->windows, tile->panel, tile->staging, tile->x + first * tile->x_plane, tile->x_plane,
                 tile->in, channels, tile->out_row, tile->rows);
  else if (tile->x) pack(tile, first, channels, vectors);
  for (int32_t block = tile->block_begin; block < tile->block_end; ++block) {
    size_t at = plan->starts[t * plan->blocks + block];
    const row_t *row = plan->rows + (size_t)t * m + plan->block_start[block];
    const row_t *end = plan->rows + (size_t)t * m + plan->block_start[block + 1];
    for (; row + rows <= end; row += rows) at = run_rows(tile, t, row, at, vectors, rows, group, windows);
    for (; row < end; ++row) at = run_rows(tile, t, row, at, vectors, 1, group, windows);
  }
}

/* Rows side by side: 8 to 16 vectors of sums keep the multipliers busy and fit the registers. */
#define ROWS(vectors) ((vectors) <= 2 ? 4 : (vectors) <= (CE_REGISTERS == 32 ? 8 : 6) ? 2 : 1)
#define CE_VARIANT(name, vectors, group, windows)                                          \
  static void name##_##vectors(const tile_t *tile, int32_t t) {                            \
    if (vectors <= MOST_OF_GROUP(group))                                                   \
      run_tile(tile, t, vectors, ROWS(vectors) > group ? ROWS(vectors) / group : 1, group, windows); \
  }
#define CE_NAMES_8(name) name##_1, name##_2, name##_3, name##_4, name##_5, name##_6, name##_7, name##_8
#if MOST_GROUP == 1
#define CE_TILE(vectors) CE_VARIANT(run_tile, vectors, 1, 0) CE_VARIANT(run_windows, vectors, 1, 1)
#define CE_VARIANTS {CE_NAMES(run_tile)}, {CE_NAMES(run_windows)}
#else
#define CE_PAIRS(vectors) CE_VARIANT(run_pairs, vectors, 2, 0) CE_VARIANT(run_pair_windows, vectors, 2, 1)
#if CE_REGISTERS == 16
#define CE_TILE(vectors) CE_PAIRS(vectors)
#define CE_VARIANTS {CE_NAMES(run_pairs)}, {CE_NAMES(run_pair_windows)}
#else
#define CE_TILE(vectors) \
  CE_PAIRS(vectors) CE_VARIANT(run_fours, vectors, 4, 0) CE_VARIANT(run_four_windows, vectors, 4, 1)
#define CE_VARIANTS {CE_NAMES(run_pairs)}, {CE_NAMES(run_pair_windows)}, {CE_NAMES(run_fours)}, {CE_NAMES(run_four_windows)}
#endif
#endif
CE_TILE(1)
CE_TILE(2)
CE_TILE(3)
CE_TILE(4)
CE_TILE(5)
CE_TILE(6)
CE_TILE(7)
CE_TILE(8)
#if MOST_VECTORS == 16
#define CE_NAMES(name)                                                                                          \
  CE_NAMES_8(name), name##_9, name##_10, name##_11, name##_12, name##_13, name##_14, name##_15, name##_16
CE_TILE(9)
CE_TILE(10)
CE_TILE(11)
CE_TILE(12)
CE_TILE(13)
CE_TILE(14)
CE_TILE(15)
CE_TILE(16)
#else
#define CE_NAMES(name) CE_NAMES_8(name)
#endif

static void run_vectors(const tile_t *tile, int vectors, int32_t first_k, int32_t end_k) {
  static void (*const run[][MOST_VECTORS])(const tile_t *, int32_t) = {CE_VARIANTS};
  void (*const one)(const tile_t *, int32_t) = run[(tile->plan->group == 4 ? 2 : 0) + (tile->plan->taps > 1)][vectors - 1];
  for (int32_t t = first_k; t < end_k; ++t) one(tile, t);
}

static int64_t unit_count(const plan_t *plan, const cut_t *cut, ce_shape shape) {
  return shape.n * cut->tiles * plan->blocks;
}

static int tasks(const void *plan, ce_shape shape, int threads) {
  const cut_t cut = cut_pixels(plan, shape, threads);
  return (int)ce_max(1, ce_min(threads, unit_count(plan, &cut, shape)));
}

static size_t scratch_bytes(const void *plan_, ce_shape shape, int threads) {
  const plan_t *plan = plan_;
  const int all = tasks(plan, shape, threads);
  cut_t cut = cut_pixels(plan, shape, threads);
  /* Fewer rows may be cut into longer tiles, but not into tiles of more pixels than there are. */
  if (plan->taps == 1) cut.vectors = (int)ce_min(MOST_OF_GROUP(plan->group), ce_ceil_div(cut.pixels, CE_LANES));
  return (size_t)lay_out(plan, &cut).all * 4 * (size_t)all;
}

/* The vectors that a tile of this number within its image takes; fills in where it is. */
static int place(tile_t *tile, int64_t number) {
  const cut_t *cut = tile->cut;
  const int64_t width = (int64_t)cut->vectors * CE_LANES;
  if (tile->plan->taps == 1) {
    tile->first = number * width;
    tile->count = ce_min(cut->pixels - tile->first, width);
    tile->inputs = tile->panel;
    tile->column = ce_ceil_div(tile->count, CE_LANES) * CE_LANES;
    return (int)(tile->column / CE_LANES);
  }
  tile->out_row = number / cut->row_tiles * cut->rows;
  tile->rows = ce_min(cut->rows, cut->out_h - tile->out_row);
  tile->first = number % cut->row_tiles * width;
  tile->count = ce_min(cut->out_w - tile->first, width);
  tile->inputs = tile->panel + tile->first;
  const int64_t all = (tile->rows - 1) * cut->windows.row + tile->count;
  tile->contiguous = cut->windows.row == cut->out_w;
  if (tile->contiguous) tile->first += tile->out_row * cut->out_w, tile->count = all;
  return (int)ce_ceil_div(all, CE_LANES);
}

/* A band as an image of its own: rows of a 1×1 convolution do not see each other. */
static ce_run run_of_rows(const ce_run *run) {
  ce_run rows = *run;
  if (!run->band) return rows;
  const int64_t before = run->band->first * run->shape.w;
  rows.shape.h = run->band->end - run->band->first;
  rows.x += before;
  rows.y += before;
  if (rows.residual) rows.residual += before;
  return rows;
}

#if defined(CE_FEEDS)
/* With a feed a tile is a part of a strip of rows, whose inputs in a K tile are computed to the panel at once, as the
 * windows of several rows share what they load. */
static layout_t lay_out_strip(const plan_t *plan, const strip_t *strip) {
  layout_t l = {.panel = ce_min(plan->g.in_channels, plan->channel_tile) * strip->column};
  if (plan->k_tiles > 1) l.sums = plan->g.out_channels * strip->column;
  l.all = l.panel + l.sums;
  return l;
}

static size_t fed_scratch_bytes(const void *plan_, ce_shape shape) {
  const plan_t *plan = plan_;
  const strip_t strip = cut_strip(plan, shape.w, shape.h);
  return (size_t)lay_out_strip(plan, &strip).all * sizeof(float);
}

static void run_strips(const plan_t *plan, const ce_run *run) {
  const ce_band *band = run->band;
  const int64_t w = run->shape.w, outs = plan->g.out_channels;
  const strip_t strip = cut_strip(plan, w, band->end - band->first);
  const int64_t channels = ce_min(plan->g.in_channels, plan->channel_tile), width = (int64_t)strip.vectors * CE_LANES;
  float *panel = run->scratch, *sums = panel + channels * strip.column;
  tile_t tile = {.plan = plan, .residual = run->residual, .y = run->y, .y_plane = band->y_plane, .column = strip.column,
                 .block_end = plan->blocks, .fetch_ahead = outs * band->y_plane * 4 > CE_LARGE_OUTPUT_BYTES};
  /* Beyond the pixels of a strip lie lanes whose sums nobody reads; what is in them is not to slow the others down. */
  for (int64_t c = 0; c < channels; ++c) ce_zero(panel + c * strip.column + strip.rows * w, strip.column - strip.rows * w);
  for (int64_t row = band->first; row < band->end; row += strip.rows) {
    const int64_t end = ce_min(row + strip.rows, band->end), pixels = (end - row) * w;
    for (int32_t t = 0; t < plan->k_tiles; ++t) {
      const int64_t first = (int64_t)t * plan->channel_tile;
      run->feed->fill(run->feed, first, ce_min(channels, plan->g.in_channels - first), row, end, panel, strip.column);
      for (int64_t at = 0; at < pixels; at += width) {
        tile.first = row * w + at, tile.count = ce_min(width, pixels - at);
        tile.inputs = panel + at, tile.sums = sums + at * outs;
        run_vectors(&tile, (int)ce_ceil_div(tile.count, CE_LANES), t, t + 1);
      }
    }
  }
}
#endif

static void run_task(const void *plan_, const ce_run *whole, int task) {
  const plan_t *plan = plan_;
#if defined(CE_FEEDS)
  if (whole->feed) {
    run_strips(plan, whole);
    return;
  }
#endif
  const ce_run rows = run_of_rows(whole), *run = &rows;
  const ce_band band = ce_band_of(&plan->g, run);
  const cut_t cut = cut_pixels(plan, run->shape, run->threads);
  const layout_t l = lay_out(plan, &cut);
  const int64_t units = unit_count(plan, &cut, run->shape), all = tasks(plan, run->shape, run->threads);
  float *scratch = (float *)run->scratch + task * l.all;
  tile_t tile = {
      .plan = plan,
      .cut = &cut,
      .panel = (element *)scratch,
      .offset = (int64_t *)(scratch + l.panel),
      .spread = scratch + l.panel + l.offsets,
      .staging = scratch + l.panel + l.offsets + l.spread,
      .sums = scratch + l.panel + l.offsets + l.spread + l.staging,
      .in = run->shape,
      .x_plane = band.x_plane,
      .y_plane = band.y_plane,
      .fetch_ahead = plan->g.out_channels * cut.pixels * 4 > CE_LARGE_OUTPUT_BYTES,
  };
  if (plan->taps > 1) {
    find_offsets(plan, &cut, tile.offset);
    prepare_windows(scratch, l.panel);
    ce_zero(tile.staging, l.staging);
  }
  for (int64_t unit = units * task / all, end = units * (task + 1) / all; unit < end;) {
    const int64_t n = unit / plan->blocks / cut.tiles, out_at = n * plan->g.out_channels * band.y_plane;
    tile.x = run->x + n * plan->g.in_channels * band.x_plane;
    tile.residual = run->residual ? run->residual + out_at : 0;
    tile.y = run->y + out_at;
    tile.block_begin = (int32_t)(unit % plan->blocks);
    tile.block_end = (int32_t)ce_min(plan->blocks, tile.block_begin + end - unit);
    run_vectors(&tile, place(&tile, unit / plan->blocks % cut.tiles), 0, plan->k_tiles);
    unit += tile.block_end - tile.block_begin;
  }
}

#if defined(CE_FEEDS)
#undef CE_FED
#define CE_FED fed_scratch_bytes
#endif
#if defined(CE_BLOCKS)
CE_DEFINE_KERNEL(block_csr_conv, CE_ISA)
#else
CE_DEFINE_KERNEL(csr_conv, CE_ISA)
#endif
