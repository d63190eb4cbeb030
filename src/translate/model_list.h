/*
 * The list of models as model.c and model_list.c share it. Nobody else includes this.
 */
#ifndef TRANSLATE_MODEL_LIST_H
#define TRANSLATE_MODEL_LIST_H

#include "translate/model.h"

/* Far more than any upstream has; a page from outside cannot make the list grow beyond it. */
#define MODEL_LIST_MAX 2000

struct tr_models {
    struct arena arena; /* the entries' strings */
    struct model_info *entries;
    size_t n, cap;
};

/* What the table says of an id, or the rule for unknown ones. */
void model_info_static(struct str id, struct model_info *ret);
/* The line that a text names ("claude-3-haiku" -> LINE_HAIKU). */
enum model_line model_line_of(struct str text);
/* The table, row by row. *ret_date is empty where the id itself is the snapshot. */
size_t model_table_len(void);
void model_table_at(size_t i, struct model_info *ret, struct str *ret_date);

#endif
