#include "progress.h"

#include "demo.h"

#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

enum { BAR_WIDTH = 40 };

static void draw(const progress *bar, unsigned percent) {
    double elapsed = seconds() - bar->started;
    double rate = elapsed > 0 ? (double)bar->bytes / elapsed / 1e6 : 0;
    if (bar->terminal) {
        char drawn[BAR_WIDTH + 1];
        for (unsigned n = 0; n < BAR_WIDTH; n++) drawn[n] = n * 100 < percent * BAR_WIDTH ? '#' : '.';
        drawn[BAR_WIDTH] = '\0';
        printf("\r  %s [%s] %3u %%  %" PRIu64 " of %" PRIu64 " files  %.0f MB/s  ", bar->what, drawn, percent,
               bar->done, bar->total, rate);
    } else {
        printf("  %s %3u %%  %" PRIu64 " of %" PRIu64 " files  %.0f MB/s\n", bar->what, percent, bar->done, bar->total,
               rate);
    }
    fflush(stdout);
}

static unsigned percent_done(const progress *bar) {
    return bar->total == 0 ? 100 : (unsigned)(bar->done * 100 / bar->total);
}

void progress_start(progress *bar, const char *what, uint64_t total, uint64_t already_done) {
    *bar = (progress){.what = what, .total = total, .done = already_done, .started = seconds()};
    bar->terminal = isatty(STDOUT_FILENO) != 0;
    bar->shown_percent = percent_done(bar);
}

void progress_add(progress *bar, uint64_t bytes) {
    bar->done++;
    bar->bytes += bytes;
    unsigned percent = percent_done(bar), step = bar->terminal ? 1 : 10;
    if (percent / step != bar->shown_percent / step) {
        bar->shown_percent = percent;
        draw(bar, percent);
    }
}

void progress_end(const progress *bar) {
    if (bar->terminal) {
        printf("\n");
        fflush(stdout);
    }
}
