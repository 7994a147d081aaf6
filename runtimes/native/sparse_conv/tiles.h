/* How the pixels of a sparse convolution are cut into tiles, and how the inputs of a tile get into L1.
 *
 * 1×1: a tile is a run of pixels; K_TILE rows of X are packed side by side, a vector count of pixels each.
 * Larger windows: a tile is a few output rows (or a part of one) computed as one row with the padding columns between them;
 * CHANNEL_TILE channels are copied into padded planes, in which every tap of a column is at a fixed offset.
 */
#ifndef CE_SPARSE_CONV_TILES_H
#define CE_SPARSE_CONV_TILES_H

#include "sparse_conv/plan.h"
#include "sparse_conv/windows.h"

/* In L1; where several rows share each load, L2 is fast enough. */
#define PANEL_BYTES(group) (((group) == 4 ? 192 : 32 * (group)) * 1024)
/* Vectors of a full tile: their sums in all rows of a group, the rows' values and an input have to fit the registers. */
#if CE_REGISTERS == 32 && CE_LANES <= 8
#define MOST_VECTORS 16
#define MOST_OF_GROUP(group) ((group) == 4 ? 7 : (group) == 2 ? 8 : 16)
#elif CE_REGISTERS == 32
#define MOST_VECTORS 8
#define MOST_OF_GROUP(group) ((group) == 4 ? 6 : 8)
#else
#define MOST_VECTORS 8
#define MOST_OF_GROUP(group) ((group) == 2 ? 6 : 8)
#endif
#define FEWEST_VECTORS (MOST_VECTORS / 2)
#define WINDOW_BYTES (64 * 1024) /* of a panel with larger windows */

/* The bits are the same for any number of threads: what a pixel is summed from does not depend on its tile. */
typedef struct cut_t {
  int64_t pixels, out_h, out_w;
  int64_t tiles, row_tiles; /* of an image; of a strip of rows (larger windows) */
  int vectors;              /* of a full tile */
  int64_t rows;             /* of a strip */
  windows_t windows;        /* larger windows */
} cut_t;

static void cut_windows(const plan_t *plan, ce_shape shape, int threads, cut_t *cut) {
  const int64_t most = MOST_OF_GROUP(plan->group) * CE_LANES, row = windows_of(&plan->g, shape, 1, cut->out_w).row;
  /* A small image is shared by the threads, as long as each gets two vectors. */
  const int64_t fewest = ce_ceil_div(2 * CE_LANES, row), share = ce_ceil_div(cut->out_h, ce_ceil_div(threads, ce_max(1, shape.n)));
  int64_t rows = cut->out_w > most ? 1 : ce_min(ce_max(fewest, share), (most - cut->out_w) / row + 1);
  rows = ce_min(rows, cut->out_h);
  const int64_t channels = ce_min(plan->g.in_channels, plan->channel_tile);
  while (rows > 1 && windows_of(&plan->g, shape, rows, cut->out_w).channel * channels * 4 > WINDOW_BYTES) --rows;
  const int64_t strips = ce_ceil_div(cut->out_h, ce_max(rows, 1));
  cut->rows = ce_ceil_div(cut->out_h, ce_max(strips, 1));
  const int64_t all = ce_ceil_div((cut->rows - 1) * row + cut->out_w, CE_LANES);
  cut->vectors = (int)ce_ceil_div(all, ce_ceil_div(all, MOST_OF_GROUP(plan->group)));
  cut->row_tiles = ce_ceil_div(all, cut->vectors);
  cut->windows = windows_of(&plan->g, shape, cut->rows, cut->row_tiles > 1 ? cut->vectors * CE_LANES : cut->out_w);
  cut->tiles = strips * cut->row_tiles;
}

static cut_t cut_pixels(const plan_t *plan, ce_shape shape, int threads) {
  cut_t cut = {.out_h = ce_out_h(&plan->g, shape), .out_w = ce_out_w(&plan->g, shape), .row_tiles = 1};
  cut.pixels = cut.out_h * cut.out_w;
  if (plan->taps > 1) {
    cut_windows(plan, shape, threads, &cut);
    return cut;
  }
  const int64_t rows = ce_min(plan->g.in_channels, K_TILE(plan->group)), limit = MOST_OF_GROUP(plan->group);
  int64_t most = ce_min(limit, ce_max(FEWEST_VECTORS, PANEL_BYTES(plan->group) / (rows * CE_LANES * (int64_t)sizeof(element))));
  const int64_t all = ce_ceil_div(cut.pixels, CE_LANES);
  /* A panel that is a vector wider costs less than a last tile that is hardly filled. */
  if (plan->group == 1 && most < limit && ce_ceil_div(all, most + 1) * 5 <= ce_ceil_div(all, most) * 4) ++most;
  cut.vectors = (int)ce_ceil_div(all, ce_ceil_div(all, most));
  cut.tiles = ce_ceil_div(all, cut.vectors);
  return cut;
}

