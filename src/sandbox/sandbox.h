/*
 * What the process can no longer do once it serves: even code of an attacker inside of it could not
 * write a file, start a program, make memory executable, look into another process or listen on
 * another socket family. Nothing here is needed to serve; where the kernel lacks a part, the rest
 * still holds.
 */
#ifndef SANDBOX_SANDBOX_H
#define SANDBOX_SANDBOX_H

#include <stdbool.h>

enum sandbox_state {
    SANDBOX_OFF,     /* not tried */
    SANDBOX_ON,      /* holds until the process ends */
    SANDBOX_MISSING, /* the kernel has no such thing, or forbids its use */
    SANDBOX_FAILED,  /* it has, and still refused: a fault of ours */
};

struct sandbox {
    enum sandbox_state files;  /* Landlock: no writes, no new programs */
    enum sandbox_state system; /* seccomp: the system calls of syscalls.def and no others */
};

/*
 * Closes the process in, and turns core dumps off. To be called before the first thread is started,
 * which inherits it; files may still be read. What failed is in *ret; there is no way back either
 * way.
 */
void sandbox_enter(struct sandbox *ret);
/* "on", "missing": for the log. */
const char *sandbox_state_word(enum sandbox_state s);

/* For sandbox.c. */
enum sandbox_state sandbox_close_files(void);
enum sandbox_state sandbox_close_system(void);

#endif
