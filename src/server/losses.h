/*
 * What was not done as a client asked, counted: the names are those of x-ignored-params and
 * x-modified-params without values, and what the upstream was learned to refuse.
 */
#ifndef SERVER_LOSSES_H
#define SERVER_LOSSES_H

#include "observe/record.h"
#include "observe/tally.h"

void losses_count(struct tally *t, const struct request_record *record);
/* A line of the log for each kind of which there was any. */
void losses_log(const struct tally *t);

#endif
