// 64 KiB blocks read in place and summed; many streams appended in batches and one read back; memories found by tag.
#include "drive.h"

namespace bench {
namespace {

constexpr uint64_t block_size = 64 << 10, stream_count = 1000, record_size = 64, memory_size = 64, batch = 1000;

void wrong(const std::string &row, const char *what) { throw Failure("WRONG ANSWER: " + row + ": " + what); }

// ---- blocks --------------------------------------------------------------------------------------------

uint64_t block_total(const Options &options) { return options.quick ? 256 : 4096; }

Settings block_settings(const Cell &cell, const std::string &path) {
    Settings settings;
    settings.directory = path;
    settings.data_bytes = block_total(cell.options) * block_size;
    settings.value_bytes = block_size;
    return settings;
}

void run_blocks(Cell &cell, bool every) {
    const std::string row = every ? "block64k.every_read" : "block64k.first_touch";
    const uint64_t total = block_total(cell.options);
    const std::string path = cell.dataset("blocks", [&](const std::string &built) {
        const std::unique_ptr<Engine> engine = cell.kind.make();
        Settings settings = block_settings(cell, built);
        settings.append_bytes = settings.data_bytes;
        engine->open(settings);
        {
            const std::unique_ptr<Writer> writer = engine->writer(0);
            for (uint64_t i = 0; i < total; ++i) writer->block(pool().value(i, block_size));
            engine->sync();
        }
        engine->settle();
        engine->close();
    });
    const std::unique_ptr<Engine> engine = cell.kind.make();
    Settings settings = block_settings(cell, path);
    settings.check_every_read = every;
    engine->open(settings);
    Result result;
    {
        const std::unique_ptr<Reader> reader = engine->reader(ReadMode::view);
        const auto read = [&](uint64_t i) {
            Bytes data;
            if (!reader->block(0, i, data) || data.size != block_size) wrong(row, "a block is not there");
            return digest(data);
        };
        uint64_t expected = 0, sum = 0;
        for (uint64_t i = 0; i < total; ++i) sum += read(i), expected += digest(pool().value(i, block_size));
        if (sum != expected) wrong(row, "other bytes");
        result.operations = total * 4;
        Histogram latencies;
        uint64_t now = now_ns();
        const uint64_t start = now;
        for (uint64_t i = 0; i < result.operations; ++i) {
            result.digest += read(below(i, total));
            const uint64_t after = now_ns();
            latencies.record(after - now);
            now = after;
        }
        result.seconds = static_cast<double>(now - start) / 1e9;
        result.latencies(latencies);
        expected = 0;
        for (uint64_t i = 0; i < result.operations; ++i) expected += digest(pool().value(below(i, total), block_size));
        if (result.digest != expected) wrong(row, "other bytes");
    }
    result.row = row;
    result.value = static_cast<double>(result.operations * block_size) / result.seconds / 1e9;
    engine->close();
    cell.emit(result);
}

// ---- streams -------------------------------------------------------------------------------------------

uint64_t record_total(const Options &options) { return options.sizes.back(); }

void run_streams(Cell &cell) {
    const uint64_t total = record_total(cell.options);
    Settings settings;
    settings.directory = cell.fresh();
    settings.streams = stream_count;
    settings.data_bytes = total * (record_size + 32);
    // Streams are drawn at random, so the longest is longer than the mean.
    settings.append_bytes = total * (record_size + 4) * 3 / 2 + stream_count * 128 * record_size;
    settings.value_bytes = record_size;
    const std::unique_ptr<Engine> engine = cell.kind.make();
    engine->open(settings);
    std::vector<std::string> names;
    for (uint64_t stream = 0; stream < stream_count; ++stream) names.push_back(stream_name(stream));
    Result append;
    append.row = "stream.append";
    std::vector<uint64_t> sums(stream_count), counts(stream_count);
    {
        const std::unique_ptr<Writer> writer = engine->writer(0);
        std::vector<Record> records(batch);
        Histogram latencies;
        uint64_t spent = 0;
        for (uint64_t first = 0; first < total; first += batch) {
            const uint64_t size = std::min(batch, total - first);
            for (uint64_t i = 0; i < size; ++i) {
                const uint64_t stream = below(first + i, stream_count);
                const Bytes data = pool().value(first + i, record_size);
                records[i] = {bytes(names[stream]), data};
                sums[stream] += digest(data);
                ++counts[stream];
            }
            const uint64_t start = now_ns();
            writer->append(records.data(), size);
            const uint64_t took = now_ns() - start;
            spent += took;
            latencies.record(took);
        }
        append.operations = total;
        append.seconds = static_cast<double>(spent) / 1e9;
        append.value = static_cast<double>(spent) / static_cast<double>(total);
        append.latencies(latencies);
        append.figures = engine->figures();
        if (cell.kind.role != Role::floor) engine->sync();
    }
    engine->settle();
    if (cell.wants(append.row)) cell.emit(append);

    Result read;
    read.row = "stream.read";
    const std::unique_ptr<Reader> reader = engine->reader(ReadMode::snapshot);
    const auto streams = [&] {
        for (uint64_t stream = 0; stream < 50; ++stream) {
            uint64_t count = 0;
            const uint64_t sum = reader->read_stream(bytes(names[stream]), count);
            if (sum != sums[stream] || count != counts[stream]) wrong(read.row, "other records");
            read.operations += count;
            read.digest += sum;
        }
    };
    streams();
    read.operations = read.digest = 0;
    const uint64_t start = now_ns();
    streams();
    read.seconds = static_cast<double>(now_ns() - start) / 1e9;
    read.value = read.seconds * 1e9 / static_cast<double>(read.operations);
    if (cell.wants(read.row)) cell.emit(read);
}

// ---- tags ----------------------------------------------------------------------------------------------

void run_tags(Cell &cell) {
    const uint64_t total = cell.options.sizes.front();
    Settings settings;
    settings.data_bytes = total * (memory_size + 200);
    settings.append_bytes = settings.data_bytes;
    settings.value_bytes = memory_size;
    settings.directory = cell.dataset("memories", [&](const std::string &path) {
        settings.directory = path;
        const std::unique_ptr<Engine> engine = cell.kind.make();
        engine->open(settings);
        {
            const std::unique_ptr<Writer> writer = engine->writer(0);
            std::vector<uint64_t> ids(batch);
            std::vector<Bytes> data(batch);
            for (uint64_t first = 0; first < total; first += batch) {
                const uint64_t size = std::min(batch, total - first);
                for (uint64_t i = 0; i < size; ++i) {
                    ids[i] = first + i;
                    data[i] = pool().value(first + i, memory_size);
                }
                writer->memories(ids.data(), data.data(), size);
            }
            engine->sync();
        }
        engine->settle();
        engine->close();
    });
    const std::unique_ptr<Engine> engine = cell.kind.make();
    engine->open(settings);
    const uint64_t tags = cell.options.quick ? 10 : 100;
    std::vector<uint64_t> expected(tags);
    for (uint64_t id = 0; id < total; ++id) {
        const uint64_t tag = below(id, 1000);
        if (tag < tags) expected[tag] += mix(id) ^ digest(pool().value(id, memory_size));
    }
    Result result;
    result.row = "tags.find";
    {
        const std::unique_ptr<Reader> reader = engine->reader(ReadMode::snapshot);
        Histogram latencies;
        const auto queries = [&] {
            for (uint64_t tag = 0; tag < tags; ++tag) {
                const std::string text = rare_tag(tag);
                const uint64_t start = now_ns();
                const uint64_t sum = reader->find(bytes(text), result.operations);
                latencies.record(now_ns() - start);
                if (sum != expected[tag]) wrong(result.row, "other memories");
                result.digest += sum;
            }
        };
        queries();
        result.operations = result.digest = 0;
        latencies = Histogram();
        const uint64_t start = now_ns();
        queries();
        result.seconds = static_cast<double>(now_ns() - start) / 1e9;
        result.latencies(latencies);
    }
    result.value = result.seconds * 1e9 / static_cast<double>(result.operations);
    engine->close();
    cell.emit(result);
}

} // namespace

void object_jobs(const Options &options, std::vector<Job> &jobs) {
    jobs.push_back({{{"block64k.first_touch", "64 KiB blocks, all bytes summed, checked when first touched", "GB/s",
                      true, gives_blocks}},
                    [](Cell &cell) { run_blocks(cell, false); }});
    jobs.push_back({{{"block64k.every_read", "64 KiB blocks, all bytes summed, checked at every read", "GB/s", true,
                      gives_every_read}},
                    [](Cell &cell) { run_blocks(cell, true); }});
    const std::string records = size_name(record_total(options));
    jobs.push_back({{{"stream.append", records + " records of 64 B over 1,000 streams, in batches of 1,000, each",
                      "ns", false, gives_streams | gives_process},
                     {"stream.read", "one stream of " + records + " records read back, a record", "ns", false,
                      gives_streams | gives_process}},
                    run_streams});
    jobs.push_back({{{"tags.find", "memories with a tag that 1 in 1,000 of " + size_name(options.sizes.front()) +
                                       " has, a memory",
                      "ns", false, gives_tags}},
                    run_tags});
}

} // namespace bench
