/* Sparse 1×1 convolution: Y [M, P] = clip(W X + bias + residual), X [K, P] and P pixels in tiles of up to 8 or 16 vectors.
 *
 * For each tile of pixels, K_TILE rows of X are packed into a panel that stays in L1; then every output row runs through its
 * non-zeros in those columns with its sums in registers: one broadcast value times one contiguous piece of a panel row.
 * The sums wait in an accumulator buffer between the K tiles. The rows of a block are in the order of their number of
 * non-zeros, so that the branch at the end of a row is predicted.
 */
#include "common/geometry.h"
#include "common/kernel.h"
#include "common/simd.h"

#ifndef CE_K_TILE
#define CE_K_TILE 128
#endif
#ifndef CE_PANEL_BYTES
#define CE_PANEL_BYTES (32 * 1024)
#endif
#ifndef CE_MAX_VECTORS
#define CE_MAX_VECTORS (CE_LANES == 4 && CE_REGISTERS == 32 ? 16 : 8)
#endif
#define CE_MIN_VECTORS (CE_MAX_VECTORS / 2)
#define MAX_BLOCKS 8
#ifndef ROWS_A_BLOCK
#define ROWS_A_BLOCK 128
#endif
#define MOST_ROWS 4

/* One output row within one K tile. */
typedef struct row_t {
  uint32_t row, count;
} row_t;

typedef struct plan_t {
  ce_plan_head head;
  ce_conv_geometry g;
  float clip_min, clip_max;
  int32_t k_tiles, blocks;
  int32_t block_start[MAX_BLOCKS + 1]; /* rows; blocks of about equal nnz, the unit of work that is split over threads */
  const float *bias;
  row_t *rows;      /* [k_tiles][M]: the rows of each block by falling count */
  uint32_t *starts; /* [k_tiles][blocks]: where a block's non-zeros begin */
  float *values;    /* [nnz] in the order in which they are used */
  uint16_t *index;  /* [nnz] column within its K tile */
} plan_t;

static int32_t k_tile_count(const ce_conv_geometry *g) { return (int32_t)ce_ceil_div(g->in_channels, CE_K_TILE); }

static size_t plan_bytes(const void *desc_) {
  const ce_csr_conv_desc *desc = desc_;
  const ce_conv_geometry *g = &desc->geometry;
  if (g->kernel_h != 1 || g->kernel_w != 1) return 0;
  const size_t m = (size_t)g->out_channels, nnz = (size_t)desc->row_ptr[m], k_tiles = (size_t)k_tile_count(g);
  return ce_round_up(sizeof(plan_t), 64) + k_tiles * m * sizeof(row_t) + k_tiles * MAX_BLOCKS * 4 + m * 4 + nnz * 6;
}

static void sort_by_falling_count(row_t *rows, int32_t n) {
  int32_t gap = 1;
  while (gap < n / 3) gap = gap * 3 + 1;
  for (; gap > 0; gap /= 3)
    for (int32_t i = gap; i < n; ++i) {
      const row_t moving = rows[i];
      int32_t j = i;
      for (; j >= gap && rows[j - gap].count < moving.count; j -= gap) rows[j] = rows[j - gap];
      rows[j] = moving;
    }
}

/* First position in [from, end) of a row's columns that is not below column. */
static int32_t lower_bound(const int32_t *col_idx, int32_t from, int32_t end, int32_t column) {
  while (from < end && col_idx[from] < column) ++from;
  return from;
}

static void split_blocks(plan_t *plan, const ce_csr_conv_desc *desc) {
  const int32_t m = plan->g.out_channels;
  plan->blocks = (int32_t)ce_min(MAX_BLOCKS, ce_ceil_div(m, ROWS_A_BLOCK));
  /* A row costs about as much as a few non-zeros besides its own. */
  const int64_t total = desc->row_ptr[m] + (int64_t)4 * m;
  int32_t row = 0;
  for (int32_t b = 0; b <= plan->blocks; ++b) {
    while (row < m && (desc->row_ptr[row] + (int64_t)4 * row) * plan->blocks < total * b) ++row;
    plan->block_start[b] = b == plan->blocks ? m : row;
  }
}

