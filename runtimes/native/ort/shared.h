/* Plans that several stages of a session have in common. */
#ifndef CHITA_EDGE_ORT_SHARED_H
#define CHITA_EDGE_ORT_SHARED_H

#include "stage.h"

/* Bytes from which on a plan is looked for among others. Its memory has to be all 0 before it is made: what lies between
 * its parts is compared as well. */
#define LEAST_SHARED ((size_t)16 << 10)

/* Gives the stage's plan to whoever has an equal one later, or takes an equal one that is there and releases its own. */
void plan_share(runtime*, const OrtKernelInfo*, stage*);
/* Takes the plan from a stage that shares one; the last one releases it. */
void plan_unshare(runtime*, stage*);

#endif
