#pragma once
#include <stddef.h>
#define _SC_NPROCESSORS_ONLN 97 /* Android's own number */
typedef long ssize_t;
ssize_t pread(int, void*, size_t, long);
unsigned alarm(unsigned);
int close(int);
long sysconf(int);
