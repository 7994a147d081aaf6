#pragma once
#include <stddef.h>
void* malloc(size_t);
void* realloc(void*, size_t);
void free(void*);
void exit(int) __attribute__((noreturn));
long strtol(const char*, char**, int);
long long strtoll(const char*, char**, int);
int atoi(const char*);
void qsort(void*, size_t, size_t, int (*)(const void*, const void*));
int setenv(const char*, const char*, int);
void __libc_init(void*, void (*)(void), int (*)(int, char**, char**), const void*);
