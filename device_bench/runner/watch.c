#include "watch.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"

/* A file of /sys gives its present value to every read from its beginning. */
static int read_again(int fd, long* out) {
  char text[40], *end;
  const ssize_t got = fd < 0 ? -1 : pread(fd, text, sizeof text - 1, 0);
  if (got <= 0) return 0;
  text[got] = 0;
  *out = strtol(text, &end, 10);
  return end != text && (!*end || *end == '\n');
}

static void watch_one(watch* w, const char* path, const char* label) {
  w->fd[w->count] = open(path, O_RDONLY | O_CLOEXEC);
  snprintf(w->label[w->count], sizeof w->label[0], "%s", label);
  printf("z %d %s\n", w->count, label);
  w->count++;
}

static void read_one(watch* w, int i, int first) {
  long value;
  if (!read_again(w->fd[i], &value)) return; /* it keeps its old value, and its age says so */
  w->read_ns[i] = now_ns();
  if (!first && value == w->value[i]) return;
  w->value[i] = (int32_t)value;
  printf("c %d %ld\n", i, (long)w->value[i]);
}

void watch_open(watch* w, const machine_state* seen) {
  char path[120], label[64];
  memset(w, 0, sizeof *w);
  for (int i = 0; i < MAX_ZONES; i++) {
    snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%d/cpufreq/scaling_cur_freq", i);
    w->core[i] = open(path, O_RDONLY | O_CLOEXEC);
  }
  for (int i = 0; i < seen->zone_count; i++) {
    snprintf(path, sizeof path, "/sys/class/thermal/thermal_zone%d/temp", seen->zones[i].number);
    snprintf(label, sizeof label, "thermal_zone%d %s", seen->zones[i].number, seen->zones[i].type);
    watch_one(w, path, label);
  }
  w->zones = w->count;
  if (seen->battery) {
    snprintf(path, sizeof path, "/sys/class/power_supply/%s/capacity", seen->battery);
    watch_one(w, path, "battery");
  }
  for (int i = 0; i < w->count; i++) {
    /* Were it not readable now, it would still be what it was a moment ago. */
    w->value[i] = i < w->zones ? (int32_t)(seen->zones[i].celsius * 1000.0) : seen->battery_percent;
    w->read_ns[i] = now_ns();
    read_one(w, i, 1);
  }
}

void watch_close(watch* w) {
  for (int i = 0; i < MAX_ZONES; i++)
    if (w->core[i] >= 0) close(w->core[i]);
  for (int i = 0; i < w->count; i++)
    if (w->fd[i] >= 0) close(w->fd[i]);
}

void watch_read(watch* w, uint64_t sample_ns) {
  const uint64_t begin = w->count ? now_ns() : 0;
  for (int i = 0; i < w->count; i++) {
    if (i && since_ns(begin) > sample_ns / 10) break;
    read_one(w, w->next, 0);
    w->next = (w->next + 1) % w->count;
  }
}

uint64_t watch_age_ns(const watch* w, uint64_t ended) {
  uint64_t age = 0;
  for (int i = 0; i < w->count; i++)
    if (ended > w->read_ns[i] && ended - w->read_ns[i] > age) age = ended - w->read_ns[i];
  return age;
}

long watch_mhz(const watch* w, int core) {
  long khz;
  return core >= 0 && core < MAX_ZONES && read_again(w->core[core], &khz) ? khz / 1000 : 0;
}
