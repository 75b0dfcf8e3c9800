/* A progress bar: redrawn in place on a terminal, a line every 10 % elsewhere. */
#ifndef DEMO_PROGRESS_H
#define DEMO_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

typedef struct progress {
    const char *what;
    uint64_t total, done, bytes;
    unsigned shown_percent;
    bool terminal;
    double started;
} progress;

void progress_start(progress *bar, const char *what, uint64_t total, uint64_t already_done);
void progress_add(progress *bar, uint64_t bytes);
/* Ends the line; also for the bar of a process that was killed while it drew. */
void progress_end(const progress *bar);

#endif
