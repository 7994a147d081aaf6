/* A QSequence: the stages of an int8 region, which hand one another bytes. What it is at run time is in sequence.h. */
#ifndef CHITA_EDGE_ORT_Q_SEQUENCE_H
#define CHITA_EDGE_ORT_Q_SEQUENCE_H

#include "q_layers.h"
#include "sequence.h"

/* Refuses stages of which one reads float32 where it takes bytes, or the other way round. */
int q_sequence_check(node*, const sequence_parts*);

/* Reads the constants of all stages and packs them into `stages`, of which `count` are complete; fewer than the node has, as
 * a table or a sum behind a convolution is computed with it where nobody else reads what the convolution makes. */
int q_sequence_create(node*, const sequence_parts*, const settings*, OrtAllocator*, stage* stages, int* count);

#endif
