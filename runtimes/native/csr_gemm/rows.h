/* The product with many rows of X at a time: a 1×1 convolution (sparse_conv/sparse_conv.h) whose pixels are the rows of X.
 *
 * X has the inputs of a row side by side and a panel those of a column, so they are transposed on their way into it; and
 * so are the sums of a tile on their way into Y.
 */
#ifndef CE_CSR_GEMM_ROWS_H
#define CE_CSR_GEMM_ROWS_H

#include "common/transpose.h"
#include "csr_gemm/weights.h"
#include "sparse_conv/tiles.h"

/* Channels first to first + channels - 1 of the tile's rows of X; zeros beyond its last row. */
CE_INLINE void pack_rows(const tile_t *tile, int32_t first, int32_t channels, const int vectors) {
  const int64_t k = tile->plan->g.in_channels, pitch = (int64_t)vectors * CE_LANES;
  for (int64_t at = 0; at < pitch; at += CE_LANES) {
    const int rows = (int)ce_min(CE_LANES, tile->count - at);
    const float *from = tile->x + at * k + first;
    for (int32_t c = 0; c < channels; c += CE_LANES) {
      const int width = (int)ce_min(CE_LANES, channels - c);
      vf block[CE_LANES];
      if (rows == CE_LANES && width == CE_LANES) {
        ce_load_transposed(from + c, k, block);
      } else {
        CE_UNROLL for (int i = 0; i < CE_LANES; ++i) block[i] = i < rows ? ce_load_part(from + i * k + c, width) : (vf)0.0f;
        ce_transpose(block);
      }
      float *to = tile->panel + c * pitch + at;
      if (width == CE_LANES) {
        CE_UNROLL for (int i = 0; i < CE_LANES; ++i) *(vf *)(to + i * pitch) = block[i];
      } else {
        CE_UNROLL for (int i = 0; i < CE_LANES; ++i)
          if (i < width) *(vf *)(to + i * pitch) = block[i];
      }
    }
  }
}

#undef CE_PACK
#define CE_PACK pack_rows
#include "sparse_conv/rows.h"

/* Output features `begin` to `end` - 1 of a tile, as they lie in its sums, to their places in Y. */
static void place_rows(const tile_t *tile, float *y, int64_t begin, int64_t end) {
  const int64_t m = tile->plan->g.out_channels, pitch = tile->y_plane;
  for (int64_t at = 0; at < tile->count; at += CE_LANES) {
    const int rows = (int)ce_min(CE_LANES, tile->count - at);
    for (int64_t c = begin; c < end; c += CE_LANES) {
      const int width = (int)ce_min(CE_LANES, end - c);
      const float *from = tile->sums + c * pitch + at;
      float *to = y + at * m + c;
      vf block[CE_LANES];
      if (rows == CE_LANES && width == CE_LANES) {
        ce_load_transposed(from, pitch, block);
        CE_UNROLL for (int i = 0; i < CE_LANES; ++i) ce_store(to + i * m, block[i]);
      } else {
        CE_UNROLL for (int i = 0; i < CE_LANES; ++i) block[i] = i < width ? *(const vf *)(from + i * pitch) : (vf)0.0f;
        ce_transpose(block);
        CE_UNROLL for (int i = 0; i < CE_LANES; ++i)
          if (i < rows) ce_store_part(to + i * m, block[i], width);
      }
    }
  }
}

static size_t rows_bytes(const desc_t *desc) {
  const ce_conv_geometry g = {.out_channels = desc->out_features, .in_channels = desc->in_features, .kernel_h = 1, .kernel_w = 1};
  size_t nnz = 0;
  for (int32_t i = 0; i < desc->out_features; ++i) nnz += (size_t)count_row(desc, i);
  return ce_round_up(sizeof(plan_t), 64) +
         after_plan((size_t)k_tile_count(&g, 1), (size_t)desc->out_features, (size_t)desc->out_features, nnz, 1);
}

/* Blocks of about as many non-zeros; a row costs about as much as a few besides its own. Returns the non-zeros. */
static size_t cut_blocks(plan_t *plan, const desc_t *desc) {
  const int32_t m = desc->out_features;
  plan->blocks = (int32_t)ce_min(MAX_BLOCKS, ce_ceil_div(m, ROWS_A_BLOCK));
  int64_t total = 4 * (int64_t)m, before = 0;
  for (int32_t i = 0; i < m; ++i) total += count_row(desc, i);
  int32_t row = 0;
  for (int32_t b = 0; b < plan->blocks; ++b) {
    for (; row < m && before * plan->blocks < total * b; ++row) before += count_row(desc, row) + 4;
    plan->block_start[b] = row;
  }
  plan->block_start[plan->blocks] = m;
  return (size_t)(total - 4 * (int64_t)m);
}

