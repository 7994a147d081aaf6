/* Bytes of four channels a pixel to float32 images. */
#include "common/q_pointwise.h"

typedef struct plan_t {
  ce_plan_head head;
  ce_q_grid grid;
} plan_t;

static size_t plan_bytes(const void *desc) { return (void)desc, sizeof(plan_t); }

static void plan_init(void *plan_, const void *desc_) {
  plan_t *plan = plan_;
  const ce_q_dequantize_desc *desc = desc_;
  plan->grid = desc->grid;
}

static int64_t all_planes(ce_shape s) { return s.n * ce_q_groups(s.c); }

static int tasks(const void *plan, ce_shape shape, int threads) {
  return (void)plan, (int)ce_max(1, ce_min(threads, all_planes(shape)));
}

static void run_task(const void *plan_, const ce_run *run, int task) {
  const plan_t *plan = plan_;
  const ce_shape s = run->shape;
  const int64_t pixels = s.h * s.w, plane = ce_q_plane(s.h, s.w), groups = ce_q_groups(s.c), planes = all_planes(s);
  const int64_t all = tasks(plan, s, run->threads);
  const vf scale = ce_splat(plan->grid.scale);
  for (int64_t group = planes * task / all; group < planes * (task + 1) / all; ++group) {
    const int64_t channel = group % groups * 4, channels = ce_min(4, s.c - channel);
    float *y = run->y + (group / groups * s.c + channel) * pixels;
    for (int64_t at = 0; at < pixels; at += CE_LANES) {
      const vq q = ce_q_load((const uint8_t *)run->x + group * plane + at * 4);
      CE_UNROLL for (int c = 0; c < 4; ++c) {
        if (c >= channels) continue;
        const vf value = ce_q_float(ce_q_channel_bytes(q, c) - (vi)plan->grid.zero) * scale;
        if (pixels - at >= CE_LANES) ce_store(y + c * pixels + at, value);
        else ce_store_part(y + c * pixels + at, value, (int)(pixels - at));
      }
    }
  }
}

CE_DEFINE_KERNEL(q_dequantize, CE_ISA)
