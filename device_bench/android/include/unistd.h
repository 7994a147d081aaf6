#pragma once
#define _SC_NPROCESSORS_ONLN 97 /* Android's own number */
unsigned alarm(unsigned);
long sysconf(int);
