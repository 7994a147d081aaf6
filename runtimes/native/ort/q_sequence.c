#include "q_sequence.h"

int q_sequence_check(node* n, const sequence_parts* parts) {
  for (int i = 0; i < parts->count; i++) {
    const sequence_part* part = &parts->parts[i];
    if ((part->op->takes == VALUE_FLOATS) != (i == 0))
      return node_refuse(n, i ? "stage %d is Quantize, which only the first one is" : "stage %d is not Quantize", (int64_t)i);
    if (i && (part->source == 0 || part->residual == 0))
      return node_refuse(n, "stage %d reads X, which only stage 0 does", (int64_t)i);
    const int last = i == parts->count - 1;
    if ((part->op->makes != VALUE_BYTES) != last)
      return node_refuse(n, last ? "stage %d, the last one, makes no float32" : "stage %d makes float32, which only the last one does",
                         (int64_t)i);
  }
  return 1;
}

/* What is being made of the parts. Values are numbered as the node does it; `made_by` has their numbers in the result. */
typedef struct building {
  node* n;
  const sequence_parts* parts;
  int first[MOST_IN_SEQUENCE]; /* of node.first, for each part */
  int fused[MOST_IN_SEQUENCE]; /* is computed with a convolution before it */
  int made_by[MOST_IN_SEQUENCE + 1];
  ce_q_grid grids[MOST_IN_SEQUENCE + 1];
  text suffix; /* of the part that the node is turned to */
} building;

/* Turns the node to the constants and attributes of a part. */
static void turn_to(building* b, int index) {
  b->suffix = (text){.length = 0};
  text_add(&b->suffix, "_%d", (int64_t)index);
  b->n->stage = b->suffix.chars;
  b->n->first = b->first[index];
}

/* The one part that reads a value, once; NO_VALUE where there is none or more than that. */
static int only_reader(const building* b, int value) {
  int found = NO_VALUE;
  for (int i = 0; i < b->parts->count; i++) {
    const sequence_part* part = &b->parts->parts[i];
    const int reads = (part->source == value) + (part->residual == value);
    if (reads && (found != NO_VALUE || reads > 1)) return NO_VALUE;
    if (reads) found = i;
  }
  return found;
}

static int chosen_isa(const op* op, const ce_q_conv_desc* desc, int isa) {
  return op->kind == OP_q_depthwise_conv ? ce_q_depthwise_conv_chosen_isa(desc, isa)
                                                       : ce_q_conv_chosen_isa(desc, isa);
}

/* Lets the convolution `index` compute what its only reader would. Answers which value it then makes; NO_VALUE where
 * something is refused. */
static int fuse(building* b, int index, op_source* source, int* residual) {
  layer_source* layer = &source->layers[0];
  const op* conv = b->parts->parts[index].op;
  const int reader = only_reader(b, index + 1);
  if (conv->dims != DIMS_LAYER || reader == NO_VALUE) return index + 1;
  const sequence_part* next = &b->parts->parts[reader];
  const int other = next->source == index + 1 ? next->residual : next->source;
  layer_source second = {.x = b->grids[next->source], .second = b->grids[next->residual == NO_VALUE ? 0 : next->residual]};
  ce_q_conv_desc fused = layer->desc.q_conv;
  turn_to(b, reader);
  if (next->op->kind == OP_q_table) {
    if (!q_table_read(b->n, &second, &fused.table)) return NO_VALUE;
  } else if (next->op->kind == OP_q_add && other <= index) {
    fused.add = next->source == index + 1 ? 1 : 2;
    *(fused.add == 1 ? &second.x : &second.second) = layer->made;
    if (!q_add_read(b->n, &second)) return NO_VALUE;
    fused.residual = fused.add == 1 ? second.second : second.x;
    fused.sum = second.made;
  } else {
    return index + 1;
  }
  if (chosen_isa(conv, &fused, source->isa) < chosen_isa(conv, &layer->desc.q_conv, source->isa)) return index + 1;
  layer->desc.q_conv = fused;
  layer->made = second.made;
  *residual = fused.add ? b->made_by[other] : NO_VALUE;
  b->fused[reader] = 1;
  return reader + 1;
}

static int create_part(building* b, int index, const settings* settings, OrtAllocator* allocator, stage* out, int number) {
  const sequence_part* part = &b->parts->parts[index];
  op_source source = {.allocator = allocator, .isa = settings->isa};
  layer_source* layer = &source.layers[0];
  turn_to(b, index);
  layer->x = b->grids[part->source];
  if (part->residual != NO_VALUE) layer->second = b->grids[part->residual];
  int residual = part->residual == NO_VALUE ? NO_VALUE : b->made_by[part->residual], value = NO_VALUE;
  if (op_read(b->n, part->op, &source)) value = fuse(b, index, &source, &residual);
  const int well = value != NO_VALUE && stage_plan(b->n, part->op, &source, out);
  op_source_free(b->n, &source);
  if (!well) return 0;
  out->source = b->made_by[part->source];
  out->residual = residual;
  out->index = index;
  b->made_by[value] = number + 1;
  b->grids[value] = layer->made;
  return 1;
}

int q_sequence_create(node* n, const sequence_parts* parts, const settings* settings, OrtAllocator* allocator, stage* stages,
                      int* count) {
  building b = {.n = n, .parts = parts};
  for (int i = 0, first = 0; i < parts->count; i++) b.first[i] = first, first += op_constants(parts->parts[i].op);
  int well = 1;
  *count = 0;
  for (int i = 0; i < parts->count && well; i++) {
    if (b.fused[i]) continue;
    well = create_part(&b, i, settings, allocator, &stages[*count], *count);
    *count += well;
  }
  n->stage = "";
  return well;
}
