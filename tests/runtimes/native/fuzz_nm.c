/* The validation of N:M weights against the rules' definition, on whatever libFuzzer comes up with: as fuzz_csr.c.
 *
 * What is accepted is packed as the vector kernels pack it, run by the reference kernel on one pixel, and its result held
 * against loops over the slots. Windows are as large as the padded input, so that every tap sees one pixel or padding. */
#include <stdlib.h>
#include <string.h>

#include "common/kernel.h"
#include "nm_conv/storage.h"
#include "ort/validate_nm.h"

#define MOST_SLOTS 4096

extern const ce_kernel ce_nm_conv_float32_reference;
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef struct bytes {
  const uint8_t *at, *end;
} bytes;

static uint8_t byte(bytes *b) { return b->at < b->end ? *b->at++ : 0; }

static void *exactly(int64_t count, size_t element) {
  void *memory = malloc((size_t)count * element);
  if (!memory && count) abort();
  return memory;
}

/* Bit by bit, where the validation takes two bytes at a time. */
static int64_t channel_in_group(const nm_arrays *nm, int64_t slot, int bits) {
  int64_t channel = 0;
  for (int b = 0; b < bits; ++b) channel |= (int64_t)(nm->index[(slot * bits + b) / 8] >> (slot * bits + b) % 8 & 1) << b;
  return channel;
}

static int bits_of(int64_t m) {
  int bits = 0;
  while (1 << bits < m) ++bits;
  return bits;
}

/* The rules of docs/file-format.md, once more and without haste. */
static int keeps_all_rules(const nm_arrays *nm, int rank) {
  if (nm->n_weight_shape != rank) return 0;
  for (int i = 0; i < rank; ++i)
    if (nm->weight_shape[i] < 1 || nm->weight_shape[i] > (i < 2 ? MAX_CHANNELS : MAX_KERNEL)) return 0;
  const int64_t outs = nm->weight_shape[0], ins = nm->weight_shape[1], m = nm->m, n = nm->value_dims[3];
  const int64_t taps = rank == 4 ? nm->weight_shape[2] * nm->weight_shape[3] : 1;
  if (ins * taps > MAX_ELEMENTS || nm->n_bias != outs || m < 2 || m > 16 || n < 1 || n >= m) return 0;
  const int64_t groups = (ins + m - 1) / m;
  if (nm->value_dims[0] != outs || nm->value_dims[1] != groups || nm->value_dims[2] != taps) return 0;
  const int64_t slots = outs * groups * taps * n;
  const int bits = bits_of(m);
  if (nm->n_index != (slots * bits + 7) / 8) return 0;
  for (int64_t bit = slots * bits; bit < nm->n_index * 8; ++bit)
    if (nm->index[bit / 8] >> bit % 8 & 1) return 0;
  for (int64_t slot = 0; slot < slots; ++slot) {
    const int64_t channel = channel_in_group(nm, slot, bits), group = slot / n / taps % groups;
    if (channel >= m || (slot % n && channel <= channel_in_group(nm, slot - 1, bits))) return 0;
    if (group * m + channel >= ins && ((const float *)nm->values)[slot] != 0) return 0;
  }
  return 1;
}