static void plan_init(void *plan_, const void *desc_) {
  plan_t *plan = plan_;
  const ce_csr_conv_desc *desc = desc_;
  plan->g = desc->geometry;
  const int32_t m = plan->g.out_channels, nnz = desc->row_ptr[m];
  plan->clip_min = desc->clip_min, plan->clip_max = desc->clip_max;
  plan->k_tiles = k_tile_count(&plan->g);
  split_blocks(plan, desc);
  plan->rows = (row_t *)((char *)plan + ce_round_up(sizeof(plan_t), 64));
  plan->starts = (uint32_t *)(plan->rows + (size_t)plan->k_tiles * m);
  float *bias = (float *)(plan->starts + plan->k_tiles * MAX_BLOCKS);
  plan->bias = bias;
  plan->values = bias + m;
  plan->index = (uint16_t *)(plan->values + nnz);
  for (int32_t i = 0; i < m; ++i) bias[i] = desc->bias[i];

  uint32_t used = 0;
  for (int32_t t = 0; t < plan->k_tiles; ++t)
    for (int32_t b = 0; b < plan->blocks; ++b) {
      row_t *rows = plan->rows + (size_t)t * m + plan->block_start[b];
      const int32_t count = plan->block_start[b + 1] - plan->block_start[b];
      plan->starts[t * plan->blocks + b] = used;
      for (int32_t i = 0; i < count; ++i) {
        const int32_t row = plan->block_start[b] + i, end = desc->row_ptr[row + 1];
        const int32_t first = lower_bound(desc->col_idx, desc->row_ptr[row], end, t * CE_K_TILE);
        rows[i].row = (uint32_t)row;
        rows[i].count = (uint32_t)(lower_bound(desc->col_idx, first, end, (t + 1) * CE_K_TILE) - first);
      }
      sort_by_falling_count(rows, count);
      for (int32_t i = 0; i < count; ++i) {
        const int32_t row = (int32_t)rows[i].row;
        const int32_t first = lower_bound(desc->col_idx, desc->row_ptr[row], desc->row_ptr[row + 1], t * CE_K_TILE);
        for (uint32_t j = 0; j < rows[i].count; ++j, ++used) {
          plan->values[used] = desc->values[first + (int32_t)j];
          plan->index[used] = (uint16_t)(desc->col_idx[first + (int32_t)j] - t * CE_K_TILE);
        }
      }
    }
}

/* How a shape's pixels are cut: the same for any number of threads, as it decides the order of the sums. */
typedef struct cut_t {
  int64_t pixels, out_h, out_w, tiles;
  int vectors; /* of a full tile */
} cut_t;

static cut_t cut_pixels(const plan_t *plan, ce_shape shape) {
  cut_t cut;
  cut.out_h = ce_out_h(&plan->g, shape);
  cut.out_w = ce_out_w(&plan->g, shape);
  cut.pixels = cut.out_h * cut.out_w;
  const int64_t rows = ce_min(plan->g.in_channels, CE_K_TILE);
  const int64_t most = ce_max(CE_MIN_VECTORS, ce_min(CE_MAX_VECTORS, CE_PANEL_BYTES / (rows * CE_LANES * 4)));
  const int64_t all = ce_ceil_div(cut.pixels, CE_LANES);
  cut.vectors = (int)ce_ceil_div(all, ce_ceil_div(all, most));
  cut.tiles = ce_ceil_div(all, cut.vectors);
  return cut;
}

static size_t panel_bytes(const plan_t *plan, const cut_t *cut) {
  return (size_t)ce_min(plan->g.in_channels, CE_K_TILE) * (size_t)cut->vectors * CE_LANES * 4;
}

static size_t task_scratch_bytes(const plan_t *plan, const cut_t *cut) {
  const size_t sums = plan->k_tiles > 1 ? (size_t)plan->g.out_channels * (size_t)cut->vectors * CE_LANES * 4 : 0;
  return ce_round_up(panel_bytes(plan, cut) + sums, 64);
}

static int64_t unit_count(const plan_t *plan, const cut_t *cut, ce_shape shape) {
  return shape.n * cut->tiles * plan->blocks;
}

static int tasks(const void *plan, ce_shape shape, int threads) {
  const cut_t cut = cut_pixels(plan, shape);
  return (int)ce_max(1, ce_min(threads, unit_count(plan, &cut, shape)));
}

static size_t scratch_bytes(const void *plan, ce_shape shape, int threads) {
  const cut_t cut = cut_pixels(plan, shape);
  return task_scratch_bytes(plan, &cut) * (size_t)tasks(plan, shape, threads);
}

/* One tile of pixels of one image, for a range of blocks. */
typedef struct tile_t {
  const plan_t *plan;
  const float *x, *residual;
  float *y; /* x, residual, y: of this image */
  float *panel, *sums;
  int64_t in_pixels, in_w, out_w;
  int64_t pixels, first; /* of an output plane; of this tile */
  int64_t count;         /* pixels in this tile */
  int32_t block_begin, block_end;
  int fetch_ahead;
} tile_t;

