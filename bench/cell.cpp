#include "cell.h"

#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cinttypes>
#include <fstream>
#include <sstream>

namespace bench {
namespace {

constexpr unsigned seconds_most = 1800; // a cell that takes longer hangs

void make_directories(const std::string &path) {
    for (size_t at = 1; at != std::string::npos;) {
        at = path.find('/', at + 1);
        if (mkdir(path.substr(0, at).c_str(), 0755) != 0 && errno != EEXIST)
            throw Failure(path + ": " + std::strerror(errno));
    }
}

// How fast the machine is right now: a fixed piece of work, five times over.
void calibrate(std::ostream &out) {
    std::vector<double> times;
    for (int time = 0; time < 5; ++time) {
        const uint64_t start = now_ns();
        uint64_t number = 1;
        for (int i = 0; i < 300'000; ++i) number = mix(number);
        if (number == 0) throw Failure("mix is no permutation");
        times.push_back(static_cast<double>(now_ns() - start) / 300'000);
    }
    std::sort(times.begin(), times.end());
    out << "calibration " << times[2] << ' ' << times[4] / times[0];
}

// And the disk: twenty small writes, each synced, on a file that is there.
void calibrate_disk(const std::string &directory, std::ostream &out) {
    const std::string path = directory + "/calibration";
    const int file = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (file < 0) throw Failure(path + ": " + std::strerror(errno));
    const std::vector<uint8_t> block(4096, 1);
    Histogram times;
    for (int time = 0; time < 21; ++time) {
        const uint64_t start = now_ns();
        if (pwrite(file, block.data(), block.size(), 0) != 4096 || fdatasync(file) != 0)
            throw Failure(path + ": " + std::strerror(errno));
        if (time != 0) times.record(now_ns() - start);
    }
    close(file);
    out << ' ' << static_cast<double>(times.at(0.5)) / 1e3 << '\n';
}

void write_all(int to, const std::string &text) {
    for (size_t at = 0; at < text.size();) {
        const ssize_t wrote = write(to, text.data() + at, text.size() - at);
        if (wrote <= 0) _exit(3);
        at += static_cast<size_t>(wrote);
    }
}

std::string status_text(int status) {
    if (WIFSIGNALED(status)) return std::string("ended by signal ") + strsignal(WTERMSIG(status));
    return "ended with status " + std::to_string(WEXITSTATUS(status));
}

// Ends the child without running what the parent registered.
[[noreturn]] void child(const std::function<void()> &work, int to) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    alarm(seconds_most);
    try {
        work();
    } catch (const std::exception &failure) {
        if (to >= 0)
            write_all(to, std::string("failure ") + failure.what() + "\n");
        else
            fprintf(stderr, "%s\n", failure.what());
        _exit(1);
    }
    _exit(0);
}

void parse(const std::string &text, Outcome &outcome) {
    std::istringstream lines(text);
    std::string line;
    while (std::getline(lines, line)) {
        std::istringstream words(line);
        std::string what;
        words >> what;
        if (what == "failure") {
            outcome.failure = line.substr(8);
        } else if (what == "calibration") {
            words >> outcome.calibration_ns >> outcome.calibration_spread >> outcome.calibration_sync_us;
        } else if (what == "row") {
            Result result;
            words >> result.row >> result.value >> result.operations >> result.seconds >> result.digest;
            outcome.results.push_back(result);
        } else if (outcome.results.empty()) {
            outcome.failure = "not understood: " + line;
        } else if (what == "percentile") {
            std::pair<double, uint64_t> one;
            words >> one.first >> one.second;
            outcome.results.back().percentiles.push_back(one);
        } else if (what == "figure") {
            std::pair<std::string, double> one;
            words >> one.first >> one.second;
            outcome.results.back().figures.push_back(one);
        } else if (what == "columns") {
            for (std::string name; words >> name;) outcome.results.back().columns.push_back(name);
        } else if (what == "point") {
            std::vector<double> point;
            for (double number; words >> number;) point.push_back(number);
            outcome.results.back().series.push_back(point);
        }
    }
}

} // namespace

void Result::latencies(const Histogram &histogram) {
    if (histogram.count() == 0) return;
    for (const double share : {0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.995, 0.999, 0.9995, 0.9999, 0.99999})
        percentiles.emplace_back(share, histogram.at(share));
    percentiles.emplace_back(1.0, histogram.max());
}

std::string Cell::fresh() const {
    const std::string outer = directory_ + "/" + kind.name + "/fresh";
    remove_tree(outer);
    make_directories(outer + "/store");
    return outer + "/store";
}

std::string Cell::dataset(const std::string &name, const std::function<void(const std::string &)> &build) const {
    const std::string outer = directory_ + "/" + kind.name + "/" + name;
    const std::string whole = outer + "/whole", path = outer + "/store";
    if (access(whole.c_str(), F_OK) == 0) return path;
    remove_tree(outer);
    make_directories(path);
    in_child([&] { build(path); });
    if (!std::ofstream(whole).put('\n')) throw Failure(whole + " can't be written");
    return path;
}

void Cell::emit(const Result &result) const {
    std::ostringstream out;
    out.precision(12);
    out << "row " << result.row << ' ' << result.value << ' ' << result.operations << ' ' << result.seconds << ' '
        << result.digest << '\n';
    for (const auto &[share, nanoseconds] : result.percentiles)
        out << "percentile " << share << ' ' << nanoseconds << '\n';
    for (const auto &[name, number] : result.figures) out << "figure " << name << ' ' << number << '\n';
    if (!result.columns.empty()) out << "columns";
    for (const std::string &name : result.columns) out << ' ' << name;
    if (!result.columns.empty()) out << '\n';
    for (const auto &point : result.series) {
        out << "point";
        for (const double number : point) out << ' ' << number;
        out << '\n';
    }
    write_all(to_, out.str());
}

Outcome run_cell(const Job &job, const EngineKind &kind, const Options &options, const std::string &directory,
                 const std::set<std::string> &rows) {
    int pipes[2];
    if (pipe2(pipes, O_CLOEXEC) != 0) throw Failure("no pipe");
    fflush(stdout);
    const pid_t pid = fork();
    if (pid < 0) throw Failure("no child process");
    if (pid == 0) {
        close(pipes[0]);
        child(
            [&] {
                std::ostringstream calibration;
                calibrate(calibration);
                calibrate_disk(directory, calibration);
                write_all(pipes[1], calibration.str());
                Cell cell(kind, options, directory, rows, pipes[1]);
                job.run(cell);
            },
            pipes[1]);
    }
    close(pipes[1]);
    std::string text;
    char buffer[1 << 16];
    for (ssize_t got; (got = read(pipes[0], buffer, sizeof buffer)) > 0;) text.append(buffer, static_cast<size_t>(got));
    close(pipes[0]);
    int status;
    waitpid(pid, &status, 0);
    Outcome outcome;
    parse(text, outcome);
    if (status != 0 && outcome.failure.empty()) outcome.failure = status_text(status);
    remove_tree(directory + "/" + kind.name + "/fresh");
    return outcome;
}

void in_child(const std::function<void()> &work) {
    const pid_t pid = fork();
    if (pid < 0) throw Failure("no child process");
    if (pid == 0) child(work, -1);
    int status;
    waitpid(pid, &status, 0);
    if (status != 0) throw Failure("a child process " + status_text(status));
}

void remove_tree(const std::string &path) {
    const auto each = [](const char *name, const struct stat *, int, struct FTW *) { return remove(name); };
    if (access(path.c_str(), F_OK) == 0 && nftw(path.c_str(), each, 16, FTW_DEPTH | FTW_PHYS) != 0)
        throw Failure(path + " can't be removed");
}

namespace {
uint64_t blocks_counted; // nftw has no place for a caller's own; each process has one thread that asks
}

uint64_t disk_bytes(const std::string &path) {
    blocks_counted = 0;
    const auto each = [](const char *, const struct stat *found, int, struct FTW *) {
        if (S_ISREG(found->st_mode)) blocks_counted += static_cast<uint64_t>(found->st_blocks);
        return 0;
    };
    // A file that upkeep removes meanwhile is none to count.
    nftw(path.c_str(), each, 16, FTW_PHYS);
    return blocks_counted * 512;
}

uint64_t anonymous_bytes() {
    std::ifstream status("/proc/self/status");
    for (std::string line; std::getline(status, line);)
        if (line.compare(0, 8, "RssAnon:") == 0) return std::stoull(line.substr(8)) << 10;
    return 0;
}

std::string size_name(uint64_t size) {
    if (size % 1'000'000 == 0) return std::to_string(size / 1'000'000) + "m";
    if (size % 1000 == 0) return std::to_string(size / 1000) + "k";
    return std::to_string(size);
}

} // namespace bench
