/* base/clock.h: how long something takes. Not the time of day: setting the machine's clock moves
 * nothing here. */
#ifndef GRAFT_BASE_CLOCK_H
#define GRAFT_BASE_CLOCK_H

#include <stdint.h>

/* Since some moment in the past; only differences mean anything. */
double gf__clock_s(void);
int64_t gf__clock_ms(void);

#endif
