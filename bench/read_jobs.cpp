// Loads, point reads, scans and ranges over random keys of 16 bytes with values of 100 bytes.
//
// Reads use a store that was loaded once, synced and settled, all of it read before (page cache and the engine's own
// cache are warm). Every value that is read is summed up, and the sum compared with what the generator says.
#include "drive.h"

namespace bench {

constexpr uint64_t pair_bytes = 16 + value_size;
constexpr uint64_t load_batch = 1000;

Settings pairs_settings(const std::string &directory, uint64_t count) {
    Settings settings;
    settings.directory = directory;
    settings.data_bytes = count * pair_bytes;
    settings.value_bytes = value_size;
    return settings;
}

void load_pairs(Engine &engine, uint64_t count) {
    const std::unique_ptr<Writer> writer = engine.writer(0);
    std::vector<Key> keys(load_batch);
    std::vector<Change> changes(load_batch);
    for (uint64_t first = 0; first < count; first += load_batch) {
        const uint64_t size = std::min(load_batch, count - first);
        for (uint64_t i = 0; i < size; ++i) {
            keys[i] = random_key(first + i);
            changes[i] = {keys[i].bytes(), pool().value(first + i, value_size)};
        }
        writer->apply(changes.data(), size);
    }
    engine.sync();
}

std::string pairs_dataset(const Cell &cell, uint64_t count) {
    return cell.dataset("pairs-" + size_name(count), [&](const std::string &path) {
        const std::unique_ptr<Engine> engine = cell.kind.make();
        Settings settings = pairs_settings(path, count);
        settings.append_bytes = settings.data_bytes;
        engine->open(settings);
        load_pairs(*engine, count);
        engine->settle();
        engine->close();
    });
}

namespace {

void wrong(const std::string &row, const char *what) { throw Failure("WRONG ANSWER: " + row + ": " + what); }

void run_load(Cell &cell, const std::string &row, uint64_t count) {
    Settings settings = pairs_settings(cell.fresh(), count);
    settings.append_bytes = settings.data_bytes;
    const std::unique_ptr<Engine> engine = cell.kind.make();
    engine->open(settings);
    Result result;
    result.row = row;
    {
        const MemoryPeak peak;
        const uint64_t start = now_ns();
        load_pairs(*engine, count);
        result.seconds = static_cast<double>(now_ns() - start) / 1e9;
        result.figures = engine->figures();
        engine->settle();
        result.figure("anonymous_peak_bytes", peak.bytes());
    }
    result.value = result.seconds;
    result.operations = count;
    if (cell.kind.role != Role::floor) {
        const std::unique_ptr<Reader> reader = engine->reader(ReadMode::view);
        for (uint64_t i = 0; i < count; i += std::max<uint64_t>(1, count / 1000)) {
            Bytes value;
            const Bytes expected = pool().value(i, value_size);
            if (!reader->get(random_key(i).bytes(), value) || value.size != expected.size ||
                std::memcmp(value.data, expected.data, value.size) != 0)
                wrong(row, "a pair that was loaded is not there");
        }
    }
    engine->close();
    result.figure("disk_bytes", static_cast<double>(disk_bytes(settings.directory)));
    cell.emit(result);
}

// The numbers of the pairs that a row asks for: `hit` ones that there are, else such that there are none.
uint64_t wanted(uint64_t operation, uint64_t count, bool hit) { return below(operation, count) + (hit ? 0 : count); }

uint64_t expected_sum(uint64_t first, uint64_t last, uint64_t count) {
    uint64_t sum = 0;
    for (uint64_t i = first; i < last; ++i) sum += digest(pool().value(wanted(i, count, true), value_size));
    return sum;
}

struct Gets {
    ReadMode mode;
    bool hit;
    unsigned threads;
};

const char *const mode_names[] = {"view", "snapshot", "copy"};

std::string get_row(const Gets &what, uint64_t count) {
    return std::string("get.") + (what.hit ? "hit." : "miss.") + mode_names[static_cast<int>(what.mode)] + ".t" +
           std::to_string(what.threads) + "." + size_name(count);
}

void gets(Cell &cell, Engine &engine, const Gets &what, uint64_t count) {
    const std::string row = get_row(what, count);
    if (!cell.wants(row)) return;
    Drive how;
    how.operations_most = (cell.options.quick ? 8'000 : 300'000) / what.threads;
    how.sample = 16;
    std::vector<Driven> driven(what.threads);
    std::vector<uint64_t> sums(what.threads), found(what.threads);
    Gate gate(what.threads);
    in_threads(what.threads, [&](unsigned thread) {
        const std::unique_ptr<Reader> reader = engine.reader(what.mode);
        const uint64_t base = uint64_t{thread} << 32;
        Bytes value;
        for (uint64_t i = 0; i < how.operations_most / 10; ++i)
            reader->get(random_key(wanted(base + i + 7, count, what.hit)).bytes(), value);
        driven[thread] = drive(how, gate, [&](uint64_t i) {
            if (reader->get(random_key(wanted(base + i, count, what.hit)).bytes(), value)) {
                sums[thread] += digest(value);
                ++found[thread];
            }
        });
    });
    Result result;
    result.row = row;
    Histogram latencies;
    for (unsigned thread = 0; thread < what.threads; ++thread) {
        const uint64_t base = uint64_t{thread} << 32, operations = driven[thread].operations;
        const uint64_t expected = what.hit ? expected_sum(base, base + operations, count) : 0;
        if (sums[thread] != expected || found[thread] != (what.hit ? operations : 0)) wrong(row, "other values");
        result.operations += operations;
        result.digest += sums[thread];
        latencies.merge(driven[thread].latencies);
    }
    result.seconds = wall_seconds(driven);
    result.value = result.seconds * 1e9 / static_cast<double>(result.operations);
    result.latencies(latencies);
    cell.emit(result);
}

void many(Cell &cell, Engine &engine, uint64_t count) {
    const std::string row = "get.many64." + size_name(count);
    if (!cell.wants(row)) return;
    const std::unique_ptr<Reader> reader = engine.reader(ReadMode::snapshot);
    const uint64_t batches = (cell.options.quick ? 8'000 : 300'000) / 64;
    Key keys[64];
    Bytes asked[64];
    uint64_t sum = 0, found = 0;
    Result result;
    const auto all = [&](uint64_t number) {
        for (uint64_t batch = 0; batch < number; ++batch) {
            for (uint64_t i = 0; i < 64; ++i) {
                keys[i] = random_key(wanted(batch * 64 + i, count, true));
                asked[i] = keys[i].bytes();
            }
            sum += reader->get_many(asked, 64, found);
        }
    };
    all(batches / 10);
    sum = found = 0;
    const uint64_t start = now_ns();
    all(batches);
    result.seconds = static_cast<double>(now_ns() - start) / 1e9;
    if (sum != expected_sum(0, batches * 64, count) || found != batches * 64) wrong(row, "other values");
    result.row = row;
    result.digest = sum;
    result.operations = batches * 64;
    result.value = result.seconds * 1e9 / static_cast<double>(result.operations);
    cell.emit(result);
}

// What the ranges add up to, from the generator alone.
uint64_t expected_ranges(uint64_t ranges, uint64_t count, uint64_t &pairs) {
    // The first eight bytes of a key are never those of another one.
    std::vector<std::pair<uint64_t, uint64_t>> order(count);
    const auto first_bytes = [](uint64_t i) {
        uint64_t word;
        std::memcpy(&word, random_key(i).raw.data(), 8);
        return __builtin_bswap64(word);
    };
    for (uint64_t i = 0; i < count; ++i) order[i] = {first_bytes(i), i};
    std::sort(order.begin(), order.end());
    uint64_t sum = 0;
    for (uint64_t i = 0; i < ranges; ++i) {
        const std::pair<uint64_t, uint64_t> start{first_bytes(wanted(i, count, true)), 0};
        auto at = std::lower_bound(order.begin(), order.end(), start);
        for (int entry = 0; entry < 100 && at != order.end(); ++entry, ++at, ++pairs)
            sum += digest(random_key(at->second).bytes(), pool().value(at->second, value_size));
    }
    return sum;
}

void scans(Cell &cell, Engine &engine, uint64_t count) {
    const std::unique_ptr<Reader> reader = engine.reader(ReadMode::snapshot);
    Result result;
    result.row = "scan.full." + size_name(count);
    if (cell.wants(result.row)) {
        const uint64_t start = now_ns();
        result.digest = reader->scan({}, UINT64_MAX, result.operations);
        result.seconds = static_cast<double>(now_ns() - start) / 1e9;
        result.value = result.seconds * 1e9 / static_cast<double>(result.operations);
        uint64_t expected = 0;
        for (uint64_t i = 0; i < count; ++i) expected += digest(random_key(i).bytes(), pool().value(i, value_size));
        if (result.digest != expected || result.operations != count) wrong(result.row, "other pairs");
        cell.emit(result);
    }
    Result range;
    range.row = "scan.range100." + size_name(count);
    if (!cell.wants(range.row)) return;
    const uint64_t ranges = cell.options.quick ? 300 : 10'000;
    uint64_t pairs = 0;
    Histogram latencies;
    const uint64_t start = now_ns();
    for (uint64_t i = 0; i < ranges; ++i) {
        const uint64_t before = now_ns();
        range.digest += reader->scan(random_key(wanted(i, count, true)).bytes(), 100, pairs);
        latencies.record(now_ns() - before);
    }
    range.seconds = static_cast<double>(now_ns() - start) / 1e9;
    range.operations = ranges;
    range.value = range.seconds * 1e6 / static_cast<double>(ranges);
    range.latencies(latencies);
    uint64_t expected_pairs = 0;
    if (range.digest != expected_ranges(ranges, count, expected_pairs) || pairs != expected_pairs)
        wrong(range.row, "other pairs");
    cell.emit(range);
}

const std::vector<Gets> all_gets = {
    {ReadMode::view, true, 1},      {ReadMode::snapshot, true, 1},  {ReadMode::copy, true, 1},
    {ReadMode::view, false, 1},     {ReadMode::snapshot, false, 1}, {ReadMode::copy, false, 1},
    {ReadMode::view, true, 2},      {ReadMode::snapshot, true, 2},  {ReadMode::copy, true, 2},
    {ReadMode::view, false, 2},     {ReadMode::snapshot, false, 2}, {ReadMode::copy, false, 2},
};

void run_reads(Cell &cell, uint64_t count) {
    const std::unique_ptr<Engine> engine = cell.kind.make();
    engine->open(pairs_settings(pairs_dataset(cell, count), count));
    {
        const std::unique_ptr<Reader> reader = engine->reader(ReadMode::view);
        uint64_t seen = 0;
        reader->scan({}, UINT64_MAX, seen);
        if (seen != count) wrong("reads", "the store does not hold what was loaded");
    }
    for (const Gets &what : all_gets) gets(cell, *engine, what, count);
    many(cell, *engine, count);
    scans(cell, *engine, count);
    engine->close();
}

} // namespace

void read_jobs(const Options &options, std::vector<Job> &jobs) {
    for (const uint64_t count : options.sizes) {
        const std::string size = size_name(count);
        const std::string row = "load." + size;
        jobs.push_back({{{row, "load of " + size + " pairs in batches of 1,000, one sync", "s", false,
                          gives_process | gives_pairs}},
                        [row, count](Cell &cell) { run_load(cell, row, count); }});
        std::vector<Row> rows;
        for (const Gets &what : all_gets) {
            const std::string title = std::string("point read, ") + (what.hit ? "hit" : "miss") + ", " +
                                      mode_names[static_cast<int>(what.mode)] + ", " + size + " pairs, " +
                                      std::to_string(what.threads) + (what.threads == 1 ? " thread" : " threads");
            rows.push_back({get_row(what, count), title, "ns", false, gives_pairs});
        }
        const std::string pairs = ", " + size + " pairs";
        rows.push_back({"get.many64." + size, "point reads, 64 at a time, each" + pairs, "ns", false, gives_pairs});
        rows.push_back({"scan.full." + size, "full scan, an entry" + pairs, "ns", false, gives_pairs});
        rows.push_back({"scan.range100." + size, "range of 100 entries" + pairs, "us", false, gives_pairs});
        jobs.push_back({rows, [count](Cell &cell) { run_reads(cell, count); }});
    }
}

} // namespace bench
