/* Windows as columns: a panel has, for each column of a K tile, the inputs of a few output pixels that follow one another, so
 * that a convolution of any window is the multiplication of one of 1×1.
 *
 * A step of more than one pixel splits each plane into phases first, planes of every stride-th row and pixel: at a tap, the
 * inputs of successive outputs then follow one another as well.
 */
#ifndef CE_Q_CONV_PANEL_H
#define CE_Q_CONV_PANEL_H

#include "q_conv/plan.h"

/* Planes that taps are read from, one a phase. */
typedef struct source_t {
  ce_shape in;
  int64_t out_h, out_w;
  int64_t row;          /* pixels from a row to the next */
  int64_t phase, group; /* bytes from a phase and a group of channels to the next */
} source_t;

static int has_phases(const ce_conv_geometry *g) { return g->stride_h > 1 || g->stride_w > 1; }

static source_t source_of(const plan_t *plan, ce_shape in) {
  const ce_conv_geometry *g = &plan->g;
  source_t s = {.in = in, .out_h = ce_out_h(g, in), .out_w = ce_out_w(g, in), .row = in.w, .group = ce_q_plane(in.h, in.w)};
  if (!has_phases(g)) return s;
  s.row = ce_max(s.out_w, ce_ceil_div(in.w, g->stride_w));
  s.phase = (int64_t)ce_round_up((size_t)(ce_ceil_div(in.h, g->stride_h) * s.row * 4), 64);
  s.group = s.phase * g->stride_h * g->stride_w;
  return s;
}

static int64_t source_bytes(const plan_t *plan, const source_t *s) {
  return has_phases(&plan->g) ? s->group * ce_q_groups(plan->g.in_channels) : 0;
}

/* Of a tap: its phase, how far it is shifted there, and the phase's sides. */
typedef struct tap_t {
  int32_t phase, phase_h, phase_w;
  int32_t down, right, h, w;
} tap_t;

/* Layers of small images take not much longer than a few dozen divisions. */
static inline int64_t floor_div(int64_t a, int64_t b) { return b == 1 ? a : a >= 0 ? a / b : -((-a + b - 1) / b); }

static void find_taps(const plan_t *plan, const source_t *s, tap_t *to) {
  const ce_conv_geometry *g = &plan->g;
  for (int64_t tap = 0, row = 0, column = 0; tap < plan->taps; ++tap) {
    const int64_t i = row * g->dilation_h - g->pad_top, j = column * g->dilation_w - g->pad_left;
    if (++column == g->kernel_w) column = 0, ++row;
    const int64_t down = floor_div(i, g->stride_h), right = floor_div(j, g->stride_w);
    const int64_t phase_h = i - down * g->stride_h, phase_w = j - right * g->stride_w;
    to[tap] = (tap_t){(int32_t)(phase_h * g->stride_w + phase_w), (int32_t)phase_h, (int32_t)phase_w, (int32_t)down, (int32_t)right,
                      (int32_t)floor_div(s->in.h - phase_h + g->stride_h - 1, g->stride_h),
                      (int32_t)floor_div(s->in.w - phase_w + g->stride_w - 1, g->stride_w)};
  }
}

typedef uint32_t vu_unaligned __attribute__((ext_vector_type(CE_LANES), aligned(4)));

/* Every `stride`-th pixel of a row from one on. */
CE_INLINE void split_row(uint32_t *to, const uint32_t *from, int64_t pixels, int64_t stride) {
  int64_t i = 0;
  if (stride == 1)
    for (; i + CE_LANES <= pixels; i += CE_LANES) *(vu_unaligned *)(to + i) = *(const vu_unaligned *)(from + i);
  if (stride == 2) {
    for (; i + CE_LANES < pixels; i += CE_LANES) {
      const vu a = *(const vu_unaligned *)(from + 2 * i), b = *(const vu_unaligned *)(from + 2 * i + CE_LANES);
      *(vu_unaligned *)(to + i) = ce_q_even(a, b);
    }
    const int64_t left = pixels - i, last = 2 * left - 1; /* the row may end at the last of them */
    if (left > 1) {
      const vq a = ce_q_load_mask((const uint8_t *)(from + 2 * i), ce_lanes(0, last), ce_q_splat(0));
      const vq b = ce_q_load_mask((const uint8_t *)(from + 2 * i + CE_LANES), ce_lanes(0, last - CE_LANES), ce_q_splat(0));
      ce_q_store_mask((uint8_t *)(to + i), ce_lanes(0, left), (vq)ce_q_even((vu)a, (vu)b));
      return;
    }
  }
  for (; i < pixels; ++i) to[i] = from[i * stride];
}

