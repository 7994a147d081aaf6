/* The stages of a QSequence: their table, and the reading of each, all of it validated. */
#ifndef CHITA_EDGE_ORT_Q_LAYERS_H
#define CHITA_EDGE_ORT_Q_LAYERS_H

#include "op.h"

enum { Q_STAGE_COUNT = 14 };
extern const op q_stages[Q_STAGE_COUNT];

/* The constants of a QTable, and of a QAdd: the grid that it makes is in source->made. Both grids that a QAdd reads are set
 * in `source` before. */
int q_table_read(node*, layer_source*, const uint8_t** table);
int q_add_read(node*, layer_source*);

#endif
