#pragma once
#include <stddef.h>
typedef struct chita_edge_file FILE;
extern FILE* stdout;
extern FILE* stderr;
#define EOF (-1)
#define SEEK_END 2
#define _IOFBF 0
int printf(const char*, ...) __attribute__((format(printf, 1, 2)));
int fprintf(FILE*, const char*, ...) __attribute__((format(printf, 2, 3)));
int snprintf(char*, size_t, const char*, ...) __attribute__((format(printf, 3, 4)));
int sscanf(const char*, const char*, ...) __attribute__((format(scanf, 2, 3)));
FILE* fopen(const char*, const char*);
int fclose(FILE*);
size_t fread(void*, size_t, size_t, FILE*);
size_t fwrite(const void*, size_t, size_t, FILE*);
char* fgets(char*, int, FILE*);
int fgetc(FILE*);
int fputs(const char*, FILE*);
int fflush(FILE*);
int fseek(FILE*, long, int);
long ftell(FILE*);
void rewind(FILE*);
int remove(const char*);
int setvbuf(FILE*, char*, int, size_t);
