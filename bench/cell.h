// One measurement: one engine, one job, in a process of its own, so that an engine's memory, threads and caches never
// meet another's, and one that crashes takes nothing with it but its own figure.
//
// A Job measures one or more Rows. It runs in the child, is given a Cell, and reports a Result for each row that it
// measured. The parent never opens a store.
#pragma once

#include "engine.h"
#include "histogram.h"

#include <map>
#include <set>

namespace bench {

struct Options {
    std::vector<std::pair<std::string, std::string>> directories; // name, path
    std::vector<std::string> rows, engines; // first parts of names; empty: all
    std::vector<uint64_t> sizes = {1'000'000, 10'000'000};
    std::string results = "build/bench/results.json";
    unsigned rounds = 3;
    bool quick = false, list = false, keep = false, control = false;
    double seconds = 0.5; // that one append is measured
};

struct Row {
    std::string name, title, unit;
    bool more_is_better = false;
    uint32_t needs = 0;      // of an engine's gives, all of these
    bool in_quick = true;    // also run with --quick
    bool every_place = false; // also run in further directories: what depends on the file system
};

struct Result {
    std::string row;
    double value = 0; // in the row's unit
    uint64_t operations = 0;
    double seconds = 0;
    std::vector<std::pair<double, uint64_t>> percentiles;    // share, nanoseconds
    std::vector<std::pair<std::string, double>> figures;     // whatever else is worth knowing
    std::vector<std::string> columns;                        // of the series
    std::vector<std::vector<double>> series;                 // something over time
    uint64_t digest = 0;                                     // over all that was read; 0: nothing was

    void latencies(const Histogram &histogram);
    void figure(std::string name, double number) { figures.emplace_back(std::move(name), number); }
};

class Cell {
  public:
    Cell(const EngineKind &of, const Options &chosen, std::string directory, std::set<std::string> rows, int to)
        : kind(of), options(chosen), directory_(std::move(directory)), rows_(std::move(rows)), to_(to) {}

    const EngineKind &kind;
    const Options &options;

    bool wants(const std::string &row) const { return rows_.count(row) != 0; }
    // An empty directory of this cell's own.
    std::string fresh() const;
    // A directory that `build` filled in another process, once for all rounds and jobs.
    std::string dataset(const std::string &name, const std::function<void(const std::string &)> &build) const;
    void emit(const Result &result) const;

  private:
    std::string directory_;
    std::set<std::string> rows_;
    int to_;
};

struct Job {
    std::vector<Row> rows;
    std::function<void(Cell &)> run;
    std::string done_with = ""; // a dataset that no later job reads
};

// What became of one cell. `failure` is empty where all went well.
struct Outcome {
    std::vector<Result> results;
    std::string failure;
    double calibration_ns = 0, calibration_spread = 0, calibration_sync_us = 0;
};

Outcome run_cell(const Job &job, const EngineKind &kind, const Options &options, const std::string &directory,
                 const std::set<std::string> &rows);
void remove_tree(const std::string &path);
// Runs `work` in a child process and waits; throws if it failed there.
void in_child(const std::function<void()> &work);
// Bytes that the file system accounts to a directory.
uint64_t disk_bytes(const std::string &path);
// Anonymous memory of this process.
uint64_t anonymous_bytes();
std::string size_name(uint64_t size);

// Each file of jobs gives its own.
void append_jobs(const Options &options, std::vector<Job> &jobs);
void read_jobs(const Options &options, std::vector<Job> &jobs);
void object_jobs(const Options &options, std::vector<Job> &jobs);
void open_jobs(const Options &options, std::vector<Job> &jobs);
void beside_jobs(const Options &options, std::vector<Job> &jobs);
void bounded_jobs(const Options &options, std::vector<Job> &jobs);

// The pairs that several jobs read: `count` random keys of 16 bytes with values of 100 bytes.
constexpr uint64_t value_size = 100;
Settings pairs_settings(const std::string &directory, uint64_t count);
void load_pairs(Engine &engine, uint64_t count);
std::string pairs_dataset(const Cell &cell, uint64_t count);

} // namespace bench
