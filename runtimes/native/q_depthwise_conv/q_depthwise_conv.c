/* Depthwise convolution of bytes, windows of 3×3 and 5×5, steps of 1 and 2.
 *
 * The bytes of four input rows are interleaved, so that a word has four rows of a channel: a dot product with a column of the
 * window sums up to four rows at once. Of stride 1, two output rows come from the same words, by weights that are shifted by a
 * row. Neighbours to the left and right are other registers of the same interleaved rows; packing the sums puts the bytes back
 * in order. Outside of the image a load gives the zero point, and no padded copy is made.
 */
#include "q_depthwise_conv/planes.h"

static int tasks(const void *plan_, ce_shape shape, int threads) {
  const plan_t *plan = plan_;
  return (int)ce_max(1, ce_min(threads, shape.n * plan->groups));
}

/* A task has a row of zero points, for the rows above and below the image. */
static size_t row_bytes(ce_shape shape) { return ce_round_up((size_t)shape.w * 4, 64); }

static size_t scratch_bytes(const void *plan, ce_shape shape, int threads) {
  return row_bytes(shape) * (size_t)tasks(plan, shape, threads);
}

#define PLANE(k, stride)                                     \
  CE_NOINLINE void plane_##k##_##stride(const job_t *job) {  \
    if (!job->plan->finish.table && !job->plan->finish.add) run_plane_##stride(job, k, 1); \
    else run_plane_##stride(job, k, 0);                      \
  }
PLANE(3, 1)
PLANE(3, 2)
PLANE(5, 1)
PLANE(5, 2)

static void run_plane(const job_t *job) {
  const ce_conv_geometry *g = &job->plan->g;
  if (is_narrow(job)) (g->stride_h == 1 ? narrow_1 : narrow_2)(job);
  else if (g->kernel_h == 3) (g->stride_h == 1 ? plane_3_1 : plane_3_2)(job);
  else (g->stride_h == 1 ? plane_5_1 : plane_5_2)(job);
}

/* Weights of a group of channels. */
static void aim(job_t *job, int64_t group) {
  const plan_t *plan = job->plan;
  job->weight = plan->weight + group * group_bytes(&plan->g);
  job->base = (vi)ce_q_load_four((const int8_t *)(plan->base + 4 * group));
  job->factor = (vf)ce_q_load_four((const int8_t *)(plan->factor + 4 * group));
}

static void run_task(const void *plan_, const ce_run *run, int task) {
  const plan_t *plan = plan_;
  const ce_shape in = run->shape;
  const int64_t planes = in.n * plan->groups, all = tasks(plan, in, run->threads);
  job_t job = {.plan = plan, .h = in.h, .w = in.w, .out_h = ce_out_h(&plan->g, in), .out_w = ce_out_w(&plan->g, in)};
  job.padding = ce_q_splat(ce_q_four(plan->x_zero ^ CE_Q_FLIP));
  job.zero = (vh)(int16_t)(plan->finish.zero - CE_Q_FLIP);
  uint8_t *outside = (uint8_t *)run->scratch + row_bytes(in) * (size_t)task;
  for (int64_t i = 0; i < in.w * 4; ++i) outside[i] = (uint8_t)(plan->x_zero ^ CE_Q_FLIP);
  job.outside = outside;
  const int64_t x_plane = ce_q_plane(in.h, in.w), y_plane = ce_q_plane(job.out_h, job.out_w);
  for (int64_t plane = planes * task / all; plane < planes * (task + 1) / all; ++plane) {
    const int64_t group = plane % plan->groups;
    job.x = (const uint8_t *)run->x + plane * x_plane;
    job.y = (uint8_t *)run->y + plane * y_plane;
    if (run->residual) job.residual = (const uint8_t *)run->residual + plane * y_plane;
    aim(&job, group);
#if CE_LANES == 16
    if (is_short(&job) && group + 1 < plan->groups && plane + 1 < planes * (task + 1) / all) {
      job_t next = job;
      ++plane;
      next.x += x_plane, next.y += y_plane;
      aim(&next, group + 1);
      run_pair(&job, &next);
      continue;
    }
#endif
    run_plane(&job);
  }
}

CE_DEFINE_KERNEL(q_depthwise_conv, CE_ISA)
