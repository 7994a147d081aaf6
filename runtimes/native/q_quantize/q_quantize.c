/* float32 images to bytes of four channels a pixel.
 *
 * x / scale, correctly rounded, without a division: with r = rn(1 / scale), two corrections of x * r by its remainder (Markstein,
 * Computation of elementary functions on the IBM RISC System/6000 processor, 1990, theorem 8.5: the second one begins within an
 * ulp). Scales whose remainders could leave the range of normal numbers divide.
 */
#include "common/q_pointwise.h"

typedef struct plan_t {
  ce_plan_head head;
  ce_q_grid grid;
  int32_t divides;
} plan_t;

static size_t plan_bytes(const void *desc) { return (void)desc, sizeof(plan_t); }

static void plan_init(void *plan_, const void *desc_) {
  plan_t *plan = plan_;
  const ce_q_quantize_desc *desc = desc_;
  plan->grid = desc->grid;
  plan->divides = !(desc->grid.scale > 0x1p-60f && desc->grid.scale < 0x1p60f);
}

static int64_t all_planes(ce_shape s) { return s.n * ce_q_groups(s.c); }

static int tasks(const void *plan, ce_shape shape, int threads) {
  return (void)plan, ce_q_share_bytes(ce_q_bytes(shape.n, shape.c, shape.h, shape.w), threads);
}

typedef struct scale_t {
  vf scale, inverse, limit, least, most;
} scale_t;

/* NaN becomes the least. */
CE_INLINE vf clamp(vf value, vf least, vf most) {
  value = value > least ? value : least;
  return value < most ? value : most;
}

CE_INLINE vi quantize(vf x, const scale_t *by, const int divides) {
  vf q;
  if (divides) {
    q = x / by->scale;
  } else {
    x = clamp(x, -by->limit, by->limit);
    q = x * by->inverse;
    q = ce_q_fmadd(ce_q_fmadd(-q, by->scale, x), by->inverse, q);
    q = ce_q_fmadd(ce_q_fmadd(-q, by->scale, x), by->inverse, q);
  }
  return ce_q_round_vector(clamp(q, by->least, by->most));
}

/* Vectors [begin, end) of a group of up to four channels that are `pixels` floats apart. */
CE_INLINE void quantize_group(const plan_t *plan, const float *x, uint8_t *y, int64_t pixels, int64_t channels, int64_t begin,
                              int64_t end, const int divides) {
  const scale_t by = {ce_splat(plan->grid.scale), ce_splat(1 / plan->grid.scale), ce_splat(plan->grid.scale * 512),
                      ce_splat((float)-plan->grid.zero), ce_splat((float)(255 - plan->grid.zero))};
  const vh zero = (vh)(int16_t)(plan->grid.zero - CE_Q_FLIP);
  for (int64_t v = begin; v < end; ++v) {
    const int64_t left = pixels - v * CE_LANES;
    vi q[4];
    CE_UNROLL for (int c = 0; c < 4; ++c) {
      q[c] = (vi)0;
      if (c >= channels) continue;
      const float *from = x + c * pixels + v * CE_LANES;
      q[c] = quantize(left >= CE_LANES ? ce_load(from) : ce_load_part(from, (int)left), &by, divides);
    }
    ce_q_store(y + v * CE_Q_VECTOR_BYTES, ce_q_turn(ce_q_pack4(ce_q_pack2(q[0], q[1], zero), ce_q_pack2(q[2], q[3], zero))));
  }
}

static void run_task(const void *plan_, const ce_run *run, int task) {
  const plan_t *plan = plan_;
  const ce_shape s = run->shape;
  const int64_t pixels = s.h * s.w, plane = ce_q_plane(s.h, s.w), groups = ce_q_groups(s.c);
  const int64_t each = ce_ceil_div(pixels, CE_LANES);
  const int64_t all = tasks(plan, s, run->threads), units = all_planes(s) * each;
  for (int64_t unit = units * task / all, end = units * (task + 1) / all; unit < end;) {
    const int64_t group = unit / each, first = unit % each, last = ce_min(each, first + end - unit), channel = group % groups * 4;
    const float *x = run->x + (group / groups * s.c + channel) * pixels;
    uint8_t *y = (uint8_t *)run->y + group * plane;
    if (plan->divides) quantize_group(plan, x, y, pixels, s.c - channel, first, last, 1);
    else quantize_group(plan, x, y, pixels, s.c - channel, first, last, 0);
    unit += last - first;
  }
}

CE_DEFINE_KERNEL(q_quantize, CE_ISA)
