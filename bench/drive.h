// Loops that measure: threads that start together, a deadline that is looked at without slowing the loop, latencies.
#pragma once

#include "cell.h"

#include <atomic>
#include <mutex>
#include <thread>

namespace bench {

// Threads begin their measured part together.
class Gate {
  public:
    explicit Gate(unsigned threads) : waiting_(threads) {}
    void pass() {
        waiting_.fetch_sub(1);
        while (waiting_.load() != 0) std::this_thread::yield();
    }

  private:
    std::atomic<unsigned> waiting_;
};

struct Drive {
    uint64_t operations_most = UINT64_MAX; // each thread
    double seconds = 1e9, warm_seconds = 0;
    uint64_t warm_operations = 0; // the warming ends at whichever comes first, and isn't measured
    unsigned sample = 1;          // every one of so many operations is timed by itself
};

struct Driven {
    uint64_t operations = 0; // measured
    uint64_t all = 0;        // with the warming
    uint64_t start = 0, end = 0; // of the measured part
    double seconds = 0;
    Histogram latencies;
};

// Calls `operation(number)` for numbers from 0 on.
template <class Operation> Driven drive(const Drive &how, Gate &gate, Operation &&operation) {
    Driven driven;
    uint64_t number = 0;
    const uint64_t warm_until = now_ns() + static_cast<uint64_t>(how.warm_seconds * 1e9);
    while (number < how.warm_operations && (number % 16 != 0 || now_ns() < warm_until)) operation(number++);
    const uint64_t first = number;
    gate.pass();
    const uint64_t start = now_ns(), end = start + static_cast<uint64_t>(how.seconds * 1e9);
    uint64_t now = start;
    while (number < how.operations_most && now < end) {
        const uint64_t before = how.sample == 1 ? now : now_ns();
        operation(number++);
        now = now_ns();
        driven.latencies.record(now - before);
        for (unsigned i = 1; i < how.sample && number < how.operations_most; ++i) operation(number++);
    }
    driven.start = start;
    driven.end = now_ns();
    driven.seconds = static_cast<double>(driven.end - start) / 1e9;
    driven.operations = number - first;
    driven.all = number;
    return driven;
}

// From when the first thread began to when the last one ended: fewer cores than threads take turns.
inline double wall_seconds(const std::vector<Driven> &all) {
    uint64_t start = UINT64_MAX, end = 0;
    for (const Driven &one : all) start = std::min(start, one.start), end = std::max(end, one.end);
    return static_cast<double>(end - start) / 1e9;
}

// Runs `work(thread number)` in so many threads and throws the first failure. One thread: in this one.
template <class Work> void in_threads(unsigned threads, Work &&work) {
    if (threads == 1) {
        work(0u);
        return;
    }
    std::mutex mutex;
    std::string failure;
    std::vector<std::thread> all;
    for (unsigned thread = 0; thread < threads; ++thread) {
        all.emplace_back([&, thread] {
            try {
                work(thread);
            } catch (const std::exception &thrown) {
                const std::lock_guard<std::mutex> hold(mutex);
                if (failure.empty()) failure = thrown.what();
            }
        });
    }
    for (std::thread &one : all) one.join();
    if (!failure.empty()) throw Failure(failure);
}

// The most anonymous memory this process had while this lives, looked at every few milliseconds.
class MemoryPeak {
  public:
    MemoryPeak() : before_(anonymous_bytes()), watcher_([this] { watch(); }) {}
    ~MemoryPeak() {
        over_.store(true);
        watcher_.join();
    }
    // Above what there was before.
    double bytes() const {
        const uint64_t most = std::max(most_.load(), anonymous_bytes());
        return most > before_ ? static_cast<double>(most - before_) : 0;
    }

  private:
    void watch() {
        while (!over_.load()) {
            most_.store(std::max(most_.load(), anonymous_bytes()));
            std::this_thread::sleep_for(std::chrono::milliseconds(5));
        }
    }
    uint64_t before_;
    std::atomic<uint64_t> most_{0};
    std::atomic<bool> over_{false};
    std::thread watcher_;
};

} // namespace bench
