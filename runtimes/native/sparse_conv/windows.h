/* The inputs of a tile for windows larger than 1×1: some output rows' worth of every channel, in which a tap of all of the
 * tile's pixels is one run of floats at a fixed offset.
 *
 * A load that crosses a cache line costs twice one that does not. So, where a load of some lanes is cheap, a channel is copied
 * once for each kw, shifted by it (in registers, for the usual window), with zeros for what is outside of the image and rows
 * of a whole number of vectors: then every tap of every pixel is aligned. With the short vectors of other ISAs few loads cross a line, and all taps of a row
 * share one copy (common/planes.h).
 */
#ifndef CE_SPARSE_CONV_WINDOWS_H
#define CE_SPARSE_CONV_WINDOWS_H

#include "common/planes.h"
#include "sparse_conv/element.h"

#if defined(CE_MASKED_LOADS)

typedef struct windows_t {
  int64_t out_w;
  int64_t rows;    /* most output rows of a tile */
  int64_t row;     /* floats from one output row to the next */
  int64_t copy;    /* floats of a copy; copies of a channel are [stride_h][kernel_w] */
  int64_t channel; /* floats of a channel */
} windows_t;

/* Floats from one output row to the next: half a vector where a whole one would hardly be filled. */
static inline int64_t window_row(int64_t out_w) {
  const int64_t whole = (int64_t)ce_round_up((size_t)out_w, CE_LANES), half = (int64_t)ce_round_up((size_t)out_w, CE_LANES / 2);
  return whole * 4 > out_w * 5 ? half : whole;
}

/* Windows for `rows` rows of `out_w` columns of the output. */
static inline windows_t windows_of(const ce_conv_geometry *g, ce_shape in, int64_t rows, int64_t out_w) {
  windows_t w = {.out_w = out_w, .rows = rows};
  (void)in;
  w.row = window_row(w.out_w);
  const int64_t all = rows + (int64_t)(g->kernel_h - 1) * g->dilation_h / g->stride_h;
  w.copy = (int64_t)ce_round_up((size_t)(all * w.row + CE_LANES), CE_LANES);
  w.channel = g->stride_h * g->kernel_w * w.copy;
  return w;
}

static inline int64_t window_offset(const ce_conv_geometry *g, const windows_t *w, int64_t kh, int64_t kw) {
  const int64_t u = kh * g->dilation_h;
  return (u % g->stride_h * g->kernel_w + kw) * w->copy + u / g->stride_h * w->row;
}

/* Which lanes of a vector of output columns have an input inside of the image; with stride 2, of the two vectors whose even
 * lanes they are. */
typedef struct lanes_t {
  ce_mask first, second;
} lanes_t;

CE_INLINE lanes_t lanes_of(int64_t begin, int64_t end, int64_t stride) {
  if (stride == 1) return (lanes_t){.first = ce_lanes(begin, end)};
  return (lanes_t){ce_lanes(2 * begin, 2 * end - 1), ce_lanes(2 * begin - CE_LANES, 2 * end - 1 - CE_LANES)};
}

CE_INLINE vf load_window(const float *from, const lanes_t *lanes, const int stride) {
  const vf a = ce_load_lanes(from, lanes->first);
  return stride == 1 ? a : __builtin_shufflevector(a, ce_load_lanes(from + CE_LANES, lanes->second), CE_EVEN);
}

typedef struct rows_t {
  int64_t all, begin, end; /* rows; those outside of [begin, end) are padding */
  int64_t to_step, from_step;
} rows_t;

/* `wide` vectors of each row of a channel. */
CE_INLINE void fill_columns(float *to, const float *from, const rows_t *rows, const lanes_t *lanes, const int wide,
                            const int stride) {
  int64_t r = 0;
  for (; r < rows->begin; ++r, to += rows->to_step)
    CE_UNROLL for (int v = 0; v < wide; ++v) ce_store(to + v * CE_LANES, (vf)0.0f);
  from += rows->begin * rows->from_step;
  CE_ONE_BY_ONE for (; r < rows->end; ++r, to += rows->to_step, from += rows->from_step)
    CE_UNROLL for (int v = 0; v < wide; ++v)
      ce_store(to + v * CE_LANES, load_window(from + v * CE_LANES * stride, lanes + v, stride));
  for (; r < rows->all; ++r, to += rows->to_step)
    CE_UNROLL for (int v = 0; v < wide; ++v) ce_store(to + v * CE_LANES, (vf)0.0f);
}

