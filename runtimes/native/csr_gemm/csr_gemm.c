/* Sparse matrix product: Y [N, M] = clip(X [N, K] W^T + bias).
 *
 * Rows are taken CE_LANES at a time, each in a lane of its own: step j of such a group multiplies the j-th non-zeros of its
 * rows by the inputs that they point at. Rows of a group have about the same number of non-zeros; a shorter one is filled
 * up with values of -0 on an input of +0, which changes no sum, whatever X holds (SELL-C-sigma, arXiv 1307.6209).
 */
#include "common/activate.h"
#include "common/kernel.h"
#include "common/nm.h"
#include "common/simd.h"
#include "common/values.h"

#define MAX_FEATURES 65535 /* indices are 16 bits, and one is needed for the input of +0 */

#define LEAST_WORK (16 * 1024) /* multiply-adds of a task: to wake a thread takes as long as these */

typedef struct row_t {
  int32_t row, count;
} row_t;

typedef struct plan_t {
  ce_plan_head head;
  int32_t m, k, groups, activation;
  float clip_min, clip_max;
  row_t *rows;     /* [groups * CE_LANES] by falling count; the last group is filled up with row -1 */
  float *bias;     /* [groups * CE_LANES], likewise */
  int64_t *start;  /* [groups + 1] first step of a group */
  float *values;   /* [steps][CE_LANES] */
  uint16_t *index; /* [steps][CE_LANES] */
} plan_t;

/* The non-zeros of a row. Unless `values` is NULL they are written, with their columns, CE_LANES from one to the next.
 * nm_gemm.c compiles this source with CE_NM. */
#if defined(CE_NM)
typedef ce_nm_gemm_desc desc_t;

static int32_t take_row(const desc_t *desc, int64_t row, float *values, uint16_t *index) {
  const ce_nm_weight *w = &desc->weight;
  const int64_t slots = ce_nm_groups(desc->in_features, w->m) * w->n;
  int32_t count = 0;
  for (int64_t i = 0; i < slots; ++i) {
    const float value = ce_value(w->values, desc->dtypes, row * slots + i);
    if (value == 0) continue;
    const int64_t column = i / w->n * w->m + ce_nm_channel(w->index, ce_nm_bits(w->m), row * slots + i);
    if (values) values[count * CE_LANES] = value, index[count * CE_LANES] = (uint16_t)column;
    ++count;
  }
  return count;
}
#else
typedef ce_csr_gemm_desc desc_t;

static int32_t take_row(const desc_t *desc, int64_t row, float *values, uint16_t *index) {
  const int32_t first = desc->row_ptr[row], count = desc->row_ptr[row + 1] - first;
  for (int32_t i = 0; i < count && values; ++i) {
    values[i * CE_LANES] = ce_value(desc->values, desc->dtypes, first + i);
    index[i * CE_LANES] = (uint16_t)desc->col_idx[first + i];
  }
  return count;
}
#endif

/* No group but the first needs more steps than the shortest row of the group before it has non-zeros. */
static size_t most_steps(const desc_t *desc) {
  int64_t longest = 0, all = 0;
  for (int32_t i = 0; i < desc->out_features; ++i) {
    const int32_t count = take_row(desc, i, 0, 0);
    longest = ce_max(longest, count);
    all += count;
  }
  return (size_t)longest + (size_t)all / CE_LANES;
}

static size_t group_count(const desc_t *desc) { return (size_t)ce_ceil_div(desc->out_features, CE_LANES); }

static size_t plan_bytes(const void *desc_) {
  const desc_t *desc = desc_;
  if (desc->in_features > MAX_FEATURES) return 0;
  const size_t groups = group_count(desc), rows = groups * CE_LANES;
  return ce_round_up(sizeof(plan_t), 64) + (groups + 1) * sizeof(int64_t) + rows * (sizeof(row_t) + 4) +
         most_steps(desc) * CE_LANES * 6 + 64;
}

#include "common/sort_rows.h"

static void plan_init(void *plan_, const void *desc_) {
  plan_t *plan = plan_;
  const desc_t *desc = desc_;
  plan->m = desc->out_features, plan->k = desc->in_features;
  plan->clip_min = desc->clip_min, plan->clip_max = desc->clip_max, plan->activation = desc->activation;
  plan->groups = (int32_t)group_count(desc);
  const int32_t rows = plan->groups * CE_LANES;
  plan->start = (int64_t *)((char *)plan + ce_round_up(sizeof(plan_t), 64));
  plan->rows = (row_t *)(plan->start + plan->groups + 1);
  plan->bias = (float *)(plan->rows + rows);
  plan->values = plan->bias + rows;
  plan->index = (uint16_t *)(plan->values + most_steps(desc) * CE_LANES);

  for (int32_t i = 0; i < rows; ++i) {
    const int real = i < plan->m;
    plan->rows[i] = (row_t){real ? i : -1, real ? take_row(desc, i, 0, 0) : -1};
  }
  sort_by_falling_count(plan->rows, rows);
  int64_t step = 0;
  for (int32_t group = 0; group < plan->groups; ++group) {
    const row_t *members = plan->rows + group * CE_LANES;
    plan->start[group] = step;
    for (int32_t lane = 0; lane < CE_LANES; ++lane)
      plan->bias[group * CE_LANES + lane] = members[lane].row < 0 ? 0.0f : desc->bias[members[lane].row];
    const int32_t longest = (int32_t)ce_max(0, members[0].count);
    for (int32_t lane = 0; lane < CE_LANES; ++lane) {
      float *values = plan->values + step * CE_LANES + lane;
      uint16_t *index = plan->index + step * CE_LANES + lane;
      int32_t j = members[lane].row < 0 ? 0 : take_row(desc, members[lane].row, values, index);
      for (; j < longest; ++j) values[j * CE_LANES] = -0.0f, index[j * CE_LANES] = (uint16_t)plan->k;
    }
    step += longest;
  }
  plan->start[plan->groups] = step;
}

static int tasks(const void *plan_, ce_shape shape, int threads) {
  const plan_t *plan = plan_;
  const int64_t most = ce_ceil_div(shape.n * plan->start[plan->groups] * CE_LANES, LEAST_WORK);
  return (int)ce_max(1, ce_min(threads, ce_min(most, plan->groups)));
}

/* Each task has a row of X there, followed by the 0. */
static size_t task_scratch_bytes(const plan_t *plan) { return ce_round_up((size_t)(plan->k + 1) * 4, 64); }

static size_t scratch_bytes(const void *plan, ce_shape shape, int threads) {
  return task_scratch_bytes(plan) * (size_t)tasks(plan, shape, threads);
}

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
static int32_t split(const plan_t *plan, int task, int all) {
  const int64_t steps = plan->start[plan->groups] + plan->groups;
  int32_t group = 0;
  while (group < plan->groups && (plan->start[group] + group) * all < steps * task) ++group;
  return task == all ? plan->groups : group;
}

static void run_task(const void *plan_, const ce_run *run, int task) {
  const plan_t *plan = plan_;
  const int all = tasks(plan, run->shape, run->threads);
  const int32_t begin = split(plan, task, all), end = split(plan, task + 1, all);
  float *x = (float *)((char *)run->scratch + (size_t)task * task_scratch_bytes(plan));
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
        if (members[lane].row >= 0) y[members[lane].row] = sum[lane];
    }
  }
}

#if defined(CE_NM)
CE_DEFINE_KERNEL(nm_gemm, CE_ISA)
#else
CE_DEFINE_KERNEL(csr_gemm, CE_ISA)
#endif