/* Phases of an image, their rows that output rows [first, end) need. */
static void split_phases(const plan_t *plan, const source_t *s, const tap_t *taps, const uint8_t *x, uint8_t *to, int64_t first,
                         int64_t end) {
  const ce_conv_geometry *g = &plan->g;
  const int64_t plane = ce_q_plane(s->in.h, s->in.w);
  uint8_t done[256] = {0};
  for (const tap_t *t = taps; t < taps + plan->taps; ++t) {
    if (done[t->phase]) continue;
    done[t->phase] = 1;
    int64_t low = t->down, high = t->down;
    for (const tap_t *other = t + 1; other < taps + plan->taps; ++other)
      if (other->phase == t->phase) low = ce_min(low, other->down), high = ce_max(high, other->down);
    const int64_t begin = ce_max(0, first + low), stop = ce_min(t->h, end + high);
    for (int64_t group = 0; group < ce_q_groups(g->in_channels); ++group)
      for (int64_t row = begin; row < stop; ++row) {
        const uint8_t *from = x + group * plane + ((row * g->stride_h + t->phase_h) * s->in.w + t->phase_w) * 4;
        split_row((uint32_t *)(to + group * s->group + t->phase * s->phase + row * s->row * 4), (const uint32_t *)from, t->w,
                  g->stride_w);
      }
  }
}

typedef struct panel_t {
  const plan_t *plan;
  const source_t *source;
  const tap_t *taps;
  const uint8_t *planes; /* x, or its phases */
  uint8_t *to;
  int64_t first, vectors; /* vectors of output pixels */
  int64_t k_tile;
} panel_t;

/* Coordinates of a vector of output pixels. */
typedef struct pixels_t {
  vi y, x;
} pixels_t;

/* Pixels that begin in a row at any x: those past its end are in later rows. */
static pixels_t pixels_from(int64_t row, int64_t x, int64_t out_w) {
  pixels_t at = {(vi)(int32_t)row, (vi)(int32_t)x};
  for (int lane = 0; lane < CE_LANES; ++lane) at.x[lane] += lane;
  const vi width = (vi)(int32_t)out_w;
  for (int64_t end = x + CE_LANES; end > out_w; end -= out_w) {
    const vi past = at.x >= width;
    at.x -= width & past, at.y -= past;
  }
  return at;
}

#define MOST_PANEL_VECTORS 48
/* From a column to that of the next group and the same tap. */
static inline int64_t group_columns(const plan_t *plan) { return plan->apart ? 3 : plan->taps; }

#define MOST_KEPT_COLUMNS 8 /* of a window, whose masks are kept from row to row */

/* Columns of a tap, one a group of channels, of which pixels of `mask` are read, vector by vector, from `from` on. */
CE_INLINE void fill_columns(const panel_t *p, const uint8_t *from, uint8_t *to, const ce_mask *mask, const int masked) {
  const int64_t taps = p->plan->taps, vectors = p->vectors, plane = p->source->group;
  const int64_t bytes = group_columns(p->plan) * vectors * CE_Q_VECTOR_BYTES;
  const int64_t begin = p->k_tile * p->plan->k_columns, end = ce_min(p->plan->columns, begin + p->plan->k_columns);
  const vq padding = ce_q_splat(ce_q_four(p->plan->x_zero ^ CE_Q_FLIP));
  for (int64_t column = begin; column < end; column += taps, from += plane, to += bytes)
    for (int64_t v = 0; v < vectors; ++v) {
      const uint8_t *at = from + v * CE_Q_VECTOR_BYTES;
      ce_q_store(to + v * CE_Q_VECTOR_BYTES, masked ? ce_q_load_mask(at, mask[v], padding) : ce_q_load_unaligned(at));
    }
}

/* The same where rows of the planes are longer or shorter than those of the output: a vector is put together row by row. */
static void fill_by_rows(const panel_t *p, const tap_t *t, const uint8_t *planes, uint8_t *to, const ce_mask *mask) {
  const source_t *s = p->source;
  const int64_t taps = p->plan->taps, bytes = group_columns(p->plan) * p->vectors * CE_Q_VECTOR_BYTES;
  const int64_t begin = p->k_tile * p->plan->k_columns, end = ce_min(p->plan->columns, begin + p->plan->k_columns);
  const vq padding = ce_q_splat(ce_q_four(p->plan->x_zero ^ CE_Q_FLIP));
  for (int64_t column = begin; column < end; column += taps, planes += s->group, to += bytes)
    for (int64_t v = 0; v < p->vectors; ++v) {
      const int64_t pixel = (p->first + v) * CE_LANES, row = pixel / s->out_w;
      const int64_t last = ce_min((pixel + CE_LANES - 1) / s->out_w, s->out_h - 1);
      vq value = padding;
      for (int64_t r = row; r <= last; ++r) {
        const ce_mask of_row = ce_lanes(r * s->out_w - pixel, (r + 1) * s->out_w - pixel);
        const int64_t from = (r + t->down) * s->row + pixel - r * s->out_w + t->right;
        value = ce_q_load_mask(planes + from * 4, ce_q_both(mask[v], of_row), value);
      }
      ce_q_store(to + v * CE_Q_VECTOR_BYTES, value);
    }
}

