/*
 * Answers that the proxy gives itself, and the heads of all answers.
 */
#ifndef SERVER_ANSWER_H
#define SERVER_ANSWER_H

#include "base/str.h"
#include "server/request.h"

/* STEP_ANSWER: health and the models; goes on for what needs the upstream. */
enum go step_answer(struct request *r);
/* OPTIONS, a browser's preflight among them. */
enum go answer_options(struct request *r);
void answer_error(struct request *r, const struct api_error *error);
/* A whole answer. */
void answer_json(struct request *r, int status, struct str body);
/* The head of an event stream together with its first bytes. False without memory: nothing was
 * written. */
bool answer_begin_stream(struct request *r, struct str first);

#endif