/* Measured: with the copies that AVX2's depthwise kernel makes, feeds gain nothing. */
#if defined(CE_MASKED_LOADS) && CE_LANES == 16 && !defined(CE_BLOCKS) && !defined(CE_POINTS)
#define CE_FEEDS
#define STRIP_BYTES (64 * 1024)
#define STRIP_ROWS 4 /* for which the panel may take twice as much: a window of one row shares no loads */

/* Rows whose inputs in a K tile are computed together (1×1 with a feed), cut into tiles of `vectors`. */
typedef struct strip_t {
  int64_t rows, column; /* floats from one column to the next */
  int vectors;
} strip_t;

/* Rows of the longest strip that any height is cut into. */
static int64_t most_strip_rows(const plan_t *plan, int64_t w) {
  const int64_t row = ce_min(plan->g.in_channels, plan->channel_tile) * w * (int64_t)sizeof(float);
  return ce_max(1, ce_max(STRIP_BYTES / row, ce_min(STRIP_ROWS, 2 * STRIP_BYTES / row)));
}

/* `column` grows with the rows. */
static strip_t strip_of_rows(int64_t rows, int64_t w) {
  const int64_t all = ce_ceil_div(rows * w, CE_LANES), tiles = ce_max(1, ce_ceil_div(all, MOST_VECTORS));
  const int64_t vectors = ce_ceil_div(all, tiles);
  return (strip_t){rows, tiles * vectors * CE_LANES, (int)vectors};
}

/* Strips of about the same number of rows. */
static strip_t cut_strip(const plan_t *plan, int64_t w, int64_t h) {
  const int64_t strips = ce_ceil_div(h, most_strip_rows(plan, w));
  return strip_of_rows(ce_ceil_div(h, ce_max(1, strips)), w);
}
#endif

/* Scratch of a task, in floats, each part a multiple of 16. */
typedef struct layout_t {
  int64_t panel, offsets, spread, staging, sums, all;
} layout_t;

static inline layout_t lay_out(const plan_t *plan, const cut_t *cut) {
  const int64_t channels = ce_min(plan->g.in_channels, plan->channel_tile), width = (int64_t)cut->vectors * CE_LANES;
  layout_t l = {0};
  l.panel = channels * (plan->taps > 1 ? cut->windows.channel : width);
  if (plan->taps > 1) l.offsets = 2 * channels * plan->taps, l.spread = width + CE_LANES;
  if (plan->k_tiles > 1) l.sums = plan->g.out_channels * width;
  if (plan->taps > 1 && sizeof(element) < 4) l.staging = (int64_t)ce_round_up((size_t)cut->windows.channel, 16);
  l.panel = (int64_t)ce_round_up((size_t)l.panel * sizeof(element) / 4, 16);
  l.offsets = (int64_t)ce_round_up((size_t)l.offsets, 16);
  l.spread = (int64_t)ce_round_up((size_t)l.spread, 16);
  l.all = l.panel + l.offsets + l.spread + l.staging + (int64_t)ce_round_up((size_t)l.sums, 16);
  return l;
}

/* One tile of one image, for a range of blocks. */
typedef struct tile_t {
  const plan_t *plan;
  const cut_t *cut;
  const float *x, *residual;
  float *y; /* x, residual, y: of this image */
  element *panel;
  float *sums, *spread;
  float *staging; /* a channel's planes in float32, where the panel is not */
  const element *inputs; /* the panel at the tile's first pixel */
  int64_t column; /* elements of the panel from one column to the next (1×1) */
  int64_t *offset; /* where each column of a K tile begins in the panel (larger windows) */
  ce_shape in;
  int64_t x_plane, y_plane; /* floats from channel to channel */
  int64_t first, count;  /* pixels of this tile */
  int64_t out_row, rows; /* output rows of this tile (larger windows); `first` is then a column of theirs */
  int64_t column_at;     /* the first column of what is in the panel of them */
  int32_t block_begin, block_end;
  int fetch_ahead;
  int contiguous; /* larger windows: the pixels are one run of floats in y, as with 1×1, and `first` is the first of them */
} tile_t;

