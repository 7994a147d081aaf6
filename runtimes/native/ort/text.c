#include "text.h"

static void add_char(text* out, char c) {
  if (out->length + 1 < sizeof out->chars) {
    out->chars[out->length++] = c;
    out->chars[out->length] = '\0';
  }
}

/* Digit by digit with subtractions: a 64-bit division would be a library call on 32-bit Arm. */
static void add_int(text* out, int64_t value) {
  uint64_t rest = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
  if (value < 0) add_char(out, '-');
  uint64_t power = 1;
  int digits = 1;
  while (digits < 19 && power * 10 <= rest) power *= 10, digits++;
  for (; digits > 0; digits--) {
    char digit = '0';
    while (rest >= power) rest -= power, digit++;
    add_char(out, digit);
    uint64_t next = 1;
    for (int i = 2; i < digits; i++) next *= 10;
    power = next;
  }
}

void text_add_list(text* out, const char* format, va_list arguments) {
  for (; *format; format++) {
    if (format[0] == '%' && format[1] == 's') {
      for (const char* s = va_arg(arguments, const char*); *s; s++) add_char(out, *s);
      format++;
    } else if (format[0] == '%' && format[1] == 'd') {
      add_int(out, va_arg(arguments, int64_t));
      format++;
    } else {
      add_char(out, *format);
    }
  }
}

void text_add(text* out, const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  text_add_list(out, format, arguments);
  va_end(arguments);
}