CE_INLINE void pack(const tile_t *tile, int32_t k_first, int32_t k_count, const int vectors) {
  const ce_conv_geometry *g = &tile->plan->g;
  float *to = tile->panel;
  const int plain = g->stride_h == 1 && g->stride_w == 1 && !(g->pad_top | g->pad_left | g->pad_bottom | g->pad_right);
  if (plain) {
    const float *from = tile->x + k_first * tile->in_pixels + tile->first;
    const int tail = (int)(tile->count - (int64_t)(vectors - 1) * CE_LANES);
    for (int32_t k = 0; k < k_count; ++k, from += tile->in_pixels, to += vectors * CE_LANES) {
      CE_UNROLL for (int v = 0; v < vectors - 1; ++v) *(vf *)(to + v * CE_LANES) = ce_load(from + v * CE_LANES);
      *(vf *)(to + (vectors - 1) * CE_LANES) = ce_load_part(from + (vectors - 1) * CE_LANES, tail);
    }
    return;
  }
  int32_t at[CE_MAX_VECTORS * CE_LANES]; /* where each pixel is in a plane of x, -1 in the padding */
  for (int64_t p = 0; p < vectors * CE_LANES; ++p) {
    const int64_t ih = (tile->first + p) / tile->out_w * g->stride_h - g->pad_top;
    const int64_t iw = (tile->first + p) % tile->out_w * g->stride_w - g->pad_left;
    const int inside = p < tile->count && ih >= 0 && iw >= 0 && iw < tile->in_w && ih < tile->in_pixels / tile->in_w;
    at[p] = inside ? (int32_t)(ih * tile->in_w + iw) : -1;
  }
  for (int32_t k = 0; k < k_count; ++k, to += vectors * CE_LANES) {
    const float *from = tile->x + (k_first + k) * tile->in_pixels;
    for (int p = 0; p < vectors * CE_LANES; ++p) to[p] = at[p] < 0 ? 0.0f : from[at[p]];
  }
}

CE_INLINE void multiply(const tile_t *tile, size_t at, vf *sum, const int vectors) {
  const float *from = tile->panel + (size_t)tile->plan->index[at] * (vectors * CE_LANES);
  const vf weight = ce_splat(tile->plan->values[at]);
  CE_UNROLL for (int v = 0; v < vectors; ++v) sum[v] += weight * *(const vf *)(from + v * CE_LANES);
}

CE_INLINE void finish_row(const tile_t *tile, uint32_t row, vf *sum, const int vectors) {
  const vf lowest = ce_splat(tile->plan->clip_min), highest = ce_splat(tile->plan->clip_max);
  const int last = vectors - 1, tail = (int)(tile->count - (int64_t)last * CE_LANES);
  const int64_t at = row * tile->pixels + tile->first;
  if (tile->residual) {
    const float *residual = tile->residual + at;
    CE_UNROLL for (int v = 0; v < last; ++v) sum[v] += ce_load(residual + v * CE_LANES);
    sum[last] += ce_load_part(residual + last * CE_LANES, tail);
  }
  float *to = tile->y + at;
  CE_UNROLL for (int v = 0; v < last; ++v) ce_store(to + v * CE_LANES, ce_clip(sum[v], lowest, highest));
  ce_store_part(to + last * CE_LANES, ce_clip(sum[last], lowest, highest), tail);
  if (tile->fetch_ahead)
    CE_UNROLL for (int v = 0; v < vectors; v += 16 / CE_LANES) __builtin_prefetch(to + (vectors + v) * CE_LANES, 0, 2);
}

/* `rows` output rows side by side, as one sum at a time would wait for each of its multiply-adds. */
CE_INLINE size_t run_rows(const tile_t *tile, int32_t k_tile, const row_t *row, size_t at, const int vectors, const int rows) {
  vf sum[MOST_ROWS][CE_MAX_VECTORS];
  size_t next[MOST_ROWS];
  CE_UNROLL for (int r = 0; r < rows; ++r) {
    next[r] = at;
    at += row[r].count;
    const float *waiting = tile->sums + (size_t)row[r].row * vectors * CE_LANES;
    const vf bias = ce_splat(tile->plan->bias[row[r].row]);
    CE_UNROLL for (int v = 0; v < vectors; ++v) sum[r][v] = k_tile ? *(const vf *)(waiting + v * CE_LANES) : bias;
  }
  const uint32_t common = row[rows - 1].count;
  for (uint32_t i = 0; i < common; ++i)
    CE_UNROLL for (int r = 0; r < rows; ++r) multiply(tile, next[r]++, sum[r], vectors);
  CE_UNROLL for (int r = 0; r < rows - 1; ++r)
    for (uint32_t i = common; i < row[r].count; ++i) multiply(tile, next[r]++, sum[r], vectors);
  CE_UNROLL for (int r = 0; r < rows; ++r) {
    float *waiting = tile->sums + (size_t)row[r].row * vectors * CE_LANES;
    if (k_tile + 1 == tile->plan->k_tiles) finish_row(tile, row[r].row, sum[r], vectors);
    else CE_UNROLL for (int v = 0; v < vectors; ++v) *(vf *)(waiting + v * CE_LANES) = sum[r][v];
  }
  return at;
}

