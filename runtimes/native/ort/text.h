/* Sentences for error messages, built without libc. */
#ifndef CHITA_EDGE_ORT_TEXT_H
#define CHITA_EDGE_ORT_TEXT_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

typedef struct text {
  char chars[768]; /* always ends with a zero byte; what does not fit is dropped */
  size_t length;
} text;

/* Append; the format knows %s (const char*) and %d (int64_t: cast what is narrower). */
void text_add(text* out, const char* format, ...);
void text_add_list(text* out, const char* format, va_list arguments);

#endif
