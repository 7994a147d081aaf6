/* Equal plans are kept once: a weight that several nodes have, with the same bias, activation and window, lies in memory once.
 *
 * Plans are compared byte for byte after they were made, so that nothing is believed of where constants lie or how long.
 * A plan is one block and refers to itself alone: a word that holds an address in it counts as how far into it. Only plans
 * in memory of one allocator are shared, which is that of a session: a session leaves nothing behind in another one. */
#include "shared.h"

struct shared_plan {
  struct shared_plan* next;
  const op* op;
  size_t bytes;
  int users;
  OrtAllocator* allocator; /* of its own, which keeps the memory's owner alive */
  const OrtMemoryInfo* owner;
  void *memory, *plan, *own; /* the allocations of the plan and of this struct */
};

static void lock(runtime* of) {
  while (__atomic_exchange_n(&of->plans_locked, 1, __ATOMIC_ACQUIRE)) continue;
}
static void unlock(runtime* of) { __atomic_store_n(&of->plans_locked, 0, __ATOMIC_RELEASE); }

static int equal(const void* a, const void* b, size_t bytes) {
  const uintptr_t *one = a, *other = b;
  for (size_t i = 0; i < bytes / sizeof(uintptr_t); i++) {
    const uintptr_t within = one[i] - (uintptr_t)a;
    if (one[i] != other[i] && (within > bytes || within != other[i] - (uintptr_t)b)) return 0;
  }
  for (size_t i = bytes / sizeof(uintptr_t) * sizeof(uintptr_t); i < bytes; i++)
    if (((const char*)a)[i] != ((const char*)b)[i]) return 0;
  return 1;
}

static void discard(const OrtApi* api, struct shared_plan* p) {
  OrtAllocator* allocator = p->allocator;
  release(api, allocator, p->memory);
  release(api, allocator, p->own);
  ORT(api, ReleaseAllocator)(allocator);
}

/* The struct for a plan that nobody else has yet; NULL where there is no memory for it: the plan then stays the stage's. */
static struct shared_plan* offer(const OrtApi* api, const OrtKernelInfo* info, const stage* s) {
  struct shared_plan p = {.op = s->op, .bytes = s->bytes, .users = 1, .memory = s->memory, .plan = s->plan};
  void* aligned = NULL;
  OrtStatus* status = ORT(api, KernelInfoGetAllocator)(info, ORT_MEM_DEFAULT, &p.allocator);
  if (!status) status = ORT(api, AllocatorGetInfo)(p.allocator, &p.owner);
  if (!status) status = allocate(api, p.allocator, sizeof p, &p.own, &aligned);
  if (status) {
    ORT(api, ReleaseStatus)(status);
    if (p.allocator) ORT(api, ReleaseAllocator)(p.allocator);
    return NULL;
  }
  *(struct shared_plan*)aligned = p;
  return aligned;
}

void plan_share(runtime* of, const OrtKernelInfo* info, stage* s) {
  if (s->bytes < LEAST_SHARED) return;
  struct shared_plan* mine = offer(of->api, info, s);
  if (!mine) return;
  lock(of);
  struct shared_plan* p = of->plans;
  for (; p; p = p->next)
    if (p->owner == mine->owner && p->op == s->op && p->bytes == s->bytes && equal(p->plan, s->plan, s->bytes)) break;
  if (p) {
    p->users++;
  } else {
    mine->next = of->plans;
    of->plans = mine;
  }
  unlock(of);
  s->shared = p ? p : mine;
  s->plan = s->shared->plan;
  s->memory = NULL;
  if (p) discard(of->api, mine);
}

void plan_unshare(runtime* of, stage* s) {
  struct shared_plan* p = s->shared;
  if (!p) return;
  lock(of);
  const int left = --p->users;
  struct shared_plan** at = &of->plans;
  while (!left && *at != p) at = &(*at)->next;
  if (!left) *at = p->next;
  unlock(of);
  if (!left) discard(of->api, p);
}
