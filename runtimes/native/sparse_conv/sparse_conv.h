/* Sparse convolution: Y [M, P] = clip(W X + bias + residual), a column of W being a tap of an input channel.
 *
 * For each tile of pixels, the inputs of a K tile of columns are brought into L1 (sparse_conv/tiles.h); then every output row
 * runs through its non-zeros in those columns with its sums in registers: one broadcast value times one contiguous piece of
 * the inputs. The sums wait in an accumulator buffer between the K tiles. The rows of a block are in the order of their
 * number of non-zeros (sparse_conv/plan.h), so that the branch at the end of a row is predicted.
 */
#ifndef CE_SPARSE_CONV_SPARSE_CONV_H
#define CE_SPARSE_CONV_SPARSE_CONV_H

#include "sparse_conv/rows.h"
#include "sparse_conv/strips.h"

static int64_t unit_count(const plan_t *plan, const cut_t *cut, ce_shape shape) {
  return shape.n * cut->tiles * plan->blocks;
}

static int tasks_of(const plan_t *plan, const cut_t *cut, ce_shape shape, int threads) {
  return (int)ce_max(1, ce_min(threads, unit_count(plan, cut, shape)));
}

static int tasks(const void *plan, ce_shape shape, int threads) {
  const cut_t cut = cut_pixels(plan, shape, threads);
  return tasks_of(plan, &cut, shape, threads);
}

static size_t scratch_bytes(const void *plan_, ce_shape shape, int threads) {
  const plan_t *plan = plan_;
  cut_t cut = cut_pixels(plan, shape, threads);
  const int all = tasks_of(plan, &cut, shape, threads);
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
  tile->inputs = tile->panel;
  tile->column_at = tile->first;
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
  const int64_t units = unit_count(plan, &cut, run->shape), all = tasks_of(plan, &cut, run->shape, run->threads);
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

#endif
