#include "machine.h"

#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <cmath>
#include <fstream>
#include <sstream>

namespace bench {
namespace {

std::string quoted(const std::string &text) {
    std::string out = "\"";
    for (const char letter : text) {
        if (letter == '"' || letter == '\\') out += '\\';
        out += static_cast<unsigned char>(letter) < ' ' ? ' ' : letter;
    }
    return out + '"';
}

std::string number(double value) {
    if (!std::isfinite(value)) return "null";
    std::ostringstream out;
    out.precision(12);
    out << value;
    return out.str();
}

std::string first_line(const std::string &file, const std::string &beginning) {
    std::ifstream lines(file);
    for (std::string line; std::getline(lines, line);)
        if (line.compare(0, beginning.size(), beginning) == 0) {
            const size_t at = line.find_first_not_of(" \t:=", beginning.size());
            return at == std::string::npos ? "" : line.substr(at);
        }
    return "";
}

template <class All, class Each> std::string list(const All &all, Each each) {
    std::string out;
    for (const auto &one : all) out += (out.empty() ? "" : ",") + each(one);
    return out;
}

// How a calibration came out over the run.
std::string spread(std::vector<double> values) {
    if (values.empty()) return "null";
    std::sort(values.begin(), values.end());
    const size_t count = values.size();
    return "{\"count\":" + std::to_string(count) + ",\"least\":" + number(values.front()) +
           ",\"p10\":" + number(values[count / 10]) + ",\"median\":" + number(values[count / 2]) +
           ",\"p90\":" + number(values[count * 9 / 10]) + ",\"most\":" + number(values.back()) + "}";
}

std::string json(const Result &result) {
    std::string out = "{\"value\":" + number(result.value) + ",\"operations\":" + std::to_string(result.operations) +
                      ",\"seconds\":" + number(result.seconds);
    if (!result.percentiles.empty())
        out += ",\"percentiles\":[" + list(result.percentiles, [](const auto &one) {
                   return "[" + number(one.first) + "," + std::to_string(one.second) + "]";
               }) + "]";
    if (!result.figures.empty())
        out += ",\"figures\":{" +
               list(result.figures, [](const auto &one) { return quoted(one.first) + ":" + number(one.second); }) + "}";
    if (!result.series.empty())
        out += ",\"columns\":[" + list(result.columns, quoted) + "],\"series\":[" +
               list(result.series, [](const auto &point) { return "[" + list(point, number) + "]"; }) + "]";
    return out + "}";
}

std::string json(const Measured &measured) {
    std::string out = "{\"name\":" + quoted(measured.row.name) + ",\"title\":" + quoted(measured.row.title) +
                      ",\"unit\":" + quoted(measured.row.unit) +
                      ",\"more_is_better\":" + (measured.row.more_is_better ? "true" : "false") + ",\"places\":{";
    out += list(measured.results, [](const auto &place) {
        return quoted(place.first) + ":{" + list(place.second, [](const auto &engine) {
                   return "\n  " + quoted(engine.first) + ":[" +
                          list(engine.second, [](const Result &result) { return json(result); }) + "]";
               }) + "}";
    });
    return out + "}}";
}

} // namespace

std::string file_system(const std::string &path) {
    struct stat found;
    if (stat(path.c_str(), &found) != 0) return "unknown";
    const std::string device = std::to_string(major(found.st_dev)) + ":" + std::to_string(minor(found.st_dev));
    std::ifstream lines("/proc/self/mountinfo");
    for (std::string line; std::getline(lines, line);) {
        std::istringstream words(line);
        std::string word, id;
        words >> word >> word >> id;
        if (id != device) continue;
        const size_t at = line.find(" - ");
        if (at == std::string::npos) continue;
        std::istringstream tail(line.substr(at + 3));
        std::string type, source, how;
        tail >> type >> source >> how;
        bool journal = false;
        if (type == "ext4") {
            const size_t slash = source.rfind('/');
            journal = access(("/proc/fs/jbd2/" + source.substr(slash + 1) + "-8").c_str(), F_OK) == 0;
            return type + (journal ? " with a journal, " : " without a journal, ") + how;
        }
        return type + ", " + how;
    }
    return "unknown";
}

void write_results(const Options &options, const std::vector<EngineKind> &kinds, const Run &run) {
    const std::string beside = options.results + ".new";
    std::ofstream out(beside);
    utsname system;
    uname(&system);
    const std::string release = first_line("/etc/os-release", "PRETTY_NAME");
    out << "{\"started\":" << quoted(run.started) << ",\"quick\":" << (options.quick ? "true" : "false")
        << ",\"rounds\":" << options.rounds << ",\"sizes\":[" << list(options.sizes, [](uint64_t size) {
               return std::to_string(size);
           })
        << "],\n\"machine\":{\"kernel\":" << quoted(std::string(system.sysname) + " " + system.release)
        << ",\"architecture\":" << quoted(system.machine)
        << ",\"system\":" << quoted(release.size() > 2 ? release.substr(1, release.size() - 2) : release)
        << ",\"processor\":" << quoted(first_line("/proc/cpuinfo", "model name"))
        << ",\"cores\":" << sysconf(_SC_NPROCESSORS_ONLN)
        << ",\"memory\":" << quoted(first_line("/proc/meminfo", "MemTotal"))
        << ",\"huge_pages\":" << quoted(first_line("/sys/kernel/mm/transparent_hugepage/enabled", "")) << "},\n";
    out << "\"places\":{" << list(options.directories, [](const auto &place) {
        return quoted(place.first) + ":" + quoted(file_system(place.second));
    }) << "},\n\"engines\":[" << list(kinds, [](const EngineKind &kind) {
        const char *const roles[] = {"floor", "sarsen", "peer"};
        return "\n {\"name\":" + quoted(kind.name) + ",\"role\":" + quoted(roles[static_cast<int>(kind.role)]) +
               ",\"version\":" + quoted(kind.version) + ",\"note\":" + quoted(kind.note) + "}";
    }) << "],\n";
    out << "\"noise\":{\"work_ns\":" << spread(run.calibrations) << ",\"within\":" << spread(run.spreads)
        << ",\"sync_us\":{" << list(run.syncs, [](const auto &place) {
               return quoted(place.first) + ":" + spread(place.second);
           })
        << "}},\n";
    const std::string rows = list(run.rows, [](const Measured &one) { return "\n" + json(one); });
    out << "\"failures\":[" << list(run.failures, quoted) << "],\n\"rows\":[" << rows << "]}\n";
    out.close();
    if (!out || rename(beside.c_str(), options.results.c_str()) != 0)
        throw Failure(options.results + " can't be written");
}

} // namespace bench
