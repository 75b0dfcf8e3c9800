// Stores that are pushed: overwritten and deleted for ten times their size, and three times larger than their memory.
#include "drive.h"

#include <sys/stat.h>
#include <unistd.h>

#include <fstream>

namespace bench {
namespace {

// ---- churn -----------------------------------------------------------------------------------------------

constexpr uint64_t churn_value = 400, batch = 100;

void run_churn(Cell &cell) {
    const uint64_t keys = cell.options.quick ? 4'000 : 250'000;
    const uint64_t operations = keys * 10;
    Settings settings;
    settings.directory = cell.fresh();
    settings.data_bytes = keys * (16 + churn_value) * 2;
    settings.value_bytes = churn_value;
    const std::unique_ptr<Engine> engine = cell.kind.make();
    engine->open(settings);
    std::vector<uint32_t> versions(keys); // 0: not there
    uint64_t live = 0;
    Key raw[batch];
    Change changes[batch];
    std::unique_ptr<Writer> writer = engine->writer(0);
    // One in ten deletes; a key that was deleted comes back when it is next drawn.
    const auto change = [&](uint64_t slot, uint64_t key, uint32_t version, bool removes) {
        raw[slot] = random_key(key);
        changes[slot] = {raw[slot].bytes(), removes ? Bytes{} : pool().value(key, churn_value, version), removes};
        live += (removes ? 0 : 1) - (versions[key] != 0 ? 1 : 0);
        versions[key] = removes ? 0 : version;
    };
    for (uint64_t first = 0; first < keys; first += batch) {
        for (uint64_t i = 0; i < batch; ++i) change(i, first + i, 1, false);
        writer->apply(changes, batch);
    }

    Result disk, rate;
    rate.columns = {"part", "per_second", "disk_bytes", "live_bytes"};
    Histogram latencies;
    uint64_t most = 0, start = now_ns();
    const uint64_t begin = start, part = operations / 10;
    for (uint64_t done = 0; done < operations; done += batch) {
        for (uint64_t i = 0; i < batch; ++i) {
            const uint64_t key = below(done + i, keys);
            change(i, key, static_cast<uint32_t>(2 + (done + i)), versions[key] != 0 && below(done + i + 13, 10) == 0);
        }
        const uint64_t before = now_ns();
        writer->apply(changes, batch);
        latencies.record(now_ns() - before);
        if ((done + batch) % part != 0) continue;
        const uint64_t now = now_ns(), size = disk_bytes(settings.directory);
        most = std::max(most, size);
        const double speed = static_cast<double>(part) * 1e9 / static_cast<double>(now - start);
        rate.series.push_back({static_cast<double>((done + batch) / part), speed, static_cast<double>(size),
                               static_cast<double>(live * (16 + churn_value))});
        start = now_ns();
    }
    rate.row = "churn.rate";
    rate.operations = operations;
    rate.seconds = static_cast<double>(now_ns() - begin) / 1e9;
    rate.value = rate.series.back()[1];
    rate.latencies(latencies);
    rate.figures = engine->figures();
    rate.figure("last_to_first", rate.series.back()[1] / rate.series.front()[1]);
    if (cell.wants(rate.row)) cell.emit(rate);

    const double bytes = static_cast<double>(live * (16 + churn_value));
    disk.figure("most_to_live", static_cast<double>(most) / bytes);
    disk.figure("at_end_to_live", static_cast<double>(disk_bytes(settings.directory)) / bytes);
    {
        const std::unique_ptr<Reader> reader = engine->reader(ReadMode::view);
        for (uint64_t key = 0; key < keys; key += 1 + keys / 2000) {
            Bytes value;
            const bool found = reader->get(random_key(key).bytes(), value);
            if (found != (versions[key] != 0) ||
                (found && digest(value) != digest(pool().value(key, churn_value, versions[key]))))
                throw Failure("WRONG ANSWER: churn: key " + std::to_string(key) + " is not as it was last written");
        }
    }
    writer.reset();
    engine->close();
    disk.row = "churn.disk";
    disk.operations = operations;
    disk.value = static_cast<double>(disk_bytes(settings.directory)) / bytes;
    disk.series = rate.series;
    disk.columns = rate.columns;
    if (cell.wants(disk.row)) cell.emit(disk);
}

// ---- beyond memory -----------------------------------------------------------------------------------------

// Puts this process into a control group that may use so many bytes, page cache included. False: not possible here.
class MemoryLimit {
  public:
    explicit MemoryLimit(uint64_t bytes) {
        const std::string name = "/sarsen_bench_" + std::to_string(getpid());
        const std::pair<std::string, std::string> kinds[] = {{"/sys/fs/cgroup/memory", "memory.limit_in_bytes"},
                                                             {"/sys/fs/cgroup", "memory.max"}};
        const auto process = static_cast<uint64_t>(getpid());
        for (const auto &[root, file] : kinds) {
            const std::string group = root + name;
            if (access((root + "/cgroup.procs").c_str(), W_OK) != 0 || mkdir(group.c_str(), 0755) != 0) continue;
            if (write(group + "/" + file, bytes) && write(group + "/cgroup.procs", process)) {
                root_ = root, group_ = group;
                return;
            }
            rmdir(group.c_str());
        }
    }
    ~MemoryLimit() {
        if (group_.empty()) return;
        write(root_ + "/cgroup.procs", static_cast<uint64_t>(getpid()));
        rmdir(group_.c_str());
    }
    bool holds() const { return !group_.empty(); }

