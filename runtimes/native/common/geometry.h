/* Arithmetic on the dimensions of a convolution. */
#ifndef CE_COMMON_GEOMETRY_H
#define CE_COMMON_GEOMETRY_H

#include "edge.h"

static inline int64_t ce_out_side(int64_t side, int64_t pads, int64_t kernel, int64_t dilation, int64_t stride) {
  const int64_t room = side + pads - (dilation * (kernel - 1) + 1);
  return room < 0 ? 0 : room / stride + 1;
}

/* Planes are split into stride_h * stride_w phases: past this the reference does as well. */
static inline int ce_usual_stride(const ce_conv_geometry *g) { return g->stride_h <= 16 && g->stride_w <= 16; }

static inline int64_t ce_out_h(const ce_conv_geometry *g, ce_shape shape) {
  return ce_out_side(shape.h, (int64_t)g->pad_top + g->pad_bottom, g->kernel_h, g->dilation_h, g->stride_h);
}

static inline int64_t ce_out_w(const ce_conv_geometry *g, ce_shape shape) {
  return ce_out_side(shape.w, (int64_t)g->pad_left + g->pad_right, g->kernel_w, g->dilation_w, g->stride_w);
}

/* The rows and planes of a run. */
static inline ce_band ce_band_of(const ce_conv_geometry *g, const ce_run *run) {
  if (run->band) return *run->band;
  const int64_t out_h = ce_out_h(g, run->shape), out_w = ce_out_w(g, run->shape);
  return (ce_band){0, out_h, run->shape.h * run->shape.w, out_h * out_w, 0, 0, 0};
}

#endif
