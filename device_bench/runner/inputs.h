/* The content of a model's inputs, of any element type, read from one raw file. */
#ifndef CHITA_EDGE_RUNNER_INPUTS_H
#define CHITA_EDGE_RUNNER_INPUTS_H

#include <stddef.h>

#include "arguments.h"

typedef struct inputs {
  const arguments* a; /* their types and shapes */
  char* data[MAX_INPUTS];
  size_t bytes[MAX_INPUTS];
} inputs;

/* Numbers of a shape; ends the program for more than 2^32. */
size_t elements_of(const int64_t* dims, int rank);

/* Ends the program with a sentence where the file does not hold exactly these inputs. */
inputs inputs_read(const arguments* a);
void inputs_free(inputs*);

#endif
