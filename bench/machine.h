// What the figures were measured on, and the results file.
#pragma once

#include "cell.h"

namespace bench {

// The file system that holds `path`, as the kernel describes its mount.
std::string file_system(const std::string &path);

struct Measured {
    Row row;
    // By place, then engine: a result a round. A failure takes the place of results.
    std::map<std::string, std::map<std::string, std::vector<Result>>> results;
};

struct Run {
    std::vector<Measured> rows;
    std::vector<std::string> failures;
    std::vector<double> calibrations, spreads;
    std::map<std::string, std::vector<double>> syncs; // by place: microseconds of a small synced write
    std::string started;
};

void write_results(const Options &options, const std::vector<EngineKind> &kinds, const Run &run);

} // namespace bench
