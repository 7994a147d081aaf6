/* Memory for one run of a kernel. */
#ifndef CHITA_EDGE_ORT_SCRATCH_H
#define CHITA_EDGE_ORT_SCRATCH_H

#include "runtime.h"

typedef struct scratch {
  void* memory; /* 64-byte aligned, its content undefined */
  void* block;  /* what scratch_give takes back */
} scratch;

OrtStatus* scratch_take(runtime*, size_t bytes, scratch* out);
/* To the runtime that it was taken from. */
void scratch_give(runtime*, const scratch*);

#endif
