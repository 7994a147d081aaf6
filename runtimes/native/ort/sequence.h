/* A sequence: layers of a network as one node, each run by all threads, one after another.
 *
 * What ONNX Runtime does for a node, and above all the handing of half of it to another thread, costs as much as a small
 * layer takes. Here the threads are handed the whole sequence: each does its part of a layer and waits until the others have
 * done theirs, or takes their parts where they do not come. Nobody waits for work that nobody has begun, so that one thread
 * alone, or several that come late, get to the end as well.
 */
#ifndef CHITA_EDGE_ORT_SEQUENCE_H
#define CHITA_EDGE_ORT_SEQUENCE_H

#include "stage.h"

enum { MOST_IN_CONV_SEQUENCE = 64, MOST_IN_SEQUENCE = 128, MOST_SEQUENCE_TEXT = 4096 };

/* Value 0 is the node's X, value i + 1 what stage i makes; the last one is Y. */
typedef struct sequence_part {
  const op* op;
  int source, residual;
} sequence_part;

typedef struct sequence_parts {
  int count;
  sequence_part parts[MOST_IN_SEQUENCE];
} sequence_parts;

/* Reads the attribute `stages` of a sequence of this kind, as in "DenseConv:0 CsrConv:1 CsrConvAdd:2+1": the ops, what each
 * reads, and adds. */
int sequence_read(node*, const op* kind, sequence_parts* out);

/* How many inputs the node has: X and the constants of all stages. */
size_t sequence_inputs(const sequence_parts*);

typedef struct sequence_step {
  ce_shape shape;
  int tasks, first_task; /* of all stages in a row */
  size_t at, bytes;      /* of what it makes, in the scratch; not of Y */
  int last_use;          /* the last stage that reads it */
} sequence_step;

/* Where everything is in runs of some dimensions. */
typedef struct sequence_schedule {
  const stage* stages;
  int count, threads;
  int64_t dims[MOST_IN_SEQUENCE + 1][4];
  sequence_step steps[MOST_IN_SEQUENCE];
  size_t first_value; /* where values begin */
  size_t stage_scratch, scratch_bytes; /* where a stage's scratch begins; all of it */
  int tasks, workers;
} sequence_schedule;

typedef struct sequence_run {
  const sequence_schedule* schedule;
  const float* x;
  float* y;
  char* scratch;
} sequence_run;

/* Fills in what follows from dims[0], which is set, as are stages, count and threads. */
OrtStatus* sequence_make_schedule(const label*, sequence_schedule*);
/* Where the threads meet is to be cleared before any of them works. */
void sequence_begin(const sequence_run*);
/* What each of `workers` tasks does; user is the sequence_run. */
void sequence_work(void* user, size_t worker);

#endif
