/* A vector, or a few, by a matrix of int8: of four inputs at a time, the words of as many rows as lie in a few vectors.
 *
 * A row has one output only, so that time is that of reading the weights: blocks are unfolded to dense rows, unless they are few
 * (q_gemm/blocks.h).
 */
#include "q_gemm/blocks.h"

#define MOST_VECTORS 8

static size_t blocks_of(const ce_q_gemm_desc *desc) { return (size_t)ce_ceil_div(desc->out_features, CE_LANES); }

static size_t plan_bytes(const void *desc_) {
  const ce_q_gemm_desc *desc = desc_;
  if (keeps_blocks(desc)) return header_bytes() + blocks_bytes(desc);
  return header_bytes() + blocks_of(desc) * CE_Q_VECTOR_BYTES * (2 + (size_t)ce_q_groups(desc->in_features));
}

/* Where the word of a row and a group is. */
static int32_t *word_at(const plan_t *plan, int32_t *words, int64_t row, int64_t group) {
  const int64_t block = row / CE_LANES, first = block / MOST_VECTORS * MOST_VECTORS;
  const int64_t together = ce_min(MOST_VECTORS, plan->blocks - first);
  return words + (first * plan->groups + group * together + block - first) * CE_LANES + row % CE_LANES;
}

static void put(const plan_t *plan, int32_t *words, int32_t *base, int32_t from_zero, int64_t row, int64_t group,
                const int8_t *weight) {
  *word_at(plan, words, row, group) = (int32_t)ce_q_word(weight);
  for (int c = 0; c < 4; ++c) base[row] -= from_zero * weight[c];
}

static void plan_init(void *plan_, const void *desc_) {
  plan_t *plan = plan_;
  const ce_q_gemm_desc *desc = desc_;
  const int32_t k = desc->in_features, m = desc->out_features;
  plan->rows = m;
  plan->blocks = (int32_t)blocks_of(desc), plan->groups = (int32_t)ce_q_groups(k);
  plan->y_zero = desc->y.zero, plan->to_float = desc->to_float;
  plan->from_zero = desc->x.zero - CE_Q_FLIP, plan->pairs = 0;
  if (keeps_blocks(desc)) {
    init_blocks(plan, desc);
    return;
  }
  const size_t padded = (size_t)plan->blocks * CE_LANES;
  int32_t *base = (int32_t *)((char *)plan + header_bytes()), *words = base + 2 * padded;
  float *factor = (float *)(base + padded);
  plan->base = base, plan->factor = factor, plan->words = words;
  for (size_t i = 0; i < padded; ++i) base[i] = 0, factor[i] = 0;
  for (size_t i = 0; i < padded * (size_t)plan->groups; ++i) words[i] = 0;
  const int32_t from_zero = plan->from_zero;
  for (int32_t i = 0; i < m; ++i) {
    base[i] = desc->bias[i];
    factor[i] = ce_q_factor(desc->x.scale, desc->w_scale[i], desc->to_float ? 1 : desc->y.scale);
  }
  if (!desc->block_rows) {
    for (int32_t i = 0; i < m; ++i)
      for (int32_t group = 0; group < plan->groups; ++group) {
        int8_t weight[4] = {0};
        for (int c = 0; c < 4 && 4 * group + c < k; ++c) weight[c] = desc->values[(int64_t)i * k + 4 * group + c];
        put(plan, words, base, from_zero, i, group, weight);
      }
    return;
  }
  for (int64_t row = 0; row * desc->block_rows < m; ++row)
    for (int64_t b = desc->row_ptr[row]; b < desc->row_ptr[row + 1]; ++b)
      for (int64_t i = 0; i < desc->block_rows && row * desc->block_rows + i < m; ++i)
        put(plan, words, base, from_zero, row * desc->block_rows + i, desc->col_idx[b],
            desc->values + (b * desc->block_rows + i) * 4);
}

static size_t scratch_bytes(const void *plan, ce_shape shape, int threads) {
  return (void)plan, (void)shape, (void)threads, 0;
}

static int64_t parts_of(const plan_t *plan) { return ce_ceil_div(plan->pairs ? plan->pairs : plan->blocks, plan->pairs ? 64 : MOST_VECTORS); }

static int tasks(const void *plan, ce_shape shape, int threads) {
  return (void)shape, (int)ce_max(1, ce_min(threads, parts_of(plan)));
}

/* Rows of `vectors` vectors from block `first` on. */
CE_INLINE void run_rows(const plan_t *plan, const uint8_t *x, uint8_t *y, float *to_float, int64_t first, const int vectors) {
  const int32_t *words = plan->words + first * plan->groups * CE_LANES;
  const int64_t pixel = ce_q_plane(1, 1);
  va sum[MOST_VECTORS];
  CE_UNROLL for (int v = 0; v < vectors; ++v) sum[v] = ce_q_begin(*(const vi *)(plan->base + (first + v) * CE_LANES));
  CE_ONE_BY_ONE for (int64_t group = 0; group < plan->groups; ++group, x += pixel, words += vectors * CE_LANES) {
    const vq input = ce_q_splat(*(const int32_t *)x);
    CE_UNROLL for (int v = 0; v < vectors; ++v)
      sum[v] = ce_q_exact_dot(sum[v], input, ce_q_load((const uint8_t *)(words + v * CE_LANES)));
  }
  CE_UNROLL for (int v = 0; v < vectors; ++v) {
    const int64_t row = (first + v) * CE_LANES, left = ce_min(CE_LANES, plan->rows - row);
    const vi total = ce_q_end(sum[v]);
    const vf factor = *(const vf *)(plan->factor + row);
    if (plan->to_float) {
      const vf value = ce_q_float(total) * factor;
      if (left == CE_LANES) ce_store(to_float + row, value);
      else ce_store_part(to_float + row, value, (int)left);
      continue;
    }
    for (int64_t lane = 0; lane < left; ++lane)
      y[(row + lane) / 4 * pixel + lane % 4] = ce_q_requantize(total[lane], factor[lane], plan->y_zero) ^ CE_Q_FLIP;
  }
}

CE_NOINLINE void run_8(const plan_t *plan, const uint8_t *x, uint8_t *y, float *to_float, int64_t first) {
  run_rows(plan, x, y, to_float, first, MOST_VECTORS);
}

static void run_task(const void *plan_, const ce_run *run, int task) {
  const plan_t *plan = plan_;
  const int64_t all = tasks(plan, run->shape, run->threads), parts = parts_of(plan), pixel = ce_q_plane(1, 1);
  for (int64_t n = 0; n < run->shape.n; ++n) {
    const uint8_t *x = (const uint8_t *)run->x + n * plan->groups * pixel;
    uint8_t *y = (uint8_t *)run->y + n * ce_q_groups(plan->rows) * pixel;
    float *to_float = run->y + n * plan->rows;
    if (plan->pairs) {
      run_pairs(plan, x, y, to_float, plan->pairs * (int64_t)task / all, plan->pairs * (int64_t)(task + 1) / all);
      continue;
    }
    for (int64_t part = parts * task / all; part < parts * (task + 1) / all; ++part) {
      const int64_t first = part * MOST_VECTORS, vectors = ce_min(MOST_VECTORS, plan->blocks - first);
      switch (vectors) {
#define CASE(n) \
  case n: run_rows(plan, x, y, to_float, first, n); break;
        CASE(1) CASE(2) CASE(3) CASE(4) CASE(5) CASE(6) CASE(7)
        default: run_8(plan, x, y, to_float, first);
      }
    }
  }
}

CE_DEFINE_KERNEL(q_gemm, CE_ISA)
