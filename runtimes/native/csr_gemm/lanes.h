/* The product with one row of X after the other.
 *
 * Rows of W are taken CE_LANES at a time, each in a lane of its own: step j of such a group multiplies the j-th non-zeros of its
 * rows by the inputs that they point at. Rows of a group have about the same number of non-zeros; a shorter one is filled
 * up with values of -0 on an input of +0, which changes no sum, whatever X holds (SELL-C-sigma, arXiv 1307.6209).
 */
#ifndef CE_CSR_GEMM_LANES_H
#define CE_CSR_GEMM_LANES_H

#include "common/activate.h"
#include "common/simd.h"
#include "csr_gemm/weights.h"
#include "sparse_conv/plan.h"

#define MAX_FEATURES 65535 /* indices are 16 bits, and one is needed for the input of +0 */
#define NO_ROW UINT32_MAX

typedef struct gemm_lanes {
  int32_t m, k, groups, activation;
  float clip_min, clip_max;
  row_t *rows;     /* [groups * CE_LANES] by falling count; the last group is filled up with NO_ROW */
  float *bias;     /* [groups * CE_LANES], likewise */
  int64_t *start;  /* [groups + 1] first step of a group */
  float *values;   /* [steps][CE_LANES] */
  uint16_t *index; /* [steps][CE_LANES] */
} gemm_lanes;

/* No group but the first needs more steps than the shortest row of the group before it has non-zeros. */
static size_t most_steps(const desc_t *desc) {
  int64_t longest = 0, all = 0;
  for (int32_t i = 0; i < desc->out_features; ++i) {
    const int32_t count = count_row(desc, i);
    longest = ce_max(longest, count);
    all += count;
  }
  return (size_t)longest + (size_t)all / CE_LANES;
}

static size_t group_count(const desc_t *desc) { return (size_t)ce_ceil_div(desc->out_features, CE_LANES); }

static size_t lanes_bytes(const desc_t *desc) {
  if (desc->in_features > MAX_FEATURES) return 0;
  const size_t groups = group_count(desc), rows = groups * CE_LANES;
  return ce_round_up(sizeof(gemm_lanes), 64) + (groups + 1) * sizeof(int64_t) + rows * (sizeof(row_t) + 4) +
         most_steps(desc) * CE_LANES * 6 + 64;
}

static void lanes_init(gemm_lanes *plan, const desc_t *desc) {
  plan->m = desc->out_features, plan->k = desc->in_features;
  plan->clip_min = desc->clip_min, plan->clip_max = desc->clip_max, plan->activation = desc->activation;
  plan->groups = (int32_t)group_count(desc);
  const int32_t rows = plan->groups * CE_LANES;
  plan->start = (int64_t *)((char *)plan + ce_round_up(sizeof(gemm_lanes), 64));
  plan->rows = (row_t *)(plan->start + plan->groups + 1);
  plan->bias = (float *)(plan->rows + rows);
  plan->values = plan->bias + rows;
  plan->index = (uint16_t *)(plan->values + most_steps(desc) * CE_LANES);

  for (int32_t i = 0; i < rows; ++i)
    plan->rows[i] = i < plan->m ? (row_t){(uint32_t)i, (uint32_t)count_row(desc, i)} : (row_t){NO_ROW, 0};
  sort_by_falling_count(plan->rows, rows);
  int64_t step = 0;
  for (int32_t group = 0; group < plan->groups; ++group) {
    const row_t *members = plan->rows + group * CE_LANES;
    plan->start[group] = step;
    for (int32_t lane = 0; lane < CE_LANES; ++lane)
      plan->bias[group * CE_LANES + lane] = members[lane].row == NO_ROW ? 0.0f : desc->bias[members[lane].row];
    const int64_t longest = members[0].count;
    for (int32_t lane = 0; lane < CE_LANES; ++lane) {
      float *values = plan->values + step * CE_LANES + lane, value = 0;
      uint16_t *index = plan->index + step * CE_LANES + lane;
      row_reader reader = members[lane].row == NO_ROW ? (row_reader){0, 0} : read_row(desc, members[lane].row);
      int64_t j = 0;
      for (int32_t column; take(desc, &reader, &value, &column); ++j)
        values[j * CE_LANES] = value, index[j * CE_LANES] = (uint16_t)column;
      for (; j < longest; ++j) values[j * CE_LANES] = -0.0f, index[j * CE_LANES] = (uint16_t)plan->k;
    }
    step += longest;
  }
  plan->start[plan->groups] = step;
}

static int lanes_tasks(const gemm_lanes *plan, int64_t n, int threads) {
  const int64_t most = ce_ceil_div(n * plan->start[plan->groups] * CE_LANES, LEAST_WORK);
  return (int)ce_max(1, ce_min(threads, ce_min(most, plan->groups)));
}

/* Each task has a row of X there, followed by the 0. */
static size_t lanes_scratch(const gemm_lanes *plan) { return ce_round_up((size_t)(plan->k + 1) * 4, 64); }

CE_INLINE vf gather(const float *x, const uint16_t *index) {
#if defined(__AVX512F__)
  return (vf)_mm512_i32gather_ps(_mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)index)), x, 4);
#elif defined(__AVX2__)
  return (vf)_mm256_i32gather_ps(x, _mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)index)), 4);
#else
  return (vf){x[index[0]], x[index[1]], x[index[2]], x[index[3]]};
#endif
}

/* The first group whose steps begin at or after a share of all steps. */
static int32_t split_groups(const gemm_lanes *plan, int task, int all) {
  const int64_t steps = plan->start[plan->groups] + plan->groups;
  int32_t group = 0;
  while (group < plan->groups && (plan->start[group] + group) * all < steps * task) ++group;
  return task == all ? plan->groups : group;
}

static void run_lanes(const gemm_lanes *plan, const ce_run *run, int task) {
  const int all = lanes_tasks(plan, run->shape.n, run->threads);
  const int32_t begin = split_groups(plan, task, all), end = split_groups(plan, task + 1, all);
  float *x = (float *)((char *)run->scratch + (size_t)task * lanes_scratch(plan));
  const vf lowest = ce_splat(plan->clip_min), highest = ce_splat(plan->clip_max);
  for (int64_t n = 0; n < run->shape.n; ++n) {
    for (int32_t i = 0; i < plan->k; ++i) x[i] = run->x[n * plan->k + i];
    x[plan->k] = 0;
    for (int32_t group = begin; group < end; ++group) {
      vf sum = ce_load(plan->bias + group * CE_LANES);
      for (int64_t step = plan->start[group]; step < plan->start[group + 1]; ++step)
        sum += ce_load(plan->values + step * CE_LANES) * gather(x, plan->index + step * CE_LANES);
      sum = ce_activate(ce_clip(sum, lowest, highest), plan->activation);
      float *y = run->y + n * plan->m;
      const row_t *members = plan->rows + group * CE_LANES;
      for (int lane = 0; lane < CE_LANES; ++lane)
        if (members[lane].row != NO_ROW) y[members[lane].row] = sum[lane];
    }
  }
}

#endif
