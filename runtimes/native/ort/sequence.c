#include "sequence.h"

#include "q_dims.h"

#define LINE 64 /* bytes of a cache line */
/* Looks at the others' progress, some microseconds, before their tasks are taken from them: what a thread has made is in its
 * own core's cache, so that each is to do the same part of every stage if it comes at all. */
#define PATIENCE 64

/* What the threads share, at the beginning of the scratch; a byte for each task follows, set by who takes it. */
typedef struct meeting {
  int finished; /* tasks; those of a stage begin when all before it are */
  char rest_of_line[LINE - sizeof(int)];
} meeting;

static const op* find_op(const op* kind, const char* name, size_t length) {
  for (int i = 0; i < kind->part_count; i++) {
    const op* part = &kind->parts[i];
    size_t at = 0;
    while (at < length && part->name[at] == name[at]) at++;
    if (at == length && !part->name[at]) return part->read && (part->rank == 4 || part->makes == VALUE_VECTOR) ? part : NULL;
  }
  return NULL;
}

/* A number of a value that is there, 0 to `most`. */
static int read_value(const char** at, int most, int* out) {
  if (**at < '0' || **at > '9') return 0;
  for (*out = 0; **at >= '0' && **at <= '9'; ++*at)
    if ((*out = *out * 10 + (**at - '0')) > most) return 0;
  return 1;
}

static int read_part(const op* kind, const char** at, int index, sequence_part* out) {
  const char* name = *at;
  while (**at && **at != ':' && **at != ' ') ++*at;
  out->op = find_op(kind, name, (size_t)(*at - name));
  out->residual = NO_VALUE;
  if (!out->op || *(*at)++ != ':' || !read_value(at, index, &out->source)) return 0;
  if (!out->op->residual) return 1;
  return *(*at)++ == '+' && read_value(at, index, &out->residual);
}

int sequence_read(node* n, const op* kind, sequence_parts* out) {
  char described[MOST_SEQUENCE_TEXT];
  if (!node_text(n, "stages", described, sizeof described)) return 0;
  const char* at = described;
  for (out->count = 0; out->count < kind->most; at++) {
    if (!read_part(kind, &at, out->count, &out->parts[out->count]))
      return node_refuse(n, "stage %d of its attribute stages is not an op, a colon, the value it reads and, where it has a "
                            "residual, a plus and that value", (int64_t)out->count);
    out->count++;
    if (!*at) return 1;
    if (*at != ' ') return node_refuse(n, "something follows stage %d of its attribute stages", (int64_t)out->count - 1);
  }
  return node_refuse(n, "it has more than %d stages", (int64_t)kind->most);
}

size_t sequence_inputs(const sequence_parts* parts) {
  size_t count = 1;
  for (int i = 0; i < parts->count; i++) count += (size_t)op_constants(parts->parts[i].op);
  return count;
}

static size_t whole_lines(size_t bytes) { return (bytes + LINE - 1) / LINE * LINE; }

/* The lowest place where a value overlaps none that is still needed when stage `made` runs. */
static size_t find_place(const sequence_schedule* plan, int made, size_t bytes) {
  size_t at = plan->first_value;
  for (int again = 1; again;) {
    again = 0;
    for (int i = 0; i < made; i++) {
      const sequence_step* other = &plan->steps[i];
      if (other->last_use < made || at >= other->at + other->bytes || other->at >= at + bytes) continue;
      at = other->at + other->bytes;
      again = 1;
    }
  }
  return at;
}

/* Of what a stage makes, in whole lines. */
static size_t value_bytes(const sequence_schedule* plan, int made) {
  const int64_t* dims = plan->dims[made + 1];
  if (plan->stages[made].op->makes == VALUE_BYTES) return whole_lines(q_value_bytes(dims));
  return whole_lines((size_t)(dims[0] * dims[1] * dims[2] * dims[3]) * sizeof(float));
}

static void place_values(sequence_schedule* plan) {
  for (int i = 0; i < plan->count; i++) plan->steps[i].last_use = i;
  for (int i = 0; i < plan->count; i++) {
    const stage* s = &plan->stages[i];
    if (s->source) plan->steps[s->source - 1].last_use = i;
    if (s->residual > 0) plan->steps[s->residual - 1].last_use = i;
  }
  plan->first_value = sizeof(meeting) + whole_lines((size_t)plan->tasks);
  plan->stage_scratch = plan->first_value;
  for (int i = 0; i < plan->count - 1; i++) {
    sequence_step* step = &plan->steps[i];
    step->bytes = value_bytes(plan, i);
    step->at = find_place(plan, i, step->bytes);
    if (plan->stage_scratch < step->at + step->bytes) plan->stage_scratch = step->at + step->bytes;
  }
}

