/* A tile of a sparse convolution: every output row through its non-zeros of a K tile, and what becomes of the sums. */
#ifndef CE_SPARSE_CONV_ROWS_H
#define CE_SPARSE_CONV_ROWS_H

#include "common/activate.h"
#include "sparse_conv/inner.h"

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
                 tile->in, channels, tile->out_row, tile->rows, tile->column_at);
  else if (tile->x) CE_PACK(tile, first, channels, vectors);
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
#if defined(CE_POINTS) /* 1×1 alone */
#define CE_TILE(vectors) CE_VARIANT(run_tile, vectors, 1, 0)
#define CE_VARIANTS {CE_NAMES(run_tile)}
#elif MOST_GROUP == 1
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

#endif
