#include "sensors.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void read_line(const char* path, char* out, int size) {
  out[0] = 0;
  FILE* file = fopen(path, "r");
  if (!file) return;
  if (!fgets(out, size, file)) out[0] = 0;
  out[strcspn(out, "\r\n")] = 0;
  fclose(file);
}

static int read_number(const char* path, long* out) {
  char text[40], *end;
  read_line(path, text, sizeof text);
  *out = strtol(text, &end, 10);
  return end != text && !*end;
}

/* The clock of a core in MHz, 0 if unknown. */
static long core_mhz(int core) {
  char path[120];
  long khz;
  snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%d/cpufreq/scaling_cur_freq", core);
  return read_number(path, &khz) ? khz / 1000 : 0;
}

static void read_zones(machine_state* s) {
  for (int i = 0; i < MAX_ZONES; i++) {
    char path[120];
    long millidegrees;
    snprintf(path, sizeof path, "/sys/class/thermal/thermal_zone%d/temp", i);
    if (!read_number(path, &millidegrees)) continue;
    s->zones[s->zone_count].number = i;
    s->zones[s->zone_count].celsius = (double)millidegrees / 1000.0;
    snprintf(path, sizeof path, "/sys/class/thermal/thermal_zone%d/type", i);
    char* type = s->zones[s->zone_count++].type;
    read_line(path, type, sizeof s->zones[0].type);
    for (char* c = type; *c; c++)
      if (*c < '-' || *c > 'z' || *c == '\\') *c = '_'; /* it is printed within quotes */
  }
}

static void read_battery(machine_state* s) {
  static const char* const names[] = {"battery", "BAT0", "BAT1"};
  s->battery_percent = s->on_battery = -1;
  for (int i = 0; i < 3; i++) {
    char path[120], status[40];
    long percent;
    snprintf(path, sizeof path, "/sys/class/power_supply/%s/capacity", names[i]);
    if (!read_number(path, &percent)) continue;
    s->battery = names[i];
    s->battery_percent = (int)percent;
    snprintf(path, sizeof path, "/sys/class/power_supply/%s/status", names[i]);
    read_line(path, status, sizeof status);
    if (status[0]) s->on_battery = !strcmp(status, "Discharging");
    return;
  }
}

void machine_state_read(machine_state* s) {
  char text[80];
  memset(s, 0, sizeof *s);
  read_line("/proc/loadavg", text, sizeof text);
  s->has_load = sscanf(text, "%lf %lf %lf", &s->load[0], &s->load[1], &s->load[2]) == 3;
  while (s->cores < MAX_ZONES && (s->mhz[s->cores] = core_mhz(s->cores)) > 0) s->cores++;
  read_zones(s);
  read_battery(s);
}

long long memory_bytes(const char* line) {
  char text[200];
  long long kib = 0;
  FILE* file = fopen("/proc/self/status", "r");
  while (file && fgets(text, sizeof text, file))
    if (!strncmp(text, line, strlen(line))) kib = strtoll(text + strlen(line), NULL, 10);
  if (file) fclose(file);
  return kib * 1024;
}

void memory_peak_restart(void) {
  FILE* file = fopen("/proc/self/clear_refs", "w");
  if (!file) return;
  fputs("5", file);
  fclose(file);
}