CE_INLINE void run_tile(const tile_t *tile, const int vectors, const int rows) {
  const plan_t *plan = tile->plan;
  const int32_t m = plan->g.out_channels;
  for (int32_t t = 0; t < plan->k_tiles; ++t) {
    const int32_t k_first = t * CE_K_TILE;
    pack(tile, k_first, (int32_t)ce_min(CE_K_TILE, plan->g.in_channels - k_first), vectors);
    for (int32_t block = tile->block_begin; block < tile->block_end; ++block) {
      size_t at = plan->starts[t * plan->blocks + block];
      const row_t *row = plan->rows + (size_t)t * m + plan->block_start[block];
      const row_t *end = plan->rows + (size_t)t * m + plan->block_start[block + 1];
      for (; row + rows <= end; row += rows) at = run_rows(tile, t, row, at, vectors, rows);
      for (; row < end; ++row) at = run_rows(tile, t, row, at, vectors, 1);
    }
  }
}

/* Rows side by side: 8 to 16 vectors of sums keep the multipliers busy and fit the registers. */
#define ROWS(vectors) ((vectors) <= 2 ? 4 : (vectors) <= (CE_REGISTERS == 32 ? 8 : 6) ? 2 : 1)
#define CE_TILE(vectors) \
  static void run_tile_##vectors(const tile_t *tile) { run_tile(tile, vectors, ROWS(vectors)); }
CE_TILE(1)
CE_TILE(2)
CE_TILE(3)
CE_TILE(4)
CE_TILE(5)
CE_TILE(6)
CE_TILE(7)
CE_TILE(8)
#if CE_MAX_VECTORS == 16
CE_TILE(9)
CE_TILE(10)
CE_TILE(11)
CE_TILE(12)
CE_TILE(13)
CE_TILE(14)
CE_TILE(15)
CE_TILE(16)
#endif

static void run_vectors(const tile_t *tile, int vectors) {
  static void (*const run[])(const tile_t *) = {
      run_tile_1, run_tile_2,  run_tile_3,  run_tile_4,  run_tile_5,  run_tile_6,  run_tile_7,  run_tile_8,
#if CE_MAX_VECTORS == 16
      run_tile_9, run_tile_10, run_tile_11, run_tile_12, run_tile_13, run_tile_14, run_tile_15, run_tile_16,
#endif
  };
  run[vectors - 1](tile);
}

static void run_task(const void *plan_, const ce_run *run, int task) {
  const plan_t *plan = plan_;
  const cut_t cut = cut_pixels(plan, run->shape);
  const int64_t in_pixels = run->shape.h * run->shape.w;
  const int64_t units = unit_count(plan, &cut, run->shape), all = tasks(plan, run->shape, run->threads);
  float *scratch = (float *)((char *)run->scratch + (size_t)task * task_scratch_bytes(plan, &cut));
  for (int64_t unit = units * task / all, end = units * (task + 1) / all; unit < end;) {
    const int64_t tile_index = unit / plan->blocks % cut.tiles, n = unit / plan->blocks / cut.tiles;
    const int64_t first = tile_index * cut.vectors * CE_LANES, out_at = n * plan->g.out_channels * cut.pixels;
    tile_t tile = {
        .plan = plan,
        .x = run->x + n * plan->g.in_channels * in_pixels,
        .residual = run->residual ? run->residual + out_at : 0,
        .y = run->y + out_at,
        .panel = scratch,
        .sums = scratch + panel_bytes(plan, &cut) / 4,
        .in_pixels = in_pixels,
        .in_w = run->shape.w,
        .out_w = cut.out_w,
        .pixels = cut.pixels,
        .first = first,
        .count = ce_min(cut.pixels - first, (int64_t)cut.vectors * CE_LANES),
        .block_begin = (int32_t)(unit % plan->blocks),
        .fetch_ahead = plan->g.out_channels * cut.pixels * 4 > CE_LARGE_OUTPUT_BYTES,
    };
    tile.block_end = (int32_t)ce_min(plan->blocks, tile.block_begin + end - unit);
    run_vectors(&tile, (int)ce_ceil_div(tile.count, CE_LANES));
    unit += tile.block_end - tile.block_begin;
  }
}

CE_DEFINE_KERNEL(csr_conv, CE_ISA)
