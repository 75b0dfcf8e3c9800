// Opening: after a clean close, and after kill -9 with 64 MiB that were written just before, the first read included.
//
// The store is opened in a process that has not opened it before; its files are in the page cache. What the killed
// process wrote are the values that were there, so the store holds the same pairs afterwards.
#include "drive.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>

namespace bench {
namespace {

void first_read(Engine &engine, const std::string &row, uint64_t i) {
    const std::unique_ptr<Reader> reader = engine.reader(ReadMode::view);
    Bytes value;
    if (!reader->get(random_key(i).bytes(), value) || digest(value) != digest(pool().value(i, value_size)))
        throw Failure("WRONG ANSWER: " + row + ": other value after opening");
}

Result open_once(Engine &engine, const Settings &settings, const std::string &row, uint64_t count) {
    Result result;
    result.row = row;
    const uint64_t start = now_ns();
    engine.open(settings);
    const uint64_t opened = now_ns();
    first_read(engine, row, count / 2);
    const uint64_t read = now_ns();
    result.seconds = static_cast<double>(read - start) / 1e9;
    result.value = result.seconds * 1e3;
    result.operations = 1;
    result.figure("open_ms", static_cast<double>(opened - start) / 1e6);
    result.figure("first_read_ms", static_cast<double>(read - opened) / 1e6);
    return result;
}

void run_clean(Cell &cell, const std::string &row, uint64_t count) {
    const Settings settings = pairs_settings(pairs_dataset(cell, count), count);
    const std::unique_ptr<Engine> engine = cell.kind.make();
    const Result result = open_once(*engine, settings, row, count);
    engine->close();
    cell.emit(result);
}

// Writes, tells so, and waits for its end.
[[noreturn]] void doomed(Cell &cell, const Settings &settings, uint64_t count, int told) {
    const std::unique_ptr<Engine> engine = cell.kind.make();
    engine->open(settings);
    const std::unique_ptr<Writer> writer = engine->writer(0);
    const uint64_t bytes = (cell.options.quick ? uint64_t{1} : uint64_t{64}) << 20;
    constexpr uint64_t batch = 100;
    Key keys[batch];
    Change changes[batch];
    for (uint64_t done = 0; done * (16 + value_size) < bytes; done += batch) {
        for (uint64_t i = 0; i < batch; ++i) {
            const uint64_t number = below(done + i, count);
            keys[i] = random_key(number);
            changes[i] = {keys[i].bytes(), pool().value(number, value_size)};
        }
        writer->apply(changes, batch);
    }
    if (write(told, "w", 1) != 1) _exit(4);
    for (;;) pause();
}

void run_killed(Cell &cell, const std::string &row, uint64_t count) {
    const Settings settings = pairs_settings(pairs_dataset(cell, count), count);
    int pipes[2];
    if (pipe(pipes) != 0) throw Failure("no pipe");
    const pid_t pid = fork();
    if (pid < 0) throw Failure("no child process");
    if (pid == 0) {
        close(pipes[0]);
        try {
            doomed(cell, settings, count, pipes[1]);
        } catch (const std::exception &failure) {
            fprintf(stderr, "%s\n", failure.what());
            _exit(1);
        }
    }
    close(pipes[1]);
    char letter;
    const bool wrote = read(pipes[0], &letter, 1) == 1;
    close(pipes[0]);
    kill(pid, SIGKILL);
    waitpid(pid, nullptr, 0);
    if (!wrote) throw Failure("the process to be killed could not write");

    const std::unique_ptr<Engine> engine = cell.kind.make();
    Result result = open_once(*engine, settings, row, count);
    for (const auto &figure : engine->figures()) result.figures.push_back(figure);
    for (uint64_t i = 0; i < count; i += count / 500) first_read(*engine, row, i);
    engine->close();
    cell.emit(result);
}

// ---- many chunks -----------------------------------------------------------------------------------------

// A store of many small chunks: opened, then read in every chunk. How many maps the process then has is a figure.
void run_chunks(Cell &cell, uint64_t chunks) {
    constexpr uint64_t size = 60 << 10;
    Settings settings;
    settings.chunk_bytes = 64 << 10;
    settings.value_bytes = size;
    settings.data_bytes = chunks * size;
    settings.directory = cell.dataset("chunks", [&](const std::string &path) {
        settings.directory = path;
        const std::unique_ptr<Engine> engine = cell.kind.make();
        engine->open(settings);
        {
            const std::unique_ptr<Writer> writer = engine->writer(0);
            for (uint64_t i = 0; i < chunks; ++i) writer->block(pool().value(i, size));
        }
        engine->close();
    });
    const std::unique_ptr<Engine> engine = cell.kind.make();
    Result result;
    result.row = "open.chunks";
    const uint64_t start = now_ns();
    engine->open(settings);
    result.seconds = static_cast<double>(now_ns() - start) / 1e9;
    result.value = result.seconds * 1e3;
    {
        const std::unique_ptr<Reader> reader = engine->reader(ReadMode::view);
        for (uint64_t i = 0; i < chunks; ++i) {
            Bytes data;
            if (!reader->block(0, i, data) || digest(data) != digest(pool().value(i, size)))
                throw Failure("WRONG ANSWER: open.chunks: other bytes");
        }
    }
    uint64_t maps = 0;
    std::ifstream lines("/proc/self/maps");
    for (std::string line; std::getline(lines, line);) ++maps;
    result.figure("maps", static_cast<double>(maps));
    result.figure("chunks", static_cast<double>(chunks));
    for (const auto &figure : engine->figures()) result.figures.push_back(figure);
    result.operations = 1;
    engine->close();
    cell.emit(result);
}

} // namespace

void open_jobs(const Options &options, std::vector<Job> &jobs) {
    for (const uint64_t count : options.sizes) {
        const std::string size = size_name(count), clean = "open.clean." + size, killed = "open.killed." + size;
        jobs.push_back({{{clean, "open after a clean close, first read included, " + size + " pairs", "ms", false,
                          gives_store | gives_pairs}},
                        [clean, count](Cell &cell) { run_clean(cell, clean, count); }});
        jobs.push_back({{{killed, "open after a kill with 64 MiB just written, first read included, " + size + " pairs",
                          "ms", false, gives_store | gives_pairs | gives_process}},
                        [killed, count](Cell &cell) { run_killed(cell, killed, count); },
                        "pairs-" + size});
    }
    const uint64_t chunks = options.quick ? 200 : 10'000;
    jobs.push_back({{{"open.chunks", "open a store of 10,000 chunks", "ms", false, gives_upkeep}},
                    [chunks](Cell &cell) { run_chunks(cell, chunks); },
                    "chunks"});
}

} // namespace bench
