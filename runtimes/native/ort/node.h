/* Reading one node of the graph when its kernel is created: attributes and constant inputs, all of them checked.
 *
 * Every function answers 1 when all is well. On 0 `node->status` holds an ORT status whose sentence starts with the op and
 * the node's name; the caller frees what it holds and hands the status to ORT. */
#ifndef CHITA_EDGE_ORT_NODE_H
#define CHITA_EDGE_ORT_NODE_H

#include "abi.h"
#include "validate_csr.h"

typedef struct node {
  const OrtApi* api;
  const OrtKernelInfo* info;
  const char* op;
  int first;          /* index of the constant that is a single op's input 1, less 1 */
  const char* stage; /* of a chain, as its attributes' names end: "_0"; "" for a single op */
  OrtStatus* status;
} node;

typedef struct constant {
  const void* data;
  int type;         /* enum ort_type */
  int64_t elements; /* true number of elements */
  int64_t dims[4];
  int rank;
} constant;

typedef struct window {
  int64_t strides[2], pads[4], dilations[2];
} window;

typedef struct clip {
  float low, high;
} clip;

/* Records the refusal `op "name": sentence` and answers 0. */
int node_refuse(node* n, const char* format, ...);
int node_take_status(node* n, OrtStatus* status);

int node_input_count(node* n, size_t wanted);
/* Input `index`, called `name` in messages; refused unless it is a constant of at most 4 dimensions. */
int node_constant(node* n, size_t index, const char* name, constant* out);
/* The same, and refused unless it is of this type and rank. */
int node_constant_of(node* n, size_t index, const char* name, int type, int rank, constant* out);
int node_window(node* n, window* out);
/* The attribute kernel_shape, which has to be there. */
int node_kernel(node* n, int64_t out[2]);
int node_clip(node* n, clip* out);
/* An integer attribute that has to be there. */
int node_int(node* n, const char* name, int64_t* out);
/* A string attribute that has to be there, with the zero byte at its end. */
int node_text(node* n, const char* name, char* out, size_t size);
/* 1 or 0; 0 where there is no such attribute. */
int node_flag(node* n, const char* name, int* out);
/* A number that is not negative, the largest int32 for larger ones; 0 where there is no such attribute. */
int node_count(node* n, const char* name, int32_t* out);

#endif