static void fill_panel(const panel_t *p) {
  const source_t *s = p->source;
  pixels_t at[MOST_PANEL_VECTORS];
  ce_mask mask[MOST_PANEL_VECTORS], in_row[MOST_PANEL_VECTORS], in_column[MOST_KEPT_COLUMNS][MOST_PANEL_VECTORS];
  const int64_t kernel_w = p->plan->g.kernel_w;
  const int64_t first = p->first * CE_LANES;
  int64_t row = first / s->out_w, x = first % s->out_w;
  for (int64_t v = 0; v < p->vectors; ++v) {
    at[v] = pixels_from(row, x, s->out_w);
    for (x += CE_LANES; x >= s->out_w; x -= s->out_w) ++row;
  }
  const uint8_t *planes = p->planes + p->k_tile * p->plan->k_columns / p->plan->taps * s->group;
  for (int64_t tap = 0, column = -1; tap < p->plan->taps; ++tap) {
    const tap_t *t = p->taps + tap;
    if (++column == kernel_w) column = 0;
    uint8_t *to = p->to + (p->plan->apart ? apart_column(p->plan, tap) : tap) * p->vectors * CE_Q_VECTOR_BYTES;
    const uint8_t *plane = planes + t->phase * s->phase;
    ce_mask *in = in_column[column % MOST_KEPT_COLUMNS];
    if (column == 0)
      for (int64_t v = 0; v < p->vectors; ++v) in_row[v] = ce_q_below(at[v].y, t->down, t->h);
    if (tap < kernel_w || kernel_w > MOST_KEPT_COLUMNS)
      for (int64_t v = 0; v < p->vectors; ++v) in[v] = ce_q_below(at[v].x, t->right, t->w);
    int whole = 1;
    for (int64_t v = 0; v < p->vectors; ++v) {
      mask[v] = ce_q_both(in_row[v], in[v]);
      whole &= ce_q_is_whole(mask[v]);
    }
    if (s->row != s->out_w) {
      fill_by_rows(p, t, plane, to, mask);
      continue;
    }
    const uint8_t *from = plane + (first + t->down * s->row + t->right) * 4;
    if (whole) fill_columns(p, from, to, mask, 0);
    else fill_columns(p, from, to, mask, 1);
  }
}

/* Rows of a panel whose taps below each other read the same copy; 0: they do not. Rows of outputs are vectors, and there are so many
 * of them in the panel that copies are saved. */
static int64_t shared_rows(const plan_t *plan, const source_t *s, int64_t first, int64_t vectors) {
  const int64_t a_row = s->out_w / CE_LANES;
  if (!plan->apart || s->out_w % CE_LANES) return 0;
  const int64_t rows = (first + vectors - 1) / a_row - first / a_row + 1 + plan->g.kernel_h - 1;
  return 3 * rows * a_row <= plan->taps * vectors ? rows : 0;
}

/* A panel of so many rows for each group and column of taps: pixels shifted by the column, padding around the image. */
static void fill_shared(const panel_t *p, int64_t rows) {
  const source_t *s = p->source;
  const ce_conv_geometry *g = &p->plan->g;
  const int64_t a_row = s->out_w / CE_LANES, top = p->first / a_row - g->pad_top, plane_bytes = rows * a_row * CE_Q_VECTOR_BYTES;
  const int64_t begin = p->k_tile * p->plan->k_columns / p->plan->taps;
  const int64_t end = ce_min(p->plan->columns, (p->k_tile + 1) * p->plan->k_columns) / p->plan->taps;
  const int64_t first = ce_max(0, -top), last = ce_min(rows, s->in.h - top);
  const vq padding = ce_q_splat(ce_q_four(p->plan->x_zero ^ CE_Q_FLIP));
  for (int64_t column = 0; column < 3; ++column)
    for (int64_t piece = 0; piece < a_row; ++piece) {
      const int64_t x = piece * CE_LANES + column - g->pad_left;
      const ce_mask inside = ce_lanes(-x, s->in.w - x);
      for (int64_t group = begin; group < end; ++group) {
        const uint8_t *from = p->planes + group * s->group + ((top + first) * s->in.w + x) * 4;
        uint8_t *to = p->to + ((group - begin) * 3 + column) * plane_bytes + piece * CE_Q_VECTOR_BYTES;
        for (int64_t row = 0; row < rows; ++row, to += a_row * CE_Q_VECTOR_BYTES) {
          const int there = row >= first && row < last;
          ce_q_store(to, there ? ce_q_load_mask(from, inside, padding) : padding);
          if (there) from += s->in.w * 4;
        }
      }
    }
}

#endif
