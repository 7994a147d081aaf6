/* The dimensions of what a stage of a QSequence makes. */
#ifndef CHITA_EDGE_ORT_Q_DIMS_H
#define CHITA_EDGE_ORT_Q_DIMS_H

#include "stage.h"

/* As stage_dims. `second`: those of the second value that it reads, or NULL. */
OrtStatus* q_stage_dims(const label*, const stage*, const int64_t in[4], const int64_t* second, ce_shape* shape,
                        int64_t out[4]);
/* Bytes of a value of these dimensions in the layout of the q_ ops. */
size_t q_value_bytes(const int64_t dims[4]);

#endif
