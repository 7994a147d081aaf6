/* What a chain of convolutions remembers: the plans of its stages, one after another, and where rows come from. */
#ifndef CE_CONV_CHAIN_PLAN_H
#define CE_CONV_CHAIN_PLAN_H

#include "common/geometry.h"
#include "common/kernel.h"

typedef struct stage_t {
  int32_t op; /* enum ce_stage_op */
  ce_conv_geometry g;
  void *plan;
} stage_t;

typedef struct plan_t {
  ce_plan_head head;
  int32_t count;
  stage_t stages[CE_MOST_STAGES];
} plan_t;

static const ce_conv_geometry *geometry_of(const ce_stage *stage) {
  switch (stage->op) {
    case CE_STAGE_csr_conv: return &((const ce_csr_conv_desc *)stage->desc)->geometry;
    case CE_STAGE_depthwise_conv: return &((const ce_depthwise_conv_desc *)stage->desc)->geometry;
    default: return &((const ce_dense_conv_desc *)stage->desc)->geometry;
  }
}

static size_t stage_plan_bytes(const ce_stage *stage, int isa) {
  switch (stage->op) {
    case CE_STAGE_csr_conv: return ce_csr_conv_plan_bytes(stage->desc, isa);
    case CE_STAGE_depthwise_conv: return ce_depthwise_conv_plan_bytes(stage->desc, isa);
    default: return ce_dense_conv_plan_bytes(stage->desc, isa);
  }
}

static void stage_plan_init(void *plan, const ce_stage *stage, int isa) {
  switch (stage->op) {
    case CE_STAGE_csr_conv: ce_csr_conv_plan_init(plan, stage->desc, isa); return;
    case CE_STAGE_depthwise_conv: ce_depthwise_conv_plan_init(plan, stage->desc, isa); return;
    default: ce_dense_conv_plan_init(plan, stage->desc, isa);
  }
}

static ce_shape next_shape(const stage_t *stage, ce_shape in) {
  return (ce_shape){.n = in.n, .h = ce_out_h(&stage->g, in), .w = ce_out_w(&stage->g, in)};
}

static size_t stage_scratch_bytes(const stage_t *stage, ce_shape shape) {
  switch (stage->op) {
    case CE_STAGE_csr_conv: return ce_csr_conv_scratch_bytes(stage->plan, shape, 1);
    case CE_STAGE_depthwise_conv: return ce_depthwise_conv_scratch_bytes(stage->plan, shape, 1);
    default: return ce_dense_conv_scratch_bytes(stage->plan, shape, 1);
  }
}

static int stage_tasks(const stage_t *stage, ce_shape shape) {
  switch (stage->op) {
    case CE_STAGE_csr_conv: return ce_csr_conv_tasks(stage->plan, shape, 1);
    case CE_STAGE_depthwise_conv: return ce_depthwise_conv_tasks(stage->plan, shape, 1);
    default: return ce_dense_conv_tasks(stage->plan, shape, 1);
  }
}

static void run_stage(const stage_t *stage, const ce_run *run) {
  const int tasks = stage_tasks(stage, run->shape);
  for (int task = 0; task < tasks; ++task) switch (stage->op) {
      case CE_STAGE_csr_conv: ce_csr_conv_run(stage->plan, run, task); break;
      case CE_STAGE_depthwise_conv: ce_depthwise_conv_run(stage->plan, run, task); break;
      default: ce_dense_conv_run(stage->plan, run, task);
    }
}

static size_t plan_bytes(const void *desc_) {
  const ce_conv_chain_desc *desc = desc_;
  size_t bytes = ce_round_up(sizeof(plan_t), 64);
  for (int32_t i = 0; i < desc->count; ++i) bytes += ce_round_up(stage_plan_bytes(&desc->stages[i], desc->isa), 64);
  return bytes;
}

static void plan_init(void *plan_, const void *desc_) {
  plan_t *plan = plan_;
  const ce_conv_chain_desc *desc = desc_;
  char *room = (char *)plan + ce_round_up(sizeof(plan_t), 64);
  plan->count = desc->count;
  for (int32_t i = 0; i < desc->count; ++i) {
    const ce_stage *stage = &desc->stages[i];
    plan->stages[i] = (stage_t){.op = stage->op, .g = *geometry_of(stage), .plan = room};
    stage_plan_init(room, stage, desc->isa);
    room += ce_round_up(stage_plan_bytes(stage, desc->isa), 64);
  }
}

#endif
