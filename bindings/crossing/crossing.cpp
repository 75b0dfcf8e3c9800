// The work of crossing.c through sarsen.hpp: what C++ adds to a call.
//
//   crossing_cpp DIRECTORY COUNT BATCH [cpu]
//
// Prints what crossing.c prints, and `built`: a put of a batch that is built command by command.
#include <array>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <stdexcept>
#include <string>
#include <vector>

#include <sarsen.hpp>

namespace {

constexpr std::size_t key_size = 16, value_size = 100, command_size = 24 + key_size + value_size;
clockid_t the_clock = CLOCK_MONOTONIC;

double now_ns() {
    timespec at{};
    clock_gettime(the_clock, &at);
    return static_cast<double>(at.tv_sec) * 1e9 + static_cast<double>(at.tv_nsec);
}

/// Nanoseconds each; the best of five rounds.
template <class Work> double best(std::size_t count, Work work) {
    double least = 0;
    for (int round = 0; round < 5; ++round) {
        const double start = now_ns();
        if (work() != count) throw std::runtime_error("a wrong answer");
        const double took = (now_ns() - start) / static_cast<double>(count);
        if (round == 0 || took < least) least = took;
    }
    return least;
}

using name = std::array<char, key_size>;

std::vector<name> names(std::uint32_t count) {
    std::vector<name> keys(count);
    for (std::uint32_t number = 0; number < count; ++number) {
        char text[key_size + 1];
        std::snprintf(text, sizeof text, "%08x%08x", number * 2654435761u, number);
        std::memcpy(keys[number].data(), text, key_size);
    }
    return keys;
}

/// Puts all keys, as many in a batch as `fill` takes; nanoseconds each.
template <class Fill>
double put(const sarsen::store &store, const std::vector<name> &keys, std::size_t size, Fill fill) {
    sarsen::batch batch;
    const double start = now_ns();
    for (std::size_t first = 0; first < keys.size(); first += size) {
        fill(batch, &keys[first]);
        store.commit(batch);
    }
    return (now_ns() - start) / static_cast<double>(keys.size());
}

void run(char **argv) {
    const std::vector<name> keys = names(static_cast<std::uint32_t>(std::strtoul(argv[2], nullptr, 10)));
    const std::size_t count = keys.size(), size = std::strtoul(argv[3], nullptr, 10);
    if (size == 0 || count % size != 0) throw std::invalid_argument("COUNT is no multiple of BATCH");
    const std::string value(value_size, 'v');
    sarsen::options how;
    how.durability = sarsen::survive::process;
    sarsen::store store = sarsen::store::open(argv[1], how);
    std::vector<std::uint8_t> encoded(size * command_size);
    const double loaded = put(store, keys, size, [&](sarsen::batch &batch, const name *key) {
        std::uint8_t *at = encoded.data();
        for (std::size_t i = 0; i < size; ++i, at += command_size) {
            at[0] = SARSEN_COMMAND_SET_KV;
            at[4] = key_size;
            at[16] = value_size;
            std::memcpy(at + 24, key[i].data(), key_size);
            std::memcpy(at + 24 + key_size, value.data(), value_size);
        }
        batch.load(encoded);
    });
    const double get = best(count, [&] {
        std::size_t found = 0;
        for (std::uint64_t number = 0; number < count; ++number) {
            const auto view = store.kv_get(keys[number * 7919 % count]);
            found += view && view->size() == value_size;
        }
        return found;
    });
    const double scan = best(count, [&] {
        std::size_t found = 0;
        for (const auto &[key, pair] : store.kv_scan()) found += pair.size() == value_size;
        return found;
    });
    store.close();

    sarsen::store other = sarsen::store::open(std::string(argv[1]) + "-built", how);
    const double built = put(other, keys, size, [&](sarsen::batch &batch, const name *key) {
        for (std::size_t i = 0; i < size; ++i) batch.kv_set(key[i], value);
    });
    other.close();
    std::printf("{\"get\": %.0f, \"put\": %.0f, \"scan\": %.0f, \"built\": %.0f}\n", get, loaded, scan, built);
}

} // namespace

int main(int argc, char **argv) {
    if (argc != 4 && argc != 5) return EXIT_FAILURE;
    if (argc == 5) the_clock = CLOCK_PROCESS_CPUTIME_ID;
    try {
        run(argv);
    } catch (const std::exception &failure) {
        std::fprintf(stderr, "%s\n", failure.what());
        return EXIT_FAILURE;
    }
}