/* The tile's pixels of a plane of x, whose columns are read with a stride of 2. */
CE_INLINE void pack_every_second(const tile_t *tile, const float *plane, float *to) {
  const int64_t out_w = tile->cut->out_w, step = tile->plan->g.stride_h * tile->in.w;
  int64_t row = tile->first / out_w, column = tile->first % out_w;
  for (int64_t left = tile->count; left > 0; ++row, column = 0) {
    const float *from = plane + row * step + 2 * column;
    const int64_t count = ce_min(left, out_w - column);
    for (int64_t i = 0; i < count; i += CE_LANES, from += 2 * CE_LANES) {
      const int n = (int)ce_min(CE_LANES, count - i), second = 2 * n - 1 - CE_LANES;
      const vf a = ce_load_part(from, (int)ce_min(CE_LANES, 2 * n - 1));
      const vf b = second > 0 ? ce_load_part(from + CE_LANES, second) : (vf)0.0f;
      ce_store_part(to + i, __builtin_shufflevector(a, b, CE_EVEN), n);
    }
    to += count, left -= count;
  }
  ce_store_part(to, (vf)0.0f, (int)((CE_LANES - tile->count % CE_LANES) % CE_LANES)); /* as in the padding */
}

CE_INLINE void pack(const tile_t *tile, int32_t first_channel, int32_t channels, const int vectors) {
  const ce_conv_geometry *g = &tile->plan->g;
  element *to = tile->panel;
  const int64_t x_plane = tile->x_plane;
  const int padded = g->pad_top | g->pad_left | g->pad_bottom | g->pad_right;
  if (!padded && g->stride_h == 1 && g->stride_w == 1) {
    const float *from = tile->x + first_channel * x_plane + tile->first;
    const int tail = (int)(tile->count - (int64_t)(vectors - 1) * CE_LANES);
    for (int32_t k = 0; k < channels; ++k, from += x_plane, to += vectors * CE_LANES) {
      CE_UNROLL for (int v = 0; v < vectors - 1; ++v) put_inputs(to + v * CE_LANES, ce_load(from + v * CE_LANES));
      put_inputs(to + (vectors - 1) * CE_LANES, ce_load_part(from + (vectors - 1) * CE_LANES, tail));
    }
    return;
  }
  if (!padded && g->stride_w == 2 && sizeof(element) == sizeof(float)) {
    for (int32_t k = 0; k < channels; ++k, to += vectors * CE_LANES)
      pack_every_second(tile, tile->x + (first_channel + k) * x_plane, (float *)to);
    return;
  }
  int64_t at[MOST_VECTORS * CE_LANES]; /* where each pixel is in a plane of x, -1 in the padding */
  for (int64_t p = 0; p < vectors * CE_LANES; ++p) {
    const int64_t ih = (tile->first + p) / tile->cut->out_w * g->stride_h - g->pad_top;
    const int64_t iw = (tile->first + p) % tile->cut->out_w * g->stride_w - g->pad_left;
    const int inside = p < tile->count && ih >= 0 && iw >= 0 && iw < tile->in.w && ih < tile->in.h;
    at[p] = inside ? ih * tile->in.w + iw : -1;
  }
  for (int32_t k = 0; k < channels; ++k, to += vectors * CE_LANES) {
    const float *from = tile->x + (first_channel + k) * x_plane;
    for (int p = 0; p < vectors * CE_LANES; ++p) to[p] = (element)(at[p] < 0 ? 0.0f : from[at[p]]);
  }
}

/* Who fills the panel of a 1×1 convolution. */
#define CE_PACK pack

static inline void find_offsets(const plan_t *plan, const cut_t *cut, int64_t *offset) {
  const ce_conv_geometry *g = &plan->g;
  for (int32_t tap = 0; tap < plan->taps; ++tap)
    offset[tap] = window_offset(g, &cut->windows, tap / g->kernel_w, tap % g->kernel_w);
  const int64_t columns = ce_min(g->in_channels, plan->channel_tile) * plan->taps;
  for (int64_t i = plan->taps; i < columns; ++i) offset[i] = offset[i - plan->taps] + cut->windows.channel;
}

#endif
