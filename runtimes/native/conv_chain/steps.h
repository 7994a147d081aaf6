/* The steps of a chain: what goes from memory to memory. A step is a stage, or a depthwise one and the sparse one that it
 * feeds: a pixel tile's inputs are then computed into the first-level cache, K tile by K tile, and are nowhere else.
 */
#ifndef CE_CONV_CHAIN_STEPS_H
#define CE_CONV_CHAIN_STEPS_H

#include "conv_chain/plan.h"

typedef struct step_t {
  const stage_t *first, *last;
} step_t;

/* Narrow planes gain nothing: tiles of whole rows are filled less well there (14x14: 98 of 112 pixels). */
static int feeds(const stage_t *stage, const stage_t *next, ce_shape out) {
  return stage->op == CE_STAGE_depthwise_conv && next->op == CE_STAGE_csr_conv && out.w > CE_LANES &&
         ce_depthwise_conv_plan_isa(stage->plan) == ce_csr_conv_plan_isa(next->plan) &&
         ce_csr_conv_fed_scratch_bytes(next->plan, (ce_shape){.n = 1, .h = 1, .w = 1}) > 0;
}

/* Returns how many there are. */
static int32_t find_steps(const plan_t *plan, ce_shape shape, step_t *steps) {
  int32_t count = 0;
  for (int32_t i = 0; i < plan->count; ++i) {
    step_t *step = &steps[count++];
    step->first = step->last = &plan->stages[i];
    shape = next_shape(step->first, shape);
    if (i + 1 < plan->count && feeds(step->last, step->last + 1, shape)) step->last = &plan->stages[++i];
  }
  return count;
}

/* Of the stage that feeds: its own scratch, before the other one's. */
static size_t feeding_bytes(const step_t *step, ce_shape shape) {
  return ce_round_up(stage_scratch_bytes(step->first, shape), 64);
}

static size_t step_scratch_bytes(const step_t *step, ce_shape shape) {
  if (step->first == step->last) return stage_scratch_bytes(step->first, shape);
  return feeding_bytes(step, shape) + ce_csr_conv_fed_scratch_bytes(step->last->plan, next_shape(step->first, shape));
}

#endif
