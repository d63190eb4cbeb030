/*
 * The two clocks. Pure folders never call these: time reaches them as a parameter.
 */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdint.h>

int64_t clock_mono_us(void); /* microseconds, never jumps: for timeouts and durations */
int64_t clock_unix_ms(void); /* milliseconds since 1970: for what people and protocols read */

#endif