static void run(const nm_arrays *nm, const csr_dims *dims) {
  const int32_t outs = (int32_t)dims->rows, ins = (int32_t)dims->shape[1], n = (int32_t)nm->value_dims[3];
  const int32_t kh = (int32_t)dims->shape[2], kw = (int32_t)dims->shape[3], taps = kh * kw, seen = taps / 2;
  float *bias = exactly(outs, 4), *x = exactly(ins, 4), *y = exactly(outs, 4);
  for (int32_t i = 0; i < outs; ++i) bias[i] = (float)i;
  for (int32_t i = 0; i < ins; ++i) x[i] = (float)(i % 7);
  const int32_t top = seen / kw, left = seen % kw; /* tap `seen` is on the pixel */
  const ce_nm_conv_desc desc = {{0, 0}, {outs, ins, kh, kw, 1, 1, top, left, kh - 1 - top, kw - 1 - left, 1, 1},
                                -1e9f, 1e9f, {n, (int32_t)nm->m, nm->values, nm->index}, bias, CE_CLIP};
  void *packed = exactly((int64_t)plan_bytes(&desc), 1), *plan = exactly((int64_t)ce_nm_conv_float32_reference.plan_bytes(&desc), 1);
  if (plan_bytes(&desc)) plan_init(packed, &desc);
  ce_nm_conv_float32_reference.plan_init(plan, &desc);
  const ce_run one = {.shape = {1, 1, 1}, .x = x, .y = y, .threads = 1};
  for (int32_t task = 0; task < outs; ++task) ce_nm_conv_float32_reference.run(plan, &one, task);
  const int64_t of_row = nm->value_dims[1] * taps * n;
  for (int32_t row = 0; row < outs; ++row) {
    double sum = bias[row];
    for (int64_t slot = row * of_row; slot < (row + 1) * of_row; ++slot) {
      const float value = ((const float *)nm->values)[slot];
      if (slot / n % taps != seen || value == 0) continue;
      sum += (double)value * x[slot / n / taps % nm->value_dims[1] * nm->m + channel_in_group(nm, slot, bits_of(nm->m))];
    }
    if (y[row] != (float)sum) abort();
  }
  free(bias), free(x), free(y), free(packed), free(plan);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  bytes b = {data, data + size};
  const uint8_t kind = byte(&b), wrong = kind & 1 ? byte(&b) : 0;
  const int rank = kind & 2 ? 4 : 2;
  nm_arrays nm = {.value_bytes = 4, .m = byte(&b) % 19, .n_weight_shape = rank};
  int64_t shape[4] = {1 + byte(&b) % 9, 1 + byte(&b) % 40, 1 + byte(&b) % 3, 1 + byte(&b) % 3};
  const int64_t m = nm.m < 2 ? 2 : nm.m;
  const int64_t dims[4] = {shape[0], (shape[1] + m - 1) / m, rank == 4 ? shape[2] * shape[3] : 1, 1 + byte(&b) % m};
  memcpy(nm.value_dims, dims, sizeof dims);
  if (wrong & 1) nm.value_dims[wrong >> 4 & 3] = byte(&b) % 8;
  int64_t slots = 1;
  for (int i = 0; i < 4; ++i) slots *= nm.value_dims[i];
  if (slots > MOST_SLOTS) return 0;
  const int bits = bits_of(m);
  nm.n_index = (slots * bits + 7) / 8 + (wrong & 2 ? (int)(byte(&b) % 3) - (slots > 8) : 0);
  nm.n_bias = shape[0] + (wrong & 4 ? byte(&b) % 2 : 0);
  if (wrong & 8) {
    const uint64_t low = (uint64_t)(int64_t)(int8_t)byte(&b);
    shape[wrong >> 4 & 3] = (int64_t)(low << byte(&b) % 40);
  }
  float *values = exactly(slots, 4);
  uint8_t *index = exactly(nm.n_index, 1);
  int64_t *shapes = exactly(rank, 8);
  memcpy(shapes, shape, (size_t)rank * 8);
  memset(index, 0, (size_t)nm.n_index);
  for (int64_t slot = 0, channel = 0; slot < slots; ++slot, ++channel) {
    if (slot % nm.value_dims[3] == 0) channel = 0;
    const uint8_t next = byte(&b);
    channel += next % 4 == 3; /* now and then more than a group has */
    for (int i = 0; i < bits; ++i)
      if ((slot * bits + i) / 8 < nm.n_index) index[(slot * bits + i) / 8] |= (uint8_t)((channel >> i & 1) << (slot * bits + i) % 8);
    values[slot] = (float)(next >> 2 & 3);
  }
  if (kind & 4 && nm.n_index) index[byte(&b) % nm.n_index] ^= byte(&b);
  nm.values = values, nm.index = index, nm.weight_shape = shapes;
  csr_dims found;
  text why = {.length = 0};
  const int accepted = nm_validate(&nm, rank, &found, &why);
  if (accepted != keeps_all_rules(&nm, rank)) abort();
  if (!accepted && !why.length) abort();
  if (accepted) run(&nm, &found);
  free(values), free(index), free(shapes);
  return 0;
}