/* The same for any stride: `wide` columns, of which [begin, end) have an input. */
CE_INLINE void gather_columns(float *to, const float *from, const rows_t *rows, int64_t begin, int64_t end, int64_t wide,
                              int64_t stride) {
  for (int64_t r = 0; r < rows->all; ++r, to += rows->to_step, from += rows->from_step) {
    const int inside = r >= rows->begin && r < rows->end;
    for (int64_t i = 0; i < wide; ++i) to[i] = inside && i >= begin && i < end ? from[i * stride] : 0;
  }
}

/* Lanes one to the left and one to the right, across two vectors. */
#if CE_LANES == 16
#define CE_LAST_THEN_FIRST 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30
#define CE_SECOND_ON 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16
#else
#define CE_LAST_THEN_FIRST 7, 8, 9, 10, 11, 12, 13, 14
#define CE_SECOND_ON 1, 2, 3, 4, 5, 6, 7, 8
#endif
#define MOST_WIDE 4

/* The three copies of a channel for a window three wide of stride 1 with a column of padding: each row is loaded once, and
 * shifted in registers. */
CE_INLINE void fill_three(float *to, int64_t copy, const float *from, const rows_t *rows, const ce_mask *lanes, const int wide) {
  const vf zero = 0.0f;
  for (int64_t r = 0; r < rows->all; ++r, to += rows->to_step, from += rows->from_step) {
    vf x[MOST_WIDE + 2];
    x[0] = x[wide + 1] = zero;
    const int inside = r >= rows->begin && r < rows->end;
    CE_UNROLL for (int v = 0; v < wide; ++v) x[v + 1] = inside ? ce_load_lanes(from + v * CE_LANES, lanes[v]) : zero;
    CE_UNROLL for (int v = 0; v < wide; ++v) {
      float *at = to + v * CE_LANES;
      ce_store(at, __builtin_shufflevector(x[v], x[v + 1], CE_LAST_THEN_FIRST));
      ce_store(at + copy, x[v + 1]);
      ce_store(at + 2 * copy, __builtin_shufflevector(x[v + 1], x[v + 2], CE_SECOND_ON));
    }
  }
}

/* Whether that is the window, and rows are short enough; if so the channels are filled. */
CE_INLINE int fill_threes(const ce_conv_geometry *g, const windows_t *w, float *panel, const float *x, int64_t x_plane,
                          ce_shape in, int64_t channels, int64_t out_row, int64_t rows) {
  const int64_t wide = ce_ceil_div(w->row, CE_LANES), first = out_row - g->pad_top;
  if (g->kernel_w != 3 || g->stride_h != 1 || g->stride_w != 1 || g->dilation_w != 1 || g->pad_left != 1 || wide > MOST_WIDE ||
      in.w > w->row)
    return 0;
  rows_t r = {.all = rows + (int64_t)(g->kernel_h - 1) * g->dilation_h, .to_step = w->row, .from_step = in.w};
  r.end = ce_min(r.all, ce_max(0, in.h - first)), r.begin = ce_min(r.end, ce_max(0, -first));
  ce_mask lanes[MOST_WIDE];
  CE_UNROLL for (int v = 0; v < MOST_WIDE; ++v) lanes[v] = ce_lanes(0, in.w - v * CE_LANES);
  const float *from = x + first * in.w;
  for (int64_t c = 0; c < channels; ++c, panel += w->channel, from += x_plane)
    switch (wide) {
      case 1: fill_three(panel, w->copy, from, &r, lanes, 1); break;
      case 2: fill_three(panel, w->copy, from, &r, lanes, 2); break;
      case 3: fill_three(panel, w->copy, from, &r, lanes, 3); break;
      default: fill_three(panel, w->copy, from, &r, lanes, 4);
    }
  return 1;
}

/* What `rows` output rows from out_row on, and of these the columns from `column` on, read of some channels. A vector of a
 * row may end in the next one, and is written before what belongs there: the last columns come first, and rows in ascending order. */