/* Non-zeros of a row in the K tile from column `first` on; those before are passed. */
static uint32_t count_in_tile(const desc_t *desc, int64_t row, int64_t first, int64_t end) {
  row_reader reader = read_row(desc, row);
  float value;
  uint32_t count = 0;
  for (int32_t column; take(desc, &reader, &value, &column) && column < end;) count += column >= first;
  return count;
}

static void rows_init(plan_t *plan, const desc_t *desc) {
  const int32_t m = desc->out_features;
  plan->g = (ce_conv_geometry){m, desc->in_features, 1, 1, 1, 1, 0, 0, 0, 0, 1, 1};
  plan->clip_min = desc->clip_min, plan->clip_max = desc->clip_max, plan->activation = desc->activation;
  plan->taps = plan->group = 1, plan->csr_rows = m;
  plan->channel_tile = channel_tile(&plan->g, 1), plan->k_tiles = k_tile_count(&plan->g, 1);
  place_after_plan(plan, cut_blocks(plan, desc), desc->bias);
  uint32_t used = 0;
  for (int32_t t = 0; t < plan->k_tiles; ++t)
    for (int32_t b = 0; b < plan->blocks; ++b) {
      const int64_t first = (int64_t)t * plan->channel_tile, end = first + plan->channel_tile;
      const int32_t begin = plan->block_start[b], count = plan->block_start[b + 1] - begin;
      row_t *rows = plan->rows + (size_t)t * (size_t)m + begin;
      plan->starts[t * plan->blocks + b] = used;
      for (int32_t i = 0; i < count; ++i) rows[i] = (row_t){(uint32_t)(begin + i), count_in_tile(desc, begin + i, first, end)};
      sort_by_falling_count(rows, count);
      for (int32_t i = 0; i < count; ++i) {
        row_reader reader = read_row(desc, rows[i].row);
        float value;
        for (int32_t column; take(desc, &reader, &value, &column) && column < end;)
          if (column >= first) put_nonzero(&plan->nonzeros, used++, &value, 1, column - first);
      }
    }
}

typedef struct rows_cut {
  cut_t cut;
  int64_t panel, all; /* floats of a panel, and of a task's scratch */
} rows_cut;

static rows_cut cut_rows(const plan_t *plan, int64_t n, int threads) {
  rows_cut found = {.cut = cut_pixels(plan, (ce_shape){.n = 1, .h = 1, .w = n}, threads)};
  const int64_t width = (int64_t)found.cut.vectors * CE_LANES;
  found.panel = ce_min(plan->g.in_channels, plan->channel_tile) * width;
  found.all = found.panel + plan->g.out_channels * width;
  return found;
}

static int rows_tasks(const plan_t *plan, int64_t nnz, int64_t n, int threads) {
  const cut_t cut = cut_pixels(plan, (ce_shape){.n = 1, .h = 1, .w = n}, threads);
  const int64_t most = ce_min(ce_ceil_div(n * nnz, LEAST_WORK), cut.tiles * plan->blocks);
  return (int)ce_max(1, ce_min(threads, most));
}

static void run_rows_of_x(const plan_t *plan, int64_t nnz, const ce_run *run, int task) {
  const rows_cut c = cut_rows(plan, run->shape.n, run->threads);
  const int64_t all = rows_tasks(plan, nnz, run->shape.n, run->threads), units = c.cut.tiles * plan->blocks;
  const int64_t width = (int64_t)c.cut.vectors * CE_LANES, k = plan->g.in_channels, m = plan->g.out_channels;
  float *panel = (float *)run->scratch + task * c.all;
  tile_t tile = {.plan = plan, .cut = &c.cut, .panel = panel, .inputs = panel, .sums = panel + c.panel, .y = panel + c.panel};
  for (int64_t unit = units * task / all, end = units * (task + 1) / all; unit < end;) {
    const int64_t begin = unit / plan->blocks * width;
    tile.x = run->x + begin * k;
    tile.count = ce_min(width, run->shape.n - begin);
    const int vectors = (int)ce_ceil_div(tile.count, CE_LANES);
    tile.column = tile.y_plane = (int64_t)vectors * CE_LANES; /* a row's finished sums lie where they have waited */
    tile.block_begin = (int32_t)(unit % plan->blocks);
    tile.block_end = (int32_t)ce_min(plan->blocks, tile.block_begin + end - unit);
    run_vectors(&tile, vectors, 0, plan->k_tiles);
    place_rows(&tile, run->y + begin * m, plan->block_start[tile.block_begin], plan->block_start[tile.block_end]);
    unit += tile.block_end - tile.block_begin;
  }
}

#endif
