/* Sorting of a plan's rows by their number of non-zeros, the fullest first (Shell 1959). A plan includes this after its own
   row_t, which has a member count. */
#ifndef CHITA_EDGE_COMMON_SORT_ROWS_H
#define CHITA_EDGE_COMMON_SORT_ROWS_H

static void sort_by_falling_count(row_t *rows, int32_t n) {
  int32_t gap = 1;
  while (gap < n / 3) gap = gap * 3 + 1;
  for (; gap > 0; gap /= 3)
    for (int32_t i = gap; i < n; ++i) {
      const row_t moving = rows[i];
      int32_t j = i;
      for (; j >= gap && rows[j - gap].count < moving.count; j -= gap) rows[j] = rows[j - gap];
      rows[j] = moving;
    }
}

#endif