static OrtStatus* find_dims(const label* who, sequence_schedule* plan, int index) {
  const stage* s = &plan->stages[index];
  const int64_t *in = plan->dims[s->source], *second = s->residual == NO_VALUE ? NULL : plan->dims[s->residual];
  int64_t* out = plan->dims[index + 1];
  ce_shape* shape = &plan->steps[index].shape;
  if (s->op->takes != VALUE_FLOATS || s->op->makes != VALUE_FLOATS) return q_stage_dims(who, s, in, second, shape, out);
  OrtStatus* status = stage_dims(who, s, in, shape, out);
  return status || !second ? status : check_residual(who, s, second, out);
}

OrtStatus* sequence_make_schedule(const label* who, sequence_schedule* plan) {
  label own = *who;
  size_t most = 0;
  plan->tasks = plan->workers = 0;
  for (int i = 0; i < plan->count; i++) {
    const stage* s = &plan->stages[i];
    sequence_step* step = &plan->steps[i];
    own.stage = s->index;
    OrtStatus* status = find_dims(&own, plan, i);
    if (status) return status;
    step->tasks = s->op->tasks(s->plan, step->shape, plan->threads);
    step->first_task = plan->tasks;
    plan->tasks += step->tasks;
    if (plan->workers < step->tasks) plan->workers = step->tasks;
    const size_t bytes = s->op->scratch_bytes(s->plan, step->shape, plan->threads);
    if (most < bytes) most = bytes;
  }
  place_values(plan);
  plan->scratch_bytes = plan->stage_scratch + most;
  return NULL;
}

void sequence_begin(const sequence_run* run) {
  for (size_t i = 0; i < run->schedule->first_value; i += sizeof(uint64_t)) *(uint64_t*)(run->scratch + i) = 0;
}

static const float* value(const sequence_run* run, int index) {
  if (index == NO_VALUE) return NULL;
  return index ? (const float*)(run->scratch + run->schedule->steps[index - 1].at) : run->x;
}

static void run_task(const sequence_run* run, int index, int task) {
  const stage* s = &run->schedule->stages[index];
  const ce_run one = {
      .shape = run->schedule->steps[index].shape,
      .x = value(run, s->source),
      .residual = value(run, s->residual),
      .y = index == run->schedule->count - 1 ? run->y : (float*)(run->scratch + run->schedule->steps[index].at),
      .scratch = run->scratch + run->schedule->stage_scratch,
      .threads = run->schedule->threads,
  };
  s->op->run(s->plan, &one, task);
}

static inline void pause_briefly(void) {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__) || defined(__arm__)
  __asm__ volatile("yield");
#endif
}

/* Runs a task unless somebody has taken it. */
static void try_task(const sequence_run* run, int index, int task) {
  char* taken = run->scratch + sizeof(meeting) + run->schedule->steps[index].first_task + task;
  if (__atomic_load_n(taken, __ATOMIC_RELAXED) || __atomic_exchange_n(taken, 1, __ATOMIC_RELAXED)) return;
  run_task(run, index, task);
  __atomic_fetch_add(&((meeting*)run->scratch)->finished, 1, __ATOMIC_RELEASE);
}

void sequence_work(void* user, size_t worker) {
  const sequence_run* run = user;
  const int *finished = &((const meeting*)run->scratch)->finished;
  for (int i = 0; i < run->schedule->count; i++) {
    const sequence_step* step = &run->schedule->steps[i];
    if (run->schedule->workers == 1) {
      run_task(run, i, 0);
      continue;
    }
    if ((int)worker < step->tasks) try_task(run, i, (int)worker);
    for (int looks = 0; __atomic_load_n(finished, __ATOMIC_ACQUIRE) < step->first_task + step->tasks; looks++) {
      if (looks < PATIENCE) pause_briefly();
      else for (int task = 0; task < step->tasks; task++) try_task(run, i, task);
    }
  }
}