  private:
    static bool write(const std::string &file, uint64_t number) {
        std::ofstream out(file);
        return static_cast<bool>(out << number << std::flush);
    }
    std::string root_, group_;
};

void run_beyond(Cell &cell) {
    const uint64_t budget = (cell.options.quick ? uint64_t{4} : uint64_t{64}) << 20;
    const uint64_t all_memory = 2 * budget; // with the page cache; a third of the data
    const uint64_t count = 3 * all_memory / (16 + value_size) / 1000 * 1000;
    Settings settings = pairs_settings(cell.fresh(), count);
    settings.append_bytes = settings.data_bytes;
    settings.memory_bytes = budget;
    // With --quick there is no limit: it would hold the programs more than the data.
    std::unique_ptr<MemoryLimit> limit;
    if (!cell.options.quick) limit = std::make_unique<MemoryLimit>(all_memory);
    const double limited = limit != nullptr && limit->holds() ? static_cast<double>(all_memory) : 0;
    const std::unique_ptr<Engine> engine = cell.kind.make();
    Result load, get;
    load.row = "beyond.load";
    {
        const MemoryPeak peak;
        engine->open(settings);
        const uint64_t start = now_ns();
        load_pairs(*engine, count);
        load.seconds = static_cast<double>(now_ns() - start) / 1e9;
        load.value = load.seconds;
        load.operations = count;
        load.figures = engine->figures();
        load.figure("memory_limit_bytes", limited);
        load.figure("anonymous_peak_bytes", peak.bytes());
    }
    if (cell.wants(load.row)) cell.emit(load);
    get.row = "beyond.get";
    {
        const std::unique_ptr<Reader> reader = engine->reader(ReadMode::view);
        const uint64_t reads = cell.options.quick ? 2'000 : 20'000;
        Histogram latencies;
        uint64_t expected = 0;
        const uint64_t start = now_ns();
        for (uint64_t i = 0; i < reads; ++i) {
            Bytes value;
            const uint64_t number = below(i, count), before = now_ns();
            if (!reader->get(random_key(number).bytes(), value)) throw Failure("WRONG ANSWER: beyond.get: no value");
            get.digest += digest(value);
            latencies.record(now_ns() - before);
        }
        get.seconds = static_cast<double>(now_ns() - start) / 1e9;
        for (uint64_t i = 0; i < reads; ++i) expected += digest(pool().value(below(i, count), value_size));
        if (get.digest != expected) throw Failure("WRONG ANSWER: beyond.get: other values");
        get.operations = reads;
        get.value = get.seconds * 1e6 / static_cast<double>(reads);
        get.latencies(latencies);
        get.figure("memory_limit_bytes", limited);
    }
    engine->close();
    get.figure("disk_bytes", static_cast<double>(disk_bytes(settings.directory)));
    if (cell.wants(get.row)) cell.emit(get);
}

} // namespace

void bounded_jobs(const Options &, std::vector<Job> &jobs) {
    jobs.push_back({{{"churn.disk", "overwrite and delete ten times the data: disk to live data, after closing", "x",
                      false, gives_store | gives_process},
                     {"churn.rate", "the same: changes a second in the last tenth", "/s", true,
                      gives_store | gives_process}},
                    run_churn});
    jobs.push_back({{{"beyond.load", "load three times the memory there is", "s", false, gives_store | gives_process},
                     {"beyond.get", "random point reads in it", "us", false, gives_store | gives_process}},
                    run_beyond});
}

} // namespace bench
