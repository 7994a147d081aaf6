/* The obvious loops: sums in double, output by output; row r of a block is output channel block * block_rows + r. */
#include "common/activate1.h"
#include "common/geometry.h"
#include "common/kernel.h"
#include "common/values.h"

typedef struct plan_t {
  ce_plan_head head;
  ce_block_csr_conv_desc desc;
} plan_t;

static size_t plan_bytes(const void *desc_) {
  const ce_block_csr_conv_desc *desc = desc_;
  const size_t outs = (size_t)desc->csr.geometry.out_channels, block = (size_t)desc->block_rows, rows = outs / block;
  const size_t nnz = (size_t)desc->csr.row_ptr[rows];
  return sizeof(plan_t) + 4 * (nnz * block + nnz + rows + 1 + outs);
}

static void plan_init(void *plan_, const void *desc_) {
  plan_t *plan = plan_;
  plan->desc = *(const ce_block_csr_conv_desc *)desc_;
  ce_csr_conv_desc *csr = &plan->desc.csr;
  const size_t outs = (size_t)csr->geometry.out_channels, block = (size_t)plan->desc.block_rows, rows = outs / block;
  const size_t nnz = (size_t)csr->row_ptr[rows];
  float *values = (float *)(plan + 1), *bias = values + nnz * block;
  int32_t *col_idx = (int32_t *)(bias + outs), *row_ptr = col_idx + nnz;
  for (size_t i = 0; i < nnz * block; ++i) values[i] = ce_value(csr->values, csr->dtypes, (int64_t)i);
  for (size_t i = 0; i < nnz; ++i) col_idx[i] = csr->col_idx[i];
  for (size_t i = 0; i < outs; ++i) bias[i] = csr->bias[i];
  for (size_t i = 0; i <= rows; ++i) row_ptr[i] = csr->row_ptr[i];
  csr->values = values, csr->bias = bias, csr->col_idx = col_idx, csr->row_ptr = row_ptr;
}

static size_t scratch_bytes(const void *plan, ce_shape shape, int threads) {
  (void)plan, (void)shape, (void)threads;
  return 0;
}

/* One task an output channel, of all images. */
static int tasks(const void *plan, ce_shape shape, int threads) {
  (void)shape, (void)threads;
  return ((const plan_t *)plan)->desc.csr.geometry.out_channels;
}

static void run_task(const void *plan_, const ce_run *run, int task) {
  const ce_csr_conv_desc *desc = &((const plan_t *)plan_)->desc.csr;
  const int32_t block = ((const plan_t *)plan_)->desc.block_rows;
  const ce_conv_geometry *g = &desc->geometry;
  const ce_shape in = run->shape;
  const int64_t out_h = ce_out_h(g, in), out_w = ce_out_w(g, in), taps = (int64_t)g->kernel_h * g->kernel_w;
  for (int64_t n = 0; n < in.n; ++n)
    for (int64_t oh = 0; oh < out_h; ++oh)
      for (int64_t ow = 0; ow < out_w; ++ow) {
        double sum = desc->bias[task];
        for (int32_t i = desc->row_ptr[task / block]; i < desc->row_ptr[task / block + 1]; ++i) {
          const int64_t c = desc->col_idx[i] / taps, tap = desc->col_idx[i] % taps;
          const int64_t ih = oh * g->stride_h - g->pad_top + tap / g->kernel_w * g->dilation_h;
          const int64_t iw = ow * g->stride_w - g->pad_left + tap % g->kernel_w * g->dilation_w;
          if (ih < 0 || ih >= in.h || iw < 0 || iw >= in.w) continue;
          const double value = ((const float *)desc->values)[(int64_t)i * block + task % block];
          sum += value * run->x[((n * g->in_channels + c) * in.h + ih) * in.w + iw];
        }
        const int64_t at = ((n * g->out_channels + task) * out_h + oh) * out_w + ow;
        if (run->residual) sum += run->residual[at];
        run->y[at] = ce_activate1(sum, desc->activation, desc->clip_min, desc->clip_max);
      }
}

CE_DEFINE_KERNEL(block_csr_conv, reference)
