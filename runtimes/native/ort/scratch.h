/* Memory for one run of a kernel. */
#ifndef CHITA_EDGE_ORT_SCRATCH_H
#define CHITA_EDGE_ORT_SCRATCH_H

#include "abi.h"

typedef struct scratch {
  void* memory; /* 64-byte aligned, its content undefined */
  void* block;  /* what scratch_give takes back */
} scratch;

OrtStatus* scratch_take(const OrtApi*, size_t bytes, scratch* out);
void scratch_give(const OrtApi*, const scratch*);

#endif
