// Measures sarsen beside its peers and beside the floor, and writes build/bench/results.json.
//
// Jobs one after another; within a job, rounds; within a round, every engine that gives what the job needs, in an
// order that turns by one each round. Each measurement is a process of its own (cell.h). A wrong answer, a failure or
// sums that differ between engines make the program end with status 1, after everything else was measured.
#include "machine.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <ctime>
#include <sstream>

namespace bench {
namespace {

const char *const usage =
    "sarsen_bench [options]\n"
    "  --quick              every workload, small and short: a check that all works, no figures to go by\n"
    "  --rows A,B           only rows whose names begin with these parts, such as get.hit or append.power.block.100\n"
    "  --engines A,B        only these engines; --list names them\n"
    "  --sizes N,M          pairs in the stores that are read (default 1000000,10000000)\n"
    "  --rounds N           measurements of each (default 3); the median counts\n"
    "  --seconds S          for how long one append is measured (default 0.5)\n"
    "  --dir PATH           where the stores go (default build/bench/data); NAME=PATH gives the place a name. Given\n"
    "                       again: a further place, for the rows that depend on the file system\n"
    "  --results FILE       (default build/bench/results.json)\n"
    "  --keep               leave the stores that were read\n"
    "  --control            the checks themselves: an engine that answers wrongly must fail every row\n"
    "  --list               rows and engines\n";

std::vector<std::string> split(const std::string &text) {
    std::vector<std::string> parts;
    std::istringstream from(text);
    for (std::string part; std::getline(from, part, ',');)
        if (!part.empty()) parts.push_back(part);
    return parts;
}

// Row names have parts with dots between them: `get.hit` begins `get.hit.view.t1.1m`, `t1` is no beginning of `t16`.
bool chosen(const std::vector<std::string> &beginnings, const std::string &name) {
    if (beginnings.empty()) return true;
    for (const std::string &beginning : beginnings)
        if ((name + ".").compare(0, beginning.size() + 1, beginning + ".") == 0) return true;
    return false;
}

Options options_of(int count, char **arguments) {
    Options options;
    bool sizes_given = false, rounds_given = false;
    for (int i = 1; i < count; ++i) {
        const std::string name = arguments[i];
        const auto next = [&]() -> std::string {
            if (++i == count) throw Failure(name + " wants a value\n" + usage);
            return arguments[i];
        };
        if (name == "--help") {
            std::fputs(usage, stdout);
            std::exit(0);
        } else if (name == "--quick") {
            options.quick = true;
        } else if (name == "--control") {
            options.control = true;
        } else if (name == "--keep") {
            options.keep = true;
        } else if (name == "--list") {
            options.list = true;
        } else if (name == "--rows") {
            options.rows = split(next());
        } else if (name == "--engines") {
            options.engines = split(next());
        } else if (name == "--results") {
            options.results = next();
        } else if (name == "--rounds") {
            options.rounds = static_cast<unsigned>(std::stoul(next()));
            rounds_given = true;
        } else if (name == "--seconds") {
            options.seconds = std::stod(next());
        } else if (name == "--sizes") {
            options.sizes.clear();
            for (const std::string &size : split(next())) options.sizes.push_back(std::stoull(size));
            sizes_given = true;
        } else if (name == "--dir") {
            const std::string value = next();
            const size_t at = value.find('=');
            if (at == std::string::npos)
                options.directories.emplace_back("as found", value);
            else
                options.directories.emplace_back(value.substr(0, at), value.substr(at + 1));
        } else {
            throw Failure(name + " is no option\n" + usage);
        }
    }
    if (options.directories.empty()) options.directories.emplace_back("as found", "build/bench/data");
    if (options.quick && !sizes_given) options.sizes = {20'000};
    if (options.quick && !rounds_given) options.rounds = 1;
    if (options.rounds == 0 || options.sizes.empty()) throw Failure("at least one round and one size");
    for (const uint64_t size : options.sizes)
        if (size < 1000 || size > 1'000'000'000) throw Failure("sizes are from 1,000 to 1,000,000,000");
    return options;
}

void make_directory(const std::string &path) {
    std::string made;
    std::istringstream parts(path);
    if (path[0] == '/') made = "/";
    for (std::string part; std::getline(parts, part, '/');) {
        if (part.empty()) continue;
        made += part;
        if (mkdir(made.c_str(), 0755) != 0 && errno != EEXIST) throw Failure(made + ": " + std::strerror(errno));
        made += '/';
    }
}

std::vector<EngineKind> all_kinds() {
    std::vector<EngineKind> kinds = floor_kinds();
    kinds.push_back(sarsen_kind());
    kinds.push_back(lmdb_kind());
    kinds.push_back(rocksdb_kind());
    kinds.push_back(leveldb_kind());
    kinds.push_back(sqlite_kind());
    kinds.push_back(redb_kind());
    kinds.push_back(fjall_kind());
    return kinds;
}

std::vector<Job> all_jobs(const Options &options) {
    std::vector<Job> jobs;
    append_jobs(options, jobs);
    read_jobs(options, jobs);
    object_jobs(options, jobs);
    open_jobs(options, jobs);
    beside_jobs(options, jobs);
    bounded_jobs(options, jobs);
    return jobs;
}

double median(std::vector<double> values) {
    std::sort(values.begin(), values.end());
    const size_t half = values.size() / 2;
    return values.size() % 2 == 1 ? values[half] : (values[half - 1] + values[half]) / 2;
}

std::string short_number(double value) {
    char text[32];
    snprintf(text, sizeof text, value >= 1000 ? "%.0f" : value >= 100 ? "%.0f" : value >= 10 ? "%.1f" : "%.2f", value);
    return text;
}

class Bench {
  public:
    Bench(const Options &options, std::vector<EngineKind> kinds) : options_(options), kinds_(std::move(kinds)) {
        const time_t now = time(nullptr);
        char text[32];
        strftime(text, sizeof text, "%Y-%m-%d %H:%M UTC", gmtime(&now));
        run_.started = text;
    }

    bool run(const std::vector<Job> &jobs) {
        for (size_t place = 0; place < options_.directories.size(); ++place) {
            for (const Job &job : jobs) {
                measure(job, place);
                if (!job.done_with.empty() && !options_.keep) forget(job.done_with, place);
            }
            if (!options_.keep)
                for (const EngineKind &kind : kinds_) remove_tree(options_.directories[place].second + "/" + kind.name);
        }
        for (const std::string &failure : run_.failures) printf("FAILED %s\n", failure.c_str());
        printf("%zu rows, %zu failures; %s\n", run_.rows.size(), run_.failures.size(), options_.results.c_str());
        return run_.failures.empty();
    }

  private:
    // The rows of a job that were asked for and that this engine can give.
    std::set<std::string> rows_for(const Job &job, const EngineKind &kind, size_t place) const {
        std::set<std::string> rows;
        for (const Row &row : job.rows) {
            const bool wanted = chosen(options_.rows, row.name) && (!options_.quick || row.in_quick) &&
                                (place == 0 || row.every_place);
            if (wanted && (kind.gives & row.needs) == row.needs) rows.insert(row.name);
        }
        return rows;
    }

    void measure(const Job &job, size_t place) {
        const auto &[place_name, directory] = options_.directories[place];
        std::vector<const EngineKind *> taking_part;
        for (const EngineKind &kind : kinds_)
            if (chosen(options_.engines, kind.name) && !rows_for(job, kind, place).empty())
                taking_part.push_back(&kind);
        if (taking_part.empty()) return;
        const size_t first_row = rows_of(job);
        for (unsigned round = 0; round < options_.rounds; ++round) {
            for (size_t turn = 0; turn < taking_part.size(); ++turn) {
                const EngineKind &kind = *taking_part[(turn + round) % taking_part.size()];
                const Outcome outcome = run_cell(job, kind, options_, directory, rows_for(job, kind, place));
                if (outcome.calibration_ns > 0) {
                    run_.calibrations.push_back(outcome.calibration_ns);
                    run_.spreads.push_back(outcome.calibration_spread);
                    run_.syncs[place_name].push_back(outcome.calibration_sync_us);
                }
                if (!outcome.failure.empty())
                    run_.failures.push_back(job.rows[0].name + " by " + kind.name + " (" + place_name + "), round " +
                                            std::to_string(round + 1) + ": " + outcome.failure);
                for (const Result &result : outcome.results) keep(first_row, job, place_name, kind.name, result);
            }
        }
        for (size_t i = 0; i < job.rows.size(); ++i) {
            compare_sums(run_.rows[first_row + i], place_name);
            tell(run_.rows[first_row + i], place_name);
        }
        write_results(options_, kinds_, run_);
    }

    // Where the job's rows are in the results; put there if it is the first time.
    size_t rows_of(const Job &job) {
        for (size_t i = 0; i < run_.rows.size(); ++i)
            if (run_.rows[i].row.name == job.rows[0].name) return i;
        for (const Row &row : job.rows) run_.rows.push_back({row, {}});
        return run_.rows.size() - job.rows.size();
    }

    void keep(size_t first_row, const Job &job, const std::string &place, const std::string &engine,
              const Result &result) {
        for (size_t i = 0; i < job.rows.size(); ++i)
            if (job.rows[i].name == result.row) run_.rows[first_row + i].results[place][engine].push_back(result);
    }

    // Who read the same must have read the same.
    void compare_sums(const Measured &measured, const std::string &place) {
        const auto found = measured.results.find(place);
        if (found == measured.results.end()) return;
        uint64_t sum = 0;
        std::string first;
        for (const auto &[engine, results] : found->second) {
            for (const Result &result : results) {
                if (result.digest == 0) continue;
                if (first.empty()) {
                    sum = result.digest;
                    first = engine;
                } else if (result.digest != sum) {
                    run_.failures.push_back("WRONG ANSWER: " + measured.row.name + ": " + engine +
                                            " read other bytes than " + first);
                    return;
                }
            }
        }
    }

    void tell(const Measured &measured, const std::string &place) const {
        const auto found = measured.results.find(place);
        if (found == measured.results.end()) return;
        printf("%-30s %-5s", measured.row.name.c_str(), measured.row.unit.c_str());
        for (const EngineKind &kind : kinds_) {
            const auto results = found->second.find(kind.name);
            if (results == found->second.end() || results->second.empty()) continue;
            std::vector<double> values;
            for (const Result &result : results->second) values.push_back(result.value);
            printf("  %s %s", kind.name.c_str(), short_number(median(values)).c_str());
        }
        printf("\n");
        fflush(stdout);
    }

    void forget(const std::string &dataset, size_t place) const {
        for (const EngineKind &kind : kinds_)
            remove_tree(options_.directories[place].second + "/" + kind.name + "/" + dataset);
    }

    const Options &options_;
    std::vector<EngineKind> kinds_;
    Run run_;
};

// Every row must notice an engine that answers wrongly.
int control(const Options &options, const std::vector<Job> &jobs) {
    const EngineKind liar = liar_kind();
    const std::string &directory = options.directories[0].second;
    unsigned noticed = 0, believed = 0;
    for (const Job &job : jobs) {
        for (const Row &row : job.rows) {
            if (!chosen(options.rows, row.name) || (options.quick && !row.in_quick)) continue;
            if ((liar.gives & row.needs) != row.needs) continue;
            const Outcome outcome = run_cell(job, liar, options, directory, {row.name});
            if (outcome.failure.compare(0, 12, "WRONG ANSWER") == 0) {
                ++noticed;
                continue;
            }
            ++believed;
            printf("NOT NOTICED: %s: %s\n", row.name.c_str(), outcome.failure.c_str());
        }
    }
    remove_tree(directory + "/" + liar.name);
    printf("control: wrong answers were noticed in %u rows, and not in %u\n", noticed, believed);
    return noticed != 0 && believed == 0 ? 0 : 1;
}

int run(int count, char **arguments) {
    const Options options = options_of(count, arguments);
    const std::vector<Job> jobs = all_jobs(options);
    const std::vector<EngineKind> kinds = all_kinds();
    if (options.list) {
        for (const Job &job : jobs)
            for (const Row &row : job.rows)
                printf("%-32s %-5s %s\n", row.name.c_str(), row.unit.c_str(), row.title.c_str());
        printf("\n");
        for (const EngineKind &kind : kinds)
            printf("%-14s %-8s %s\n", kind.name.c_str(), kind.version.c_str(), kind.note.c_str());
        return 0;
    }
    for (const auto &[name, path] : options.directories) {
        make_directory(path);
        printf("%s: %s, %s\n", name.c_str(), path.c_str(), file_system(path).c_str());
    }
    const size_t slash = options.results.rfind('/');
    if (slash != std::string::npos && slash != 0) make_directory(options.results.substr(0, slash));
    pool();
    if (options.control) return control(options, jobs);
    return Bench(options, kinds).run(jobs) ? 0 : 1;
}

} // namespace
} // namespace bench

int main(int count, char **arguments) {
    try {
        return bench::run(count, arguments);
    } catch (const std::exception &failure) {
        fprintf(stderr, "sarsen_bench: %s\n", failure.what());
        return 2;
    }
}
