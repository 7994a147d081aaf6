#include "validate_nm.h"

#include "../common/nm.h"

#define REFUSE(...) return text_add(why, __VA_ARGS__), 0
#define MOST_M 16

static int is_zero(const nm_arrays* nm, int64_t slot) {
  if (nm->value_bytes == 2) return !(((const uint16_t*)nm->values)[slot] & 0x7fff);
  return ((const float*)nm->values)[slot] == 0;
}

static int sizes_validate(const nm_arrays* nm, const csr_dims* dims, int64_t* slots, text* why) {
  static const char* const names[4] = {"output channels", "groups of channels", "taps", "slots of a group"};
  const int64_t n = nm->value_dims[3], m = nm->m;
  if (m < 2 || m > MOST_M) REFUSE("its attribute m is %d, outside 2 to %d", m, (int64_t)MOST_M);
  if (n < 1 || n >= m) REFUSE("values has %d slots in a group of %d channels, outside 1 to %d", n, m, m - 1);
  const int64_t needed[4] = {dims->rows, ce_nm_groups(dims->shape[1], m), dims->shape[2] * dims->shape[3], n};
  *slots = 1;
  for (int i = 0; i < 4; i++) {
    if (nm->value_dims[i] != needed[i]) REFUSE("values has %d %s, %d are needed", nm->value_dims[i], names[i], needed[i]);
    *slots *= needed[i]; /* both factors are below 2^31 */
    if (*slots > MAX_ELEMENTS) REFUSE("values has more than %d slots", (int64_t)MAX_ELEMENTS);
  }
  const int64_t bytes = ce_ceil_div(*slots * ce_nm_bits(m), 8);
  if (nm->n_index != bytes) REFUSE("index has %d bytes, %d slots need %d", nm->n_index, *slots, bytes);
  return 1;
}

static int index_validate(const nm_arrays* nm, const csr_dims* dims, int64_t slots, text* why) {
  const int64_t n = nm->value_dims[3], taps = nm->value_dims[2], groups = nm->value_dims[1];
  const int bits = ce_nm_bits(nm->m);
  int64_t previous = -1;
  for (int64_t slot = 0; slot < slots; slot++) {
    const int64_t place = ce_nm_channel(nm->index, bits, slot);
    if (slot % n == 0) previous = -1;
    if (place >= nm->m) REFUSE("slot %d names channel %d of a group of %d", slot, place, nm->m);
    if (place <= previous)
      REFUSE("the channels of a group are not ascending: %d comes after %d in slot %d", place, previous, slot);
    const int64_t channel = slot / n / taps % groups * nm->m + place;
    if (channel >= dims->shape[1] && !is_zero(nm, slot))
      REFUSE("slot %d has a value at channel %d of %d", slot, channel, dims->shape[1]);
    previous = place;
  }
  const int used = (int)(slots * bits % 8);
  if (used && nm->index[nm->n_index - 1] >> used) REFUSE("the last byte of index has bits beyond the last slot");
  return 1;
}

int nm_validate(const nm_arrays* nm, int rank, csr_dims* dims, text* why) {
  int64_t slots;
  if (!weight_shape_validate(nm->weight_shape, nm->n_weight_shape, rank, dims, why)) return 0;
  if (nm->n_bias != dims->rows)
    REFUSE("bias has %d elements, a weight of %d rows needs as many", nm->n_bias, dims->rows);
  return sizes_validate(nm, dims, &slots, why) && index_validate(nm, dims, slots, why);
}
