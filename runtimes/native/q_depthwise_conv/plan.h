/* Weights of a q_depthwise_conv as its kernels read them: words of four rows of a column of the window; of windows other than
 * 3x3 and 5x5, and of other steps than 1 and 2, words of any four taps that follow each other.
 *
 * Without VNNI weights of one sign are often more than 128 together, which vpmaddubsw could not take (common/q_words.h): a word
 * is two parts there, of rows 0 and 2 and of rows 1 and 3 as 16 bits each, as are its inputs (ce_q_part). */
#ifndef CE_Q_DEPTHWISE_CONV_PLAN_H
#define CE_Q_DEPTHWISE_CONV_PLAN_H

#include "common/geometry.h"
#include "common/q_simd.h"
#include "common/q_words.h"

#define MOST_WORDS 2 /* of rows: two of four hold 5 + 1 rows */

typedef struct plan_t {
  ce_plan_head head;
  ce_conv_geometry g;
  int32_t groups, x_zero;
  int32_t quads; /* words of taps; 0: of rows */
  ce_q_finish finish;
  const int8_t *weight; /* [groups][output row 0 or 1][word][kw][CE_Q_PARTS][4 channels] words, or [groups][quads][CE_Q_PARTS][4] */
  const int32_t *base;  /* [groups * 4] */
  const float *factor;
  uint8_t table[256];
} plan_t;

static int is_square(const ce_conv_geometry *g) {
  return g->kernel_h == g->kernel_w && (g->kernel_h == 3 || g->kernel_h == 5) && g->stride_h == g->stride_w &&
         g->stride_h <= 2 && g->dilation_h == 1 && g->dilation_w == 1;
}

static int32_t words_of(const ce_conv_geometry *g) { return g->kernel_h == 3 ? 1 : 2; }

static int32_t quads_of(const ce_conv_geometry *g) {
  return is_square(g) ? 0 : (int32_t)ce_ceil_div((int64_t)g->kernel_h * g->kernel_w, 4);
}

static int64_t group_bytes(const ce_conv_geometry *g) {
  return (int64_t)(is_square(g) ? 2 * words_of(g) * g->kernel_w : quads_of(g)) * CE_Q_PARTS * 16;
}

/* Weights of a word of rows, for an output row that begins `down` rows into the first word. */
static void rows_of_word(const ce_q_conv_desc *desc, int64_t channel, int down, int word, int column, int8_t *to) {
  const ce_conv_geometry *g = &desc->geometry;
  for (int i = 0; i < 4; ++i) {
    const int row = 4 * word + i - down;
    const int there = channel < g->out_channels && row >= 0 && row < g->kernel_h;
    to[i] = there ? desc->values[(channel * g->kernel_h + row) * g->kernel_w + column] : 0;
  }
}

static void taps_of_word(const ce_q_conv_desc *desc, int64_t channel, int64_t word, int8_t *to) {
  const int64_t taps = (int64_t)desc->geometry.kernel_h * desc->geometry.kernel_w;
  for (int64_t i = 0; i < 4; ++i) {
    const int there = channel < desc->geometry.out_channels && 4 * word + i < taps;
    to[i] = there ? desc->values[channel * taps + 4 * word + i] : 0;
  }
}

/* The parts of a word of each channel of a group. */
static int8_t *put_word(int8_t *to, int8_t bytes[4][4]) {
  for (int part = 0; part < CE_Q_PARTS; ++part)
    for (int lane = 0; lane < 4; ++lane, to += 4) {
      const int8_t *own = bytes[lane];
      uint32_t word = (uint32_t)(uint16_t)own[part] | (uint32_t)(uint16_t)own[(part + 2) % 4] << 16;
      if (CE_Q_PARTS == 1) word = ce_q_word(own);
      __builtin_memcpy(to, &word, 4);
    }
  return to;
}

static size_t plan_bytes(const void *desc_) {
  const ce_q_depthwise_conv_desc *desc = desc_;
  const ce_conv_geometry *g = &desc->geometry;
  const int64_t groups = ce_q_groups(g->out_channels);
  return sizeof(plan_t) + (size_t)(groups * (32 + group_bytes(g)));
}

static void plan_init(void *plan_, const void *desc_) {
  plan_t *plan = plan_;
  const ce_q_depthwise_conv_desc *desc = desc_;
  const ce_conv_geometry *g = &desc->geometry;
  plan->g = *g;
  plan->groups = (int32_t)ce_q_groups(g->out_channels);
  plan->x_zero = desc->x.zero;
  plan->quads = quads_of(g);
  plan->finish = ce_q_finish_of(desc);
  for (int i = 0; i < 256 && desc->table; ++i) plan->table[i] = desc->table[i];
  if (desc->table) plan->finish.table = plan->table;
  int32_t *base = (int32_t *)(plan + 1);
  float *factor = (float *)(base + 4 * plan->groups);
  int8_t *weight = (int8_t *)(factor + 4 * plan->groups), *to = weight;
  const int64_t taps = g->kernel_h * g->kernel_w;
  for (int64_t channel = 0; channel < 4 * plan->groups; ++channel) {
    const int real = channel < g->out_channels;
    base[channel] = real ? desc->bias[channel] : 0;
    factor[channel] = real ? ce_q_factor(desc->x.scale, desc->w_scale[channel], desc->y.scale) : 0;
    for (int64_t i = 0; real && i < taps; ++i) base[channel] -= (desc->x.zero - CE_Q_FLIP) * desc->values[channel * taps + i];
  }
  for (int64_t group = 0; group < plan->groups; ++group) {
    int8_t bytes[4][4];
    for (int64_t word = 0; word < plan->quads; ++word) {
      for (int lane = 0; lane < 4; ++lane) taps_of_word(desc, 4 * group + lane, word, bytes[lane]);
      to = put_word(to, bytes);
    }
    for (int down = 0; down < 2 && !plan->quads; ++down)
      for (int word = 0; word < words_of(g); ++word)
        for (int column = 0; column < g->kernel_w; ++column) {
          for (int lane = 0; lane < 4; ++lane) rows_of_word(desc, 4 * group + lane, down, word, column, bytes[lane]);
          to = put_word(to, bytes);
        }
  }
  plan->base = base, plan->factor = factor, plan->weight = weight;
}

#endif
