/* What Linux tells about the machine; whatever cannot be read is left out. */
#ifndef CHITA_EDGE_RUNNER_SENSORS_H
#define CHITA_EDGE_RUNNER_SENSORS_H

#include <stdint.h>

#define MAX_ZONES 64

typedef struct machine_state {
  double load[3];
  int has_load;
  long mhz[MAX_ZONES]; /* of the first cores */
  int cores;
  struct {
    int number;
    char type[40];
    double celsius;
  } zones[MAX_ZONES];
  int zone_count;
  const char* battery; /* its name below /sys/class/power_supply; NULL: there is none */
  int battery_percent; /* -1: unknown */
  int on_battery;      /* -1: unknown */
} machine_state;

/* What was seen between rounds: once a second, in a long run every second second, and so on. */
#define MAX_LOOKS 1024
typedef struct looks {
  machine_state states[MAX_LOOKS];
  double at_s[MAX_LOOKS];
  int count;
  uint64_t every; /* seconds */
} looks;

void machine_state_read(machine_state* out);

/* A line of /proc/self/status that holds kB, such as "VmRSS:", in bytes; 0 if there is none. */
long long memory_bytes(const char* line);

/* Makes "VmHWM:" start again at the present size. */
void memory_peak_restart(void);

/* The first line of a file without its end, or an empty string. */
void read_line(const char* path, char* out, int size);

#endif
