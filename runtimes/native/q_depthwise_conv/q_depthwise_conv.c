/* Depthwise convolution of bytes: windows of 3×3 and 5×5, steps of 1 and 2, and any others (q_depthwise_conv/taps.h).
 *
 * The bytes of four input rows are interleaved, so that a word has four rows of a channel: a dot product with a column of the
 * window sums up to four rows at once. Of stride 1, two output rows come from the same words, by weights that are shifted by a
 * row. Neighbours to the left and right are other registers of the same interleaved rows; packing the sums puts the bytes back
 * in order. Outside of the image a load gives the zero point, and no padded copy is made.
 */
#include "q_depthwise_conv/narrow.h"
#include "q_depthwise_conv/taps.h"

static int tasks(const void *plan_, ce_shape shape, int threads) {
  const plan_t *plan = plan_;
  return (int)ce_max(1, ce_min(threads, shape.n * plan->groups));
}

/* A task has a row of zero points, for the rows above and below the image. */
static size_t row_bytes(ce_shape shape) { return ce_round_up((size_t)shape.w * 4, 64); }

static size_t scratch_bytes(const void *plan, ce_shape shape, int threads) {
  return row_bytes(shape) * (size_t)tasks(plan, shape, threads);
}

/* A function of many planes for one of a plane: what is the same for all of them is found once. */
#define PLANES(name, run_one)                                                              \
  CE_NOINLINE void name(const job_t *first, const planes_t *planes) {                      \
    job_t job = *first;                                                                    \
    for (int64_t plane = planes->begin; plane < planes->end; ++plane) {                    \
      aim(&job, planes, plane);                                                            \
      run_one;                                                                             \
    }                                                                                      \
  }
PLANES(narrow_1, run_narrow_1(&job))
PLANES(narrow_2, run_narrow_2(&job))
PLANES(usual_3_1, run_usual_1(&job, 3))
PLANES(usual_3_2, run_usual_2(&job, 3))
PLANES(usual_5_1, run_usual_1(&job, 5))
PLANES(usual_5_2, run_usual_2(&job, 5))
PLANES(any_3_1, run_plane_1(&job, 3))
PLANES(any_3_2, run_plane_2(&job, 3))
PLANES(any_5_1, run_plane_1(&job, 5))
PLANES(any_5_2, run_plane_2(&job, 5))
PLANES(taps_1, run_taps(&job, 1))
PLANES(taps_2, run_taps(&job, 2))
PLANES(taps_any, run_taps(&job, 0))

#if CE_LANES == 16
CE_NOINLINE void short_1(const job_t *first, const planes_t *planes) {
  job_t job = *first;
  for (int64_t plane = planes->begin; plane < planes->end; ++plane) {
    aim(&job, planes, plane);
    if (plane + 1 == planes->end || job.group + 1 == job.plan->groups) run_narrow_1(&job);
    else run_pair(&job, planes->x, planes->y), ++plane;
  }
}
#endif

static void run_planes(const job_t *job, const planes_t *planes) {
  const ce_conv_geometry *g = &job->plan->g;
  if (job->plan->quads) {
    (g->stride_w == 1 ? taps_1 : g->stride_w == 2 ? taps_2 : taps_any)(job, planes);
    return;
  }
  const int by_one = g->stride_h == 1, three = g->kernel_h == 3;
#if CE_LANES == 16
  if (is_short(job)) {
    short_1(job, planes);
    return;
  }
#endif
  if (is_narrow(job)) (by_one ? narrow_1 : narrow_2)(job, planes);
  else if (is_usual(job)) (three ? (by_one ? usual_3_1 : usual_3_2) : by_one ? usual_5_1 : usual_5_2)(job, planes);
  else (three ? (by_one ? any_3_1 : any_3_2) : by_one ? any_5_1 : any_5_2)(job, planes);
}

static void run_task(const void *plan_, const ce_run *run, int task) {
  const plan_t *plan = plan_;
  const ce_shape in = run->shape;
  const int64_t count = in.n * plan->groups, all = tasks(plan, in, run->threads);
  job_t job = {.plan = plan, .h = in.h, .w = in.w, .out_h = ce_out_h(&plan->g, in), .out_w = ce_out_w(&plan->g, in)};
  job.padding = ce_q_splat(ce_q_four(plan->x_zero ^ CE_Q_FLIP));
  job.zero = (vh)(int16_t)(plan->finish.zero - CE_Q_FLIP);
  uint8_t *outside = (uint8_t *)run->scratch + row_bytes(in) * (size_t)task;
  for (int64_t i = 0; i < in.w * 4; ++i) outside[i] = (uint8_t)(plan->x_zero ^ CE_Q_FLIP);
  job.outside = outside;
  const planes_t planes = {.run = run, .x = ce_q_plane(in.h, in.w), .y = ce_q_plane(job.out_h, job.out_w),
                           .begin = count * task / all, .end = count * (task + 1) / all};
  run_planes(&job, &planes);
}

CE_DEFINE_KERNEL(q_depthwise_conv, CE_ISA)
