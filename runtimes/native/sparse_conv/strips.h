/* A sparse convolution whose inputs a feed computes where they are read. */
#ifndef CE_SPARSE_CONV_STRIPS_H
#define CE_SPARSE_CONV_STRIPS_H

#include "sparse_conv/rows.h"

#if defined(CE_FEEDS)
/* With a feed a tile is a part of a strip of rows, whose inputs in a K tile are computed to the panel at once, as the
 * windows of several rows share what they load. */
static layout_t lay_out_strip(const plan_t *plan, const strip_t *strip) {
  layout_t l = {.panel = ce_min(plan->g.in_channels, plan->channel_tile) * strip->column};
  if (plan->k_tiles > 1) l.sums = plan->g.out_channels * strip->column;
  l.all = l.panel + l.sums;
  return l;
}

/* A band of fewer rows may be cut into longer strips than the whole height is. */
static size_t fed_scratch_bytes(const void *plan_, ce_shape shape) {
  const plan_t *plan = plan_;
  const strip_t strip = strip_of_rows(ce_min(shape.h, most_strip_rows(plan, shape.w)), shape.w);
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

#endif