CE_NOINLINE void fill_windows(const ce_conv_geometry *g, const windows_t *w, float *panel, float *staging, const float *x,
                              int64_t x_plane, ce_shape in, int64_t channels, int64_t out_row, int64_t rows, int64_t column) {
  (void)staging;
  if (!column && fill_threes(g, w, panel, x, x_plane, in, channels, out_row, rows)) return;
  const int64_t sh = g->stride_h, sw = g->stride_w;
  rows_t r = {.all = rows + (int64_t)(g->kernel_h - 1) * g->dilation_h / sh, .to_step = w->row, .from_step = sh * in.w};
  for (int64_t phase = 0; phase < ce_min(sh, ce_input_rows(g, 1)); ++phase) {
    const int64_t first = out_row * sh + phase - g->pad_top; /* image row of row 0 of this phase */
    r.end = ce_min(r.all, ce_steps(in.h - first, sh)), r.begin = ce_min(r.end, ce_steps(-first, sh));
    for (int64_t kw = 0; kw < g->kernel_w; ++kw) {
      const int64_t left = column * sw + kw * g->dilation_w - g->pad_left; /* image column of the first output column */
      const int64_t low = ce_steps(-left, sw), high = ce_min(w->out_w, ce_steps(in.w - left, sw));
      float *copy = panel + (phase * g->kernel_w + kw) * w->copy;
      const float *image = x + first * in.w + left;
      for (int64_t j = (w->row - 1) / (2 * CE_LANES) * (2 * CE_LANES); j >= 0; j -= 2 * CE_LANES) {
        const int64_t second = j + CE_LANES;
        const lanes_t lanes[2] = {lanes_of(low - j, high - j, sw), lanes_of(low - second, high - second, sw)};
        float *to = copy + j;
        const float *from = image + j * sw;
        for (int64_t c = 0; c < channels; ++c, to += w->channel, from += x_plane)
          if (sw > 2) gather_columns(to, from, &r, low - j, high - j, ce_min(w->row - j, 2 * CE_LANES), sw);
          else if (second >= w->row && sw == 1) fill_columns(to, from, &r, lanes, 1, 1);
          else if (second >= w->row) fill_columns(to, from, &r, lanes, 1, 2);
          else if (sw == 1) fill_columns(to, from, &r, lanes, 2, 1);
          else fill_columns(to, from, &r, lanes, 2, 2);
      }
    }
  }
}

CE_INLINE void prepare_windows(float *panel, int64_t floats) { (void)panel, (void)floats; }

#else

typedef struct windows_t {
  ce_planes planes;
  int64_t row, channel;
} windows_t;

/* Columns of the image that `out_w` output columns read. */
static inline int64_t columns_read(const ce_conv_geometry *g, int64_t out_w) {
  return (out_w - 1) * g->stride_w + (int64_t)(g->kernel_w - 1) * g->dilation_w + 1;
}

/* Planes for `rows` rows of `out_w` columns of the output: all of them, or a part of a row as an image of its own. */
static inline windows_t windows_of(const ce_conv_geometry *g, ce_shape in, int64_t rows, int64_t out_w) {
  ce_conv_geometry part = *g;
  if (out_w < ce_out_w(g, in)) part.pad_left = part.pad_right = 0, in.w = columns_read(g, out_w);
  const ce_planes planes = ce_cut_planes(&part, in, rows, 1);
  return (windows_t){planes, planes.row, planes.total};
}

static inline int64_t window_offset(const ce_conv_geometry *g, const windows_t *w, int64_t kh, int64_t kw) {
  return ce_tap_offset(g, &w->planes, kh, kw);
}

/* What `rows` output rows from out_row on, and of these the columns from `column` on, read of some channels; staging is a
 * channel in float32, where elements are not. */
CE_NOINLINE void fill_windows(const ce_conv_geometry *g, const windows_t *w, element *panel, float *staging, const float *x,
                              int64_t x_plane, ce_shape in, int64_t channels, int64_t out_row, int64_t rows, int64_t column) {
  ce_conv_geometry part = *g;
  const int64_t pitch = in.w, whole = w->planes.out_w == ce_out_w(g, in);
  if (!whole) { /* what lies in the image, and how much does not to its left; what does not to its right is zeroed */
    const int64_t from = column * g->stride_w - g->pad_left, begin = ce_max(0, from);
    part.pad_left = (int32_t)(begin - from);
    in.w = ce_max(0, ce_min(in.w, from + columns_read(g, w->planes.out_w)) - begin);
    x += begin;
  }
  for (int64_t c = 0; c < channels; ++c) {
    element *to = panel + c * w->channel;
    float *planes = sizeof(element) < 4 ? staging : (float *)to;
    if (!whole) ce_zero(planes, w->channel);
    ce_fill_planes(&part, &w->planes, planes, x + c * x_plane, in, pitch, out_row, rows);
    if (sizeof(element) < 4)
      for (int64_t i = 0; i < w->channel; i += CE_LANES) put_inputs(to + i, ce_load(planes + i));
  }
}

/* The padding is written once. */
CE_INLINE void prepare_windows(float *panel, int64_t floats) { ce_zero(panel, floats); }

#endif

#endif
