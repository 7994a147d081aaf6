/* The obvious loops: what every other kernel is held against. Sums in double, taps in the order of the columns. */
#include "common/activate1.h"
#include "common/geometry.h"
#include "common/kernel.h"
#include "common/values.h"

typedef struct plan_t {
  ce_plan_head head;
  ce_csr_conv_desc desc;
} plan_t;

static size_t plan_bytes(const void *desc_) {
  const ce_csr_conv_desc *desc = desc_;
  const size_t rows = (size_t)desc->geometry.out_channels, nnz = (size_t)desc->row_ptr[rows];
  return sizeof(plan_t) + 4 * (nnz + nnz + rows + 1 + rows);
}

static void plan_init(void *plan_, const void *desc_) {
  plan_t *plan = plan_;
  const ce_csr_conv_desc *desc = desc_;
  const size_t rows = (size_t)desc->geometry.out_channels, nnz = (size_t)desc->row_ptr[rows];
  float *values = (float *)(plan + 1), *bias = values + nnz;
  int32_t *col_idx = (int32_t *)(bias + rows), *row_ptr = col_idx + nnz;
  for (size_t i = 0; i < nnz; ++i) values[i] = ce_value(desc->values, desc->dtypes, (int64_t)i), col_idx[i] = desc->col_idx[i];
  for (size_t i = 0; i < rows; ++i) bias[i] = desc->bias[i];
  for (size_t i = 0; i <= rows; ++i) row_ptr[i] = desc->row_ptr[i];
  plan->desc = *desc;
  plan->desc.values = values;
  plan->desc.bias = bias;
  plan->desc.col_idx = col_idx;
  plan->desc.row_ptr = row_ptr;
}

static size_t scratch_bytes(const void *plan, ce_shape shape, int threads) {
  (void)plan, (void)shape, (void)threads;
  return 0;
}

/* One task an output channel, of all images. */
static int tasks(const void *plan, ce_shape shape, int threads) {
  (void)shape, (void)threads;
  return ((const plan_t *)plan)->desc.geometry.out_channels;
}

static void run_task(const void *plan_, const ce_run *run, int task) {
  const ce_csr_conv_desc *desc = &((const plan_t *)plan_)->desc;
  const ce_conv_geometry *g = &desc->geometry;
  const ce_shape in = run->shape;
  const ce_band band = ce_band_of(g, run);
  const int64_t out_w = ce_out_w(g, in);
  for (int64_t n = 0; n < in.n; ++n)
    for (int64_t oh = band.first; oh < band.end; ++oh)
      for (int64_t ow = 0; ow < out_w; ++ow) {
        double sum = desc->bias[task];
        for (int32_t i = desc->row_ptr[task]; i < desc->row_ptr[task + 1]; ++i) {
          const int32_t column = desc->col_idx[i], tap = column % (g->kernel_h * g->kernel_w);
          const int64_t c = column / (g->kernel_h * g->kernel_w);
          const int64_t ih = oh * g->stride_h - g->pad_top + (int64_t)(tap / g->kernel_w) * g->dilation_h;
          const int64_t iw = ow * g->stride_w - g->pad_left + (int64_t)(tap % g->kernel_w) * g->dilation_w;
          if (ih < 0 || ih >= in.h || iw < 0 || iw >= in.w) continue;
          sum += (double)((const float *)desc->values)[i] * run->x[(n * g->in_channels + c) * band.x_plane + ih * in.w + iw];
        }
        const int64_t at = (n * g->out_channels + task) * band.y_plane + oh * out_w + ow;
        if (run->residual) sum += run->residual[at];
        run->y[at] = ce_activate1(sum, desc->activation, desc->clip_min, desc->clip_max);
      }
}

CE_DEFINE_KERNEL(csr_conv, reference)
